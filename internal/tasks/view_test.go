package tasks

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

func TestViewOfNewTaskShowsOnlyWhatIsSet(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	task := Task{
		ID: "t", Group: "g", Kind: "echo", CreatedBy: "u", Priority: Normal, Status: Queued,
		CreatedAt: at, RunAt: at, MaxAttempts: 3, Timeout: 300 * time.Second, InBytes: 4,
	}
	got, err := json.Marshal(task.View())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"t","group_id":"g","kind":"echo","created_by":"u","priority":"normal","status":"queued",` +
		`"created_at":"2026-11-22T10:00:00.000Z","run_at":"2026-11-22T10:00:00.000Z",` +
		`"attempt":0,"max_attempts":3,"failures":0,"reassignments":0,"timeout_s":300,"input_bytes":4}`
	if string(got) != want {
		t.Errorf("view\n got %s\nwant %s", got, want)
	}
}

func TestViewTimes(t *testing.T) {
	at := func(ms int) time.Time { return time.Date(2026, 11, 22, 10, 0, 0, ms*1e6, time.UTC) }
	tests := []struct {
		name       string
		task       Task
		queue, run int64 // -1: absent
	}{
		{"waiting", Task{Status: Queued, RunAt: at(0)}, -1, -1},
		{"running", Task{Status: Running, RunAt: at(0), StartedAt: at(30)}, 30, -1},
		{"succeeded", Task{Status: Succeeded, RunAt: at(0), StartedAt: at(30), FinishedAt: at(100)}, 30, 70},
		{"waits for its retry", Task{Status: Queued, RunAt: at(500), StartedAt: at(30)}, -1, -1},
		{"cancelled before its retry", Task{Status: Cancelled, RunAt: at(500), StartedAt: at(30), FinishedAt: at(100)}, 0, -1},
		{"cancelled while queued", Task{Status: Cancelled, RunAt: at(0), FinishedAt: at(100)}, 100, -1},
		{"parent", Task{Status: Succeeded, FanOut: FanOut{Mode: ModeInputs}, CreatedAt: at(0), RunAt: at(0), FinishedAt: at(90)}, -1, 90},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.task.View()
			check := func(name string, got *int64, want int64) {
				switch {
				case got == nil && want != -1:
					t.Errorf("%s is absent, want %d", name, want)
				case got != nil && *got != want:
					t.Errorf("%s is %d, want %d", name, *got, want)
				}
			}
			check("queue_ms", v.QueueMS, tt.queue)
			check("run_ms", v.RunMS, tt.run)
		})
	}
}

func TestViewOfParts(t *testing.T) {
	percent := 0.0
	part := Task{Parent: "p", Key: "0", Index: 0, Count: 2, Status: Running, Worker: "w", WorkerName: "lab",
		Percent: &percent, Error: &protocol.TaskError{Code: "x", Message: "y", Retryable: true}}
	v := part.View()
	if v.Index == nil || *v.Index != 0 || v.Count != 2 {
		t.Errorf("the first part shows index %v of %d, want 0 of 2", v.Index, v.Count)
	}
	if v.Worker == nil || *v.Worker != (WorkerRef{"w", "lab"}) {
		t.Errorf("worker %v", v.Worker)
	}
	if v.Progress == nil || v.Progress.Percent == nil || *v.Progress.Percent != 0 {
		t.Error("a progress of 0 percent is shown")
	}
	if v.Error == nil || *v.Error != (TaskErrorView{"x", "y", true}) {
		t.Errorf("error %v", v.Error)
	}
	reduce := Task{Parent: "p", Key: ReduceKey}
	if v := reduce.View(); v.Index != nil {
		t.Errorf("the part that reduces shows index %d, want none", *v.Index)
	}
	counts := ChildCounts(map[Status]int{Scheduled: 1, Queued: 2, Running: 3, Succeeded: 4, Failed: 5, Cancelled: 6})
	if *counts != (ChildCountView{Total: 21, Queued: 3, Running: 3, Succeeded: 4, Failed: 5, Cancelled: 6}) {
		t.Errorf("children %+v", *counts)
	}
}
