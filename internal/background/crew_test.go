package background

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestUsedAgain: one function after another runs on one goroutine, which rests in
// between and ends after it.
func TestUsedAgain(t *testing.T) {
	goleak.VerifyNone(t) // those of other tests have gone
	synctest.Test(t, func(t *testing.T) {
		c := NewCrew(t.Context().Done())
		before, most := runtime.NumGoroutine(), 0
		rest := func(want int) (n int) { // one that has ended counts for a moment longer
			for range 1_000_000 {
				if n = runtime.NumGoroutine() - before; n == want {
					break
				}
				runtime.Gosched()
			}
			return n
		}
		for range 100 {
			c.Go(func() { most = max(most, runtime.NumGoroutine()-before) })
			synctest.Wait()
			if n := rest(1); n != 1 {
				t.Fatalf("%d goroutines rest", n)
			}
		}
		if most != 1 {
			t.Errorf("%d goroutines", most)
		}
		time.Sleep(restTime) //nolint:forbidigo // of the bubble
		synctest.Wait()
		if n := rest(0); n != 0 {
			t.Errorf("%d goroutines after the rest", n)
		}
	})
}

// TestNeverWaits: functions that wait for each other all run, and what comes after the
// end does too.
func TestNeverWaits(t *testing.T) {
	over := make(chan struct{})
	c := NewCrew(over)
	for range 3 {
		var meet, left sync.WaitGroup
		meet.Add(50)
		for range 50 {
			left.Add(1)
			c.Go(func() {
				defer left.Done()
				meet.Done()
				meet.Wait()
			})
		}
		left.Wait()
	}
	close(over)
	done := make(chan struct{})
	c.Go(func() { close(done) })
	<-done
}
