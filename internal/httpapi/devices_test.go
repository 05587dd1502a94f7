package httpapi_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

type (
	devices  = httpapi.List[httpapi.Device]
	events   = httpapi.List[httpapi.SyncEvent]
	failures = httpapi.List[httpapi.FailingDevice]
)

// at is a report of a device so long ago.
func (f *fleet) at(device string, ago time.Duration, errs int, more ...string) string {
	return f.line(device, append([]string{"timestamp", stamp(f.now.Add(-ago)), "total_errors", fmt.Sprint(errs)}, more...)...)
}

// put reports lines, which have to be new.
func (f *fleet) put(lines ...string) {
	f.Helper()
	rs := results(f.report(manyEvents, ndjson, strings.Join(lines, "\n")))
	if len(rs) != len(lines) || strings.Count(statuses(rs), "201") != len(rs) {
		f.Fatalf("%d lines: %s", len(lines), statuses(rs))
	}
}

func devicePath(id string) string { return "/api/v1/devices/" + url.PathEscape(id) }

func historyPath(id string) string {
	return "/api/sync-event/device/" + url.PathEscape(id) + "/sync-history"
}

// ids returns the devices of a list.
func ids(s someone, query string) string {
	s.w.Helper()
	var all []string
	for _, d := range into[devices](s.get("/api/v1/devices"+query), http.StatusOK).Items {
		all = append(all, d.DeviceID)
	}
	return strings.Join(all, " ")
}

// TestDeviceSearchInPortions: a search looks at so many devices at a time, and goes
// on where it stopped, over all groups.
func TestDeviceSearchInPortions(t *testing.T) {
	f := newFleet(t, func(o *devsync.Options) { o.Look = 4 })
	other := f.owner.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{f.owner.group()}})
	for _, id := range []string{"a", "b", "c", "d", "press", "x", "y"} {
		f.put(f.line(id))
		if id != "b" {
			other.post(oneEvent, f.line(id)).want(http.StatusCreated, "")
		}
	}
	for limit, want := range map[string]string{"1": "press press", "2": "press press", "200": "press press"} {
		var found []string
		path, first, pages := "/api/v1/devices?q=ress&limit="+limit, "/api/v1/devices?q=ress&limit="+limit, 0
		for ; path != ""; pages++ {
			page := into[devices](f.owner.get(path), http.StatusOK)
			for _, d := range page.Items {
				found = append(found, d.DeviceID)
			}
			if path = ""; page.NextCursor != nil {
				path = first + "&cursor=" + *page.NextCursor
			}
		}
		if got := strings.Join(found, " "); got != want || (limit != "200") != (pages > 2) {
			t.Errorf("limit %s: %s in %d pages, want %s", limit, got, pages, want)
		}
	}
}

// TestDeviceIDsInPaths: whatever device may report can be asked for.
func TestDeviceIDsInPaths(t *testing.T) {
	f := newFleet(t)
	for _, id := range []string{
		"printer", "a/b", "//", "a//b", "/a", "a/", "a/../b", "../x", "./x", "...", "%2F", "%2e%2e", "100%", "a b", " ", "+", "a+b",
		"日本 🖨", "Cafe\u0301", "?x=1", "#1", "a;b=c", `a\b`, `'"<>&`, "{id}", "stats", "=1+1", strings.Repeat("🖨", 128),
	} {
		t.Run(id[:min(len(id), 20)], func(t *testing.T) {
			f.T = t
			f.put(f.line(id))
			want := norm.NFC.String(id)
			for _, id := range []string{id, want} {
				if d := into[httpapi.Device](f.owner.get(devicePath(id)), http.StatusOK); d.DeviceID != want || d.Totals.Events != 1 {
					t.Errorf("%+v", d)
				}
				if h := into[events](f.owner.get(historyPath(id)), http.StatusOK); len(h.Items) != 1 || h.Items[0].DeviceID != want {
					t.Errorf("history %+v", h)
				}
				for _, path := range []string{"/stats", "/stats?by=hour", "/export"} {
					f.owner.get(devicePath(id)+path).want(http.StatusOK, "")
				}
				d := into[httpapi.Device](f.owner.do(http.MethodPatch, devicePath(id), map[string]any{"name": "a name"}), http.StatusOK)
				if d.DeviceID != want || d.Name != "a name" {
					t.Errorf("%+v", d)
				}
				if got := into[devices](f.owner.get("/api/v1/devices?q="+url.QueryEscape(id)), http.StatusOK).Items; !slices.ContainsFunc(got, func(d httpapi.Device) bool { return d.DeviceID == want }) {
					t.Errorf("not in the list: %+v", got)
				}
			}
		})
	}
	f.T = t
	f.owner.get("/api/v1/devices/a/b").want(http.StatusNotFound, "unknown_path")
	f.owner.get("/api/v1/devices//").want(http.StatusNotFound, "unknown_path")
	f.owner.get("/api/v1/devices/%2e%2e").want(http.StatusNotFound, "device_not_found")
}

// TestDeviceRegistry: devices register themselves; people name, tag and retire
// them; lists go over all groups.
func TestDeviceRegistry(t *testing.T) {
	f := newFleet(t)
	f.put(f.line("b"), f.line("a1"), f.line("c", "total_errors", "1"), f.line("a2"))
	other := f.owner.group()
	there := f.owner.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{other}})
	there.post(oneEvent, f.line("b", "total_errors", "2", "total_files_synced", "0")).want(http.StatusCreated, "")
	for query, want := range map[string]string{
		"": "a1 a2 b b c", "?group=" + other: "b", "?q=a": "a1 a2", "?q=A": "a1 a2", "?q=2": "a2", "?q=nothing": "", "?status=failed": "b c", "?status=ok": "a1 a2 b", "?status=silent": "", "?tag=hall": "", "?state=retired": "", "?state=active,retired": "a1 a2 b b c", "?state=pending": "",
	} {
		if got := ids(f.owner, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	var all []string
	for path := "/api/v1/devices?limit=2"; path != ""; {
		page := into[devices](f.owner.get(path), http.StatusOK)
		for _, d := range page.Items {
			all = append(all, d.DeviceID)
		}
		if path = ""; page.NextCursor != nil {
			path = "/api/v1/devices?limit=2&cursor=" + *page.NextCursor
			f.put(f.line(fmt.Sprint("a0", len(all)))) // before the place
		}
	}
	if got := strings.Join(all, " "); got != "a1 a2 b b c" {
		t.Errorf("pages: %s", got)
	}
	f.owner.get(devicePath("b")).want(http.StatusConflict, "ambiguous_device")
	f.owner.get(devicePath("b")+"?group="+newID()).want(http.StatusNotFound, "")
	d := into[httpapi.Device](f.owner.get(devicePath("b")+"?group="+other), http.StatusOK)
	if d.Group != other || d.Status != "failed" || d.Streak != 1 || d.Totals != (httpapi.DeviceTotals{Events: 1, Failed: 1, Errors: 2}) || d.LastSuccessAt != nil || d.UsualIntervalS != nil {
		t.Errorf("%+v", d)
	}
	patch := func(body string) answer {
		return f.owner.do(http.MethodPatch, devicePath("c"), body)
	}
	for body, field := range map[string]string{
		`{"name":"` + strings.Repeat("é", 65) + `"}`: "body.name",
		`{"name":"a\nb"}`: "body.name",
		`{"tags":["` + strings.Repeat("é", 33) + `"]}`: "body.tags",
		`{"tags":[""]}`: "body.tags",
		`{"tags":[` + strings.Repeat(`"x",`, 16) + `"y"]}`: "body.tags",
		`{"state":"pending"}`:                              "body.state",
		`{"state":"gone"}`:                                 "body.state",
		`{"device_id":"other"}`:                            "body.device_id",
	} {
		if got := patch(body).want(http.StatusUnprocessableEntity, "invalid").field(); got != field {
			t.Errorf("%s: field %q, want %q", body, got, field)
		}
	}
	d = into[httpapi.Device](patch(`{"name":" Press ","tags":["Cafe\u0301","second"]}`), http.StatusOK)
	if d.Name != "Press" || !slices.Equal(d.Tags, []string{"Caf\u00e9", "second"}) || d.State != devsync.Active {
		t.Errorf("%+v", d)
	}
	d = into[httpapi.Device](patch(`{"state":"retired"}`), http.StatusOK)
	if d.Name != "Press" || len(d.Tags) != 2 || d.State != devsync.Retired {
		t.Errorf("%+v", d)
	}
	f.put(f.line("c"))
	if got := ids(f.owner, "?q=c"); got != "" {
		t.Errorf("a retired device is listed: %s", got)
	}
	if got := ids(f.owner, "?state=retired"); got != "c" {
		t.Errorf("retired: %s", got)
	}
	if d := into[httpapi.Device](f.owner.get(devicePath("c")), http.StatusOK); d.Totals.Events != 2 {
		t.Errorf("events of a retired device are not kept: %+v", d)
	}
}

// walk reads a history page by page; between is called before each but the first.
func (f *fleet) walk(path string, between func()) (all []httpapi.SyncEvent) {
	f.Helper()
	for cursor := ""; ; between() {
		page := into[events](f.owner.get(path+cursor), http.StatusOK)
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// TestHistory: ranges, statuses, pages that stand still while events come in late
// and new, and repeats.
func TestHistory(t *testing.T) {
	f := newFleet(t)
	name := func(i int) string { return fmt.Sprintf(`"%s%d"`, strings.Repeat("🖨", 126), 10+i) }
	for i, status := range []string{"ok", "partial", "failed", "ok", "failed"} {
		files, errs := "1", 0
		if status != "ok" {
			errs = 1
		}
		if status == "failed" {
			files = "0"
		}
		f.put(f.at("dev", time.Duration(i)*time.Minute, errs, "total_files_synced", files, "event_id", name(i)))
	}
	path := historyPath("dev")
	ago := func(min int) string {
		return url.QueryEscape(f.now.Add(-time.Duration(min) * time.Minute).Format(time.RFC3339Nano))
	}
	for query, want := range map[string]string{
		"": "10 11 12 13 14", "?status=ok": "10 13", "?status=partial": "11", "?status=failed": "12 14", "?from=" + ago(2): "10 11 12", "?to=" + ago(2): "13 14",
		"?from=" + ago(3) + "&to=" + ago(1): "12 13", "?from=" + ago(1) + "&to=" + ago(3): "", "?to=" + ago(9): "", "?status=failed&from=" + ago(2): "12",
	} {
		var got []string
		for _, e := range into[events](f.owner.get(path+query), http.StatusOK).Items {
			got = append(got, e.EventID[len(e.EventID)-2:])
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
	n := 0
	all := f.walk(path+"?limit=1", func() {
		n++
		f.put(f.at("dev", -time.Duration(n)*time.Second, 0)) // newer than all
	})
	if len(all) != 5 || n != 4 {
		t.Errorf("%d events on %d pages", len(all), n+1)
	}
	f.put(f.at("dev", 90*time.Second, 1, "event_id", `"late"`))
	all = f.walk(path+"?limit=3", func() {})
	if !slices.IsSortedFunc(all, func(a, b httpapi.SyncEvent) int { return b.Timestamp.Compare(a.Timestamp.Time) }) || len(all) != 10 || all[6].EventID != "late" {
		t.Errorf("with a late event: %+v", all)
	}
	again := into[httpapi.SyncEvent](f.report(oneEvent, jsonType, f.at("dev", 0, 7, "event_id", `"late"`, "internet_speed", "1")), http.StatusOK)
	if again != all[6] {
		t.Errorf("a repeat by id: %+v, want the first %+v", again, all[6])
	}
	first := into[httpapi.SyncEvent](f.report(oneEvent, jsonType, f.at("other", 0, 0)), http.StatusCreated)
	if again := into[httpapi.SyncEvent](f.report(oneEvent, jsonType, f.at("other", 0, 5)), http.StatusOK); again != first {
		t.Errorf("a repeat by time: %+v, want the first %+v", again, first)
	}
	if d := into[httpapi.Device](f.owner.get(devicePath("dev")), http.StatusOK); d.Totals.Events != 10 || d.Streak != 0 {
		t.Errorf("%+v", d)
	}
	f.owner.get(historyPath("nobody")).want(http.StatusNotFound, "device_not_found")
	for _, query := range []string{"?from=yesterday", "?status=bad", "?cursor=%21", "?cursor=eA", "?to=2026-01-01"} {
		f.owner.get(path+query).want(http.StatusUnprocessableEntity, "invalid")
	}
}

// TestLateEvents: an event counts where it belongs by its own time.
func TestLateEvents(t *testing.T) {
	f := newFleet(t)
	streak := func(want int) {
		t.Helper()
		if d := into[httpapi.Device](f.owner.get(devicePath("dev")), http.StatusOK); d.Streak != want {
			t.Errorf("streak %d, want %d", d.Streak, want)
		}
	}
	f.put(f.at("dev", time.Minute, 1), f.at("dev", 3*time.Minute, 1))
	streak(2)
	f.put(f.at("dev", 2*time.Minute, 0)) // between them
	streak(1)
	f.put(f.at("dev", 90*time.Second, 1), f.at("dev", 4*time.Minute, 1)) // after and before it
	streak(2)
	f.put(f.at("dev", 0, 0))
	streak(0)
}

// TestRepeatedFailures: in total and in a row, above a threshold, in a window.
func TestRepeatedFailures(t *testing.T) {
	f := newFleet(t)
	const day = 24 * time.Hour
	series := func(device string, from time.Duration, errs ...int) {
		for i, n := range errs {
			f.put(f.at(device, from-time.Duration(i)*time.Minute, n))
		}
	}
	series("often", time.Hour, 1, 0, 1, 0, 1, 0, 1)
	series("row", time.Hour, 0, 1, 1, 1)
	series("never", time.Hour, 1, 1)
	series("past", 2*day, 1, 1, 1, 1, 1)
	series("fine", time.Hour, 0, 0, 0)
	series("gone", time.Hour, 1, 1, 1, 1, 1, 1)
	f.owner.do(http.MethodPatch, devicePath("gone"), map[string]any{"state": "retired"}).want(http.StatusOK, "")
	path := "/api/sync-event/devices/repeated-failures"
	for query, want := range map[string]string{
		"": "often 4 1", "?threshold=2": "often 4 1, row 3 3", "?threshold=4": "", "?threshold=0": "often 4 1, row 3 3, never 2 2", "?threshold=0&limit=1": "often 4 1",
		"?window=7d": "past 5 5, often 4 1", "?window=72h&threshold=4": "past 5 5", "?mode=consecutive": "row 3 3", "?mode=consecutive&threshold=2": "row 3 3, never 2 2",
		"?mode=consecutive&window=3d": "past 5 5, row 3 3", "?mode=consecutive&threshold=6&window=90d": "", "?group=" + f.group: "often 4 1",
	} {
		var got []string
		for _, d := range into[failures](f.owner.get(path+query), http.StatusOK).Items {
			got = append(got, fmt.Sprintf("%s %d %d", d.DeviceID, d.Failures, d.Streak))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
	list := into[failures](f.owner.get(path+"?threshold=1"), http.StatusOK).Items
	often, never := list[0], list[2]
	if !often.FirstFailureAt.Equal(f.now.Add(-time.Hour)) || !often.LastFailureAt.Equal(f.now.Add(-54*time.Minute)) || !often.LastSuccessAt.Equal(f.now.Add(-55*time.Minute)) || often.Group != f.group {
		t.Errorf("%+v", often)
	}
	if never.LastSuccessAt != nil {
		t.Errorf("%+v", never)
	}
	for _, window := range []string{"0h", "-1h", "91d", "2161h", "1w", "24", "d", "1.5d", "99999999999d"} {
		if got := f.owner.get(path+"?window="+window).want(http.StatusUnprocessableEntity, "").field(); got != "query.window" {
			t.Errorf("window %s: field %q", window, got)
		}
	}
	if list := into[failures](f.someone("eve").get(path+"?threshold=0&window=90d"), http.StatusOK).Items; len(list) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
}

type sums struct {
	Items []struct {
		At time.Time
		httpapi.DeviceTotals
		Speed struct{ P50, P95 float64 }
	}
}

func (s sums) String() string {
	var all []string
	for _, i := range s.Items {
		t := i.DeviceTotals
		all = append(all, fmt.Sprintf("%s %d %d %d %d %d %g", i.At.Format("02T15"), t.Events, t.Failed, t.Partial, t.Files, t.Errors, i.Speed.P50))
	}
	return strings.Join(all, ", ")
}

// TestStats: sums by hour and day of device time, of a device and of the fleet,
// late events included.
func TestStats(t *testing.T) {
	f := newFleet(t)
	put := func(device, at, speed, files string, errs int) {
		f.put(f.line(device, "timestamp", `"2026-01-`+at+`"`, "internet_speed", speed, "total_files_synced", files, "total_errors", fmt.Sprint(errs)))
	}
	put("a", "10T08:59:59.999Z", "100", "5", 0)
	put("a", "10T07:00:00Z", "100", "0", 2) // late
	put("a", "10T08:00:00Z", "100", "1", 1)
	put("a", "11T00:30:00+01:00", "0", "1", 0) // still the 10th
	put("a", "12T00:00:00Z", "3.7", "1", 0)
	put("b", "10T08:30:00Z", "100", "10", 0)
	const about100, about3 = "97", "3.41"
	for path, want := range map[string]string{
		"/api/v1/devices/a/stats?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z":                             "10T00 4 2 1 7 3 " + about100 + ", 12T00 1 0 0 1 0 " + about3,
		"/api/v1/devices/a/stats?by=hour&from=2026-01-10T00:00:00Z&to=2026-01-13T00:00:00Z":                     "10T07 1 1 0 0 2 " + about100 + ", 10T08 2 1 1 6 1 " + about100 + ", 10T23 1 0 0 1 0 0, 12T00 1 0 0 1 0 " + about3,
		"/api/v1/devices/a/stats?by=hour&from=2026-01-10T08:30:00Z&to=2026-01-10T08:31:00Z":                     "10T08 2 1 1 6 1 " + about100,
		"/api/v1/devices/a/stats?by=hour&from=2026-01-11T00:00:00Z&to=2026-01-12T00:00:00Z":                     "",
		"/api/v1/groups/" + f.group + "/device-stats?by=hour&from=2026-01-10T08:00:00Z&to=2026-01-10T09:00:00Z": "10T08 3 1 1 16 1 " + about100,
		"/api/v1/groups/" + f.group + "/device-stats?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z":         "10T00 5 2 1 17 3 " + about100 + ", 12T00 1 0 0 1 0 " + about3,
	} {
		if got := into[sums](f.owner.get(path), http.StatusOK); got.String() != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	a := f.owner.get("/api/v1/devices/a/stats?by=hour&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z")
	if a.want(http.StatusUnprocessableEntity, "invalid"); a.field() != "query.from" {
		t.Errorf("more than 1,000 hours: field %s", a.field())
	}
}

// TestExport: CSV, which no spreadsheet takes for formulas, page by page: what is
// not sent yet is read, and allowed, when its turn comes.
func TestExport(t *testing.T) {
	f := newFleet(t)
	f.put(f.at("=1+1", time.Minute, 1, "event_id", `"@x,\"y\""`, "internet_speed", "0.25"))
	f.put(f.at("=1+1", 0, 0))
	a := f.owner.get(devicePath("=1+1") + "/export")
	rows, err := csv.NewReader(strings.NewReader(string(a.want(http.StatusOK, "").body))).ReadAll()
	stamped := func(ago time.Duration) string { return f.now.Add(-ago).Format("2006-01-02T15:04:05.000Z") }
	want := [][]string{
		{"device_id", "timestamp", "total_files_synced", "total_errors", "internet_speed", "event_id", "status", "received_at"},
		{"'=1+1", stamped(0), "3", "0", "12.5", "", "ok", stamped(0)},
		{"'=1+1", stamped(time.Minute), "3", "1", "0.25", `'@x,"y"`, "partial", stamped(0)},
	}
	if fmt.Sprint(rows) != fmt.Sprint(want) || err != nil {
		t.Errorf("%v, want %v (%v)", rows, want, err)
	}
	if kind, file := a.header.Get("Content-Type"), a.header.Get("Content-Disposition"); kind != "text/csv; charset=utf-8" || !strings.HasPrefix(file, `attachment; filename="sync-events-`) {
		t.Errorf("%s, %s", kind, file)
	}
	f.owner.get(devicePath("nobody")+"/export").want(http.StatusNotFound, "device_not_found")
	if text := string(f.owner.get(devicePath("=1+1") + "/export?to=2001-01-01T00:00:00Z").body); strings.Count(text, "\n") != 1 {
		t.Errorf("of no events: %s", text)
	}
	var many []string
	for range 2100 {
		many = append(many, f.line("many"))
	}
	f.put(many...)

	path := "/api/v1/groups/" + f.group + "/sync-events/export"
	w := f.export(f.owner, path, func() { f.put(f.line("new")) })
	if text := w.Body.String(); w.aborted || strings.Count(text, "\n") != 1+2+2100+1 || !strings.Contains(text, "\nnew,") {
		t.Errorf("%d lines, broken off: %v", strings.Count(text, "\n"), w.aborted)
	}
	for _, path := range []string{path, devicePath("many") + "/export"} {
		guest := f.someone("guest" + fmt.Sprint(len(path)))
		guest.join(f.group, auth.Viewer)
		w := f.export(guest, path, func() {
			f.owner.do(http.MethodDelete, "/api/v1/groups/"+f.group+"/members/"+guest.id, nil).want(http.StatusNoContent, "")
		})
		if lines := strings.Count(w.Body.String(), "\n"); !w.aborted || lines > 1001 {
			t.Errorf("%s: %d lines to somebody who has left, broken off: %v", path, lines, w.aborted)
		}
	}
}

// exporting is an answer that is looked at when it begins.
type exporting struct {
	*httptest.ResponseRecorder
	began   func()
	aborted bool
}

func (w *exporting) Write(b []byte) (int, error) {
	if w.began != nil {
		w.began()
		w.began = nil
	}
	return w.ResponseRecorder.Write(b)
}

// export makes a call without a network between; began runs at the first byte.
func (f *fleet) export(who someone, path string, began func()) (w *exporting) {
	w = &exporting{ResponseRecorder: httptest.NewRecorder(), began: began}
	rq := httptest.NewRequest(http.MethodGet, path, nil)
	rq.Header.Set("Authorization", "Bearer "+who.token)
	defer func() {
		if cause := recover(); cause != nil {
			w.aborted = cause == http.ErrAbortHandler //nolint:errorlint // the value net/http itself compares with
		}
	}()
	f.api.ServeHTTP(w, rq)
	return w
}

// TestApproval: what new devices of such a group report is kept and counted, and
// shown to admins alone until one lets them in.
func TestApproval(t *testing.T) {
	f := newFleet(t)
	member := f.someone("member")
	member.join(f.group, auth.Member)
	f.put(f.line("old"))
	rules := "/api/v1/groups/" + f.group + "/alert-rules"
	f.owner.do(http.MethodPut, rules, map[string]any{"approval": true}).want(http.StatusOK, "")
	for range 4 {
		f.put(f.line("new", "total_errors", "1"), f.line("old"))
	}
	if got := ids(member, ""); got != "old" {
		t.Errorf("a member sees %s", got)
	}
	if got := ids(f.owner, ""); got != "old" {
		t.Errorf("an admin sees %s", got)
	}
	if got := ids(f.owner, "?state=pending"); got != "new" {
		t.Errorf("waiting: %s", got)
	}
	member.get("/api/v1/devices?state=pending&group="+f.group).want(http.StatusForbidden, "")
	if got := ids(member, "?state=pending"); got != "" {
		t.Errorf("a member sees waiting %s", got)
	}
	hidden := []string{devicePath("new"), historyPath("new"), devicePath("new") + "/stats", devicePath("new") + "/export"}
	for _, path := range hidden {
		member.get(path).want(http.StatusNotFound, "device_not_found")
		f.owner.get(path).want(http.StatusOK, "")
	}
	alerts := func() int {
		return len(into[httpapi.List[httpapi.Alert]](member.get("/api/v1/groups/"+f.group+"/alerts"), http.StatusOK).Items)
	}
	failing := func() int {
		return len(into[failures](member.get("/api/sync-event/devices/repeated-failures"), http.StatusOK).Items)
	}
	if alerts() != 0 || failing() != 0 {
		t.Error("a device that waits is told of")
	}
	if text := string(member.get("/api/v1/groups/" + f.group + "/sync-events/export").body); strings.Contains(text, "new") {
		t.Errorf("exported: %s", text)
	}
	member.do(http.MethodPatch, devicePath("new"), map[string]any{"state": "active"}).want(http.StatusNotFound, "")
	f.owner.do(http.MethodPatch, devicePath("new"), map[string]any{"state": "active"}).want(http.StatusOK, "")
	for _, path := range hidden {
		member.get(path).want(http.StatusOK, "")
	}
	d := into[httpapi.Device](member.get(devicePath("new")), http.StatusOK)
	if d.Totals.Events != 4 || d.Streak != 4 || !d.Failing || alerts() != 1 || failing() != 1 {
		t.Errorf("let in: %+v, %d alerts, %d failing", d, alerts(), failing())
	}
}
