package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/protocol"
)

// scraped are metrics by name.
type scraped map[string]*dto.MetricFamily

// scrape reads the metrics as Prometheus does.
func (s someone) scrape() scraped {
	s.w.Helper()
	got := s.get("/metrics").want(http.StatusOK, "")
	if ct := got.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		s.w.Errorf("content type %s", ct)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(got.body))
	if err != nil {
		s.w.Fatal(err)
	}
	return all
}

// value returns the metric with these labels (name, value, …): a counter's or
// gauge's value, how often a histogram was observed; 0 for one that is not there.
func (s scraped) value(name string, labels ...string) float64 {
	for _, m := range s[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			for i := 0; i < len(labels); i += 2 {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					found++
				}
			}
		}
		if found == len(labels)/2 {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	ada, root := w.person("owner").someone, w.person("root")
	g := ada.group()
	before := root.scrape()

	done := ada.submit(g, `{"kind":"echo","idempotency_key":"k"}`)
	ada.post("/api/v1/groups/"+g+"/tasks", `{"kind":"echo","idempotency_key":"k"}`).want(http.StatusOK, "")
	w.succeed(done.ID, `1`)
	gone := ada.submit(g, `{"kind":"echo"}`)
	ada.post("/api/v1/tasks/"+gone.ID+"/cancel", nil).want(http.StatusOK, "")
	bad := ada.submit(g, `{"kind":"echo"}`)
	lost := w.claim(bad.ID)
	if err := w.tasks.Unclaim(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	w.end(w.claim(bad.ID), protocol.Result{Status: protocol.Failed, Error: &protocol.TaskError{Code: "no", Message: "no"}})
	again := ada.submit(g, `{"kind":"echo"}`)
	w.end(w.claim(again.ID), protocol.Result{Status: protocol.Failed, Error: &protocol.TaskError{Code: "no", Message: "no", Retryable: true}})
	ada.submit(g, `{"kind":"echo","inputs":[1,2]}`)
	eventually(t, "parts", func() bool { return root.scrape().value("firmlight_task_events_total", "event", "submitted") == 6 })
	ada.get("/api/v1/tasks/"+done.ID).want(http.StatusOK, "")
	ada.get("/api/v1/tasks/nothing").want(http.StatusNotFound, "not_found")
	ada.do("BREW", "/api/v1/tasks/"+done.ID, nil)
	ada.get("/api/v1/nothing/"+done.ID).want(http.StatusNotFound, "unknown_path")

	after := root.scrape()
	for name, want := range map[string]float64{
		"submitted": 6, "assigned": 4, "succeeded": 1, "cancelled": 1, "failed": 1, "reassigned": 1, "retried": 1,
	} {
		if got := after.value("firmlight_task_events_total", "event", name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if n := after.value("firmlight_task_dispatch_seconds"); n != 4 {
		t.Errorf("%v dispatches, want 4", n)
	}
	const requests = "firmlight_http_requests_total"
	for _, c := range []struct {
		route, method, code string
		want                float64
	}{
		{"/api/v1/groups/{id}/tasks", "POST", "202", 5}, {"/api/v1/groups/{id}/tasks", "POST", "200", 1},
		{"/api/v1/tasks/{id}", "GET", "200", 1}, {"/api/v1/tasks/{id}", "GET", "404", 1},
		{"/api/", "other", "405", 1}, {"/api/", "GET", "404", 1},
	} {
		l := []string{"route", c.route, "method", c.method, "code", c.code}
		if got := after.value(requests, l...) - before.value(requests, l...); got != c.want {
			t.Errorf("%v: %v, want %v", l, got, c.want)
		}
	}
	if n := after.value("firmlight_http_request_duration_seconds", "route", "/api/v1/tasks/{id}", "method", "GET"); n != 2 {
		t.Errorf("%v durations, want 2", n)
	}
	if after.value("go_goroutines") == 0 || after.value("process_start_time_seconds") == 0 {
		t.Error("no metrics of Go and the process")
	}
}

// TestMetricsOfSomebodyElse: the scope alone does not show the installation.
func TestMetricsOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	n := auth.NewToken{Kind: auth.KindAPI, Scopes: []auth.Scope{auth.Metrics}}
	w.person("owner").with(n).get("/metrics").want(http.StatusForbidden, "not_admin")
	w.person("root").with(n).scrape()
	w.person("root").with(auth.NewToken{Kind: auth.KindAPI}).get("/metrics").want(http.StatusForbidden, "missing_scope")
}
