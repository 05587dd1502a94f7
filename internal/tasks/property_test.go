package tasks_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// TestStateMachine drives a few tasks through random events, in any order and
// from stale views, on the real store, and holds every step against the
// invariants of docs/architecture.md: one end, one owner, only the newest
// attempt changes a task, nothing accepted is lost.
func TestStateMachine(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{f: f, tb: t, seen: map[string]*record{}}
		rt.Repeat(map[string]func(*rapid.T){
			"submit": m.submit,
			"claim":  m.claim,
			"result": m.result,
			"lose":   m.lose,
			"resume": m.resume,
			"cancel": m.cancel,
			"answer": m.unanswered,
			"race":   m.race,
			"retry":  m.retry,
			"refill": m.refill,
			"":       m.check,
		})
	})
}

// machine is the model: what was seen of each task, and the views that actors
// still hold, which may be stale.
type machine struct {
	f     *fixture
	tb    *testing.T
	ids   []string
	seen  map[string]*record
	stale []tasks.Task // attempts as their sessions know them
}

type record struct {
	attempt  int
	accepted map[int]bool // attempts whose result was accepted
	ended    tasks.Status
}

func (m *machine) any(rt *rapid.T) string {
	if len(m.ids) == 0 {
		rt.Skip("no task yet")
	}
	return m.ids[rapid.IntRange(0, len(m.ids)-1).Draw(rt, "task")]
}

func (m *machine) submit(rt *rapid.T) {
	if len(m.ids) >= 2 {
		rt.Skip("enough tasks")
	}
	t := m.f.submit(m.tb, tasks.Spec{Kind: "work", MaxAttempts: rapid.IntRange(1, 3).Draw(rt, "max_attempts")})
	m.ids = append(m.ids, t.ID)
	m.seen[t.ID] = &record{accepted: map[int]bool{}}
}

func (m *machine) claim(rt *rapid.T) {
	t := m.f.get(m.tb, m.any(rt))
	t.Attempt = max(0, t.Attempt-rapid.IntRange(0, 1).Draw(rt, "staleness")) // a ticket may be old
	before := m.f.get(m.tb, t.ID)
	session := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "session")
	c, ok := m.f.claim(m.tb, t, session, 1)
	due := (before.Status == tasks.Queued || before.Status == tasks.Scheduled) && t.Attempt == before.Attempt
	if ok && !due {
		rt.Fatalf("a ticket for attempt %d of %+v was claimed", t.Attempt, before)
	}
	if ok {
		m.stale = append(m.stale, c.Task)
	}
}

func (m *machine) view(rt *rapid.T) tasks.Task {
	if len(m.stale) == 0 {
		rt.Skip("nothing was claimed")
	}
	return rapid.SampledFrom(m.stale).Draw(rt, "view")
}

func (m *machine) result(rt *rapid.T) {
	v := m.view(rt)
	if rapid.IntRange(0, 5).Draw(rt, "forged") == 0 {
		v.Session = "mallory"
	}
	before := m.f.get(m.tb, v.ID)
	status := rapid.SampledFrom([]protocol.ResultStatus{
		protocol.Succeeded, protocol.Failed, protocol.Cancelled, protocol.Rejected,
	}).Draw(rt, "status")
	a := m.f.result(m.tb, v, status, `{"ok":true}`)
	owns := before.Status == tasks.Running && before.Attempt == v.Attempt && before.Session == v.Session
	again := m.seen[v.ID].accepted[v.Attempt] && v.Session != "mallory"
	if a.Accepted != (owns || again) {
		rt.Fatalf("result %s of attempt %d by %s: ack %+v, but the task was %+v", status, v.Attempt, v.Session, a, before)
	}
	if !owns && !reflect.DeepEqual(before, m.f.get(m.tb, v.ID)) {
		rt.Fatalf("a refused or repeated result changed the task")
	}
	if owns {
		m.seen[v.ID].accepted[v.Attempt] = true
	}
}

func (m *machine) lose(rt *rapid.T) {
	l := tasks.Loss{ByServer: rapid.Bool().Draw(rt, "by server"), Reason: "test"}
	if err := m.f.Lost(m.tb.Context(), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "session"), l); err != nil {
		rt.Fatal(err)
	}
}

func (m *machine) resume(rt *rapid.T) {
	v := m.view(rt)
	resumed, dropped, err := m.f.Resume(m.tb.Context(), v.Session, "s2", v.Epoch+1,
		[]protocol.AttemptRef{{Task: v.ID, Attempt: v.Attempt}})
	if err != nil {
		rt.Fatal(err)
	}
	if len(resumed)+len(dropped) != 1 {
		rt.Fatalf("one attempt was listed; resumed %v, dropped %v", resumed, dropped)
	}
	m.stale = append(m.stale, resumed...)
}

func (m *machine) cancel(rt *rapid.T) {
	t := m.f.get(m.tb, m.any(rt))
	after, err := m.f.Cancel(m.tb.Context(), t)
	if t.Status.Ended() != (err != nil) {
		rt.Fatalf("cancel of %s: %v", t.Status, err)
	}
	if err == nil && after.CancelRequestedAt.IsZero() {
		rt.Fatal("cancel left no trace")
	}
}

// unanswered lets time pass for a cancel that was asked for.
func (m *machine) unanswered(rt *rapid.T) {
	t := m.f.get(m.tb, m.any(rt))
	now := time.Now().UTC().Truncate(time.Millisecond)
	for _, tr := range []tasks.Transition{{
		Task: t.ID,
		If:   tasks.Where{tasks.Eq(tasks.ColStatus, tasks.Running), tasks.Ne(tasks.ColCancelRequested, time.Time{})},
		Set:  []tasks.Assign{tasks.Set(tasks.ColCancelRequested, now.Add(-time.Minute))},
	}, tasks.CancelUnanswered(t, now)} {
		if _, _, err := m.f.store.Apply(m.tb.Context(), tr); err != nil {
			rt.Fatal(err)
		}
	}
}

// race applies a transition that was decided on an old view of a task, as
// somebody does who was overtaken between reading and writing.
func (m *machine) race(rt *rapid.T) {
	v := m.view(rt)
	cur := m.f.get(m.tb, v.ID)
	now := time.Now().UTC().Truncate(time.Millisecond)
	owns := cur.Status == tasks.Running && cur.Attempt == v.Attempt && cur.Session == v.Session
	cancelled := !cur.CancelRequestedAt.IsZero()
	waits := cur.Status == tasks.Queued || cur.Status == tasks.Scheduled
	failure := protocol.TaskError{Code: "boom", Retryable: true}
	type attempt struct {
		name string
		tr   tasks.Transition
		may  bool // by the table of docs/state-machine.md
	}
	a := rapid.SampledFrom([]attempt{
		{"claim", tasks.Claim(v.ID, v.Attempt-1, tasks.Owner{Session: "late", Epoch: 1}, time.Minute, now),
			waits && !cancelled && cur.Attempt == v.Attempt-1 && !cur.RunAt.After(now)},
		{"succeed", tasks.Succeed(v, []byte(`1`), now), owns},
		{"fail", tasks.FailAttempt(v, failure, now), owns && cancelled == !v.CancelRequestedAt.IsZero()},
		{"reject", tasks.RejectAttempt(v, now), owns && cancelled == !v.CancelRequestedAt.IsZero()},
		{"lose", tasks.Lose(v, tasks.Loss{}, now), owns && cur.Epoch == v.Epoch && cancelled == !v.CancelRequestedAt.IsZero()},
		{"time out too early", tasks.TimeOut(v, now), false},
		{"stamp", tasks.Stamp(v, now), waits && cur.Attempt == v.Attempt && cur.EnqueuedAt.Equal(v.EnqueuedAt)},
	}).Draw(rt, "transition")
	_, ok, err := m.f.store.Apply(m.tb.Context(), a.tr)
	if err != nil {
		rt.Fatal(err)
	}
	if ok != a.may {
		rt.Fatalf("%s decided on %+v applied: %v, but the task was %+v", a.name, v, ok, cur)
	}
	if ok && a.tr.Set[0].Value != tasks.Running && (a.name == "succeed" || a.name == "fail" || a.name == "reject") {
		m.seen[v.ID].accepted[v.Attempt] = true
	}
	if t := m.f.get(m.tb, v.ID); ok && a.name == "claim" {
		m.stale = append(m.stale, t)
	}
}

func (m *machine) retry(rt *rapid.T) {
	t := m.f.get(m.tb, m.any(rt))
	_, err := m.f.Retry(m.tb.Context(), t)
	may := t.Status == tasks.Failed || t.Status == tasks.Cancelled
	if may != (err == nil) {
		rt.Fatalf("retry of %s: %v", t.Status, err)
	}
	if err == nil {
		m.seen[t.ID].ended = ""
	}
}

// refill makes waiting tasks due now and pushes them, as a running server would.
func (m *machine) refill(rt *rapid.T) {
	t := m.f.get(m.tb, m.any(rt))
	_, _, err := m.f.store.Apply(m.tb.Context(), tasks.Transition{
		Task: t.ID, If: tasks.Where{tasks.In(tasks.ColStatus, tasks.Queued, tasks.Scheduled)},
		Set: []tasks.Assign{tasks.Set(tasks.ColRunAt, t.CreatedAt), tasks.Set(tasks.ColEnqueuedAt, time.Time{})},
	})
	if err != nil {
		rt.Fatal(err)
	}
	if _, err := m.f.Refill(m.tb.Context(), t.Pair(), t.Priority, time.Time{}, 100); err != nil {
		rt.Fatal(err)
	}
}

// check holds every task against what was seen of it before.
func (m *machine) check(rt *rapid.T) {
	for _, id := range m.ids {
		t, r := m.f.get(m.tb, id), m.seen[id]
		if t.Attempt < r.attempt {
			rt.Fatalf("attempt fell from %d to %d", r.attempt, t.Attempt)
		}
		r.attempt = t.Attempt
		if r.ended != "" && t.Status != r.ended {
			rt.Fatalf("task was %s and is now %s", r.ended, t.Status)
		}
		if t.Status.Ended() {
			r.ended = t.Status
			m.checkEnd(rt, t)
		}
		if t.Status == tasks.Running && t.Session == "" {
			rt.Fatal("running without an owner")
		}
		if (t.Status == tasks.Queued || t.Status == tasks.Scheduled) && !t.CancelRequestedAt.IsZero() {
			rt.Fatal("queued although its cancel was requested")
		}
		if t.Failures > t.MaxAttempts || t.Reassignments > t.MaxReassignments+1 {
			rt.Fatalf("too many failures or reassignments: %+v", t)
		}
	}
}

// checkEnd expects exactly one end on the timeline since the last retry by
// hand, and a result exactly where the task succeeded.
func (m *machine) checkEnd(rt *rapid.T, t tasks.Task) {
	es, err := m.f.Timeline(m.tb.Context(), t)
	if err != nil {
		rt.Fatal(err)
	}
	from := 0
	for i, e := range es {
		if e.Event == tasks.EvRetriedByHand {
			from = i
		}
	}
	ends := 0
	for _, e := range es[from:] {
		if slices.Contains([]tasks.Event{tasks.EvSucceeded, tasks.EvFailed, tasks.EvCancelled}, e.Event) {
			ends++
		}
	}
	if ends != 1 {
		rt.Fatalf("%d ends on the timeline: %+v", ends, es)
	}
	out, err := m.f.Output(m.tb.Context(), t)
	if (t.Status == tasks.Succeeded) != (err == nil && json.Valid(out)) {
		rt.Fatalf("%s, but output %q, %v", t.Status, out, err)
	}
}
