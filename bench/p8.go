package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	// crashInterval lies between two crashes of a round, so that they meet the
	// server's cron jobs, which run every second or two, at different phases.
	crashInterval = 700 * time.Millisecond
	// failoverPatience is how long a task may take to go on.
	failoverPatience = 30 * time.Second
)

// failover is P8: a task's worker, or its server, is gone without a word.
func (b *bench) failover(ctx context.Context) ([]row, error) {
	worker, err := b.build(ctx, "worker")
	if err != nil {
		return nil, err
	}
	n := pick(b.short, 2, 5)
	var rows []row
	for _, part := range []func(context.Context, string, int) (row, error){
		b.killWorkers, b.silenceWorkers, b.killServer, b.killServerAndWorkers,
	} {
		got, err := part(ctx, worker, n)
		if err != nil {
			return rows, err
		}
		b.say("  %s: %s", got.What, got.measured())
		rows = append(rows, got)
	}
	return rows, nil
}

func (b *bench) killWorkers(ctx context.Context, worker string, n int) (row, error) {
	b.say("  kill -9 of %d workers …", n)
	times, grace, err := b.crash(ctx, worker, n, syscall.SIGKILL)
	if err != nil {
		return row{}, fmt.Errorf("kill -9 of a worker: %w", err)
	}
	for i := range times {
		times[i] -= millis(grace)
	}
	return newRow("P8", "kill -9 of a worker → assign elsewhere, without the grace", "ms", times...).
		atMost(100).note("grace %s", grace), nil
}

func (b *bench) silenceWorkers(ctx context.Context, worker string, n int) (row, error) {
	b.say("  SIGSTOP of %d workers, about 11 s …", n)
	times, _, err := b.crash(ctx, worker, n, syscall.SIGSTOP)
	if err != nil {
		return row{}, fmt.Errorf("silent worker: %w", err)
	}
	return newRow("P8", "silent worker (SIGSTOP) → assign elsewhere", "s", seconds(times)...).atMost(10.5), nil
}

func seconds(ms []float64) []float64 {
	s := make([]float64, len(ms))
	for i, v := range ms {
		s[i] = v / 1000
	}
	return s
}

// victims are worker processes with one long task each.
type victims struct {
	*rig
	workers []*kit.Process
	tasks   []string // of workers[i]
}

// longTask outlives every figure.
var longTask = map[string]any{"kind": "sleep", "input": map[string]int{"ms": 600_000}, "timeout_s": 900}

// enlist starts n worker processes, each with a task.
func (r *rig) enlist(ctx context.Context, worker string, n int) (*victims, error) {
	v := &victims{rig: r}
	for i := range n {
		p, err := kit.StartWorker(worker, r.URL, r.workerToken, fmt.Sprintf("victim-%d", i), 1, nil, nil)
		if err != nil {
			v.bury()
			return nil, err
		}
		v.workers, v.tasks = append(v.workers, p), append(v.tasks, "")
		t, err := r.api.Submit(ctx, r.group, longTask)
		if err == nil {
			err = v.untilRunning(ctx, t.ID)
		}
		if err != nil {
			v.bury()
			return nil, err
		}
	}
	pause(ctx, crashInterval) // a task shows as running a moment before its worker has it
	return v, nil
}

// untilRunning waits until the task runs and notes its worker.
func (v *victims) untilRunning(ctx context.Context, id string) error {
	for began := time.Now(); time.Since(began) < failoverPatience; {
		t, err := v.api.Get(ctx, id)
		if err != nil {
			return err
		}
		var i int
		if t.Status == "running" && t.Worker != nil {
			if _, err := fmt.Sscanf(t.Worker.Name, "victim-%d", &i); err != nil {
				return fmt.Errorf("task of %q: %w", t.Worker.Name, err)
			}
			v.tasks[i] = id
			return nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("task %s does not start", id)
}

func (v *victims) bury() {
	for _, p := range v.workers {
		p.Kill()
	}
}

// heir is the worker socket that gets the tasks of the dead.
type heir struct {
	*loadWorker
	tally tally
	mu    sync.Mutex
	at    map[string]time.Time // by task
}

func (r *rig) heir(ctx context.Context, slots int) (*heir, error) {
	h := &heir{at: map[string]time.Time{}}
	h.tally.start()
	var err error
	h.loadWorker, err = r.connectWorker(ctx, "heir", "sleep", slots, &h.tally, func(task string, at time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.at[task] = at
	})
	return h, err
}

// await returns when the task was assigned here.
func (h *heir) await(ctx context.Context, task string) (time.Time, error) {
	for began := time.Now(); time.Since(began) < failoverPatience; {
		h.mu.Lock()
		at, ok := h.at[task]
		h.mu.Unlock()
		if ok {
			return at, nil
		}
		if !pause(ctx, 5*time.Millisecond) {
			return at, ctx.Err()
		}
	}
	return time.Time{}, fmt.Errorf("task %s was not assigned elsewhere within %s; %s", task, failoverPatience, h.tally.remarks())
}

// crash sends a signal to n workers, one after another, and returns the times
// in milliseconds until each one's task was assigned elsewhere.
func (b *bench) crash(ctx context.Context, worker string, n int, sig syscall.Signal) (times []float64, grace time.Duration, err error) {
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return nil, 0, err
	}
	defer r.stop()
	v, err := r.enlist(ctx, worker, n)
	if err != nil {
		return nil, 0, err
	}
	defer v.bury()
	h, err := r.heir(ctx, n)
	if err != nil {
		return nil, 0, err
	}
	defer h.close()
	var began []time.Time
	for _, p := range v.workers {
		began = append(began, time.Now())
		if err := p.Signal(sig); err != nil {
			return nil, 0, err
		}
		pause(ctx, crashInterval)
	}
	for i, task := range v.tasks {
		at, err := h.await(ctx, task)
		if err != nil {
			return nil, 0, err
		}
		times = append(times, millis(at.Sub(began[i])))
	}
	return times, time.Duration(h.graceMS) * time.Millisecond, nil
}

// killServer kills the server under a running task and starts it again at once:
// until the worker is back, with its task.
func (b *bench) killServer(ctx context.Context, worker string, n int) (row, error) {
	b.say("  kill -9 of the server, %d times …", n)
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return row{}, err
	}
	defer r.stop()
	v, err := r.enlist(ctx, worker, 1)
	if err != nil {
		return row{}, err
	}
	defer v.bury()
	var times []float64
	for range n {
		began := time.Now()
		r.Kill()
		if err := errors.Join(r.Restart(), v.untilBack(ctx)); err != nil {
			return row{}, fmt.Errorf("kill -9 of the server: %w", err)
		}
		times = append(times, millis(time.Since(began)))
		pause(ctx, crashInterval)
	}
	return newRow("P8", "kill -9 of the server, restarted → its worker is back with the running task", "s", seconds(times)...).atMost(12), nil
}

// untilBack waits until the one worker is connected and still runs its task in
// the first attempt.
func (v *victims) untilBack(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < failoverPatience; {
		var got struct {
			Items []struct {
				State   string
				Running int
			}
		}
		if err := v.api.Do(ctx, "GET", "/groups/"+v.group+"/workers", nil, &got); err != nil {
			return err
		}
		if len(got.Items) == 1 && got.Items[0].State == "connected" && got.Items[0].Running == 1 {
			t, err := v.api.Get(ctx, v.tasks[0])
			if err == nil && (t.Status != "running" || t.Attempt != 1) {
				err = fmt.Errorf("the task is %s, attempt %d: it did not go on", t.Status, t.Attempt)
			}
			return err
		}
		if !pause(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("the worker did not come back within %s", failoverPatience)
}

// killServerAndWorkers loses both: until the tasks are assigned elsewhere.
func (b *bench) killServerAndWorkers(ctx context.Context, worker string, n int) (row, error) {
	b.say("  kill -9 of the server and %d workers, about 11 s …", n)
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return row{}, err
	}
	defer r.stop()
	v, err := r.enlist(ctx, worker, n)
	if err != nil {
		return row{}, err
	}
	began := time.Now()
	r.Kill()
	v.bury()
	if err := r.Restart(); err != nil {
		return row{}, err
	}
	h, err := r.heir(ctx, n)
	if err != nil {
		return row{}, err
	}
	defer h.close()
	var times []float64
	for _, task := range v.tasks {
		at, err := h.await(ctx, task)
		if err != nil {
			return row{}, fmt.Errorf("kill -9 of server and workers: %w", err)
		}
		times = append(times, millis(at.Sub(began)))
	}
	return newRow("P8", "kill -9 of server and workers, server restarted → assign elsewhere", "s", seconds(times)...).
		atMost(12).note("%d tasks of one crash", n), nil
}
