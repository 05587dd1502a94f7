package tracing

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Tasks returns s with spans for its transitions, or s itself where t is off: the
// store decides what happened, on whichever server. Below the span "submit" of a
// task stand, for each attempt, "queue" (from due to claimed), "claim", and "run"
// (from claimed to its end) with the "commit" of the result; a fan-out's parts
// stand below the submit of their parent, whose whole life is "fan-out".
func (t *Tracer) Tasks(s tasks.Store) tasks.Store {
	if t == nil {
		return s
	}
	return tracedTasks{s, t}
}

type tracedTasks struct {
	tasks.Store
	t *Tracer
}

// Insert implements tasks.Store. What a traced request or parent inserts keeps the
// span of its submit.
func (s tracedTasks) Insert(ctx context.Context, ts ...tasks.New) ([]tasks.Inserted, error) {
	caller, began := trace.SpanContextFromContext(ctx), time.Now()
	ts = slices.Clone(ts) // the caller's stay as they are
	spans := make([]trace.Span, len(ts))
	for i := range ts {
		parent := caller
		if ts[i].Trace != "" {
			parent = parse(ts[i].Trace)
		}
		ts[i].Trace = ""
		if parent.IsSampled() {
			spans[i] = s.t.start(parent, "submit", ts[i].Task, began, trace.WithSpanKind(trace.SpanKindProducer))
			ts[i].Trace = format(spans[i].SpanContext())
		}
	}
	out, err := s.Store.Insert(ctx, ts...)
	for i, span := range spans {
		switch {
		case span == nil, i < len(out) && out[i].Existed:
			continue // the first one has a trace of its own
		case i >= len(out):
			span.SetStatus(codes.Error, "not inserted")
		}
		span.End()
	}
	return out, err
}

// Claim implements tasks.Store.
func (s tracedTasks) Claim(ctx context.Context, tr tasks.Transition) (tasks.Task, []byte, bool, error) {
	began := time.Now()
	t, input, ok, err := s.Store.Claim(ctx, tr)
	if parent := parse(t.Trace); ok && err == nil && parent.IsSampled() {
		var links []trace.Link
		if t.Attempt > 1 {
			links = append(links, trace.Link{SpanContext: parent.WithSpanID(runID(t.ID, t.Attempt-1))})
		}
		due := t.RunAt
		if due.After(t.StartedAt) { // by another server's clock
			due = t.StartedAt
		}
		s.t.start(parent, "queue", t, due, trace.WithLinks(links...)).End(trace.WithTimestamp(t.StartedAt))
		s.t.start(parent, "claim", t, began).End()
	}
	return t, input, ok, err
}

// Apply implements tasks.Store.
func (s tracedTasks) Apply(ctx context.Context, tr tasks.Transition) (tasks.Task, bool, error) {
	began := time.Now()
	t, ok, err := s.Store.Apply(ctx, tr)
	if err != nil || !ok || t.Trace == "" {
		return t, ok, err
	}
	switch {
	case tr.From != nil && tr.From.Status == tasks.Running && t.Status != tasks.Running:
		s.t.ran(t, tr, began)
	case t.IsParent() && t.Status.Ended() && slices.ContainsFunc(tr.Set, func(a tasks.Assign) bool { return a.Column == tasks.ColStatus }):
		s.t.fannedOut(t)
	}
	return t, ok, err
}

// Run is the traceparent of a task's newest attempt, for what its worker calls;
// empty where it is not traced.
func (t *Tracer) Run(task tasks.Task) string {
	if t == nil || task.Trace == "" {
		return ""
	}
	parent := parse(task.Trace)
	if !parent.IsSampled() {
		return ""
	}
	return format(parent.WithSpanID(runID(task.ID, task.Attempt)))
}

// outcomes name how an attempt ended, by the transition; others are cancelled.
var outcomes = map[string]string{
	"succeed": "succeeded", "fail": "failed", "time_out": "timed_out", "lose": "lost", "reject": "rejected",
}

// ran makes the span of an attempt that has ended.
func (t *Tracer) ran(task tasks.Task, tr tasks.Transition, began time.Time) {
	parent := parse(task.Trace)
	if !parent.IsSampled() {
		return
	}
	outcome := outcomes[tr.Name]
	if task.Status == tasks.Cancelled || outcome == "" {
		outcome = "cancelled"
	}
	id := runID(task.ID, task.Attempt)
	span := t.startAs(id, parent, "run", task, task.StartedAt, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("firmlight.outcome", outcome),
		attribute.String("firmlight.worker.id", task.Worker), attribute.String("firmlight.session.id", task.Session)))
	switch outcome {
	case "lost":
		span.SetStatus(codes.Error, string(tr.Cause))
	case "failed", "timed_out":
		span.SetStatus(codes.Error, codeOf(task))
	}
	t.start(parent.WithSpanID(id), "commit", task, began).End()
	span.End()
}

// fannedOut makes the span of a parent that has ended.
func (t *Tracer) fannedOut(task tasks.Task) {
	parent := parse(task.Trace)
	if !parent.IsSampled() {
		return
	}
	span := t.start(parent, "fan-out", task, task.CreatedAt, trace.WithAttributes(
		attribute.String("firmlight.outcome", string(task.Status)), attribute.Int("firmlight.parts", task.Count)))
	if task.Status == tasks.Failed {
		span.SetStatus(codes.Error, codeOf(task))
	}
	span.End()
}

func codeOf(task tasks.Task) string {
	if task.Error == nil {
		return ""
	}
	return task.Error.Code
}

// start begins a span about a task.
func (t *Tracer) start(parent trace.SpanContext, what string, task tasks.Task, began time.Time, o ...trace.SpanStartOption) trace.Span {
	return t.startAs(trace.SpanID{}, parent, what, task, began, o...)
}

// startAs is start with an id that is known elsewhere, if it is not zero.
func (t *Tracer) startAs(id trace.SpanID, parent trace.SpanContext, what string, task tasks.Task, began time.Time, o ...trace.SpanStartOption) trace.Span {
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	if id.IsValid() {
		ctx = context.WithValue(ctx, idKey{}, id)
	}
	about := []attribute.KeyValue{
		attribute.String("firmlight.task.id", task.ID), attribute.String("firmlight.task.kind", task.Kind),
		attribute.String("firmlight.group.id", task.Group),
	}
	if task.Attempt > 0 {
		about = append(about, attribute.Int("firmlight.attempt", task.Attempt))
	}
	_, span := t.tracer.Start(ctx, what+" "+task.Kind, append(o, trace.WithTimestamp(began), trace.WithAttributes(about...))...)
	return span
}
