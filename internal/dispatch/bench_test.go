package dispatch

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
)

func eachBench(tb *testing.B, bench func(tb *testing.B, b *bench)) {
	tb.Run("embedded", func(tb *testing.B) { bench(tb, newBench(tb, "")) })
	tb.Run("redis", func(tb *testing.B) {
		url, _ := redistest.Start(tb)
		bench(tb, newBench(tb, url))
	})
}

// BenchmarkPickUp measures from before Push to `assign` at an idle consumer, and
// from Push's return.
func BenchmarkPickUp(tb *testing.B) {
	eachBench(tb, func(tb *testing.B, b *bench) {
		b.start()
		b.submit("warm", echo, tasks.Normal)
		b.next()
		b.slots.finish(1)
		var whole, after []time.Duration
		for i := range tb.N {
			b.quiet(echo)
			tk := b.store.insert(fmt.Sprint(i), echo, tasks.Normal, time.Now())
			began := time.Now()
			if err := b.queue.Push(context.Background(), tk); err != nil {
				tb.Fatal(err)
			}
			pushed := time.Now()
			<-b.slots.assigned
			whole, after = append(whole, time.Since(began)), append(after, time.Since(pushed))
			b.slots.finish(1)
		}
		slices.Sort(whole)
		slices.Sort(after)
		us := func(d time.Duration) float64 { return float64(d.Microseconds()) }
		tb.ReportMetric(us(whole[len(whole)/2]), "p50-us")
		tb.ReportMetric(us(whole[len(whole)*99/100]), "p99-us")
		tb.ReportMetric(us(after[len(after)/2]), "after-push-p50-us")
	})
}

// BenchmarkThroughput pushes one at a time and finishes at once, with few slots
// and with many.
func BenchmarkThroughput(tb *testing.B) {
	for _, slots := range []int{1, 8, 64} {
		tb.Run(fmt.Sprint("slots=", slots), func(tb *testing.B) {
			eachBench(tb, func(tb *testing.B, b *bench) {
				b.slots.add(slots - 1)
				b.start()
				tb.ResetTimer()
				go func() {
					for i := range tb.N {
						tk := b.store.insert(fmt.Sprint(i), echo, tasks.Normal, time.Now())
						if err := b.queue.Push(context.Background(), tk); err != nil {
							tb.Error(err)
						}
					}
				}()
				for range tb.N {
					b.next()
					b.slots.finish(1)
				}
				tb.ReportMetric(float64(tb.N)/tb.Elapsed().Seconds(), "tasks/s")
			})
		})
	}
}
