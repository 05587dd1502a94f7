package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxWaiting is how many spans wait for the collector, about 1 KiB each; more are
// dropped.
const maxWaiting = 4096

// exporter counts what becomes of spans.
type exporter struct {
	sdktrace.SpanExporter
	log                    *slog.Logger
	waiting, sent, dropped atomic.Int64
	away                   atomic.Bool // the collector did not take the last ones
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error: the batch is
// lost, and said to be.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	n := int64(len(spans))
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.waiting.Add(-n)
	if err == nil {
		e.sent.Add(n)
		if e.away.Swap(false) {
			e.log.InfoContext(ctx, "the collector takes traces again")
		}
		return nil
	}
	e.dropped.Add(n)
	if !e.away.Swap(true) {
		e.log.WarnContext(ctx, "traces are dropped: the collector does not take them", "error", err)
	}
	return nil
}

// processor hands spans to the library's own in batches, and drops what is too
// much before that would: it does not tell how many.
type processor struct {
	sdktrace.SpanProcessor
	exporter *exporter
}

func newProcessor(e *exporter) *processor {
	return &processor{sdktrace.NewBatchSpanProcessor(e, sdktrace.WithMaxQueueSize(maxWaiting)), e}
}

// OnEnd implements sdktrace.SpanProcessor. It never blocks.
func (p *processor) OnEnd(s sdktrace.ReadOnlySpan) {
	if p.exporter.waiting.Add(1) > maxWaiting {
		p.exporter.waiting.Add(-1)
		p.exporter.dropped.Add(1)
		return
	}
	p.SpanProcessor.OnEnd(s)
}
