package workload

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Job that keeps what it is told.
type recorder struct {
	checkpoint json.RawMessage // given to LoadCheckpoint
	saved      chan json.RawMessage

	mu       sync.Mutex
	percents []float64
	lines    []string
}

func newRecorder(checkpoint json.RawMessage) *recorder {
	return &recorder{checkpoint: checkpoint, saved: make(chan json.RawMessage, 1000)}
}

func (r *recorder) Progress(percent float64, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.percents = append(r.percents, percent)
}

func (r *recorder) Log(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *recorder) SaveCheckpoint(data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	r.saved <- text
	return nil
}

func (r *recorder) LoadCheckpoint() json.RawMessage { return r.checkpoint }

// vector is one case of protocol/testdata/workloads, shared with Python.
type vector struct {
	Name       string          `json:"name"`
	Input      json.RawMessage `json:"input"`
	Checkpoint json.RawMessage `json:"checkpoint"`
	Output     json.RawMessage `json:"output"`
	ErrorCode  string          `json:"error_code"`
}

func vectors(t rapid.TB, kind string) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "protocol", "testdata", "workloads", kind+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("no vectors for %s", kind)
	}
	return out
}

func TestVectors(t *testing.T) {
	for name, kind := range Builtin(Options{CrawlDelay: -1}) {
		for _, v := range vectors(t, name) {
			t.Run(name+"/"+v.Name, func(t *testing.T) {
				got, err := kind.Run(context.Background(), v.Input, newRecorder(v.Checkpoint))
				if v.ErrorCode != "" {
					wantCode(t, err, v.ErrorCode)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantJSON(t, got, string(v.Output))
			})
		}
	}
}

func wantCode(t rapid.TB, err error, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Message == "" || e.Retryable {
		t.Fatalf("error %v, want code %s, not retryable", err, code)
	}
}

// wantJSON compares as parsed JSON: every float to the last bit.
func wantJSON(t rapid.TB, got json.RawMessage, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func TestBadInputNamesTheField(t *testing.T) {
	kinds := Builtin(Options{})
	for _, tt := range []struct{ kind, input, want string }{
		{"sleep", `{"ms":-1}`, "ms: must be an integer from 0 to 86400000"},
		{"sleep", `{"ms":1,"s":2}`, `"s": unknown field`},
		{"factorize", `{"n":"1"}`, "n: must be at least 2 and less than 10^40"},
		{"mean", `{"numbers":[1,null]}`, "numbers[1]: must be a finite number"},
		{"mean", `{"csv":"a,b\n1,2\n3,x","column":"b"}`, `csv: row 3, column "b": "x" is not a finite number`},
		{"mean", `{"csv":"a\n1","column":"b"}`, `column: the header row has no column "b"`},
		{"crawl", `{"urls":["http://a.example/","b"]}`, "urls[1]: must be an absolute URL"},
	} {
		_, err := kinds[tt.kind].Run(context.Background(), json.RawMessage(tt.input), newRecorder(nil))
		wantCode(t, err, codeBadInput)
		if got := err.Error(); got != "bad_input: "+tt.want {
			t.Errorf("%s %s: %s", tt.kind, tt.input, got)
		}
	}
}

func TestMeanOfAMillion(t *testing.T) {
	list := strings.Repeat("0.1,", maxNumbers-1) + "0.1"
	got, err := runMean(t.Context(), json.RawMessage(`{"numbers":[`+list+`]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, `{"mean":0.1,"count":1000000,"min":0.1,"max":0.1}`)
	_, err = runMean(t.Context(), json.RawMessage(`{"numbers":[`+list+`,1]}`), nil)
	wantCode(t, err, codeBadInput)
	_, err = runMean(t.Context(), json.RawMessage(`{"csv":"a\n`+strings.Repeat(`1\n`, maxNumbers+1)+`","column":"a"}`), nil)
	wantCode(t, err, codeBadInput)
}
