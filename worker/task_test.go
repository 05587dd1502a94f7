package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

func TestOutcomes(t *testing.T) {
	returns := func(v any, err error) Handler {
		return func(context.Context, *Task) (any, error) { return v, err }
	}
	tests := map[string]struct {
		handler Handler
		status  protocol.ResultStatus
		want    string // output, or code and beginning of the message and retryable
	}{
		"value":          {returns(map[string]int{"a": 1}, nil), protocol.Succeeded, `{"a":1}`},
		"nil":            {returns(nil, nil), protocol.Succeeded, `null`},
		"raw":            {returns(json.RawMessage(`{"a": "<b>"}`), nil), protocol.Succeeded, `{"a": "<b>"}`},
		"empty raw":      {returns(json.RawMessage(nil), nil), protocol.Succeeded, `null`},
		"error":          {returns(nil, io.ErrUnexpectedEOF), protocol.Failed, "error: unexpected EOF true"},
		"fail for good":  {returns(nil, Fail("no_disk", "full", false)), protocol.Failed, "no_disk: full false"},
		"wrapped":        {returns(nil, fmt.Errorf("on sda: %w", Fail("no_disk", "full", true))), protocol.Failed, "no_disk: full true"},
		"workload error": {returns(nil, &workload.Error{Code: "bad_input", Message: "n"}), protocol.Failed, "bad_input: n false"},
		"no code":        {returns(nil, Fail("", "?", true)), protocol.Failed, "error: ? true"},
		"long message":   {returns(nil, errors.New(strings.Repeat("ä", 600))), protocol.Failed, "error: " + strings.Repeat("ä", 499) + "… true"},
		"reject":         {returns(nil, Reject("busy with other things")), protocol.Rejected, ""},
		"own deadline":   {returns(nil, context.DeadlineExceeded), protocol.Failed, "error: context deadline exceeded true"},
		"no JSON":        {returns(make(chan int), nil), protocol.Failed, "bad_output: json: unsupported type: chan int false"},
		"NaN":            {returns(math.NaN(), nil), protocol.Failed, "bad_output: json: unsupported value: NaN false"},
		"bad raw":        {returns(json.RawMessage(`{"a":}`), nil), protocol.Failed, "bad_output: not JSON at byte 5 false"},
		"not UTF-8":      {returns(json.RawMessage("\"\xff\""), nil), protocol.Failed, "bad_output: not UTF-8 false"},
		"too deep":       {returns(json.RawMessage(strings.Repeat("[", 64)+strings.Repeat("]", 64)), nil), protocol.Failed, "bad_output: nested too deeply false"},
		"as large as can be": {returns(json.RawMessage(`"`+strings.Repeat("x", 1<<20-2)+`"`), nil), protocol.Succeeded,
			`"` + strings.Repeat("x", 1<<20-2) + `"`},
		"too large": {returns(strings.Repeat("x", 1<<20-1), nil), protocol.Failed, "message_too_large: the output has 1048577 bytes, 1048576 are allowed false"},
		"bad input": {func(_ context.Context, task *Task) (any, error) { var n int; return n, task.Decode(&n) },
			protocol.Failed, "bad_input: json: cannot unmarshal object into Go value of type int false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				s.start(s.options(), map[string]Handler{"k": tt.handler})
				p := s.open()
				p.send(assignment("t", 1, "k", `{}`))
				r := p.finished("t", 1, tt.status)
				got := string(r.Output)
				if r.Error != nil {
					got = fmt.Sprintf("%s: %s %v", r.Error.Code, r.Error.Message, r.Error.Retryable)
				}
				if got != tt.want {
					t.Errorf("\n got %.200s\nwant %.200s", got, tt.want)
				}
			})
		})
	}
}

func TestTaskFields(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		got := make(chan Task, 1)
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			got <- *task
			return nil, nil
		}})
		p := s.open()
		a, index := assignment("t", 3, "k", `[1]`), 0
		a.Parent, a.Index, a.Count, a.Checkpoint = "parent", &index, 10, json.RawMessage(`{"n":1}`)
		p.send(a)
		p.finished("t", 3, protocol.Succeeded)
		task := <-got
		if task.ID != "t" || task.Attempt != 3 || task.Kind != "k" || task.Group != "g" || string(task.Input) != "[1]" ||
			task.Parent != "parent" || task.Index != 0 || task.Count != 10 || string(task.LoadCheckpoint()) != `{"n":1}` || task.Logger == nil {
			t.Errorf("task: %+v", task)
		}
	})
}

func TestPanicFailsTheAttemptOnly(t *testing.T) {
	handlers := map[string]Handler{
		"panic":  func(context.Context, *Task) (any, error) { panic("ouch") },
		"goexit": func(context.Context, *Task) (any, error) { runtime.Goexit(); return nil, nil },
		"echo":   echo,
	}
	for kind, message := range map[string]string{"panic": "ouch", "goexit": "the handler called runtime.Goexit"} {
		t.Run(kind, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				s.start(s.options(), handlers)
				p := s.open()
				p.send(assignment("t", 1, kind, "1"))
				var stack protocol.Log
				p.receive(protocol.TypeLog, &stack)
				if text := strings.Join(stack.Lines, "\n"); !strings.Contains(text, message) || !strings.Contains(text, "task_test.go") {
					t.Errorf("log: %s", text)
				}
				r := p.finished("t", 1, protocol.Failed)
				if want := (protocol.TaskError{Code: "panic", Message: message, Retryable: true}); *r.Error != want {
					t.Errorf("error: %+v", r.Error)
				}
				p.send(assignment("t", 2, "echo", "1"))
				p.finished("t", 2, protocol.Succeeded)
			})
		})
	}
}

func TestTimeAndCancelHaveCauses(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		causes := make(chan error, 2)
		s.start(s.options(), map[string]Handler{"wait": func(ctx context.Context, _ *Task) (any, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, context.Cause(ctx)
		}})
		p := s.open()
		a := assignment("t", 1, "wait", "1")
		a.TimeoutMS = 60_000
		began := time.Now()
		p.send(a)
		p.finished("t", 1, protocol.Cancelled)
		if err, took := <-causes, time.Since(began); !errors.Is(err, ErrTimeout) || took != time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		p.send(assignment("t", 2, "wait", "1"))
		p.send(protocol.Cancel{Task: "t", Attempt: 2, Reason: protocol.CancelRequested})
		p.finished("t", 2, protocol.Cancelled)
		var cancelled *CancelError
		if err := <-causes; !errors.As(err, &cancelled) || cancelled.Reason != protocol.CancelRequested {
			t.Errorf("cause: %v", err)
		}
	})
}

func TestRejects(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		w := s.start(s.options(), map[string]Handler{"wait": untilCancelled})
		p := s.open()
		p.send(assignment("a", 1, "other", "1"))
		p.finished("a", 1, protocol.Rejected)
		p.send(assignment("b", 1, "wait", "1"), assignment("c", 1, "wait", "1"), assignment("d", 1, "wait", "1"))
		p.finished("d", 1, protocol.Rejected)
		w.SetSlots(5000)
		var slots protocol.Slots
		p.receive(protocol.TypeSlots, &slots)
		if slots.Slots != protocol.MaxSlots {
			t.Errorf("slots: %d", slots.Slots)
		}
		p.send(assignment("d", 2, "wait", "1"), protocol.Cancel{Task: "d", Attempt: 2})
		p.finished("d", 2, protocol.Cancelled)
		p.drop()
		p = s.next()
		if want := []protocol.AttemptRef{{Task: "b", Attempt: 1}, {Task: "c", Attempt: 1}}; !reflect.DeepEqual(p.hello.Running, want) || p.hello.Slots != 1024 {
			t.Errorf("hello: %s", p.helloRaw)
		}
	})
}

func TestAssignedTwiceRunsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		runs := 0
		s.start(s.options(), map[string]Handler{"k": func(context.Context, *Task) (any, error) { runs++; return runs, nil }})
		p := s.open()
		p.send(assignment("t", 1, "k", "1"))
		p.result()
		p.send(assignment("t", 1, "k", "1"))
		p.finished("t", 1, protocol.Succeeded)
		synctest.Wait()
		if runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}

// A result goes out again every 10 s until the ack, and never after it.
func TestLostAck(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"echo": echo})
		p := s.open()
		p.send(assignment("a", 1, "echo", "1"), assignment("b", 1, "echo", "1"))
		for range 2 {
			p.result()
		}
		p.send(protocol.Ack{Task: "b", Attempt: 1, Accepted: true})
		for range 3 {
			sent := time.Now()
			if r := p.result(); r.Task != "a" || time.Since(sent) != resendAfter {
				t.Errorf("%s again after %v", r.Task, time.Since(sent))
			}
		}
		p.send(protocol.Ack{Task: "a", Attempt: 1, Reason: protocol.NotOwner})
		pass(time.Minute)
		p.closeWith(protocol.CloseInternal, "")
		if p = s.next(); len(p.hello.Running) != 0 {
			t.Errorf("hello: %s", p.helloRaw)
		}
	})
}

// Results come in the order the handlers returned, also after a reconnect.
func TestResultsKeepTheirOrder(t *testing.T) {
	const n = 200
	bubble(t, func(t *testing.T, s *scripted) {
		opts := s.options()
		opts.Slots = n
		s.start(opts, map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			i, err := strconv.Atoi(task.ID)
			pass(time.Duration(n-i) * time.Millisecond)
			return nil, err
		}})
		p := s.open()
		for i := range n {
			p.send(assignment(strconv.Itoa(i), 1, "k", "1"))
		}
		inOrder := func() {
			t.Helper()
			for i := n - 1; i >= 0; i-- {
				if r := p.result(); r.Task != strconv.Itoa(i) {
					t.Fatalf("got %s, want %d", r.Task, i)
				}
			}
		}
		inOrder()
		p.drop()
		p = s.open()
		inOrder()
	})
}

func TestProgressIsCoalesced(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			for i := range 1001 {
				task.Progress(float64(i)/10, "step\n"+strconv.Itoa(i))
				pass(time.Millisecond)
			}
			task.Progress(math.Inf(1), strings.Repeat("ä", 501))
			return nil, nil
		}})
		p := s.open()
		p.send(assignment("t", 1, "k", "1"))
		var last protocol.Progress
		for count := 1; ; count++ {
			m, err := p.message()
			if err != nil {
				t.Fatal(err)
			}
			if m.Type == protocol.TypeResult {
				break
			}
			if err := m.Decode(&last); err != nil || count > 8 {
				t.Fatalf("message %d: %v", count, err)
			}
			if newest := last.Message == "step 199" || last.Message == "step 200"; count == 2 && !newest {
				t.Errorf("not the newest: %s", last.Message)
			}
		}
		if *last.Percent != 100 || last.Message != strings.Repeat("ä", 499)+"…" {
			t.Errorf("last: %v %s", *last.Percent, last.Message)
		}
	})
}

func TestLogLines(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			task.Log("one\r\ntwo\n")
			task.LogStream(protocol.StreamStderr, "bad \xff")
			task.Log("x" + strings.Repeat("ä", 3000))
			return nil, nil
		}})
		p := s.open()
		p.send(assignment("t", 1, "k", "1"))
		var got []string
		for len(got) < 5 {
			var l protocol.Log
			p.receive(protocol.TypeLog, &l)
			for _, line := range l.Lines {
				got = append(got, l.Stream+":"+line)
			}
		}
		want := []string{"log:one", "log:two", "stderr:bad \uFFFD", "log:x" + strings.Repeat("ä", 2047), "log:" + strings.Repeat("ä", 953)}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %.200q", got)
		}
		p.finished("t", 1, protocol.Succeeded)
	})
}

// What a task says while there is no connection is kept, within bounds, and the
// newest checkpoint is sent again.
func TestUpdatesSurviveReconnect(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		goOn := make(chan bool)
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			err := task.SaveCheckpoint(1)
			<-goOn
			for i := range 5000 {
				task.Log(strconv.Itoa(i))
			}
			goOn <- true
			<-goOn
			return nil, err
		}})
		p := s.open()
		p.send(assignment("t", 1, "k", "1"))
		var c protocol.Checkpoint
		p.receive(protocol.TypeCheckpoint, &c)
		s.refuse(func(try int) bool { return try == 2 })
		p.drop()
		goOn <- true
		<-goOn
		p = s.open()
		var lines []string
		for len(lines) < 1001 {
			var l protocol.Log
			p.receive(protocol.TypeLog, &l)
			lines = append(lines, l.Lines...)
		}
		if !strings.Contains(lines[0], "4000 lines dropped") || lines[1] != "4000" || lines[1000] != "4999" {
			t.Errorf("%d lines: %s, %s … %s", len(lines), lines[0], lines[1], lines[len(lines)-1])
		}
		p.receive(protocol.TypeCheckpoint, &c)
		if string(c.Data) != "1" {
			t.Errorf("checkpoint: %s", c.Data)
		}
		goOn <- true
		p.finished("t", 1, protocol.Succeeded)
	})
}

func TestCheckpointLimits(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			var refused []bool
			for _, data := range []any{strings.Repeat("x", 256<<10-2), strings.Repeat("x", 256<<10-1), make(chan int), json.RawMessage("{")} {
				refused = append(refused, task.SaveCheckpoint(data) != nil)
			}
			return refused, nil
		}})
		p := s.open()
		p.send(assignment("t", 1, "k", "1"))
		var c protocol.Checkpoint
		p.receive(protocol.TypeCheckpoint, &c)
		if len(c.Data) != protocol.MaxCheckpoint {
			t.Errorf("%d bytes", len(c.Data))
		}
		if r := p.finished("t", 1, protocol.Succeeded); string(r.Output) != "[false,true,true,true]" {
			t.Errorf("refused: %s", r.Output)
		}
	})
}

func TestResultAboveTheServersLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"k": func(_ context.Context, task *Task) (any, error) {
			return strings.Repeat("x", 2000), task.SaveCheckpoint(strings.Repeat("x", 2000))
		}})
		p := s.open(func(m *protocol.Welcome) { m.MaxMessageBytes = 1000 })
		p.send(assignment("t", 1, "k", "1"))
		if r := p.finished("t", 1, protocol.Failed); r.Error.Code != "message_too_large" || r.Error.Retryable {
			t.Errorf("error: %+v", r.Error)
		}
	})
}

// 1009 although the limit was kept (a proxy in between, say): the largest
// message is not sent again.
func TestClosedForSize(t *testing.T) {
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{
			"result": func(context.Context, *Task) (any, error) { return strings.Repeat("x", 2000), nil },
			"checkpoint": func(ctx context.Context, task *Task) (any, error) {
				err := task.SaveCheckpoint(strings.Repeat("x", 2000))
				<-ctx.Done()
				return nil, errors.Join(err, ctx.Err())
			},
		})
		for attempt, kind := range []string{"result", "checkpoint"} {
			p := s.open()
			p.send(assignment(kind, attempt+1, kind, "1"))
			if m, err := p.message(); err != nil || len(m.Raw) < 2000 {
				t.Fatalf("%s: %s, %v", kind, m.Raw, err)
			}
			p.closeWith(protocol.CloseTooLarge, "")
			p = s.open()
			if r := p.finished(kind, attempt+1, protocol.Failed); r.Error.Code != "message_too_large" || r.Error.Retryable {
				t.Errorf("error: %+v", r.Error)
			}
			p.drop()
		}
	})
}

// What waits together goes out together, up to 64 KiB a frame.
func TestFramesAreShared(t *testing.T) {
	l := newLedger(nil)
	for i := range 300 {
		a, _, _ := l.open(protocol.AttemptRef{Task: strconv.Itoa(i), Attempt: 1}, 300, func(error) {})
		l.finish(a, protocol.Result{Task: a.ref.Task, Attempt: 1, Status: protocol.Succeeded, Output: json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)})
	}
	next, frames := 0, 0
	for {
		frame, _ := l.take(nil, time.Now(), protocol.MaxMessageBytes)
		if frame == nil {
			break
		}
		frames++
		if len(frame) > coalesce {
			t.Errorf("a frame of %d bytes", len(frame))
		}
		for m, err := range protocol.Messages(frame) {
			var r protocol.Result
			if err != nil || m.Decode(&r) != nil || r.Task != strconv.Itoa(next) {
				t.Fatalf("message %d: %.100s, %v", next, m.Raw, err)
			}
			next++
		}
	}
	if next != 300 || frames > 6 {
		t.Errorf("%d results in %d frames", next, frames)
	}
}

func TestBuiltin(t *testing.T) {
	kind := workload.Kind{Name: "k", Run: func(_ context.Context, input json.RawMessage, job workload.Job) (json.RawMessage, error) {
		job.Log("hello")
		return input, nil
	}}
	bubble(t, func(t *testing.T, s *scripted) {
		s.start(s.options(), map[string]Handler{"k": Builtin(kind)})
		p := s.open()
		p.send(assignment("t", 1, "k", `[1]`))
		p.receive(protocol.TypeLog, &protocol.Log{})
		if r := p.finished("t", 1, protocol.Succeeded); string(r.Output) != "[1]" {
			t.Errorf("output: %s", r.Output)
		}
	})
}

func TestErrorsReadWell(t *testing.T) {
	for _, tt := range []struct{ err, want string }{
		{(&ClosedError{Code: 4401}).Error(), "the token has expired or was revoked (close code 4401)"},
		{(&ClosedError{Code: 4499, Reason: "go"}).Error(), "the server does not want this worker back: go (close code 4499)"},
		{(&HandshakeError{Status: http.StatusUnauthorized}).Error(), "the server does not accept the token (HTTP 401)"},
		{(&CancelError{Reason: "requested"}).Error(), "task cancelled: requested"},
		{Reject("x").Error(), "rejected: x"},
	} {
		if tt.err != tt.want {
			t.Errorf("got %q, want %q", tt.err, tt.want)
		}
	}
}
