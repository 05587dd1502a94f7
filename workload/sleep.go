package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const maxSleep = 86_400_000 // ms: one day

// sleep waits, for trying out slots, timeouts and cancels.
func sleep() Kind {
	return Kind{Name: "sleep", Run: runSleep, Reduce: reduceByCollect}
}

func runSleep(ctx context.Context, input json.RawMessage, job Job) (json.RawMessage, error) {
	ms, err := parseSleep(input)
	if err != nil {
		return nil, err
	}
	total := time.Duration(ms) * time.Millisecond
	start := time.Now()
	for tenth := 1; tenth <= 10; tenth++ {
		if err := wait(ctx, time.Until(start.Add(total*time.Duration(tenth)/10))); err != nil {
			return nil, err
		}
		job.Progress(float64(tenth*10), fmt.Sprintf("%d of %d ms", ms*int64(tenth)/10, ms))
	}
	return json.Marshal(map[string]int64{"slept_ms": ms})
}

func parseSleep(input json.RawMessage) (ms int64, err error) {
	in, err := fields(input, "ms")
	if err != nil {
		return 0, err
	}
	return in.integer("ms", 0, maxSleep)
}

// wait returns after d, or with ctx's error as soon as ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
