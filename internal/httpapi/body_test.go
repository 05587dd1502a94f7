package httpapi

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/fault"
)

// FuzzTaskSpec holds the one-pass decoder against encoding/json: what it takes
// is JSON with known fields only, and what it refuses it calls by a fault.
func FuzzTaskSpec(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"k"}`, `{"kind":"k","input":{"a":[{"b":"\"},{"}]}}`, `{"Kind":"k"}`, `{"\u006bind":"k","kind":"l"}`,
		`{"kind":"k","split":{"parts":"workers"},"reduce":{"kind":"r"}}`, `{"split":{"parts":1,"x":2}}`,
		`{"run_at":"2026-11-22T10:00:00Z"}`, `[]`, `null`, `{"a":`, `{} {}`, "\xff", `{"":1,",":{"}":2}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var body strict[TaskSpec]
		if err := unmarshal(data, &body); err != nil {
			t.Fatalf("unmarshal tells %v itself", err)
		}
		if body.err != nil {
			if kind := fault.KindOf(body.err); kind != fault.Malformed && kind != fault.Invalid {
				t.Fatalf("error %v is of kind %d", body.err, kind)
			}
			return
		}
		if !json.Valid(data) || tooNested(data) {
			t.Fatalf("took %q", data)
		}
		body.value.spec()
		known := fieldsOf(reflect.TypeFor[TaskSpec]())
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if !known[name] {
				t.Fatalf("took the unknown field %q", name)
			}
		}
	})
}

func TestFieldsIn(t *testing.T) {
	for _, tt := range []struct {
		object string
		want   []string
	}{
		{`{}`, nil},
		{` { "a" : 1 , "b":"c" } `, []string{"a", "b"}},
		{`{"a":{"b":1,"c":[{"d":2}]},"e":"f,\"g\":1"}`, []string{"a", "e"}},
		{`{"\u0061":"\\","\"":",","":[",",{"x":1}]}`, []string{"", `"`, "a"}},
		{`["a",{"b":1}]`, nil},
		{`"a"`, nil},
	} {
		object, want := tt.object, tt.want
		if !json.Valid([]byte(object)) {
			t.Fatalf("%s is no JSON", object)
		}
		names := make(map[string]bool)
		for name := range fieldsIn([]byte(object)) {
			names[name] = true
		}
		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", object, got, want)
		}
	}
}

func TestMoreItems(t *testing.T) {
	for _, tt := range []struct {
		list string
		more bool // than 3
	}{
		{`[]`, false},
		{`[1,2,3]`, false},
		{`[1,2,3,4]`, true},
		{`[[1,2,3,4],{"a":1,"b":2},"a,b,c\",d"]`, false},
		{` [ {} , {} , {} , {} ] `, true},
		{`{"a":1,"b":2,"c":3}`, false},
		{`null`, false},
	} {
		if got := moreItems([]byte(tt.list), 3); got != tt.more {
			t.Errorf("%s has more than 3: %v", tt.list, got)
		}
	}
}

// TestTooManyEntriesAreNotDecoded: three bytes of a body must not take hundreds
// of memory before they are refused.
func TestTooManyEntriesAreNotDecoded(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		into interface{ decodeBody([]byte) }
	}{
		"batch":  {`{"tasks":[` + strings.Repeat("{},", 100_000) + `{}]}`, &strict[TaskBatch]{}},
		"inputs": {`{"kind":"k","inputs":[` + strings.Repeat("0,", 100_000) + `0]}`, &strict[TaskSpec]{}},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(tt.body)
			if n := testing.AllocsPerRun(1, func() { tt.into.decodeBody(body) }); n > 100 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
