package background_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/background"
)

type key struct{}

func TestLoopsOutliveTheirContextUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		var calls, ended int
		var l background.Loops
		l.Stop() // without a start
		l.Start(ctx,
			background.Every(time.Minute, func(ctx context.Context) {
				if ctx.Value(key{}) != "value" || ctx.Err() != nil {
					t.Error("a call has another context")
				}
				calls++
			}),
			func(ctx context.Context) { <-ctx.Done(); ended++ },
		)
		cancel()
		<-time.After(5*time.Minute + time.Second)
		synctest.Wait()
		if calls != 5 || ended != 0 {
			t.Errorf("%d calls in five minutes, %d loops ended", calls, ended)
		}
		l.Stop()
		l.Stop()
		<-time.After(5 * time.Minute)
		if calls != 5 || ended != 1 {
			t.Errorf("%d calls, %d loops ended after the stop", calls, ended)
		}
	})
}

func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := make(chan int, 3)
		var sum int
		each := background.Each(c, func(_ context.Context, v int) { sum += v })
		var l background.Loops
		l.Start(t.Context(), each)
		c <- 1
		c <- 2
		synctest.Wait()
		if sum != 3 {
			t.Errorf("sum %d", sum)
		}
		l.Stop()
		c <- 4
		close(c)
		each(t.Context()) // takes the rest and ends with the channel
		if sum != 7 {
			t.Errorf("sum %d after the channel was closed", sum)
		}
	})
}
