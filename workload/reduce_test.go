package workload

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestReducers(t *testing.T) {
	tests := []struct {
		name    string
		outputs []string
		want    string // or code of the error
	}{
		{"collect", nil, `[]`},
		{"collect", []string{`1`, ``, `null`, `{"a":[]}`}, `[1,null,null,{"a":[]}]`},
		{"collect", []string{`{`}, codeBadOutput},
		{"concat", nil, `[]`},
		{"concat", []string{`[]`, `[1, 2]`, `null`, ` [ ] `, `[[3]]`}, `[1,2,[3]]`},
		{"concat", []string{`"a\n"`, `""`, `"\u00fcb"`}, `"a\nüb"`},
		{"concat", []string{`[]`, `"a"`}, codeBadOutput},
		{"concat", []string{`1`}, codeBadOutput},
		{"concat", []string{`["`}, codeBadOutput},
		{"concat", []string{`"`}, codeBadOutput},
		{"sum", nil, `0`},
		{"sum", []string{`0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `0.1`, `null`}, `1`},
		{"sum", []string{`1e308`, `1e308`, `-1e308`}, `1e308`},
		{"sum", []string{`1e308`, `1e308`}, codeBadOutput},
		{"sum", []string{`{"a":1,"b":0.5}`, `{"a":2}`, `{}`}, `{"a":3,"b":0.5}`},
		{"sum", []string{`{"a":1}`, `2`}, codeBadOutput},
		{"sum", []string{`2`, `{"a":1}`}, codeBadOutput},
		{"sum", []string{`{"a":null}`}, codeBadOutput},
		{"sum", []string{`{"a":"1"}`}, codeBadOutput},
		{"sum", []string{`[1]`}, codeBadOutput},
		{"union", nil, `[]`},
		{"union", []string{`[2,1,{"a":1,"b":2}]`, `null`, `[1.0, 3, {"b":2e0, "a":1}]`}, `[2,1,{"a":1,"b":2},3]`},
		{"union", []string{`[9007199254740993,9007199254740992,-0,0,0.0,"1",1,0.5,5e-1]`}, `[9007199254740993,9007199254740992,0,"1",1,0.5]`},
		{"union", []string{`{"a":1,"b":2}`, `{"b":3,"c":[1]}`}, `{"a":1,"b":2,"c":[1]}`},
		{"union", []string{`{}`, `[]`}, codeBadOutput},
		{"union", []string{`1`}, codeBadOutput},
		{"none", []string{`1`, `2`}, `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+strings.Join(tt.outputs, " "), func(t *testing.T) {
			reducer, ok := NewReducer(tt.name)
			if !ok {
				t.Fatal("no such reducer")
			}
			got, err := addAll(reducer, tt.outputs)
			if tt.want == codeBadOutput {
				wantCode(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, got, tt.want)
		})
	}
}

func TestReducerNames(t *testing.T) {
	if want := []string{"collect", "concat", "none", "sum", "union"}; !slices.Equal(Reducers(), want) {
		t.Fatalf("%v, want %v", Reducers(), want)
	}
	if _, ok := NewReducer("mean"); ok {
		t.Fatal("mean is no generic reducer")
	}
}

func TestReducersStopAtTheLimit(t *testing.T) {
	text := `"` + strings.Repeat("x", 1<<20-20)
	for name, output := range map[string]func(i int) string{
		"collect": func(int) string { return text + `"` },
		"concat":  func(int) string { return text + `"` },
		"union":   func(i int) string { return `[` + text + string(rune('a'+i)) + `"]` },
		"sum":     func(i int) string { return `{` + text + string(rune('a'+i)) + `":1}` },
	} {
		t.Run(name, func(t *testing.T) {
			reducer, _ := NewReducer(name)
			for i := range 8 {
				if err := reducer.Add(json.RawMessage(output(i))); err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
			}
			if result, err := reducer.Result(); err != nil || len(result) > maxResult {
				t.Fatalf("%d bytes, %v", len(result), err)
			}
			wantCode(t, reducer.Add(json.RawMessage(output(8))), codeTooLarge)
		})
	}
}

func TestMeanReduceLeavesFailedPartsOut(t *testing.T) {
	got, err := reduceAll(t, "mean", `{"numbers":[1]}`, []string{
		`{"partials":[3],"count":2,"min":1,"max":2}`, `null`, `{"partials":[-3],"count":1,"min":-3,"max":-3}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, `{"mean":0,"count":3,"min":-3,"max":2}`)
	for _, outputs := range [][]string{{`null`}, {`[]`}, {`{"partials":[]}`}} {
		_, err := reduceAll(t, "mean", `{"numbers":[1]}`, outputs)
		wantCode(t, err, codeBadOutput)
	}
}

func TestEchoAndSleepCollect(t *testing.T) {
	for _, kind := range []string{"echo", "sleep"} {
		got, err := reduceAll(t, kind, `{}`, []string{`1`, `2`})
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, got, `[1,2]`)
	}
}
