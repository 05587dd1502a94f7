// Package tracing follows tasks from submit to result as OpenTelemetry traces,
// which survive servers and workers: a task keeps the span that submitted it, and
// the span of an attempt is known by its task and number.
package tracing

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// stopTime is what a collector has for the last spans.
const stopTime = 3 * time.Second

// Options of a Tracer.
type Options struct {
	Endpoint string  // of the collector, to which v1/traces is added; empty: no tracing
	Ratio    float64 // of submits without a parent that begin a trace, 0 to 1
	Server   string  // id of this process
	Log      *slog.Logger
}

// Tracer makes spans and sends them to a collector; it never waits for one. A nil
// Tracer is off: its methods do nothing.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
	log      *slog.Logger
}

// New returns nil without an endpoint.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := url.JoinPath(o.Endpoint, "v1", "traces")
	if err != nil {
		return nil, fmt.Errorf("endpoint of traces: %w", err)
	}
	otlp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	of, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "firmlight-server"), attribute.String("service.instance.id", o.Server),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.WarnContext(context.WithoutCancel(ctx), "traces", "error", err) }))
	e := &exporter{SpanExporter: otlp, log: o.Log}
	p := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Ratio))),
		sdktrace.WithIDGenerator(ids{}), sdktrace.WithResource(of), sdktrace.WithSpanProcessor(newProcessor(e)),
	)
	return &Tracer{provider: p, tracer: p.Tracer("github.com/firmlight/firmlight"), exporter: e, log: o.Log}, nil
}

// Stop sends what is left, as far as the collector takes it within seconds.
func (t *Tracer) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.WarnContext(ctx, "the last traces were not sent", "error", err)
		_ = t.exporter.Shutdown(ctx) // ends what is still under way
	}
	return nil
}

// Spans counts those that the collector took, and those that it did not or that
// were too many.
func (t *Tracer) Spans() (sent, dropped int64) {
	if t == nil {
		return 0, 0
	}
	return t.exporter.sent.Load(), t.exporter.dropped.Load()
}

// Request begins the span of a request, below the one that its headers name, and
// returns a context with it and what ends it.
func (t *Tracer) Request(ctx context.Context, method, route string, header func(string) string) (_ context.Context, end func(status int)) {
	if t == nil {
		return ctx, func(int) {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, headers(header))
	ctx, s := t.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route)))
	return ctx, func(status int) {
		s.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			s.SetStatus(codes.Error, "")
		}
		s.End()
	}
}

// headers shows a request's headers to the propagator.
type headers func(string) string

// Get implements propagation.TextMapCarrier.
func (h headers) Get(key string) string { return h(key) }

// Set implements propagation.TextMapCarrier; nothing is set.
func (h headers) Set(string, string) {}

// Keys implements propagation.TextMapCarrier; nothing is listed.
func (h headers) Keys() []string { return nil }

const traceparent = "traceparent"

// format is the W3C traceparent of a span.
func format(sc trace.SpanContext) string {
	m := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), sc), m)
	return m[traceparent]
}

// parse returns an invalid context for what is no traceparent.
func parse(s string) trace.SpanContext {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: s})
	return trace.SpanContextFromContext(ctx)
}

// ids makes random ids, but for a span that has its own.
type ids struct{}

type idKey struct{}

// NewIDs implements sdktrace.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	var id trace.TraceID
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // zero would be invalid
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) (id trace.SpanID) {
	if id, own := ctx.Value(idKey{}).(trace.SpanID); own {
		return id
	}
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}

// runID is the span of an attempt, the same on every server.
func runID(task string, attempt int) (id trace.SpanID) {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%d", task, attempt) // a hash never fails
	binary.BigEndian.PutUint64(id[:], h.Sum64()|1)
	return id
}
