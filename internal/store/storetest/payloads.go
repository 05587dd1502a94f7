package storetest

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func (f *fixture) input(id string) (string, error) {
	in, err := f.Payloads.Input(f.ctx, id)
	return string(in), err
}

func testPayloads(f *fixture) {
	big := strings.Repeat("x", 8<<20)
	t := f.insert(func(n *tasks.New) { n.Input = []byte(big) })
	in, err := f.input(t.ID)
	f.ok(err)
	f.equal("input is whole", in == big, true)
	none := f.insert()
	if in, err := f.Payloads.Input(f.ctx, none.ID); in != nil || err != nil {
		f.Errorf("no input: %q, %v", in, err)
	}
	if _, err := f.Payloads.Output(f.ctx, t.ID); !errors.Is(err, tasks.ErrNoResult) {
		f.Errorf("no result yet: %v", err)
	}
	f.apply(tasks.Succeed(f.claim(t, "s"), []byte(big), f.now))
	out, err := f.Payloads.Output(f.ctx, t.ID)
	f.ok(err)
	f.equal("output is whole", string(out) == big, true)
	for what, read := range map[string]func(string) error{
		"input":  func(id string) error { _, err := f.Payloads.Input(f.ctx, id); return err },
		"output": func(id string) error { _, err := f.Payloads.Output(f.ctx, id); return err },
	} {
		if err := read(newID()); !errors.Is(err, tasks.ErrNotFound) {
			f.Errorf("%s of an unknown task: %v", what, err)
		}
	}
}

// testOutputRace: of many results at once the output that is kept is that of the
// one which was accepted.
func testOutputRace(f *fixture) {
	for range 5 {
		t := f.claim(f.insert(), "s")
		outputs := make([]string, 8)
		f.equal("results accepted", f.together(len(outputs), func(i int) (bool, error) {
			_, ok, err := f.Tasks.Apply(f.ctx, tasks.Succeed(t, []byte(strconv.Itoa(i)), f.now))
			if ok {
				outputs[i] = "accepted"
			}
			return ok, err
		}), 1)
		out, err := f.Payloads.Output(f.ctx, t.ID)
		f.ok(err)
		if i, err := strconv.Atoi(string(out)); err != nil || outputs[i] != "accepted" {
			f.Errorf("output %q is not that of the accepted result: %q", out, outputs)
		}
	}
}

func testOutputs(f *fixture) {
	const parts = 40
	for i := parts - 1; i >= 0; i-- {
		t := f.claim(f.insert(child("p", strconv.Itoa(i), i)), "s")
		if i%7 == 3 {
			f.apply(tasks.FailAttempt(t, protocol.TaskError{Code: "c"}, f.now))
		} else {
			f.apply(tasks.Succeed(t, []byte(strconv.Itoa(i)), f.now))
		}
	}
	f.apply(tasks.Succeed(f.claim(f.insert(child("p", tasks.ReduceKey, -1)), "s"), []byte("no"), f.now))
	next := 0
	f.ok(f.Payloads.Outputs(f.ctx, "p", func(i int, out []byte) error {
		f.equal("index", i, next)
		if i%7 == 3 {
			f.equal("output of a failed part", out == nil, true)
		} else {
			f.equal("output", string(out), strconv.Itoa(i))
		}
		next++
		return nil
	}))
	f.equal("parts", next, parts)
	enough, calls := errors.New("enough"), 0
	err := f.Payloads.Outputs(f.ctx, "p", func(int, []byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		f.Errorf("after %d calls: %v", calls, err)
	}
}

func testCheckpoint(f *fixture) {
	save := func(t tasks.Task, attempt int, session, data string) bool {
		ok, err := f.Payloads.SaveCheckpoint(f.ctx, t.ID, attempt, session, []byte(data))
		f.ok(err)
		return ok
	}
	wants := func(t tasks.Task, want string) {
		f.Helper()
		got, err := f.Payloads.Checkpoint(f.ctx, t.ID)
		f.ok(err)
		if string(got) != want || (got == nil) != (want == "") {
			f.Errorf("checkpoint %q, want %q", got, want)
		}
	}
	t := f.insert()
	f.equal("of a waiting task", save(t, 0, "", "0"), false)
	t = f.claim(t, "s")
	wants(t, "")
	f.equal("of its owner", save(t, 1, "s", "1"), true)
	f.equal("of its owner again", save(t, 1, "s", "2"), true)
	f.equal("of another session", save(t, 1, "s2", "no"), false)
	f.equal("of another attempt", save(t, 2, "s", "no"), false)
	wants(t, "2")
	t = f.claim(f.apply(tasks.Lose(t, tasks.Loss{}, f.now)), "s2")
	f.equal("of the one before", save(t, 1, "s", "no"), false)
	wants(t, "2")
	f.apply(tasks.Succeed(t, nil, f.now))
	f.equal("after the end", save(t, 2, "s2", "no"), false)
	if got, err := f.Payloads.Checkpoint(f.ctx, newID()); got != nil || err != nil {
		f.Errorf("of an unknown task: %q, %v", got, err)
	}
}

// appendLog adds lines of one attempt and returns whether they were kept.
func (f *fixture) appendLog(t tasks.Task, lines ...string) bool {
	f.Helper()
	ls := make([]tasks.LogLine, len(lines))
	for i, l := range lines {
		ls[i] = tasks.LogLine{At: f.now, Attempt: t.Attempt, Stream: "stdout", Line: l}
	}
	ok, err := f.Payloads.AppendLog(f.ctx, t.ID, t.Attempt, t.Session, ls)
	f.ok(err)
	for i := range ls {
		if ok && (ls[i].Seq == 0 || i > 0 && ls[i].Seq != ls[i-1].Seq+1) {
			f.Fatalf("line %d has number %d", i, ls[i].Seq)
		}
	}
	return ok
}

func (f *fixture) log(t tasks.Task, after int64, limit int) ([]tasks.LogLine, int64) {
	f.Helper()
	lines, dropped, err := f.Payloads.Log(f.ctx, t.ID, after, limit)
	f.ok(err)
	return lines, dropped
}

func testLog(f *fixture) {
	t := f.insert()
	f.equal("of a waiting task", f.appendLog(t, "no"), false)
	t = f.claim(t, "s")
	f.equal("of its owner", f.appendLog(t, "one", "two"), true)
	f.equal("nothing", f.appendLog(t), true)
	old := t
	t = f.claim(f.apply(tasks.Lose(t, tasks.Loss{}, f.now)), "s2")
	f.equal("of the one before", f.appendLog(old, "no"), false)
	f.equal("of the next", f.appendLog(t, "three"), true)
	lines, dropped := f.log(t, 0, 100)
	f.equal("dropped", dropped, int64(0))
	f.equal("lines", len(lines), 3)
	f.equal("third", lines[2], tasks.LogLine{Seq: lines[2].Seq, At: f.now, Attempt: 2, Stream: "stdout", Line: "three"})
	rest, _ := f.log(t, lines[0].Seq, 1)
	f.equal("one after the first", rest, lines[1:2])
	if lines, dropped, err := f.Payloads.Log(f.ctx, newID(), 0, 10); len(lines) != 0 || dropped != 0 || err != nil {
		f.Errorf("of an unknown task: %v, %d, %v", lines, dropped, err)
	}
}

func testLogLimits(f *fixture) {
	many := func(n, size int) []string {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = strings.Repeat("ö", size/2) + strings.Repeat("x", size%2)
		}
		return lines
	}
	const perLine = tasks.MaxLogBytes / 64
	for _, test := range []struct {
		name    string
		batches [][]string
		kept    int
		dropped int64
	}{
		{"as many lines as fit", [][]string{many(tasks.MaxLogLines-1, 1), many(1, 1)}, tasks.MaxLogLines, 0},
		{"one line more", [][]string{many(tasks.MaxLogLines, 1), many(1, 1)}, tasks.MaxLogLines, 1},
		{"more lines at once", [][]string{many(5, 1), many(tasks.MaxLogLines+7, 1)}, tasks.MaxLogLines, 12},
		{"as many bytes as fit", [][]string{many(32, perLine), many(32, perLine)}, 64, 0},
		{"one byte more", [][]string{many(64, perLine), many(1, 1)}, 64, 1},
		{"one byte more at once", [][]string{many(1, 1), append(many(64, perLine), "x")}, 64, 2},
		{"a long line drops several", [][]string{many(64, perLine), many(1, 3*perLine)}, 62, 3},
	} {
		t := f.claim(f.insert(), "s")
		total := 0
		for _, batch := range test.batches {
			f.equal(test.name, f.appendLog(t, batch...), true)
			total += len(batch)
		}
		lines, dropped := f.log(t, 0, 5000)
		f.equal(test.name+": kept", len(lines), test.kept)
		f.equal(test.name+": dropped", dropped, test.dropped)
		f.equal(test.name+": all", len(lines)+int(dropped), total)
		bytes := 0
		for i, l := range lines {
			bytes += len(l.Line)
			if i > 0 && l.Seq != lines[i-1].Seq+1 {
				f.Errorf("%s: line %d follows %d", test.name, l.Seq, lines[i-1].Seq)
			}
		}
		if bytes > tasks.MaxLogBytes || len(lines) > tasks.MaxLogLines {
			f.Errorf("%s: %d lines, %d bytes", test.name, len(lines), bytes)
		}
	}
}

func testDrop(f *fixture) {
	full := func(mods ...func(*tasks.New)) tasks.Task {
		t := f.claim(f.insert(append(mods, func(n *tasks.New) { n.Input = []byte("1") })...), "s")
		f.appendLog(t, "line")
		_, err := f.Payloads.SaveCheckpoint(f.ctx, t.ID, 1, "s", []byte("2"))
		f.ok(err)
		return t
	}
	parent := full()
	part := f.apply(tasks.Succeed(full(child(parent.ID, "0", 0)), []byte("3"), f.now))
	other := f.apply(tasks.Succeed(full(), []byte("3"), f.now))
	f.ok(f.Payloads.Drop(f.ctx, parent.ID, f.now))
	if in, err := f.input(parent.ID); in != "1" || err != nil {
		f.Errorf("a task that runs was dropped: %q, %v", in, err)
	}
	f.apply(tasks.Succeed(parent, []byte("4"), f.now))
	f.ok(f.Payloads.Drop(f.ctx, parent.ID, f.now.Add(time.Second)))
	f.ok(f.Payloads.Drop(f.ctx, parent.ID, f.now.Add(time.Hour))) // again: nothing changes
	f.ok(f.Payloads.Drop(f.ctx, newID(), f.now))
	for _, t := range []tasks.Task{parent, part} {
		f.equal("dropped at", f.get(t.ID).DroppedAt, f.now.Add(time.Second))
		_, err := f.input(t.ID)
		if !errors.Is(err, tasks.ErrDropped) {
			f.Errorf("input: %v", err)
		}
		if _, err := f.Payloads.Output(f.ctx, t.ID); !errors.Is(err, tasks.ErrDropped) {
			f.Errorf("output: %v", err)
		}
		if cp, err := f.Payloads.Checkpoint(f.ctx, t.ID); cp != nil || err != nil {
			f.Errorf("checkpoint: %q, %v", cp, err)
		}
		lines, _ := f.log(t, 0, 10)
		f.equal("log", len(lines), 0)
	}
	f.equal("another's", f.get(other.ID).DroppedAt, time.Time{})
	out, err := f.Payloads.Output(f.ctx, other.ID)
	f.ok(err)
	f.equal("another's output", string(out), "3")
	f.ok(f.Payloads.Outputs(f.ctx, parent.ID, func(_ int, out []byte) error {
		f.equal("output among the parts", out == nil, true)
		return nil
	}))
}

func testHistory(f *fixture) {
	t := f.insert()
	entries := []tasks.Entry{
		{At: f.now.Add(time.Hour), Event: tasks.EvLost, Attempt: 1, Worker: "w", Session: "s", Detail: "gone"},
		{At: f.now, Event: tasks.EvLateRefused, Attempt: 1},
	}
	for _, e := range entries {
		f.ok(f.Payloads.AddHistory(f.ctx, t.ID, e))
	}
	got, err := f.Payloads.History(f.ctx, t.ID)
	f.ok(err)
	f.equal("history, as it was appended", got, entries)
	if err := f.Payloads.AddHistory(f.ctx, newID(), entries[0]); !errors.Is(err, tasks.ErrNotFound) {
		f.Errorf("of an unknown task: %v", err)
	}
	n := f.together(20, func(int) (bool, error) { return true, f.Payloads.AddHistory(f.ctx, t.ID, entries[0]) })
	got, err = f.Payloads.History(f.ctx, t.ID)
	f.ok(err)
	f.equal("entries", len(got), n+len(entries))
}
