package workload

import (
	"fmt"
	"time"
)

const (
	progressEvery   = 200 * time.Millisecond // at most 5 messages a second
	checkpointEvery = time.Second
	maxCheckpoint   = 256 << 10 // bytes of JSON (docs/worker-protocol.md)
)

// ticker says when something is due again, without a goroutine or a timer.
type ticker struct {
	every time.Duration
	last  time.Time
}

func newTicker(every time.Duration) *ticker {
	return &ticker{every: every, last: time.Now()}
}

// due is true at most once per interval, the first time one interval after the
// ticker was made.
func (t *ticker) due() bool {
	now := time.Now()
	if now.Sub(t.last) < t.every {
		return false
	}
	t.last = now
	return true
}

// save stores a checkpoint. Without it only time is lost, so a failure is told
// to the log and the work goes on.
func save(job Job, data any) {
	if err := job.SaveCheckpoint(data); err != nil {
		job.Log(fmt.Sprintf("checkpoint not saved: %v", err))
	}
}
