package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/tracetest"
	"github.com/firmlight/firmlight/internal/tracing"
	"github.com/firmlight/firmlight/protocol"
)

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	sampled      = "00-" + callersTrace + "-b7ad6b7169203331-01"
	unsampled    = "00-" + callersTrace + "-b7ad6b7169203331-00"
)

func newTracer(t *testing.T, endpoint string, ratio float64) *tracing.Tracer {
	t.Helper()
	tr, err := tracing.New(t.Context(), tracing.Options{Endpoint: endpoint, Ratio: ratio, Server: "s1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// newTask is a task as a submit builds it.
func newTask() tasks.New {
	at := time.Now().UTC().Truncate(time.Millisecond)
	return tasks.New{Input: []byte("1"), Task: tasks.Task{
		ID: uuid.Must(uuid.NewV7()).String(), Group: "group", Kind: "k", CreatedBy: "user", Priority: tasks.Normal,
		Status: tasks.Queued, CreatedAt: at, RunAt: at, EnqueuedAt: at, MaxAttempts: 3, MaxReassignments: 5, Timeout: time.Minute,
	}}
}

// request runs f as a request with a traceparent.
func request(t *testing.T, tr *tracing.Tracer, traceparent string, f func(context.Context)) {
	ctx, end := tr.Request(t.Context(), "POST", "/tasks", func(name string) string {
		return map[string]string{"traceparent": traceparent}[strings.ToLower(name)]
	})
	f(ctx)
	end(http.StatusAccepted)
}

func insert(t *testing.T, s tasks.Store, ctx context.Context, n tasks.New) tasks.Task { //nolint:revive // t is first in a test
	t.Helper()
	got, err := s.Insert(ctx, n)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	return got[0].Task
}

func claim(t *testing.T, s tasks.Store, task tasks.Task, session string) tasks.Task {
	t.Helper()
	got, _, ok, err := s.Claim(t.Context(), tasks.Claim(task.ID, task.Attempt, tasks.Owner{Session: session, Worker: "w"}, time.Minute, time.Now().UTC()))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return got
}

func apply(t *testing.T, s tasks.Store, task tasks.Task, tr tasks.Transition) tasks.Task {
	t.Helper()
	tr.From = &task
	got, ok, err := s.Apply(t.Context(), tr)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return got
}

// TestOneTraceFromSubmitToResult: an attempt is lost on one server and its task
// succeeds on another; all of it is one tree below the caller's span.
func TestOneTraceFromSubmitToResult(t *testing.T) {
	c, db := tracetest.Start(t), sqlitetest.Open(t)
	one, two := newTracer(t, c.URL, 0), newTracer(t, c.URL+"/", 0) // the caller sampled, whatever the ratio
	var task tasks.Task
	request(t, one, sampled, func(ctx context.Context) { task = insert(t, one.Tasks(db), ctx, newTask()) })
	task = claim(t, one.Tasks(db), task, "first")
	first := one.Run(task)
	task = apply(t, two.Tasks(db), task, tasks.Lose(task, tasks.Loss{Reason: "silent"}, time.Now().UTC()))
	task = claim(t, two.Tasks(db), task, "second")
	second := two.Run(task)
	apply(t, two.Tasks(db), task, tasks.Succeed(task, []byte("2"), time.Now().UTC()))
	stop(t, one)
	stop(t, two)

	spans := c.Spans()
	byID := map[string]tracetest.Span{}
	for _, s := range spans {
		if s.Trace != callersTrace || s.Service != "firmlight-server" || s.End.Before(s.Start) {
			t.Errorf("span %+v", s)
		}
		byID[s.ID] = s
	}
	tree := make([]string, len(spans))
	for i, s := range spans {
		tree[i] = fmt.Sprintf("%s < %s %s %s", s.Name, byID[s.Parent].Name, s.Attributes["firmlight.outcome"], s.Why)
	}
	slices.Sort(tree)
	want := []string{
		"POST /tasks <   ", "claim k < submit k  ", "claim k < submit k  ", "commit k < run k  ", "commit k < run k  ",
		"queue k < submit k  ", "queue k < submit k  ", "run k < submit k lost worker_lost", "run k < submit k succeeded ",
		"submit k < POST /tasks  ",
	}
	if !slices.Equal(tree, want) || len(byID) != len(spans) {
		t.Errorf("spans\n%s\nwant\n%s", strings.Join(tree, "\n"), strings.Join(want, "\n"))
	}
	for traceparent, outcome := range map[string]string{first: "lost", second: "succeeded"} { // what workers got
		f := strings.Split(traceparent, "-")
		if len(f) != 4 || f[1] != callersTrace || byID[f[2]].Attributes["firmlight.outcome"] != outcome {
			t.Errorf("the worker got %s, %+v", traceparent, byID[f[2]])
		}
	}
	again := slices.IndexFunc(spans, func(s tracetest.Span) bool { return len(s.Links) > 0 })
	if again < 0 || spans[again].Name != "queue k" || byID[spans[again].Links[0]].Attributes["firmlight.outcome"] != "lost" {
		t.Errorf("the second attempt is not linked to the first: %+v", spans)
	}
	if sent, dropped := one.Spans(); sent != 4 || dropped != 0 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

func stop(t *testing.T, tr *tracing.Tracer) {
	t.Helper()
	if err := tr.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestHowAttemptsEnd: each end has its outcome, and its code where it is an error.
func TestHowAttemptsEnd(t *testing.T) {
	c, db := tracetest.Start(t), sqlitetest.Open(t)
	tr := newTracer(t, c.URL, 1)
	s := tr.Tasks(db)
	want := map[string]string{}
	end := func(outcome string, how func(tasks.Task) tasks.Transition) {
		var task tasks.Task
		request(t, tr, "", func(ctx context.Context) { task = insert(t, s, ctx, newTask()) })
		want[task.ID] = outcome
		task = claim(t, s, task, "s")
		apply(t, s, task, how(task))
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	failure := protocol.TaskError{Code: "no_disk", Message: "no disk"}
	again := protocol.TaskError{Code: "no_net", Message: "no net", Retryable: true}
	end("failed no_disk", func(t tasks.Task) tasks.Transition { return tasks.FailAttempt(t, failure, now) })
	end("failed no_net", func(t tasks.Task) tasks.Transition { return tasks.FailAttempt(t, again, now) })
	end("timed_out timeout", func(t tasks.Task) tasks.Transition { return tasks.TimeOut(t, now.Add(time.Hour)) })
	end("rejected ", func(t tasks.Task) tasks.Transition { return tasks.RejectAttempt(t, now) })
	end("lost group_lost", func(t tasks.Task) tasks.Transition {
		return tasks.Lose(t, tasks.Loss{ByServer: true, Cause: tasks.CauseGroupLost}, now)
	})
	end("cancelled ", func(task tasks.Task) tasks.Transition {
		task = apply(t, s, task, tasks.CancelRunning(task, now))
		return tasks.AcceptCancel(task, now)
	})
	stop(t, tr)
	for _, span := range c.Spans() {
		if !strings.HasPrefix(span.Name, "run ") {
			continue
		}
		id := span.Attributes["firmlight.task.id"]
		if got := span.Attributes["firmlight.outcome"] + " " + span.Why; got != want[id] || span.Failed != (span.Why != "") {
			t.Errorf("got %q (failed: %t), want %q", got, span.Failed, want[id])
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("no span for %v", want)
	}
}

// TestWhatIsTraced: the caller decides, then the ratio; what is not traced keeps no
// trace and sends none to its worker.
func TestWhatIsTraced(t *testing.T) {
	for _, test := range []struct {
		name, traceparent string
		ratio             float64
		traced            bool
	}{
		{"root", "", 1, true}, {"root left out", "", 0, false}, {"sampled", sampled, 0, true},
		{"not sampled", unsampled, 1, false}, {"no traceparent", "00-hello", 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, db := tracetest.Start(t), sqlitetest.Open(t)
			tr := newTracer(t, c.URL, test.ratio)
			n := newTask()
			request(t, tr, test.traceparent, func(ctx context.Context) { insert(t, tr.Tasks(db), ctx, n) })
			task := claim(t, tr.Tasks(db), n.Task, "s")
			stop(t, tr)
			if got := len(c.Spans()); (got > 0) != test.traced || (task.Trace != "") != test.traced || (tr.Run(task) != "") != test.traced {
				t.Errorf("%d spans, task %q, worker %q", got, task.Trace, tr.Run(task))
			}
		})
	}
}

// TestOff: without an endpoint there is nothing in the way, and nothing is made.
func TestOff(t *testing.T) {
	tr, err := tracing.New(t.Context(), tracing.Options{Ratio: 1})
	if tr != nil || err != nil {
		t.Fatal(tr, err)
	}
	db := sqlitetest.Open(t)
	if tr.Tasks(db) != tasks.Store(db) {
		t.Error("the store is wrapped")
	}
	task := tasks.Task{ID: "id", Trace: sampled} // of a time when it was on
	if n := testing.AllocsPerRun(100, func() {
		if tr.Run(task) != "" {
			t.Error("a trace for the worker")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	stop(t, tr)
}

// TestCollectorIsAway: whoever makes spans never waits; what is too much is
// dropped and counted, and a stop ends.
func TestCollectorIsAway(t *testing.T) {
	let := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	}))
	defer silent.Close()
	defer close(let)
	const n = 10_000
	for name, endpoint := range map[string]string{"silent": silent.URL, "nobody there": "http://127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			tr := newTracer(t, endpoint, 1)
			began := time.Now()
			for range n {
				request(t, tr, "", func(context.Context) {})
			}
			// Whoever waited would do so for each batch of 512, 10 s where nobody answers.
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%d spans took %s", n, took)
			}
			if _, dropped := tr.Spans(); dropped < n-4096-512 {
				t.Errorf("%d dropped", dropped)
			}
			began = time.Now()
			stop(t, tr)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the stop took %s", took)
			}
		})
	}
}

func TestBadEndpoint(t *testing.T) {
	_, err := tracing.New(t.Context(), tracing.Options{Endpoint: "http://a b", Log: slog.New(slog.DiscardHandler)})
	if err == nil || errors.Unwrap(err) == nil {
		t.Errorf("error %v", err)
	}
}
