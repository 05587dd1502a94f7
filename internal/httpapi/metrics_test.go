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
	for _, c := range []struct {
		name, label, value string
		want               float64
	}{
		{"firmlight_task_reassignments_total", "cause", "undelivered", 1},
		{"firmlight_task_reassignments_total", "cause", "worker_lost", 0},
		{"firmlight_task_run_seconds", "outcome", "succeeded", 1},
		{"firmlight_task_run_seconds", "outcome", "failed", 2},
	} {
		if got := after.value(c.name, c.label, c.value); got != c.want || after[c.name] == nil {
			t.Errorf("%s %s: %v, want %v", c.name, c.value, got, c.want)
		}
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

// TestMetricsOfIngest: every event counts once, by what became of it, and the
// bytes are those that were sent.
func TestMetricsOfIngest(t *testing.T) {
	f := newFleet(t)
	if _, err := f.auth.PrepareAdmin(t.Context(), &auth.Registration{Username: "root", Email: "root@example.org", Password: password}); err != nil {
		t.Fatal(err)
	}
	p, err := f.auth.Login(t.Context(), "root", password, localhost)
	if err != nil {
		t.Fatal(err)
	}
	root := someone{f.workshop, p.User.ID, p.AccessToken}
	known := f.line("dev")
	single := []string{known, known, f.line("dev", "total_errors", "-1")}
	many := strings.Join([]string{f.line("dev"), known, "nonsense", f.line("other")}, "\n")
	zipped := packed(t, f.line("dev"))
	sent := len(many) + len(zipped)
	for _, l := range single {
		sent += len(l)
		f.report(oneEvent, jsonType, l)
	}
	f.report(manyEvents, ndjson, many)
	f.report(oneEvent, jsonType, zipped, "Content-Encoding", "gzip").want(http.StatusCreated, "")
	got := root.scrape()
	for outcome, want := range map[string]float64{"new": 4, "repeat": 2, "refused": 2} {
		if n := got.value("firmlight_ingest_events_total", "outcome", outcome); n != want {
			t.Errorf("%s: %v, want %v", outcome, n, want)
		}
	}
	if n := got.value("firmlight_ingest_bytes_total"); n != float64(sent) {
		t.Errorf("%v bytes, want %d", n, sent)
	}
}
