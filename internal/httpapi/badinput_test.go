package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/httpapi"
)

// schema is what the tests need of a JSON schema.
type schema struct {
	Ref        string `json:"$ref"`
	Properties map[string]schema
	Items      *schema
}

// schemas returns those of the document that have a name.
func schemas(t *testing.T) map[string]schema {
	t.Helper()
	raw, err := httpapi.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Components.Schemas
}

// Values that hardly fit anywhere.
var (
	badIDs = []string{
		"x", strings.Repeat("a", 300), "%00", "%F0%9F%A6%8A", "%FF%FE", "%20", "%27%20OR%201=1--", "%25", "null",
		"00000000-0000-0000-0000-00000000000g",
	}
	badQueries = []string{"0", "-1", "1.5", "abc", "99999999999999999999", "%00", "%FF", "%F0%9F%A6%8A", strings.Repeat("a", 5000), "%5B%5D", "AAAA", "e30"}
	badValues  = []json.RawMessage{
		[]byte(`null`), []byte(`true`), []byte(`0`), []byte(`-1`), []byte(`1.5`), []byte(`1e999`), []byte(`9223372036854775808`),
		[]byte(`""`), []byte(`"x"`), []byte(`"\u0000"`), []byte(`"\ud800"`), []byte("\"\xff\""), []byte(`"` + strings.Repeat("é", 20_000) + `"`),
		[]byte(`[]`), []byte(`[null]`), []byte(`["x","x"]`), []byte(`[{}]`), []byte(`{}`), []byte(`{"x":[1]}`), []byte(`{"":null}`),
	}
)

// badInput sends what does not fit to one operation, by somebody who may call it.
type badInput struct {
	*world
	op   operation
	role string
	all  map[string]schema
}

// TestBadInput sends to every route of the document what it does not expect. It
// never is an internal error, and always a problem that says what is wrong.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	lines, all := parseRights(t), schemas(t)
	for _, op := range operations(t) {
		status := lines[op.id].status
		roles := slices.DeleteFunc([]string{"owner", "member", "stranger", "root"}, func(role string) bool { return status[role] >= 400 })
		if op.raw || op.id == "setup" {
			continue
		}
		if len(roles) == 0 {
			t.Errorf("nobody may call %s", op.id)
			continue
		}
		t.Run(op.id, func(t *testing.T) {
			w.T = t
			b := badInput{w, op, roles[0], all}
			b.paths()
			b.queries()
			if op.doc.RequestBody != nil {
				b.wholeBodies()
				b.fields()
			}
		})
	}
}

// try makes a call that has to be answered with one of the statuses; with none
// of them anything will do but an internal error.
func (b badInput) try(what, path, contentType, body string, statuses ...int) {
	b.Helper()
	got := b.sendText(b.op.method, path, b.person(b.role).token, contentType, body)
	if len(statuses) > 0 && !slices.Contains(statuses, got.status) || got.status >= 500 {
		b.Errorf("%s: %d, want %v: %.300s", what, got.status, statuses, got.body)
		return
	}
	if got.status >= 400 {
		var p problem
		err := json.Unmarshal(got.body, &p)
		if err != nil || p.Status != got.status || p.Code == "" || p.Detail == "" || p.RequestID == "" ||
			got.header.Get("Content-Type") != "application/problem+json" {
			b.Errorf("%s: not a whole problem: %.300s", what, got.body)
		}
		if p.Code == "invalid" && len(p.Errors) == 0 {
			b.Errorf("%s: names no field: %.300s", what, got.body)
		}
	} else if b.op.method != http.MethodGet {
		b.forget(b.op)
	}
}

const jsonType = "application/json"

func (b badInput) validBody() string {
	body := b.body(b.op)
	if body == nil {
		return ""
	}
	data, err := json.Marshal(body)
	return string(must(b.world, data, err))
}

func (b badInput) paths() {
	for i := range b.op.params() {
		for _, bad := range badIDs {
			ids := b.ids(b.op)
			ids[i] = bad
			b.try("id "+bad, b.op.with(ids), jsonType, b.validBody(), 404, 422, 429)
		}
	}
}

func (b badInput) queries() {
	for _, param := range b.op.doc.Parameters {
		if param.In != "query" {
			continue
		}
		for _, bad := range badQueries {
			var want []int
			if param.Name == "limit" {
				want = []int{422}
			}
			b.try(param.Name+"="+bad, b.address(b.op)+"?"+param.Name+"="+bad, jsonType, b.validBody(), want...)
		}
	}
	if strings.HasPrefix(b.op.path, "/api/") {
		b.try("unknown query parameter", b.address(b.op)+"?surprise=1", jsonType, b.validBody(), 422)
	}
}

func (b badInput) wholeBodies() {
	path := b.address(b.op)
	for _, bad := range []string{"{", "nonsense", "{} {}", "\xff", `{"a":1,}`} {
		b.try("body "+bad, path, jsonType, bad, 400)
	}
	for _, bad := range []string{"[]", `"x"`, "1", "true"} {
		b.try("body "+bad, path, jsonType, bad, 422)
	}
	if b.op.doc.RequestBody.Required {
		b.try("no body", path, jsonType, "", 400)
		b.try("body null", path, jsonType, "null", 422)
	}
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	b.try("deep nesting", path, jsonType, `{"surprise":`+deep+`}`, 422)
	var fields map[string]any
	if err := json.Unmarshal([]byte(b.validBody()), &fields); err != nil {
		fields = map[string]any{}
	}
	fields["surprise"] = 1
	data, err := json.Marshal(fields)
	b.try("unknown field", path, jsonType, string(must(b.world, data, err)), 422)
	b.try("a form", path, "application/x-www-form-urlencoded", "a=b", 415)
	b.try("plain text", path, "text/plain", b.validBody()+" ", 415)
	const most, mostOfBatch = 1<<20 + 64<<10, 32 << 20
	if b.op.id != "submit-tasks" {
		b.try("large body", path, jsonType, strings.Repeat(" ", most)+"1", 413, 422)
	}
	if strings.HasPrefix(b.op.id, "submit-task") {
		b.try("larger body", path, jsonType, strings.Repeat(" ", mostOfBatch)+"1", 413)
	}
}

// fields puts every bad value in the place of each field of the body in turn.
func (b badInput) fields() {
	for _, content := range b.op.doc.RequestBody.Content {
		valid := any(map[string]any{})
		if text := b.validBody(); text != "" {
			if err := json.Unmarshal([]byte(text), &valid); err != nil {
				b.Fatal(err)
			}
		}
		for _, bad := range b.spoil(content.Schema, valid) {
			data, err := json.Marshal(bad)
			text := string(must(b.world, data, err))
			b.try("body "+text[:min(len(text), 200)], b.address(b.op), jsonType, text)
		}
	}
}

// spoil returns copies of a value of the schema, each with one thing in it
// replaced by a bad value.
func (b badInput) spoil(s schema, valid any) []any {
	if s.Ref != "" {
		s = b.all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	var out []any
	if s.Items != nil {
		var first any
		if items, ok := valid.([]any); ok && len(items) > 0 {
			first = items[0]
		}
		for _, bad := range b.spoilPart(*s.Items, first) {
			out = append(out, []any{bad})
		}
	}
	fields, _ := valid.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		for _, bad := range b.spoilPart(s.Properties[name], fields[name]) {
			spoilt := maps.Clone(fields)
			if spoilt == nil {
				spoilt = map[string]any{}
			}
			spoilt[name] = bad
			out = append(out, spoilt)
		}
	}
	return out
}

func (b badInput) spoilPart(s schema, valid any) []any {
	var out []any
	for _, bad := range badValues {
		out = append(out, bad)
	}
	return append(out, b.spoil(s, valid)...)
}

// TestBadInputOfRawRoutes is the same for routes that huma does not know.
func TestBadInputOfRawRoutes(t *testing.T) {
	w := newWorld(t)
	for _, op := range operations(t) {
		if !op.raw {
			continue
		}
		for _, bad := range append(badQueries, "%zz", ";", url.QueryEscape(`{"a":1}`)) {
			for _, body := range []string{"", "code=%zz", strings.Repeat("a=b&", 1<<14)} {
				got := w.sendText(op.method, w.address(op)+"?x="+bad, w.person("root").token, "application/x-www-form-urlencoded", body)
				if got.status >= 500 {
					t.Errorf("%s ?x=%s %.20q: %d %s", op.id, bad, body, got.status, got.body)
				}
			}
		}
	}
}
