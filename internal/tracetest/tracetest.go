// Package tracetest is a collector of traces for a test: a real HTTP server that
// decodes OTLP.
package tracetest

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one span as it arrived; ids in hex.
type Span struct {
	Trace, ID, Parent, Name string
	Start, End              time.Time
	Attributes              map[string]string // of strings
	Failed                  bool
	Why                     string   // of Failed
	Links                   []string // ids of spans
	Service                 string
}

// Collector keeps the spans that were sent to it.
type Collector struct {
	URL string

	mu    sync.Mutex // guards spans
	spans []Span
}

// Start runs a collector until the end of the test.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data otlp.TracesData // on the wire the same as a request to export
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil {
			tb.Errorf("traces: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.keep(&data)
		w.Header().Set("Content-Type", "application/x-protobuf")
	})
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) keep(data *otlp.TracesData) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range data.ResourceSpans {
		service := strings(of.Resource.GetAttributes())["service.name"]
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Name: s.Name, Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
					Attributes: strings(s.Attributes), Failed: s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR, Why: s.Status.GetMessage(),
					Service: service,
				}
				for _, l := range s.Links {
					span.Links = append(span.Links, hex.EncodeToString(l.SpanId))
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

func strings(kvs []*common.KeyValue) map[string]string {
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		m[kv.Key] = kv.Value.GetStringValue()
	}
	return m
}

// Spans returns what has arrived, by start.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(c.spans), func(a, b Span) int { return a.Start.Compare(b.Start) })
}
