package metrics

import (
	"context"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// ingest counts sync events on their way in.
type ingest struct {
	added, repeated, refused prometheus.Counter
	bytes                    prometheus.Counter
	commit                   prometheus.Histogram
}

func (m *Metrics) addIngest() {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "ingest_events_total",
		Help: "Sync events that devices sent, by outcome: new, repeat (sent before), refused.",
	}, []string{"outcome"})
	m.ingest = ingest{
		added: events.WithLabelValues("new"), repeated: events.WithLabelValues("repeat"), refused: events.WithLabelValues("refused"),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "ingest_bytes_total", Help: "Bytes of sync events as they were sent, packed ones as packed.",
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "ingest_commit_events", Help: "Sync events that shared a commit.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500},
		}),
	}
	m.registry.MustRegister(events, m.ingest.bytes, m.ingest.commit)
}

// Events returns s with what it keeps counted.
func (m *Metrics) Events(s devsync.Store) devsync.Store { return countedEvents{s, m} }

type countedEvents struct {
	devsync.Store
	m *Metrics
}

// Append implements devsync.Store.
func (s countedEvents) Append(ctx context.Context, group string, events []devsync.Event) ([]devsync.Stored, error) {
	out, err := s.Store.Append(ctx, group, events)
	repeated := 0
	for i := range out {
		if out[i].Repeat {
			repeated++
		}
	}
	s.m.ingest.repeated.Add(float64(repeated))
	s.m.ingest.added.Add(float64(len(out) - repeated))
	s.m.ingest.refused.Add(float64(len(events) - len(out)))
	return out, err
}

// EventRefused counts a sync event that did not come as far as the store.
func (m *Metrics) EventRefused() { m.ingest.refused.Inc() }

// EventsCommitted takes how many sync events shared a commit.
func (m *Metrics) EventsCommitted(n int) { m.ingest.commit.Observe(float64(n)) }

// EventBody returns a body whose bytes are counted as they are read.
func (m *Metrics) EventBody(body io.ReadCloser) io.ReadCloser {
	return countedBody{body, m.ingest.bytes}
}

type countedBody struct {
	io.ReadCloser
	bytes prometheus.Counter
}

// Read implements io.Reader.
func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes.Add(float64(n))
	return n, err
}
