package main

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

func TestPercentileAndMedian(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 … 1: not sorted
	}
	for _, c := range []struct {
		values            []float64
		p50, p99, p100, m float64
	}{
		{hundred, 50, 99, 100, 50.5},
		{[]float64{7}, 7, 7, 7, 7},
		{[]float64{3, 1, 2}, 2, 3, 3, 2},
	} {
		if p50, p99, p100 := percentile(c.values, 50), percentile(c.values, 99), percentile(c.values, 100); p50 != c.p50 || p99 != c.p99 || p100 != c.p100 {
			t.Errorf("percentiles 50, 99, 100 are %v, %v, %v, want %v, %v, %v", p50, p99, p100, c.p50, c.p99, c.p100)
		}
		if got := median(c.values); got != c.m {
			t.Errorf("median is %v, want %v", got, c.m)
		}
	}
	if hundred[0] != 100 {
		t.Error("the values were sorted in place")
	}
	if !math.IsNaN(percentile(nil, 50)) || !math.IsNaN(median(nil)) {
		t.Error("nothing has a percentile")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0.456: "0.46", 9.99: "9.99", 12.34: "12.3", 123.4: "123", 999.6: "1,000",
		12345: "12,345", 1234567: "1,234,567", -123: "-123", -1234: "-1,234", math.NaN(): "–",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestGoals(t *testing.T) {
	for name, c := range map[string]struct {
		r         row
		goal, met string
	}{
		"at most, reached":    {newRow("P5", "x", "ms", 0.5, 3, 0.9).atMost(1), "≤ 1 ms", "yes"},
		"at most, missed":     {newRow("P8", "x", "s", 10.6).atMost(10.5), "≤ 10.5 s", "no"},
		"at most, round":      {newRow("P9", "x", "MB", 50).atMost(60), "≤ 60 MB", "yes"},
		"at least, just so":   {newRow("P9", "x", "/s", 2000).atLeast(2000), "≥ 2,000 /s", "yes"},
		"at least, missed":    {newRow("P4", "x", "", 0.5).atLeast(0.9), "≥ 0.9", "no"},
		"figure without goal": {newRow("P5", "x", "ms", 1), "–", "–"},
	} {
		if c.r.Goal != c.goal || c.r.Met != c.met {
			t.Errorf("%s: goal %q met %q, want %q %q", name, c.r.Goal, c.r.Met, c.goal, c.met)
		}
	}
}

func TestTable(t *testing.T) {
	rep := report{
		At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Machine: machine{Commit: "abc1234", Cores: 2, CPU: "test", Stolen: coreTime{1300, 30}.stolenSince(coreTime{300, 5})},
		Rows:     []row{newRow("P5", "dispatch", "ms", 0.9, 0.4, 0.5).atMost(1).note("%d a round", 500).note("quiet")},
		Failures: []string{"P9: no\nfolder"},
	}
	const line = "| P5 | dispatch | ≤ 1 ms | 0.50 [0.40–0.90] ms | yes | 500 a round; quiet |\n"
	md := string(rep.markdown())
	for _, want := range []string{line, "commit abc1234", "2.5 % of the cores' time stolen", "Failed: P9: no folder\n"} {
		if !strings.Contains(md, want) {
			t.Errorf("the page lacks %q:\n%s", want, md)
		}
	}
	var text bytes.Buffer
	rep.text(&text)
	for _, want := range []string{"0.50 [0.40–0.90] ms                   yes\n", "P5 dispatch: 500 a round; quiet", "FAILED P9: no folder\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the terminal's table lacks %q:\n%s", want, text.String())
		}
	}
}

func TestReplaceTable(t *testing.T) {
	page := []byte("before\n" + tableFrom + "old\n" + tableTo + "after\n")
	got, err := replaceTable(page, []byte("new\n"))
	if want := "before\n" + tableFrom + "new\n" + tableTo + "after\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := replaceTable([]byte("no marks"), nil); err == nil {
		t.Error("a page without marks was taken")
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-only", "P5,P9", "-short"}, &bytes.Buffer{})
	if err != nil || strings.Join(o.only, " ") != "P5 P9" || o.rounds != 2 {
		t.Errorf("got %+v, %v", o, err)
	}
	if o, err := parse(nil, &bytes.Buffer{}); err != nil || !slices.Contains(o.only, "P1") || slices.Contains(o.only, "backlog") {
		t.Errorf("without -only: %v, %v", o.only, err)
	}
	if o, err := parse([]string{"-only", "growth"}, &bytes.Buffer{}); err != nil || slices.Contains(o.only, "P1") || !slices.Contains(o.only, "backlog") {
		t.Errorf("growth: %v, %v", o.only, err)
	}
	if _, err := parse([]string{"-only", "P99"}, &bytes.Buffer{}); err == nil {
		t.Error("a figure that does not exist was taken")
	}
}

func TestAttemptOf(t *testing.T) {
	line := protocol.Encode(protocol.Assign{Task: "0190", Attempt: 12, Kind: "noop", Input: []byte(`{"task":"x","attempt":3}`)})
	got, err := attemptOf(line)
	if want := (protocol.AttemptRef{Task: "0190", Attempt: 12}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if !bytes.HasPrefix(line, assignStart) || !bytes.HasPrefix(protocol.Encode(protocol.Ack{Accepted: true}), ackStart) ||
		!bytes.Contains(protocol.Encode(protocol.Ack{Accepted: true}), accepted) {
		t.Error("the server no longer writes messages as they are recognised here")
	}
	if _, err := attemptOf([]byte(`{"type":"assign"}`)); err == nil {
		t.Error("an assign without an attempt was taken")
	}
}

func TestTally(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var c tally
	c.start()
	c.add(3, 2, 0)
	c.add(0, 1, 0)
	if last, err := c.await(ctx, 3); err != nil || last.IsZero() || c.remarks() != "" {
		t.Errorf("await: %v, %v; remarks %q", last, err, c.remarks())
	}
	if _, err := c.await(ctx, 2); err == nil {
		t.Error("more done than accepted, and nobody says so")
	}
	cancel()
	if _, err := c.await(ctx, 4); err == nil {
		t.Error("await went past the end of its context")
	}
	c.add(1, 0, 2)
	c.strange("cancel")
	if got, want := c.remarks(), "4 assigned for 3 done, 2 results refused, 1 × cancel"; got != want {
		t.Errorf("remarks are %q, want %q", got, want)
	}
}

func TestShares(t *testing.T) {
	traces := []byte(`File: server
Duration: 6s, Total samples = 100ms (1.67%)
-----------+-------------------------------------------------------
      30ms   runtime.mallocgc
             encoding/json.Unmarshal
             internal/httpapi.(*API).checkEvent
             internal/httpapi.(*API).observe.func1
-----------+-------------------------------------------------------
      10ms   internal/httpapi.(*API).observe.func1 (inline)
-----------+-------------------------------------------------------
      60ms   modernc.org/sqlite/lib.Xstep
             internal/store/sqlite.(*writer).loop
-----------+-------------------------------------------------------
     100ms   runtime.somethingElse
-----------+-------------------------------------------------------
`)
	got, err := shares(traces, ingestStages, 0)
	want := "of the server's CPU: other 50 %, the store's writer 30 %, decode and validate 15 %, route, id, log, metrics 5 %"
	if err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	got, err = shares(traces, taskStages, 200*time.Microsecond)
	want = "the server's CPU in a round with a profile, per task: other 140 µs, commit and counters 60 µs"
	if err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := shares([]byte("Duration: 6s, Total samples = 0\n"), ingestStages, 0); err == nil {
		t.Error("an empty profile has no shares")
	}
}

func TestLoadResult(t *testing.T) {
	good := loadResult{Warmup: map[string]int{"201": 10}, Codes: map[string]int{"201": 50}, Seconds: 2, events: 4}
	if good.check("201") != nil || good.rate() != 100 || good.sent() != 240 {
		t.Errorf("check %v, rate %v, sent %v", good.check("201"), good.rate(), good.sent())
	}
	for name, spoil := range map[string]func(*loadResult){
		"a repeat":        func(r *loadResult) { r.Codes = map[string]int{"201": 50, "200": 1} },
		"a refusal early": func(r *loadResult) { r.Warmup = map[string]int{"429": 10} },
		"a timeout":       func(r *loadResult) { r.Errors = 1 },
		"no answer":       func(r *loadResult) { r.Codes = nil },
	} {
		r := good
		if spoil(&r); r.check("201") == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestEventRows(t *testing.T) {
	round := func(n int) loadResult {
		return loadResult{Codes: map[string]int{"201": n}, Seconds: 1, events: 1}
	}
	rows := eventRows([]*target{
		{rounds: []loadResult{round(4000), round(2000), round(3000)}},
		{peer: peer{"slow", "a slow peer", 10}, rounds: []loadResult{round(300), round(250), round(300)}},
	})
	if len(rows) != 3 || rows[0].Median != 3000 || rows[1].Median != 300 {
		t.Fatalf("rows are %+v", rows)
	}
	// Each ratio is of one round: 13.3, 8 and 10.
	if r := rows[2]; r.What != "Firmlight / slow" || r.Median != 10 || r.Min != 8 || r.Met != "yes" {
		t.Errorf("the ratio is %+v", r)
	}
}

func TestAgainst(t *testing.T) {
	ours, theirs := newRow("P3", "ours", "/s", 300, 100), newRow("P3", "theirs", "/s", 100, 100)
	if r := against("P3", "x", ours, theirs, 1.5); r.Median != 2 || r.Min != 1 || r.Max != 3 || r.Met != "yes" {
		t.Errorf("the ratio is %+v", r)
	}
	if r := against("P3", "x", ours, theirs, 0); r.Goal != "–" || r.Met != "–" {
		t.Errorf("a ratio without a goal is %+v", r)
	}
}

func TestIOReply(t *testing.T) {
	for frame, want := range map[string]string{
		`2`:                           `3`,
		`4217["task","9",{"n":"[1"}]`: `4317[{"ok":true}]`,
	} {
		if got, err := ioReply(nil, []byte(frame)); err != nil || string(got) != want {
			t.Errorf("the answer to %s is %s, %v, want %s", frame, got, err, want)
		}
	}
	for _, frame := range []string{"", "41", `42["task"]`, `44{"message":"no"}`, "421"} {
		if got, err := ioReply(nil, []byte(frame)); err == nil {
			t.Errorf("%q was answered with %q", frame, got)
		}
	}
}

// course is a pipeline whose progress is written down.
type course struct {
	pipeline
	steps []progress
}

func (c *course) name() string { return "course" }

func (c *course) progress(context.Context) (progress, error) {
	got := c.steps[0]
	if len(c.steps) > 1 {
		c.steps = c.steps[1:]
	}
	return got, nil
}

func TestSettled(t *testing.T) {
	p := &course{steps: []progress{
		{accepted: 9, done: 9}, {accepted: 9, done: 9}, // not all that were answered
		{accepted: 10, done: 10}, {accepted: 12, done: 10}, // two whose answer nobody saw
		{accepted: 12, done: 12},
	}}
	if got, err := settled(t.Context(), p, 10); err != nil || got.done != 12 {
		t.Errorf("settled with %+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := settled(ctx, &course{steps: []progress{{accepted: 3, done: 2}}}, 3); err == nil {
		t.Error("a task is missing, and nobody says so")
	}
}

func TestPost(t *testing.T) {
	got := string(post{"127.0.0.1:80", "/tasks", "secret", `{}`}.bytes())
	if want := "POST /tasks HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAuthorization: Bearer secret\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWatchRows(t *testing.T) {
	one := func(steps float64) []watchResult { return []watchResult{{steps: steps, p50: 1, p99: 2}} }
	rows := watchRows([]string{"a", "b", "c"}, [3][]watchResult{one(5000), one(4800), one(4000)}, "HTTP 3 µs")
	if len(rows) != 11 || rows[9].Median != 0.96 || rows[9].Met != "yes" || rows[10].Median != 0.8 || rows[10].Met != "no" {
		t.Errorf("rows are %+v", rows)
	}
}
