package tasks_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// fixture is a Service on the real embedded store, with the queue and the
// workers as the test plays them.
type fixture struct {
	*tasks.Service
	store  *sqlite.DB
	queue  *listQueue
	wire   *wire
	events *eventLog
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	db := sqlitetest.Open(tb)
	f := &fixture{store: db, queue: &listQueue{}, wire: &wire{sent: make(chan struct{}, 1024)}, events: &eventLog{changed: make(chan tasks.Task, 1024)}}
	f.Service = tasks.NewService(tasks.Deps{
		Store: db, Payloads: db, Counts: db, Queues: db, Queue: f.queue, Events: f.events, Workers: f.wire,
		Kinds: workload.Builtin(workload.Options{}), Server: "s1", Logger: slog.New(slog.DiscardHandler),
		GroupExists: func(context.Context, string) error { return nil },
	})
	if err := f.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// submit submits one task that must be accepted.
func (f *fixture) submit(tb testing.TB, sp tasks.Spec) tasks.Task {
	tb.Helper()
	if sp.Input == nil && sp.Inputs == nil {
		sp.Input = json.RawMessage(`{}`)
	}
	out := f.Submit(tb.Context(), tasks.Submitter{User: "user", Group: "group"}, []tasks.Spec{sp})
	if out[0].Err != nil {
		tb.Fatal(out[0].Err)
	}
	return out[0].Task
}

func (f *fixture) get(tb testing.TB, id string) tasks.Task {
	tb.Helper()
	t, err := f.Get(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// claim claims a task for a session.
func (f *fixture) claim(tb testing.TB, t tasks.Task, session string, epoch int64) (tasks.Claimed, bool) {
	tb.Helper()
	c, ok, err := f.Claim(tb.Context(), tasks.TicketOf(t), tasks.Owner{
		Server: "s1", Session: session, Epoch: epoch, Worker: "worker-" + session, WorkerName: session, User: "runner",
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c, ok
}

// result sends a result for an attempt, as a session's.
func (f *fixture) result(tb testing.TB, t tasks.Task, status protocol.ResultStatus, output string) protocol.Ack {
	tb.Helper()
	r := protocol.Result{Type: protocol.TypeResult, Task: t.ID, Attempt: t.Attempt, Status: status}
	switch status {
	case protocol.Succeeded:
		r.Output = json.RawMessage(output)
	case protocol.Failed:
		r.Error = &protocol.TaskError{Code: "boom", Message: output, Retryable: true}
	}
	a, err := f.Result(tb.Context(), t, r)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// until waits until the task, as events show it, satisfies ok.
func (f *fixture) until(tb testing.TB, id string, ok func(tasks.Task) bool) tasks.Task {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	for t := f.get(tb, id); ; t = f.get(tb, id) {
		if ok(t) {
			return t
		}
		select {
		case <-f.events.changed:
		case <-ctx.Done():
			tb.Fatalf("task stays as it is: %+v", t)
		}
	}
}

// listQueue keeps tickets in a list; full refuses new ones.
type listQueue struct {
	mu      sync.Mutex
	tickets []tasks.Ticket
	full    bool
	away    error
	before  func() // called at the begin of each Push, unless nil
}

func (q *listQueue) Admits(context.Context, tasks.Pair, tasks.Priority) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.full
}

func (q *listQueue) Push(_ context.Context, ts ...tasks.Ticket) error {
	if q.before != nil {
		q.before()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away != nil {
		return q.away
	}
	q.tickets = append(q.tickets, ts...)
	return nil
}

func (q *listQueue) take() []tasks.Ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	ts := q.tickets
	q.tickets = nil
	return ts
}

// wire notes the cancels that were sent to workers.
type wire struct {
	mu        sync.Mutex
	cancels   []string
	connected []string
	sent      chan struct{} // has one for each of the first cancels
}

func (w *wire) Cancel(t tasks.Task, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancels = append(w.cancels, t.ID+" "+reason)
	select {
	case w.sent <- struct{}{}:
	default:
	}
}

func (w *wire) Connected(context.Context, string, string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connected, nil
}

// eventLog keeps the last events; it never blocks.
type eventLog struct{ changed chan tasks.Task }

func (e *eventLog) TaskChanged(t tasks.Task) {
	select {
	case e.changed <- t:
	default:
	}
}
func (e *eventLog) TaskProgress(t tasks.Task)                  { e.TaskChanged(t) }
func (e *eventLog) TaskLogged(t tasks.Task, _ []tasks.LogLine) { e.TaskChanged(t) }
