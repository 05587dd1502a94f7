package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/redistest"
)

const (
	faultTasks   = 2000 // at least; as many more as it takes to the last fault
	faultWorkers = 6
	faultSlots   = 4
	faultBacklog = 150 // tasks that always wait, so that no queue runs empty
)

// TestFaults kills workers, the server and Redis's memory under load: every
// accepted task ends exactly once, by its newest attempt.
func TestFaults(t *testing.T) {
	redisURL, redis := redistest.Start(t)
	f := &faults{
		cluster: start(t, "FIRMLIGHT_REDIS_URL="+redisURL), redis: redis, batch: 50, backlog: faultBacklog, length: 10, look: 50 * time.Millisecond, busy: true, exact: true,
		workers: map[string]*kit.Process{}, rnd: rand.New(rand.NewPCG(7, 7)), python: pythonWorker(t),
	}
	for i := range faultWorkers {
		f.spawn(fmt.Sprint("w", i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	var load sync.WaitGroup
	var over atomic.Bool
	load.Go(func() { f.load(ctx, func() bool { return over.Load() && len(f.accepted) >= faultTasks }) })
	f.chaos(ctx)
	over.Store(true)
	load.Wait()
	if len(f.accepted) < faultTasks {
		t.Fatalf("%d tasks accepted, want %d", len(f.accepted), faultTasks)
	}
	f.verify(ctx)
}

type faults struct {
	*cluster
	redis    *redistest.Server
	batch    int           // tasks in a submit
	backlog  int           // tasks that always wait
	look     time.Duration // between two looks at how many wait
	length   int           // of a task: 20 to 80 times as many ms
	busy     bool          // every worker always has something to do
	exact    bool          // statistics are written with what they count: not on MongoDB
	rnd      *rand.Rand
	workers  map[string]*kit.Process
	door     func(worker string) (url string) // where a worker connects; nil: the server
	spawned  int                              // workers ever
	python   string                           // program of the Python worker, or none
	killings []killing
	accepted []string
	refused  atomic.Int64 // submits that were answered 429 or 503, or not at all
}

// killing is something that took tasks from a worker, or might have.
type killing struct {
	what   string
	worker string // empty: all
	at     time.Time
}

// spawn starts a worker of kind "work": every third one in Python, where that is
// installed (make test-e2e sees to it).
func (f *faults) spawn(name string) {
	url := f.Server.URL
	if f.door != nil {
		url = f.door(name)
	}
	f.spawned++
	if f.python != "" && f.spawned%3 == 0 {
		p, err := kit.StartWorker(f.python, url, f.token, name, faultSlots, []string{"fleet:worker"}, nil)
		must(f.t, err)
		f.t.Cleanup(p.Kill)
		f.workers[name] = p
		return
	}
	f.workers[name] = f.testWorkerAt(url, name, faultSlots)
}

// pythonWorker is the Python SDK's worker program, "" where it is not installed.
// Its kinds for tests are found in clients/python/tests.
func pythonWorker(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../clients/python")
	must(t, err)
	program := filepath.Join(folder, ".venv", "bin", "firmlight-worker")
	if _, err := os.Stat(program); err != nil {
		t.Log("without Python workers: run make test-python once")
		return ""
	}
	t.Setenv("PYTHONPATH", filepath.Join(folder, "tests"))
	return program
}

// load submits batches, each with keys that make it safe to send again, and
// keeps tasks waiting until there are enough.
func (f *faults) load(ctx context.Context, enough func() bool) {
	for sent := 0; !enough() && ctx.Err() == nil; {
		if f.waiting(ctx) > f.backlog {
			pause(ctx, f.look)
			continue
		}
		specs := make([]map[string]any, f.batch)
		for i := range specs {
			specs[i] = map[string]any{
				"kind": "work", "input": map[string]int{"ms": f.length * (20 + (sent+i)%60)},
				"idempotency_key": fmt.Sprint("load-", sent+i),
				"priority":        []string{"high", "normal", "low"}[(sent+i)%3],
			}
		}
		var got struct {
			Results []struct {
				Status int
				Task   *kit.Task
			}
		}
		err := f.Do(ctx, "POST", "/groups/"+f.group+"/tasks:batch", map[string]any{"tasks": specs}, &got)
		away := err != nil
		for _, it := range got.Results {
			if it.Task == nil && it.Status != http.StatusServiceUnavailable {
				f.t.Errorf("an entry of a batch was refused with status %d", it.Status)
				return
			}
			away = away || it.Task == nil
		}
		if away { // keys make it safe to send all again
			f.refused.Add(1)
			pause(ctx, 100*time.Millisecond)
			continue
		}
		for _, it := range got.Results {
			f.accepted = append(f.accepted, it.Task.ID)
		}
		sent += f.batch
	}
}

// waiting counts the group's queued tasks; while the server is away, as many as
// it takes not to submit.
func (f *faults) waiting(ctx context.Context) int {
	var got struct{ Counts map[string]int }
	if err := f.Do(ctx, "GET", "/groups/"+f.group+"/stats?window=1h", nil, &got); err != nil {
		return f.backlog + 1
	}
	return got.Counts["queued"]
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// chaos is the list of what goes wrong, in order, with pauses for the load to
// go on in between.
func (f *faults) chaos(ctx context.Context) {
	steps := []func(context.Context){
		f.killWorker, f.flush, f.killServer, f.stopWorker, f.killWorker, f.flush, f.killServer, f.killWorker,
	}
	for _, step := range steps {
		pause(ctx, 4*time.Second)
		step(ctx)
	}
}

func (f *faults) note(what, worker string) {
	f.killings = append(f.killings, killing{what, worker, time.Now()})
}

func (f *faults) anyWorker() string {
	names := make([]string, 0, len(f.workers))
	for n := range f.workers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names[f.rnd.IntN(len(names))]
}

func (f *faults) killWorker(context.Context) {
	name := f.anyWorker()
	if f.busy { // again, after what came before
		eventually(f.t, 20*time.Second, name+" has a task", func() bool { return f.own(name).Running > 0 })
	}
	f.workers[name].Kill()
	f.note("worker killed", name)
	f.spawn(name + "'")
	delete(f.workers, name)
}

func (f *faults) killServer(context.Context) {
	f.Server.Kill()
	f.note("server killed", "")
	must(f.t, f.Server.Restart())
}

func (f *faults) flush(context.Context) {
	f.redis.FlushAll()
	f.note("FLUSHALL", "")
}

// stopWorker freezes a worker until its tasks have been taken from it; thawed, it
// sends results that nobody wants any more.
func (f *faults) stopWorker(ctx context.Context) {
	name := f.anyWorker()
	must(f.t, f.workers[name].Signal(syscall.SIGSTOP))
	f.note("worker stopped (SIGSTOP)", name)
	pause(ctx, 12*time.Second)
	must(f.t, f.workers[name].Signal(syscall.SIGCONT))
}

// verify waits for the end of every accepted task and looks at each.
func (f *faults) verify(ctx context.Context) {
	all := f.settled(ctx)
	var late int
	lost := map[int][]time.Duration{} // by killing: times until assigned elsewhere
	for _, id := range f.accepted {
		t, ok := all[id]
		if !ok {
			f.t.Errorf("accepted task %s is gone", id)
			continue
		}
		if t.Status != "succeeded" {
			f.t.Errorf("task %s %s: %+v", id, t.Status, t.Error)
			continue
		}
		var out struct{ Attempt int }
		f.read(func() error { return f.Output(ctx, id, &out) })
		if out.Attempt != t.Attempt {
			f.t.Errorf("task %s: the result of attempt %d was accepted, but %d is the newest", id, out.Attempt, t.Attempt)
		}
		if t.Attempt > 1 {
			late += f.history(ctx, id, lost)
		}
	}
	f.statsMatch(ctx)
	f.table(lost)
	for i, k := range f.killings {
		if f.busy && k.what == "worker killed" && len(lost[i]) == 0 {
			f.t.Error("a worker was killed under load, but no task was reassigned")
		}
	}
	f.t.Logf("%d tasks, all succeeded once; %d submits refused and sent again; %d late results refused",
		len(all), f.refused.Load(), late)
}

// settled returns all tasks once none is unfinished.
func (f *faults) settled(ctx context.Context) map[string]kit.Task {
	for {
		var ts []kit.Task
		f.read(func() (err error) {
			ts, err = f.List(context.WithoutCancel(ctx), f.group, url.Values{})
			return err
		})
		all := make(map[string]kit.Task, len(ts))
		open := 0
		for _, t := range ts {
			all[t.ID] = t
			if !t.Ended() {
				open++
			}
		}
		if open == 0 {
			if len(ts) != len(f.accepted) {
				f.t.Errorf("%d tasks in the store, want %d: one was accepted twice", len(ts), len(f.accepted))
			}
			return all
		}
		if ctx.Err() != nil {
			f.t.Fatalf("%d tasks did not end", open)
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// read asks until it is answered: a server, or the store, may still be coming back.
func (f *faults) read(get func() error) {
	f.t.Helper()
	for within := time.Now().Add(time.Minute); ; {
		err := get()
		var refused *kit.Problem
		switch {
		case err == nil:
			return
		case errors.As(err, &refused) && refused.Status < http.StatusBadGateway, time.Now().After(within):
			f.t.Fatal(err)
		}
		pause(f.t.Context(), 200*time.Millisecond)
	}
}

// history reads a task's timeline: exactly one end, rising attempts; it files
// the times of reassignments and returns how many late results were refused.
func (f *faults) history(ctx context.Context, id string, lost map[int][]time.Duration) (late int) {
	var es []kit.Entry
	f.read(func() (err error) {
		es, err = f.Timeline(ctx, id)
		return err
	})
	ends, attempt := 0, 0
	var last kit.Entry
	for _, e := range es {
		switch e.Event {
		case "succeeded", "failed", "cancelled":
			ends++
		case "late_result_refused":
			late++
		case "assigned":
			if e.Attempt <= attempt {
				f.t.Errorf("task %s: attempt %d after %d", id, e.Attempt, attempt)
			}
			for i, k := range f.killings {
				if attempt > 0 && (k.worker == "" || k.worker == last.Worker) && k.at.After(last.At) && k.at.Before(e.At) {
					lost[i] = append(lost[i], e.At.Sub(k.at))
					break
				}
			}
			attempt, last = e.Attempt, e
		}
	}
	if ends != 1 {
		f.t.Errorf("task %s ended %d times: %+v", id, ends, es)
	}
	return late
}

// statsMatch compares the statistics with the number of tasks: a task that ended
// twice would count twice.
func (f *faults) statsMatch(ctx context.Context) {
	var got struct{ Counts map[string]int }
	f.read(func() error { return f.Do(ctx, "GET", "/groups/"+f.group+"/stats?window=24h", nil, &got) })
	if n := got.Counts["succeeded"]; n > len(f.accepted) || n < len(f.accepted) && f.exact {
		f.t.Errorf("statistics count %d succeeded tasks, want %d", n, len(f.accepted))
	}
}

// table prints what each fault cost.
func (f *faults) table(lost map[int][]time.Duration) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-26s %-6s %10s %12s %12s %12s\n", "fault", "worker", "reassigned", "fastest", "median", "slowest")
	for i, k := range f.killings {
		d := lost[i]
		slices.Sort(d)
		if len(d) == 0 {
			fmt.Fprintf(&b, "%-26s %-6s %10d\n", k.what, k.worker, 0)
			continue
		}
		fmt.Fprintf(&b, "%-26s %-6s %10d %12s %12s %12s\n", k.what, k.worker, len(d),
			ms(d[0]), ms(d[len(d)/2]), ms(d[len(d)-1]))
	}
	f.t.Log(b.String())
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }
