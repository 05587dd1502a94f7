package app

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const deploy = "../../deploy/"

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shown are the metrics of a server that has answered a request, by name, a
// histogram's series too.
func shown(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	a := run(t, "FIRMLIGHT_METRICS_LISTEN=127.0.0.1:0")
	get(t, a.URL()+"/readyz")
	_, body := get(t, "http://"+a.front.private.Addr().String()+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range slices.Collect(maps.Values(all)) {
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, series := range []string{"_bucket", "_sum", "_count"} {
				all[f.GetName()+series] = f
			}
		}
	}
	return all
}

// exprs are the expressions of the dashboard, by the title of their panel.
func exprs(t *testing.T) map[string][]string {
	t.Helper()
	var d struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, deploy+"grafana/dashboards/firmlight.json")), &d); err != nil {
		t.Fatal(err)
	}
	if v := d.Templating.List; len(v) != 1 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("variables %+v", v)
	}
	all := map[string][]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], target.Expr)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
	}
	return all
}

var (
	ruleExpr   = regexp.MustCompile(`(?m)^ +expr: (.+)$`)
	metricName = regexp.MustCompile(`\b(?:firmlight|go|process)_\w+`)
	selector   = regexp.MustCompile(`(\w+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`(\w+)=~?"([^"]*)"`)
)

// TestMonitoringNamesWhatIsThere: what the dashboard, the alerts and the docs ask
// for is what a server shows, with its labels; and all that it shows is explained.
func TestMonitoringNamesWhatIsThere(t *testing.T) {
	there := shown(t)
	docs := read(t, "../../docs/operations.md")
	asked := exprs(t)
	for _, m := range ruleExpr.FindAllStringSubmatch(read(t, deploy+"prometheus/alerts.yml"), -1) {
		asked["alerts"] = append(asked["alerts"], m[1])
		if !strings.Contains(strings.ReplaceAll(docs, `\|`, "|"), "`"+m[1]+"`") {
			t.Errorf("docs/operations.md has no %s", m[1])
		}
	}
	if len(asked["alerts"]) < 5 || len(asked) < 20 {
		t.Fatalf("only %d alerts and %d panels were found", len(asked["alerts"]), len(asked))
	}
	for place, all := range asked {
		for _, expr := range all {
			if metricName.FindString(expr) == "" && !strings.Contains(expr, "up{") {
				t.Errorf("%s: no metric in %s", place, expr)
			}
			checkExpr(t, there, place, expr)
		}
	}
	for _, name := range metricName.FindAllString(docs, -1) {
		if there[name] == nil && !strings.HasSuffix(name, "_") { // go_* is all of them
			t.Errorf("docs/operations.md: no server shows %s", name)
		}
	}
	for name, f := range there {
		if strings.HasPrefix(name, "firmlight_") && name == f.GetName() && !strings.Contains(docs, "`"+name) {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
}

// checkExpr looks up an expression's metrics and, where all values of a label are
// there from the start, the values that it selects.
func checkExpr(t *testing.T, there map[string]*dto.MetricFamily, place, expr string) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		if there[name] == nil {
			t.Errorf("%s: no server shows %s", place, name)
		}
	}
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			label, value := m[1], m[2]
			f := there[s[1]]
			if f == nil || label == "job" { // Prometheus adds it
				continue
			}
			var values []string
			for _, series := range f.GetMetric() {
				for _, l := range series.GetLabel() {
					if l.GetName() == label {
						values = append(values, l.GetValue())
					}
				}
			}
			anyRoute := s[1] == "firmlight_http_requests_total" && len(values) > 0
			if !anyRoute && !slices.Contains(values, value) {
				t.Errorf("%s: %s has no %s %q, only %q", place, s[1], label, value, values)
			}
		}
	}
}
