package workload

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleepTellsEveryTenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := newRecorder(nil)
		start := time.Now()
		got, err := runSleep(t.Context(), json.RawMessage(`{"ms":86400000}`), job)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, got, `{"slept_ms":86400000}`)
		if took := time.Since(start); took != 24*time.Hour {
			t.Fatalf("slept %v", took)
		}
		if want := []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}; !slices.Equal(job.percents, want) {
			t.Fatalf("progress %v", job.percents)
		}
	})
}

func TestSleepStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		wantPrompt(t, open(), func(ctx context.Context) error {
			_, err := runSleep(ctx, json.RawMessage(`{"ms":86400000}`), newRecorder(nil))
			return err
		})
		if took := time.Since(start); took > 100*time.Millisecond { // docs/workloads.md
			t.Errorf("stopped after %v", took)
		}
	})
}
