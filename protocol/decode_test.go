package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/firmlight/firmlight/protocol"
)

func nested(depth int) string {
	return `{"type":"x","v":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
}

func TestMessagesMalformed(t *testing.T) {
	tests := map[string]struct {
		frame string
		good  int // messages before the error
	}{
		"empty":               {"", 0},
		"only space":          {" \n ", 0},
		"array":               {`[{"type":"pong"}]`, 0},
		"string":              {`"pong"`, 0},
		"null":                {`null`, 0},
		"text":                {`hello`, 0},
		"cut off":             {`{"type":"pong"`, 0},
		"no separator":        {`{"type":"pong"}{"type":"pong"}`, 1},
		"space as separator":  {`{"type":"pong"} {"type":"pong"}`, 1},
		"garbage after":       {`{"type":"pong"} x`, 1},
		"second is no object": {"{\"type\":\"pong\"}\n7", 1},
		"comma at the end":    {`{"type":"pong",}`, 0},
		"single quotes":       {`{'type':'pong'}`, 0},
		"leading zero":        {`{"a":01}`, 0},
		"bare minus":          {`{"a":-}`, 0},
		"no fraction":         {`{"a":1.}`, 0},
		"no exponent":         {`{"a":1e}`, 0},
		"NaN":                 {`{"a":NaN}`, 0},
		"newline in a string": {"{\"a\":\"x\ny\"}", 0},
		"bad escape":          {`{"a":"\x41"}`, 0},
		"short escape":        {`{"a":"\u12"}`, 0},
		"not UTF-8":           {"{\"a\":\"\xff\"}", 0},
		"too deep":            {nested(protocol.MaxNesting + 1), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			good, failed := 0, error(nil)
			for _, err := range protocol.Messages([]byte(tt.frame)) {
				if failed != nil {
					t.Fatal("went on after an error")
				}
				if failed = err; err == nil {
					good++
				}
			}
			if !errors.Is(failed, protocol.ErrMalformed) || good != tt.good {
				t.Errorf("%d good, then %v", good, failed)
			}
		})
	}
}

func TestMessagesAccepted(t *testing.T) {
	tests := map[string]struct{ frame, types string }{
		"one":                    {`{"type":"pong"}`, "pong"},
		"newline at the end":     {"{\"type\":\"pong\"}\n", "pong"},
		"blank lines, CR":        {"\n{\"type\":\"pong\"}\r\n\n {\"type\":\"drain\"}", "pong drain"},
		"over several lines":     {"{\n\"type\": \"pong\"\n}", "pong"},
		"type last":              {`{"a":{"type":"inner"},"type":"pong"}`, "pong"},
		"escaped":                {`{"\u0074ype":"p\u006fng"}`, "pong"},
		"type given twice":       {`{"type":"a","type":"pong"}`, "pong"},
		"as deep as is allowed":  {nested(protocol.MaxNesting), "x"},
		"type missing":           {`{}`, ""},
		"type is no string":      {`{"type":7}`, ""},
		"every kind of value":    {`{"type":"x","v":[1,-0.5e+3,"\"\\\/\b\f\n\r\t\u00e4",true,false,null,{},[]]}`, "x"},
		"another alphabet":       {`{"type":"работа"}`, "работа"},
		"half a surrogate, fine": {`{"type":"x","a":"\ud800"}`, "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var types []string
			for m, err := range protocol.Messages([]byte(tt.frame)) {
				if err != nil {
					t.Fatal(err)
				}
				types = append(types, string(m.Type))
			}
			if got := strings.Join(types, " "); got != tt.types {
				t.Errorf("got %q, want %q", got, tt.types)
			}
		})
	}
}

func TestMessagesStopsWhenAsked(t *testing.T) {
	for range protocol.Messages([]byte("{}\n{}\n{}")) {
		break
	}
}

func TestDecodeFields(t *testing.T) {
	ref := `"task":"t","attempt":1`
	long := func(n int) string { return strings.Repeat("x", n) }
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"k",`, n), ",") }
	tests := map[string]struct {
		text string
		want string // beginning of the error, "" if there is none
	}{
		"hello":             {`{"type":"hello","name":"a","kinds":["k"],"slots":0}`, ""},
		"no name":           {`{"type":"hello","kinds":["k"],"slots":1}`, "bad_field: name"},
		"64 runes":          {`{"type":"hello","name":"` + strings.Repeat("ä", 64) + `","kinds":["k"]}`, ""},
		"65 runes":          {`{"type":"hello","name":"` + strings.Repeat("ä", 65) + `","kinds":["k"]}`, "bad_field: name"},
		"control in name":   {`{"type":"hello","name":"a\tb","kinds":["k"]}`, "bad_field: name"},
		"no kinds":          {`{"type":"hello","name":"a","kinds":[]}`, "bad_field: kinds"},
		"64 kinds":          {`{"type":"hello","name":"a","kinds":[` + many(64) + `]}`, ""},
		"65 kinds":          {`{"type":"hello","name":"a","kinds":[` + many(65) + `]}`, "bad_field: kinds"},
		"kind in capitals":  {`{"type":"hello","name":"a","kinds":["Mean"]}`, "bad_field: kinds"},
		"1025 slots":        {`{"type":"hello","name":"a","kinds":["k"],"slots":1025}`, "bad_field: slots"},
		"slots a string":    {`{"type":"hello","name":"a","kinds":["k"],"slots":"4"}`, "bad_field: slots"},
		"257 groups":        {`{"type":"hello","name":"a","kinds":["k"],"groups":[` + many(257) + `]}`, "bad_field: groups"},
		"label too long":    {`{"type":"hello","name":"a","kinds":["k"],"labels":{"a":"` + long(201) + `"}}`, "bad_field: labels.a"},
		"session alone":     {`{"type":"hello","name":"a","kinds":["k"],"session":"s"}`, "bad_field: session"},
		"running alone":     {`{"type":"hello","name":"a","kinds":["k"],"running":[{` + ref + `}]}`, "bad_field: running"},
		"running attempt 0": {`{"type":"hello","name":"a","kinds":["k"],"session":"s","resume":"r","running":[{"task":"t"}]}`, "bad_field: attempt"},
		"progress":          {`{"type":"progress",` + ref + `,"percent":100}`, ""},
		"percent -1":        {`{"type":"progress",` + ref + `,"percent":-1}`, "bad_field: percent"},
		"no task":           {`{"type":"progress","attempt":1}`, "bad_field: task"},
		"half an attempt":   {`{"type":"progress","task":"t","attempt":1.5}`, "bad_field: attempt"},
		"500 runes":         {`{"type":"progress",` + ref + `,"message":"` + strings.Repeat("ä", 500) + `"}`, ""},
		"log":               {`{"type":"log",` + ref + `,"lines":["` + long(4096) + `"]}`, ""},
		"log on a stream":   {`{"type":"log",` + ref + `,"lines":[],"stream":"stdin"}`, "bad_field: stream"},
		"checkpoint null":   {`{"type":"checkpoint",` + ref + `,"data":null}`, ""},
		"checkpoint empty":  {`{"type":"checkpoint",` + ref + `}`, "bad_field: data"},
		"checkpoint, most":  {`{"type":"checkpoint",` + ref + `,"data":"` + long(256<<10-2) + `"}`, ""},
		"checkpoint, more":  {`{"type":"checkpoint",` + ref + `,"data":"` + long(256<<10-1) + `"}`, "too_large: data"},
		"output, most":      {`{"type":"result",` + ref + `,"status":"succeeded","output":"` + long(1<<20-2) + `"}`, ""},
		"output, more":      {`{"type":"result",` + ref + `,"status":"succeeded","output":"` + long(1<<20-1) + `"}`, "too_large: output"},
		"no output":         {`{"type":"result",` + ref + `,"status":"succeeded"}`, "bad_field: output"},
		"output null":       {`{"type":"result",` + ref + `,"status":"succeeded","output":null}`, ""},
		"failed, no error":  {`{"type":"result",` + ref + `,"status":"failed"}`, "bad_field: error"},
		"error a string":    {`{"type":"result",` + ref + `,"status":"failed","error":"x"}`, "bad_field: error"},
		"slots":             {`{"type":"slots","slots":1024}`, ""},
		"bad deadline":      {`{"type":"assign",` + ref + `,"deadline":"tomorrow"}`, "bad_field: assign"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := one(t, tt.text)
			err := m.Decode(newOf(m.Type))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var field *protocol.FieldError
			if !errors.As(err, &field) || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestDecodeNamesAreExact: a name that differs by case only is an unknown field.
func TestDecodeNamesAreExact(t *testing.T) {
	large := `"` + strings.Repeat("x", 1000) + `"`
	for _, text := range []string{
		`{"type":"result","task":"t","attempt":1,"status":"succeeded","output":%s,"Task":7,"STATUS":"failed","OutPut":0}`,
		`{"Output":[],"\u0053tatus":1,"type":"result","tasK":"other","taſk":{},"task":"t","attempt":1,"\u0073tatus":"succeeded","output":%s}`,
	} {
		for _, output := range []string{`"y"`, large} {
			m := one(t, fmt.Sprintf(text, output))
			before := string(m.Raw)
			var r protocol.Result
			if err := m.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if r.Task != "t" || r.Attempt != 1 || r.Status != protocol.Succeeded || string(r.Output) != output {
				t.Errorf("got %+v", r)
			}
			if string(m.Raw) != before {
				t.Error("the frame was changed")
			}
		}
	}
	var r protocol.Result
	if err := one(t, `{"type":"result","Task":"t","attempt":1,"status":"cancelled"}`).Decode(&r); err == nil {
		t.Errorf("Task was taken for task: %+v", r)
	}
}

func TestDecodeLargePayloadIsNotCopied(t *testing.T) {
	output := `["` + strings.Repeat("x", 1000) + `"]`
	m := one(t, `{"type":"result","task":"t","output":`+output+`,"attempt":3,"status":"succeeded"}`)
	var r protocol.Result
	if err := m.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if string(r.Output) != output || r.Task != "t" || r.Attempt != 3 {
		t.Errorf("got %+v", r)
	}
	if at := bytes.Index(m.Raw, r.Output); at < 0 || &m.Raw[at] != &r.Output[0] {
		t.Error("the output was copied")
	}
}

func TestDecodeClipsErrors(t *testing.T) {
	long := strings.Repeat("ä", 600)
	m := one(t, `{"type":"result","task":"t","attempt":1,"status":"failed","error":{"code":"`+long+`","message":"`+long+`"}}`)
	var r protocol.Result
	if err := m.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if c, m := utf8.RuneCountInString(r.Error.Code), utf8.RuneCountInString(r.Error.Message); c != 64 || m != 500 {
		t.Errorf("%d and %d characters", c, m)
	}
}

func TestEncode(t *testing.T) {
	tests := map[string]struct {
		msg  protocol.Encoding
		want string
	}{
		"type filled in":   {protocol.Ack{Task: "t", Attempt: 1, Accepted: true}, `{"type":"ack","task":"t","attempt":1,"accepted":true}`},
		"pointer":          {&protocol.Slots{}, `{"type":"slots","slots":0}`},
		"bare":             {protocol.Bare{Type: protocol.TypePing}, `{"type":"ping"}`},
		"no input is null": {protocol.Checkpoint{Task: "t", Attempt: 1}, `{"type":"checkpoint","task":"t","attempt":1,"data":null}`},
		"newlines go":      {protocol.Result{Task: "t", Attempt: 1, Status: protocol.Succeeded, Output: json.RawMessage("{\n\"a\":\"<\\n>\"\n}\n")}, `{"type":"result","task":"t","attempt":1,"status":"succeeded","output":{ "a":"<\n>" } }`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(protocol.Encode(tt.msg)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAppendFrame(t *testing.T) {
	ping := protocol.Bare{Type: protocol.TypePing}
	frame := protocol.AppendFrame(nil, ping, ping)
	frame = protocol.AppendFrame(frame, ping)
	if want := "{\"type\":\"ping\"}\n{\"type\":\"ping\"}\n{\"type\":\"ping\"}"; string(frame) != want {
		t.Errorf("got %s", frame)
	}
}

func TestCheckValue(t *testing.T) {
	for text, ok := range map[string]bool{"[[]]": true, "[[[]]]": false, " 1 ": true, "1 2": false, "": false, "tru": false} {
		if err := protocol.CheckValue([]byte(text), 2); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReconnects(t *testing.T) {
	for code, want := range map[int]bool{1000: false, 1001: true, 1006: true, 1009: true, 4400: false, 4401: false,
		4403: false, 4409: false, 4429: true, 4499: false, 4500: true, 4503: true, 4508: true, 4513: true} {
		if got := protocol.Reconnects(code); got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
}

// The decoder never panics, agrees with encoding/json about what JSON is, and
// what it has read once stays the same when written and read again.
func FuzzMessages(f *testing.F) {
	for _, lines := range transcripts(f) {
		for _, l := range lines {
			f.Add([]byte(l.text))
		}
	}
	for _, seed := range []string{"", "{}\n{}", `{"type":"x","input":[1e5,-0,"\ud800"]}`, `{"a":{"type":1}} {}`, nested(64), nested(65)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for m, err := range protocol.Messages(frame) {
			if err != nil {
				if !errors.Is(err, protocol.ErrMalformed) {
					t.Fatalf("%v", err)
				}
				return
			}
			if !json.Valid(m.Raw) {
				t.Fatalf("not JSON: %q", m.Raw)
			}
			checkStable(t, m)
		}
	})
}

func checkStable(t *testing.T, m protocol.Message) {
	first, again := newOf(m.Type), newOf(m.Type)
	if first == nil || m.Decode(first) != nil {
		return
	}
	text := protocol.Encode(first)
	if bytes.IndexByte(text, '\n') >= 0 {
		t.Fatalf("a newline in %q", text)
	}
	if err := one(t, string(text)).Decode(again); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if !reflect.DeepEqual(parsed(t, protocol.Encode(again)), parsed(t, text)) {
		t.Fatalf("%s became %s", text, protocol.Encode(again))
	}
}

// FuzzCheckValue compares the scanner with encoding/json.
func FuzzCheckValue(f *testing.F) {
	for _, seed := range []string{"1", "-0.5E-7", `"\u00e4\n"`, "[1,{}]", "[1,]", `{"a":1,"b":[true,false,null]}`, "01", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := protocol.CheckValue(text, len(text)+1) == nil; got != json.Valid(text) {
			t.Errorf("%q: %v", text, got)
		}
	})
}

func BenchmarkDecodeResult1MiB(b *testing.B) {
	frame := protocol.Encode(protocol.Result{Task: "t", Attempt: 1, Status: protocol.Succeeded,
		Output: json.RawMessage("[" + strings.Repeat("123456,", 140000) + "0]")})
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		for m, err := range protocol.Messages(frame) {
			var r protocol.Result
			if err != nil || m.Decode(&r) != nil {
				b.Fatal(err)
			}
		}
	}
}
