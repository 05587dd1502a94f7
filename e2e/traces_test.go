package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/tracetest"
)

// traceOfCaller is what a program that traces itself sends with its requests.
const traceOfCaller = "4bf92f3577b34da6a3ce929d0e0e4736"

type tracedCaller struct{}

func (tracedCaller) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("traceparent", "00-"+traceOfCaller+"-00f067aa0ba902b7-01")
	return http.DefaultTransport.RoundTrip(r)
}

// attemptOutput is what the testworker answers.
type attemptOutput struct {
	Attempt int
	Trace   string
}

// TestTrace: a task whose worker is killed, and a fan-out, are one trace each from
// the caller's request to the result, through the workers that ran them.
func TestTrace(t *testing.T) {
	collector := tracetest.Start(t)
	c := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=100", "FIRMLIGHT_WORKER_GRACE=200ms")
	begun := c.ledger()
	first := c.testWorker("first", 1)
	c.HTTP = &http.Client{Transport: tracedCaller{}}
	task := c.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 2000}})
	c.HTTP = nil
	begun() // "running" alone may still be on its way to the worker
	first.Kill()
	c.testWorker("second", 2)
	c.wait(task.ID, "succeeded")
	var out attemptOutput
	must(t, c.Output(t.Context(), task.ID, &out))

	fanOut := c.submit(map[string]any{"kind": "work", "inputs": []map[string]int{{"ms": 1}, {"ms": 2}, {"ms": 3}}})
	c.wait(fanOut.ID, "succeeded")
	var spans []tracetest.Span
	eventually(t, 20*time.Second, "all spans are there", func() bool {
		spans = collector.Spans()
		return count(spans, "fan-out work") == 1 && count(spans, "run work") == 5
	})

	byID := map[string]tracetest.Span{}
	for _, s := range spans {
		byID[s.ID] = s
	}
	// way is the names from a span up to where its trace began.
	way := func(s tracetest.Span) string {
		names := []string{s.Name}
		for p, ok := byID[s.Parent]; ok; p, ok = byID[p.Parent] {
			names = append(names, p.Name)
		}
		return strings.Join(names, " < ")
	}
	var runs, parts []string
	for _, s := range spans {
		switch {
		case s.Name != "run work":
		case s.Trace == traceOfCaller:
			runs = append(runs, fmt.Sprintf("%s, %s %s", way(s), s.Attributes["firmlight.outcome"], s.Why))
			if s.Attributes["firmlight.task.id"] != task.ID {
				t.Errorf("another task in the caller's trace: %+v", s)
			}
		default:
			parts = append(parts, s.Trace+" "+way(s))
		}
	}
	submit := "run work < submit work < POST /api/v1/groups/{id}/tasks"
	if want := []string{submit + ", lost worker_lost", submit + ", succeeded "}; !slices.Equal(runs, want) {
		t.Errorf("runs %q, want %q", runs, want)
	}
	part := spans[slices.IndexFunc(spans, func(s tracetest.Span) bool { return s.Name == "fan-out work" })].Trace +
		" run work < submit work < submit work < POST /api/v1/groups/{id}/tasks"
	if !slices.Equal(parts, []string{part, part, part}) {
		t.Errorf("parts %q, want three of %q", parts, part)
	}
	f := strings.Split(out.Trace, "-")
	if len(f) != 4 || f[1] != traceOfCaller || byID[f[2]].Attributes["firmlight.outcome"] != "succeeded" {
		t.Errorf("the worker got %q", out.Trace)
	}
}

func count(spans []tracetest.Span, name string) (n int) {
	for _, s := range spans {
		if s.Name == name {
			n++
		}
	}
	return n
}

// TestNoTraces: a worker gets no trace of a server that has no collector, nor do
// tasks need the one that is configured and away.
func TestNoTraces(t *testing.T) {
	away, err := kit.FreeAddress()
	must(t, err)
	for name, env := range map[string][]string{"off": nil, "collector away": {"FIRMLIGHT_OTLP_ENDPOINT=http://" + away}} {
		t.Run(name, func(t *testing.T) {
			c := start(t, env...)
			c.testWorker("w", 4)
			c.HTTP = &http.Client{Transport: tracedCaller{}}
			var ids []string
			for range 50 {
				ids = append(ids, c.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 1}}).ID)
			}
			for _, id := range ids {
				c.wait(id, "succeeded")
				var out attemptOutput
				must(t, c.Output(t.Context(), id, &out))
				if (out.Trace != "") != (env != nil) {
					t.Errorf("the worker got trace %q", out.Trace)
				}
			}
		})
	}
}
