package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// TestMainJob submits one task of each kind and fan-out and reads the results.
func TestMainJob(t *testing.T) {
	redises(t, func(t *testing.T, env ...string) {
		c := start(t, env...)
		for i := range 3 {
			c.worker(fmt.Sprint("w", i), 2)
		}
		c.mainJobs()
	})
}

// mainJobs runs each way to submit, for three workers.
func (c *cluster) mainJobs() {
	c.connected(3)
	c.t.(*testing.T).Run("jobs", func(t *testing.T) {
		numbers := make([]float64, 1000)
		for i := range numbers {
			numbers[i] = float64(i)
		}
		for name, job := range map[string]struct {
			spec map[string]any
			want string
		}{
			"single":    {map[string]any{"kind": "echo", "input": map[string]int{"a": 1}}, `{"a":1}`},
			"factorize": {map[string]any{"kind": "factorize", "input": map[string]any{"n": "1000036000099"}, "split": map[string]int{"parts": 4}}, `{"n":"1000036000099","factors":[["1000003",1],["1000033",1]],"prime":false}`},
			"mean":      {map[string]any{"kind": "mean", "input": map[string]any{"numbers": numbers}, "split": map[string]string{"parts": "workers"}}, `{"mean":499.5,"count":1000,"min":0,"max":999}`},
			"inputs":    {map[string]any{"kind": "echo", "inputs": []int{1, 2, 3}, "reduce": "sum"}, `6`},
			"on worker": {map[string]any{"kind": "echo", "inputs": []int{1, 2}, "reduce": map[string]string{"kind": "echo"}}, `[1,2]`},
			"broadcast": {map[string]any{"kind": "echo", "input": "hi", "broadcast": true}, `["hi","hi","hi"]`},
		} {
			t.Run(name, func(t *testing.T) {
				task := c.submit(job.spec)
				c.wait(task.ID, "succeeded")
				var got any
				must(t, c.Output(t.Context(), task.ID, &got))
				var want any
				must(t, json.Unmarshal([]byte(job.want), &want))
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("result %v, want %v", got, want)
				}
			})
		}
	})
}

// connected waits until n workers are connected.
func (c *cluster) connected(n int) {
	c.t.Helper()
	eventually(c.t, 20*time.Second, fmt.Sprintf("%d workers connected", n), func() bool {
		var got struct{ Items []json.RawMessage }
		must(c.t, c.Do(c.t.Context(), "GET", "/groups/"+c.group+"/workers", nil, &got))
		return len(got.Items) >= n
	})
}

// running waits until a task runs.
func (c *cluster) running(id string) kit.Task {
	c.t.Helper()
	var t kit.Task
	eventually(c.t, 20*time.Second, "task runs", func() bool {
		var err error
		t, err = c.Get(c.t.Context(), id)
		must(c.t, err)
		return t.Status == "running"
	})
	return t
}

// working waits until a task's worker has said how far it is: "running" alone
// may still be on its way to the worker.
func (c *cluster) working(id string) {
	c.t.Helper()
	eventually(c.t, 20*time.Second, "task makes progress", func() bool {
		t, err := c.Get(c.t.Context(), id)
		must(c.t, err)
		return t.Progress != nil
	})
}

// ledger gives the testworkers that start from now on a file to note in what they
// begin; begun waits for the first of it.
func (c *cluster) ledger() (begun func()) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "ledger")
	c.t.Setenv("LEDGER", file)
	return func() {
		c.t.Helper()
		eventually(c.t, 20*time.Second, "a worker has begun", func() bool {
			noted, err := os.ReadFile(file)
			return err == nil && len(noted) > 0
		})
	}
}

func TestCancelReachesARunningWorker(t *testing.T) {
	c := start(t)
	c.worker("w", 1)
	task := c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": 600_000}})
	c.running(task.ID)
	began := time.Now()
	must(t, c.Do(t.Context(), "POST", "/tasks/"+task.ID+"/cancel", nil, nil))
	c.wait(task.ID, "cancelled")
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the worker took %s to answer; cron did it instead", d)
	}
	next := c.submit(map[string]any{"kind": "echo", "input": 1}) // the slot is free again
	c.wait(next.ID, "succeeded")
}

func TestDeadlineMovesATask(t *testing.T) {
	c := start(t)
	c.worker("w", 1)
	task := c.submit(map[string]any{
		"kind": "sleep", "input": map[string]int{"ms": 600_000}, "timeout_s": 1, "max_attempts": 1,
	})
	if got := c.wait(task.ID, "failed"); got.Error.Code != "timeout" {
		t.Fatalf("%+v", got.Error)
	}
}

// TestWorkerDrains: SIGTERM lets a worker finish what it runs; nothing is reassigned.
func TestWorkerDrains(t *testing.T) {
	c := start(t)
	w := c.worker("w", 1)
	task := c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": 3000}})
	c.working(task.ID)
	must(t, w.Stop(20*time.Second))
	if got := c.wait(task.ID, "succeeded"); got.Attempt != 1 {
		t.Fatalf("attempt %d", got.Attempt)
	}
}

// TestServerComesBack: after kill -9 the same binary on the same folder goes on,
// and a worker that was busy keeps its task.
func TestServerComesBack(t *testing.T) {
	c := start(t)
	c.worker("w", 1)
	long := c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": 6000}})
	c.working(long.ID)
	waiting := c.submit(map[string]any{"kind": "echo", "input": "after"})
	c.Server.Kill()
	must(t, c.Server.Restart())
	if got := c.wait(long.ID, "succeeded"); got.Attempt != 1 {
		t.Errorf("the task was started %d times although its worker never stopped", got.Attempt)
	}
	c.wait(waiting.ID, "succeeded")
}

// TestFrozenWorker: a worker that says nothing loses its task, and what it says
// later changes nothing.
func TestFrozenWorker(t *testing.T) {
	c := start(t, "FIRMLIGHT_WORKER_PING=200ms", "FIRMLIGHT_WORKER_TIMEOUT=1s", "FIRMLIGHT_WORKER_GRACE=500ms")
	begun := c.ledger()
	frozen := c.testWorker("frozen", 1)
	c.connected(1)
	task := c.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 1000}})
	begun()
	must(t, frozen.Signal(syscall.SIGSTOP))
	c.testWorker("fresh", 1)
	c.wait(task.ID, "succeeded")
	must(t, frozen.Signal(syscall.SIGCONT))
	eventually(t, 20*time.Second, "the late result is on the timeline", func() bool {
		es, err := c.Timeline(t.Context(), task.ID)
		must(t, err)
		for _, e := range es {
			if e.Event == "late_result_refused" {
				return true
			}
		}
		return false
	})
	var out struct{ Attempt int }
	must(t, c.Output(t.Context(), task.ID, &out))
	if out.Attempt != 2 {
		t.Fatalf("the result of attempt %d stands", out.Attempt)
	}
}

// TestProgramAsAKind runs a program by --exec.
func TestProgramAsAKind(t *testing.T) {
	c := start(t)
	c.worker("w", 1, "--exec", "wc=wc -c")
	task := c.submit(map[string]any{"kind": "wc", "input": "12345678"})
	c.wait(task.ID, "succeeded")
	var n int
	must(t, c.Output(t.Context(), task.ID, &n))
	if n != 10 { // the JSON string with its quotes
		t.Fatalf("wc -c says %d", n)
	}
}

// TestLiveShowsATask follows a task to its end without asking again.
func TestLiveShowsATask(t *testing.T) {
	c := start(t)
	c.worker("w", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	seen := map[string]bool{}
	var id string
	must(t, c.Watch(ctx, []string{"group:" + c.group}, func(e kit.Event) bool {
		if e.Type == "subscribed" {
			id = c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": 1500}}).ID
		}
		seen[e.Type] = true
		return e.Task == nil || e.Task.ID != id || !e.Task.Ended()
	}))
	for _, want := range []string{"subscribed", "task", "progress"} {
		if !seen[want] {
			t.Errorf("no %s event: %v", want, seen)
		}
	}
}

// TestManyGroupsShareAWorker: a busy group does not starve another one.
func TestManyGroupsShareAWorker(t *testing.T) {
	c := start(t)
	other, err := c.Group(t.Context(), "The other one")
	must(t, err)
	c.testWorker("w", 1)
	c.connected(1)
	var crowd []kit.Task
	for range 40 {
		crowd = append(crowd, c.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 100 + rand.IntN(10)}}))
	}
	few, err := c.Submit(t.Context(), other, map[string]any{"kind": "work", "input": map[string]int{"ms": 10}})
	must(t, err)
	c.wait(few.ID, "succeeded")
	last, err := c.Get(t.Context(), crowd[len(crowd)-1].ID)
	must(t, err)
	if last.Ended() {
		t.Fatal("the small group waited for the whole of the large one")
	}
}
