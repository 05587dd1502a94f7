package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/store/storetest"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

func benchEvent(n int64, devices int64) devsync.Event {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return devsync.Event{
		Device: fmt.Sprintf("device-%06d", n%devices), At: time.UnixMilli(1_700_000_000_000 + n/devices*60_000).UTC(), ReceivedAt: now,
		Files: 12, Errors: max(0, n%10-8), Speed: float64(n%90 + 10),
	}
}

// BenchmarkAppendOne is a hundred callers with one event each.
func BenchmarkAppendOne(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	var n atomic.Int64
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Append(ctx, "group", []devsync.Event{benchEvent(n.Add(1), 1000)}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkAppendBatch is eight gateways that send 500 events at a time, four of
// each of their 125 devices.
func BenchmarkAppendBatch(b *testing.B) {
	db, ctx := openTest(b), context.Background()
	const gateways, devices = 8, 125
	var gateway atomic.Int64
	b.SetParallelism(gateways / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		group := fmt.Sprintf("group %d", gateway.Add(1))
		events := make([]devsync.Event, 500)
		for n := int64(0); pb.Next(); {
			for i := range events {
				events[i] = benchEvent(n, devices)
				n++
			}
			if _, err := db.Append(ctx, group, events); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "events/s")
}

func TestDevices(t *testing.T) {
	storetest.Devices(t, func(t *testing.T) devsync.Store { return openTest(t) })
}
