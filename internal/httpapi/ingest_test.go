package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

// fleet is a group whose devices report.
type fleet struct {
	*workshop
	owner  someone
	group  string
	device someone   // with a token for all devices of the group
	now    time.Time // by the server's clock, which stands still
	sent   int
}

func newFleet(t *testing.T, change ...func(*devsync.Options)) *fleet {
	t.Helper()
	f := &fleet{workshop: newWorkshop(t), now: time.Now().UTC().Truncate(time.Millisecond)}
	o := f.devices.Options
	o.Now = func() time.Time { return f.now }
	for _, c := range change {
		c(&o)
	}
	*f.devices = *devsync.NewService(o)
	f.owner = f.someone("owner")
	f.group = f.owner.group()
	f.device = f.owner.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{f.group}})
	return f
}

const (
	oneEvent   = "/api/sync-event"
	manyEvents = "/api/v1/sync-events"
	ndjson     = "application/x-ndjson"
)

// line is a report of a device, new each time, with fields replaced: pairs of a
// name and JSON, or nothing for a field that is left out.
func (f *fleet) line(device string, fields ...string) string {
	f.sent++
	values := map[string]string{
		"device_id": fmt.Sprintf("%q", device), "timestamp": stamp(f.now.Add(-time.Duration(f.sent) * time.Second)),
		"total_files_synced": "3", "total_errors": "0", "internet_speed": "12.5",
	}
	for i := 0; i < len(fields); i += 2 {
		values[fields[i]] = fields[i+1]
	}
	var members []string
	for name, value := range values {
		if value != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
	}
	slices.Sort(members)
	return "{" + strings.Join(members, ",") + "}"
}

func stamp(t time.Time) string { return t.Format(`"2006-01-02T15:04:05.999Z07:00"`) }

// report sends a body with the fleet's token; headers are pairs.
func (f *fleet) report(path, contentType, body string, header ...string) answer {
	f.Helper()
	h := http.Header{"Content-Type": {contentType}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return f.device.send(http.MethodPost, path, strings.NewReader(body), h)
}

// results are those of an answer 207.
func results(a answer) []httpapi.EventResult {
	a.w.Helper()
	return into[httpapi.EventResults](a, http.StatusMultiStatus).Results
}

// statuses are those of results, and what their problems name.
func statuses(rs []httpapi.EventResult) string {
	var all []string
	for _, r := range rs {
		text := fmt.Sprint(r.Status)
		if r.Problem != nil {
			text += " " + strings.TrimSpace(r.Problem.Code+" "+fields(*r.Problem))
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func fields(p httpapi.Problem) string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return strings.Join(names, " ")
}

// badLine is a report and the problem with it; none: it is taken.
type badLine struct {
	name, line string
	status     int
	fields     string // that are wrong, below the body
}

func (f *fleet) badLines() []badLine {
	var all []badLine
	add := func(status int, fields, name, line string) { all = append(all, badLine{name, line, status, fields}) }
	field := func(status int, name string, values ...string) {
		for _, v := range values {
			wrong := name
			if status != http.StatusUnprocessableEntity {
				wrong = ""
			}
			add(status, wrong, fmt.Sprintf("%s: %.40s", name, v), f.line("dev", name, v))
		}
	}
	const ok, malformed, invalid = http.StatusCreated, http.StatusBadRequest, http.StatusUnprocessableEntity
	for _, name := range []string{"device_id", "timestamp"} {
		field(invalid, name, "", "null", "7", "true", "[]", "{}", `""`)
	}
	long := func(n int) string { return `"` + strings.Repeat("é", n) + `"` }
	for _, name := range []string{"device_id", "event_id"} {
		field(invalid, name, `"a\u0000b"`, `"line\n"`, `"\u0085"`, long(129))
		field(ok, name, long(128), `" "`, `"a/b"`, `"日本 🖨"`)
		field(malformed, name, "\"\xff\"", `"`+"\n"+`"`, `"\x"`)
	}
	field(invalid, "device_id", `"."`, `".."`, `"/"`)
	field(invalid, "event_id", `""`, "7", "true", "[]")
	field(ok, "event_id", "null", `"."`)
	for _, name := range []string{"total_files_synced", "total_errors", "internet_speed"} {
		field(invalid, name, "", "null", `"5"`, "true", "[]", "{}", "-1", "-0.001", "1e400")
		field(malformed, name, "NaN", "Infinity", "-Infinity", "0x10", "+1", "01", "1.")
		field(ok, name, "0", "-0", "1000000000000")
	}
	for _, name := range []string{"total_files_synced", "total_errors"} {
		field(invalid, name, "1.5", "1.0", "9007199254740992", "9223372036854775808")
		field(ok, name, "9007199254740991")
	}
	field(invalid, "internet_speed", "1000000000001", "1e300")
	field(ok, "internet_speed", "1e12", "0.1e-300")
	field(
		invalid, "timestamp", `"yesterday"`, `"1700000000"`, `"2026-01-31T08:30:00"`, `"2026-01-31"`, `"2026-01-31 08:30:00Z"`,
		`"2026-02-30T08:30:00Z"`, `"2026-01-31T24:00:00Z"`, `"2026-01-31T08:30:00+25:00"`,
		`"0000-01-01T00:00:00Z"`, `"0001-01-01T00:00:00Z"`, `"1999-12-31T23:59:59.999Z"`, `"9999-12-31T23:59:59Z"`, `"10000-01-01T00:00:00Z"`,
		stamp(f.now.Add(24*time.Hour+time.Second)), stamp(f.now.Add(24*time.Hour+time.Millisecond)), long(30_000),
	)
	field(
		ok, "timestamp", stamp(f.now.Add(24*time.Hour)), `"2000-01-01T00:00:00Z"`, `"2026-01-31T08:30:00.123456789+05:45"`,
		`"2026-01-31T08:30:00-00:00"`, stamp(f.now.In(time.FixedZone("", -8*3600))),
	)
	add(invalid, "surprise", "unknown field", f.line("dev", "surprise", "1"))
	add(invalid, "Device_ID", "a field in capitals", f.line("dev", "device_id", "", "Device_ID", `"dev"`))
	add(invalid, "device_id timestamp total_files_synced total_errors internet_speed", "no fields", "{}")
	add(invalid, "device_id timestamp total_files_synced total_errors internet_speed", "null", "null")
	add(invalid, "device_id timestamp internet_speed", "several", f.line(".", "timestamp", `""`, "internet_speed", "-1"))
	for _, v := range []string{"[]", `"x"`, "1", "true"} {
		add(invalid, "", "no object: "+v, v)
	}
	add(invalid, "", "deep nesting", f.line("dev", "surprise", strings.Repeat("[", 64)+strings.Repeat("]", 64)))
	for _, v := range []string{"{", `{"device_id"`, "nonsense", f.line("dev") + "}", f.line("dev") + f.line("dev")} {
		add(malformed, "", "no JSON: "+v, v)
	}
	return all
}

// below puts the fields of a bad line under a path, as problems do.
func (b badLine) below(path string) string {
	if b.status != http.StatusUnprocessableEntity {
		return ""
	}
	var names []string
	for _, name := range strings.Split(b.fields, " ") {
		names = append(names, strings.TrimSuffix(path+"."+name, "."))
	}
	return strings.Join(names, " ")
}

var codes = map[int]string{http.StatusBadRequest: "malformed", http.StatusUnprocessableEntity: "invalid"}

// TestBadEvents sends every bad line alone, and between good ones that are kept.
func TestBadEvents(t *testing.T) {
	f := newFleet(t)
	for _, b := range f.badLines() {
		t.Run(b.name, func(t *testing.T) {
			f.T = t
			single := f.report(oneEvent, jsonType, b.line)
			if b.status == http.StatusCreated {
				single.want(b.status, "")
			} else {
				p := into[httpapi.Problem](single.want(b.status, codes[b.status]), b.status)
				if got := fields(p); got != b.below("body") {
					t.Errorf("alone: fields %q, want %q", got, b.below("body"))
				}
			}
			want := fmt.Sprintf("201, %d", b.status)
			if b.status == http.StatusCreated {
				want = "201, 200" // the same once more
			} else {
				want = strings.TrimSpace(want + " " + codes[b.status] + " " + b.below("body[1]"))
			}
			if strings.Contains(b.line, "\n") { // two bad lines
				return
			}
			first, last := f.line("good"), f.line("good")
			got := statuses(results(f.report(manyEvents, ndjson, first+"\n"+b.line+"\r\n\n"+last)))
			if got != want+", 201" {
				t.Errorf("line of NDJSON: %s, want %s, 201", got, want)
			}
			if strings.Count(b.line, "{") > strings.Count(b.line, "}") {
				return // all that follows is in it
			}
			first, last = f.line("good"), f.line("good")
			got = statuses(results(f.report(manyEvents, jsonType, "["+first+","+b.line+","+last+"]")))
			if got != want+", 201" {
				t.Errorf("item of an array: %s, want %s, 201", got, want)
			}
		})
	}
}

func packed(t *testing.T, body string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// noise is text that does not get smaller.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[r.IntN(64)]
	}
	return string(b)
}

// TestBadBodies: of a body that cannot be read to its end, what came before is
// kept; where nothing came before the whole request is refused.
func TestBadBodies(t *testing.T) {
	f := newFleet(t)
	good := func() string { return f.line("good") }
	lines := func(n int) string { // blank ones of together n bytes before a report
		return strings.Repeat(strings.Repeat(" ", 4095)+"\n", n/4096) + strings.Repeat("\n", n%4096) + good()
	}
	const most, mostOfMany = 1<<20 + 64<<10, 32 << 20
	long := func(n int) string { // a report of so many bytes
		l := f.line("good")
		return l[:len(l)-1] + strings.Repeat(" ", n-len(l)) + "}"
	}
	gz := []string{"Content-Encoding", "gzip"}
	half := func(s string) string { return s[:len(s)*2/3] }
	spoilt := packed(t, good()+"\n"+noise(1<<10))
	spoilt = spoilt[:len(spoilt)-8] + "\x00\x00\x00\x00" + spoilt[len(spoilt)-4:] // another checksum
	for _, tt := range []struct {
		name, path, kind, body string
		header                 []string
		want                   string // status and code, or those of results after a colon
	}{
		{"none", oneEvent, jsonType, "", nil, "400 malformed"},
		{"none", manyEvents, jsonType, "", nil, "400 malformed"},
		{"none", manyEvents, ndjson, "", nil, "207:"},
		{"blank lines", manyEvents, ndjson, "\n \r\n\n", nil, "207:"},
		{"no items", manyEvents, jsonType, " [ ] ", nil, "207:"},
		{"an object", manyEvents, jsonType, good(), nil, "400 malformed"},
		{"null", manyEvents, jsonType, "null", nil, "400 malformed"},
		{"no JSON", manyEvents, jsonType, "nonsense", nil, "400 malformed"},
		{"an array", oneEvent, jsonType, "[" + good() + "]", nil, "422 invalid"},

		{"cut off", oneEvent, jsonType, half(good()), nil, "400 malformed"},
		{"cut off", manyEvents, jsonType, "[" + half(good()), nil, "400 malformed"},
		{"cut off later", manyEvents, jsonType, "[" + good() + "," + half(good()), nil, "207:201, 400 malformed"},
		{"no bracket", manyEvents, jsonType, "[" + good(), nil, "400 malformed"},
		{"after a comma", manyEvents, jsonType, "[" + good() + ",", nil, "207:201, 400 malformed"},
		{"cut off later", manyEvents, ndjson, good() + "\n" + half(good()), nil, "207:201, 400 malformed"},
		{"more than an array", manyEvents, jsonType, "[" + good() + "] []", nil, "207:201, 400 malformed"},
		{"NaN in an array", manyEvents, jsonType, "[" + good() + "," + f.line("x", "total_errors", "NaN") + "," + good() + "]", nil, "207:201, 400 malformed, 201"},
		{"a comma too many", manyEvents, jsonType, "[" + good() + ",,]", nil, "207:201, 400 malformed, 400 malformed"},
		{"one without an end", manyEvents, jsonType, "[" + good() + ",{," + good() + "]", nil, "207:201, 400 malformed"},

		{"no content type", oneEvent, "", good(), nil, "201"},
		{"no content type", manyEvents, "", "[" + good() + "]", nil, "207:201"},
		{"a charset", oneEvent, "Application/JSON; charset=utf-8", good(), nil, "201"},
		{"another name of NDJSON", manyEvents, "application/jsonl", good(), nil, "207:201"},
		{"plain text", oneEvent, "text/plain", good(), nil, "415 unsupported_media_type"},
		{"plain text", manyEvents, "text/plain", good(), nil, "415 unsupported_media_type"},
		{"a form", oneEvent, "application/x-www-form-urlencoded", "device_id=1", nil, "415 unsupported_media_type"},
		{"NDJSON", oneEvent, ndjson, good(), nil, "415 unsupported_media_type"},
		{"no media type", oneEvent, "/;=", good(), nil, "415 unsupported_media_type"},
		{"no media type", manyEvents, "json;;", "[]", nil, "415 unsupported_media_type"},

		{"a parameter", oneEvent + "?device=x", jsonType, good(), nil, "422 invalid query.device"},
		{"a parameter", manyEvents + "?group=x", ndjson, good(), nil, "422 invalid query.group"},

		{"packed", oneEvent, jsonType, packed(t, good()), gz, "201"},
		{"packed", manyEvents, jsonType, packed(t, "["+good()+"]"), []string{"Content-Encoding", "GZIP"}, "207:201"},
		{"packed", manyEvents, ndjson, packed(t, good()), gz, "207:201"},
		{"as it is", oneEvent, jsonType, good(), []string{"Content-Encoding", "identity"}, "201"},
		{"packed otherwise", oneEvent, jsonType, good(), []string{"Content-Encoding", "br"}, "415 unsupported_encoding"},
		{"packed twice", manyEvents, ndjson, good(), []string{"Content-Encoding", "gzip, gzip"}, "415 unsupported_encoding"},
		{"not packed", oneEvent, jsonType, good(), gz, "400 malformed"},
		{"not packed", manyEvents, ndjson, good(), gz, "400 malformed"},
		{"packed nothing", oneEvent, jsonType, "", gz, "400 malformed"},
		{"packed, cut off", oneEvent, jsonType, half(packed(t, good())), gz, "400 malformed"},
		{"packed, cut off", manyEvents, ndjson, half(packed(t, good()+"\n"+noise(40<<10))), gz, "207:201, 400 malformed"},
		{"packed, another checksum", manyEvents, ndjson, spoilt, gz, "207:201, 400 malformed"},
		{"packed, spoilt", oneEvent, jsonType, packed(t, good())[:12] + strings.Repeat("\xff", 30), gz, "400 malformed"},
		{"packed, spoilt", manyEvents, jsonType, packed(t, good())[:12] + strings.Repeat("\xff", 30), gz, "400 malformed"},

		{"as large as can be", oneEvent, jsonType, long(most), nil, "201"},
		{"too large", oneEvent, jsonType, long(most + 1), nil, "413 too_large"},
		{"bomb", oneEvent, jsonType, packed(t, long(most+1)), gz, "413 too_large"},
		{"as large as can be", manyEvents, ndjson, lines(mostOfMany - len(good())), nil, "207:201"},
		{"too large", manyEvents, ndjson, lines(mostOfMany), nil, "413 too_large"},
		{"too large later", manyEvents, ndjson, good() + lines(mostOfMany), nil, "207:201, 413 too_large"},
		{"bomb", manyEvents, ndjson, packed(t, good()+lines(mostOfMany)), gz, "207:201, 413 too_large"},
		{"bomb of one line", manyEvents, ndjson, packed(t, strings.Repeat("9", mostOfMany+1)), gz, "413 too_large"},
		{"bomb", manyEvents, jsonType, packed(t, "["+strings.Repeat(" ", mostOfMany)), gz, "413 too_large"},
		{"bomb", manyEvents, jsonType, packed(t, strings.Repeat(" ", mostOfMany+1)), gz, "413 too_large"},
		{"bomb of one item", manyEvents, jsonType, packed(t, "["+good()+","+strings.Repeat("9", mostOfMany)), gz, "207:201, 413 too_large"},

		{"longest line", manyEvents, ndjson, long(64<<10) + "\r\n" + good(), nil, "207:201, 201"},
		{"line too long", manyEvents, ndjson, good() + "\n" + long(64<<10+1) + "\n" + good(), nil, "207:201, 413 too_large, 201"},
		{"far too long", manyEvents, ndjson, long(1<<20) + "\n" + good(), nil, "207:413 too_large, 201"},
		{"last line too long", manyEvents, ndjson, good() + "\n" + long(1<<20), nil, "207:201, 413 too_large"},
		{"longest item", manyEvents, jsonType, "[" + long(64<<10) + "," + good() + "]", nil, "207:201, 201"},
		{"item too long", manyEvents, jsonType, "[" + long(64<<10+1) + "," + good() + "]", nil, "207:413 too_large, 201"},
	} {
		t.Run(tt.name+" "+tt.path+" "+tt.kind, func(t *testing.T) {
			f.T = t
			a := f.report(tt.path, tt.kind, tt.body, tt.header...)
			got := fmt.Sprint(a.status)
			switch {
			case a.status == http.StatusMultiStatus:
				got += ":" + statuses(results(a))
			case a.status >= 400:
				p := into[httpapi.Problem](a.want(a.status, a.code()), a.status)
				got = strings.TrimSpace(got + " " + p.Code + " " + strings.TrimPrefix(fields(p), "body"))
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	f.T = t
	f.owner.get("/api/v1/devices/x").want(http.StatusNotFound, "device_not_found")
}

// TestManyEvents: 5,000 lines are taken; of more, the first 5,000, which are
// repeats when they come again.
func TestManyEvents(t *testing.T) {
	f := newFleet(t)
	var all []string
	for range 5000 {
		all = append(all, f.line("dev"))
	}
	tooMany := append(slices.Clone(all), f.line("dev"))
	f.report(manyEvents, ndjson, strings.Join(tooMany, "\n")).want(http.StatusUnprocessableEntity, "too_many_events")
	total := func() int64 {
		return into[httpapi.Device](f.owner.get("/api/v1/devices/dev"), http.StatusOK).Totals.Events
	}
	if n := total(); n != 5000 {
		t.Errorf("%d events were kept", n)
	}
	for _, tt := range []struct{ kind, body string }{
		{ndjson, strings.Join(all, "\n") + "\n\n"}, {jsonType, "[" + strings.Join(all, ",") + "]"},
	} {
		rs := results(f.report(manyEvents, tt.kind, tt.body))
		if want := strings.TrimSuffix(strings.Repeat("200, ", 5000), ", "); statuses(rs) != want {
			t.Errorf("%s: %d results, %.100s", tt.kind, len(rs), statuses(rs))
		}
	}
	f.report(manyEvents, jsonType, "["+strings.Join(tooMany, ",")+"]").want(http.StatusUnprocessableEntity, "too_many_events")
	if n := total(); n != 5000 {
		t.Errorf("%d events after repeats", n)
	}
}

// TestRevokedStream: once a device token is revoked, nothing more of a request
// under way is kept.
func TestRevokedStream(t *testing.T) {
	kept := make(chan struct{})
	var n atomic.Int64
	f := newFleet(t, func(o *devsync.Options) {
		o.Changed = func(string, ...string) {
			if n.Add(1) == 500 {
				close(kept)
			}
		}
	})
	c := auth.Caller{UserID: f.owner.id}
	tok, secret, err := f.auth.CreateToken(t.Context(), c, auth.NewToken{Name: "a", Kind: auth.KindDevice, Groups: []string{f.group}})
	if err != nil {
		t.Fatal(err)
	}
	var lines [1100]string
	for i := range lines {
		lines[i] = f.line("dev") + "\n"
	}
	body, out := io.Pipe()
	go func() {
		_, _ = io.WriteString(out, strings.Join(lines[:550], "")) // an error: the test has failed
		select {
		case <-kept:
			if err := f.auth.DeleteToken(t.Context(), c, tok.ID); err != nil {
				t.Error(err)
			}
		case <-t.Context().Done():
		}
		_, _ = io.WriteString(out, strings.Join(lines[550:], ""))
		out.Close()
	}()
	a := someone{f.workshop, f.owner.id, secret}.send(http.MethodPost, manyEvents, body, http.Header{"Content-Type": {ndjson}})
	want := strings.Repeat("201, ", 500) + strings.Repeat("401 unauthenticated, ", 500)
	if got := statuses(results(a)) + ", "; got != want {
		t.Errorf("%d, %d of each: %.50s … %s", strings.Count(got, "201"), strings.Count(got, "401"), got, got[max(0, len(got)-50):])
	}
	d := into[httpapi.Device](f.owner.get("/api/v1/devices/dev"), http.StatusOK)
	if d.Totals.Events != 500 {
		t.Errorf("%d events were kept", d.Totals.Events)
	}
}

// TestWhoseEvents: an event is of the token's group, and of the token's device
// where it has one; the token ends with the rights of its owner.
func TestWhoseEvents(t *testing.T) {
	f := newFleet(t)
	eve := f.someone("eve")
	there := eve.group()
	hers := eve.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{there}})
	hers.post(oneEvent, f.line("dev")).want(http.StatusCreated, "")
	f.owner.get("/api/v1/devices/dev").want(http.StatusNotFound, "device_not_found")
	eve.get("/api/v1/devices/dev").want(http.StatusOK, "")

	bound := f.owner.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{f.group}, DeviceID: "Cafe\u0301"})
	bound.post(oneEvent, f.line("dev")).want(http.StatusForbidden, "wrong_device")
	bound.post(oneEvent, f.line("Caf\u00e9")).want(http.StatusCreated, "")
	bound.post(oneEvent, f.line("Cafe\u0301")).want(http.StatusCreated, "")
	rs := results(bound.send(http.MethodPost, manyEvents, strings.NewReader(f.line("dev")+"\n"+f.line("Caf\u00e9")), http.Header{"Content-Type": {ndjson}}))
	if got := statuses(rs); got != "403 wrong_device, 201" {
		t.Errorf("of two devices: %s", got)
	}
	for _, id := range []string{".", "..", "/", "a\nb", strings.Repeat("x", 129)} {
		f.owner.post("/api/v1/tokens", map[string]any{"name": "a", "kind": "device", "groups": []string{f.group}, "device_id": id}).
			want(http.StatusUnprocessableEntity, "invalid")
	}

	admin := f.someone("admin")
	admin.join(f.group, auth.Admin)
	theirs := admin.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{f.group}})
	theirs.post(oneEvent, f.line("dev")).want(http.StatusCreated, "")
	f.owner.do(http.MethodPatch, "/api/v1/groups/"+f.group+"/members/"+admin.id, map[string]any{"role": "member"}).want(http.StatusOK, "")
	eventually(t, "the token has ended", func() bool { return theirs.post(oneEvent, f.line("dev")).status == http.StatusUnauthorized })
}

// TestDeviceRate: a device that reports too often waits; others do not.
func TestDeviceRate(t *testing.T) {
	f := newFleet(t, func(o *devsync.Options) { o.DeviceRate = 2 })
	for range 2 {
		f.report(oneEvent, jsonType, f.line("busy")).want(http.StatusCreated, "")
	}
	wantWait := func(a answer) {
		t.Helper()
		if wait := a.header.Get("Retry-After"); wait != "1" {
			t.Errorf("%s: Retry-After %q", a.what, wait)
		}
	}
	wantWait(f.report(oneEvent, jsonType, f.line("busy")).want(http.StatusTooManyRequests, "device_rate"))
	f.report(oneEvent, jsonType, f.line("busy", "total_errors", "-1")).want(http.StatusUnprocessableEntity, "invalid")
	a := f.report(manyEvents, ndjson, strings.Join([]string{f.line("other"), f.line("busy"), f.line("other"), f.line("other")}, "\n"))
	wantWait(a)
	if got := statuses(results(a)); got != "201, 429 device_rate, 201, 429 device_rate" {
		t.Errorf("of several: %s", got)
	}
	f.now = f.now.Add(time.Second)
	a = f.report(manyEvents, ndjson, f.line("busy")+"\n"+f.line("busy"))
	if got := statuses(results(a)); got != "201, 201" || a.header.Get("Retry-After") != "" {
		t.Errorf("a second later: %s, Retry-After %q", got, a.header.Get("Retry-After"))
	}
}
