package worker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// player acts out a golden transcript: it sends the server's lines, makes the
// worker say its own, and compares.
type player struct {
	t      *testing.T
	server *scripted
	worker *running
	peer   *peer
	code   int           // of the last close
	gone   time.Time     // when that was
	least  time.Duration // until the next connection

	mu    sync.Mutex
	steps map[protocol.AttemptRef]chan protocol.Message // what a handler is to do
	trace map[protocol.AttemptRef]string                // what it is to be told
	ended map[protocol.AttemptRef]bool
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("../protocol/testdata/transcripts/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if name == "errors" || name == "unknown_fields" {
			continue // the worker's side of them is not something this SDK says
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *scripted) {
				p := &player{t: t, server: s, steps: map[protocol.AttemptRef]chan protocol.Message{},
					trace: map[protocol.AttemptRef]string{}, ended: map[protocol.AttemptRef]bool{}}
				p.play(string(text))
			})
		})
	}
}

func (p *player) play(text string) {
	mark := ""
	var frame []byte
	flush := func() {
		if frame != nil {
			if err := p.peer.write(frame); err != nil {
				p.t.Fatal(err)
			}
			frame = nil
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		sign, rest, _ := strings.Cut(line, " ")
		if sign != "+" {
			flush()
		} else {
			sign = mark
		}
		mark = sign
		switch sign {
		case ">":
			p.fromWorker(rest)
		case "<":
			p.note(rest)
			frame = append(append(frame, rest...), '\n')
		case "#":
			p.event(rest)
		}
	}
	flush()
	if p.peer != nil {
		p.peer.drop()
	}
}

func parse(t *testing.T, text string) protocol.Message {
	t.Helper()
	for m, err := range protocol.Messages([]byte(text)) {
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return protocol.Message{}
}

// note gets a handler's script ready before its task is assigned.
func (p *player) note(text string) {
	m := parse(p.t, text)
	if m.Type != protocol.TypeAssign {
		return
	}
	var a protocol.Assign
	if err := m.Decode(&a); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ref := protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt}
	p.steps[ref] = make(chan protocol.Message, 10)
	p.trace[ref] = a.Trace
	p.ended[ref] = false
}

// fromWorker makes the worker say a line, if it needs to be told, and reads it.
func (p *player) fromWorker(text string) {
	m := parse(p.t, text)
	synctest.Wait() // what the server said has arrived
	switch m.Type {
	case protocol.TypeHello:
		p.hello(m)
		return
	case protocol.TypeSlots:
		var s protocol.Slots
		p.decode(m, &s)
		p.worker.SetSlots(s.Slots)
	case protocol.TypeDrain:
		p.worker.drain()
	case protocol.TypeProgress, protocol.TypeLog, protocol.TypeCheckpoint, protocol.TypeResult:
		p.step(m)
	}
	got, err := p.peer.message()
	if err != nil {
		p.t.Fatalf("waiting for %s: %v", text, err)
	}
	p.compare(got.Raw, m.Raw)
}

func (p *player) step(m protocol.Message) {
	var ref protocol.AttemptRef
	p.decode(m, &ref)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended[ref] {
		p.ended[ref] = m.Type == protocol.TypeResult
		p.steps[ref] <- m
	}
}

func (p *player) decode(m protocol.Message, v any) {
	p.t.Helper()
	if err := m.Decode(v); err != nil {
		p.t.Fatalf("%s: %v", m.Raw, err)
	}
}

func (p *player) compare(got, want json.RawMessage) {
	p.t.Helper()
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil || !reflect.DeepEqual(g, w) {
		p.t.Fatalf("\n got %s\nwant %s", got, want)
	}
}

func (p *player) hello(m protocol.Message) {
	if p.worker == nil {
		var h protocol.Hello
		p.decode(m, &h)
		opts := p.server.options()
		opts.Name, opts.Slots, opts.Groups, opts.Labels, opts.SDK = h.Name, h.Slots, h.Groups, h.Labels, h.SDK
		w := New(opts)
		for _, kind := range h.Kinds {
			w.Handle(kind, p.handle)
		}
		p.worker = p.server.run(w)
	}
	p.peer = p.server.next()
	p.compare(p.peer.helloRaw, m.Raw)
	if wait := time.Since(p.gone); !p.gone.IsZero() && (wait < p.least || wait > p.least+max(p.least, awayMost)) {
		p.t.Errorf("came back %v after %d", wait, p.code)
	}
}

func (p *player) event(text string) {
	if by, found := strings.CutPrefix(text, "close "); found {
		who, code, _ := strings.Cut(by, " ")
		p.code, _ = strconv.Atoi(code)
		if who == "server" {
			p.peer.closeWith(p.code, "")
		}
		defer func() { p.gone = time.Now() }()
	}
	switch text {
	case "-- reconnect":
		p.least = 0
	case "-- reconnect after 5 s":
		p.least = 5 * time.Second
	case "-- no reconnect":
		var end *ClosedError
		if err := p.worker.ended(); !errors.As(err, &end) || end.Code != p.code {
			p.t.Errorf("Run: %v, want the end after %d", err, p.code)
		}
	case "close lost 1006":
		p.peer.drop()
	case "close worker 1000":
		if code := p.peer.closed(); code != protocol.CloseNormal {
			p.t.Errorf("closed with %d", code)
		}
		if err := p.worker.ended(); err != nil {
			p.t.Errorf("Run: %v", err)
		}
	case "close worker 1001":
		if code := p.peer.closed(); code != protocol.CloseGoingAway {
			p.t.Errorf("closed with %d", code)
		}
	case "10 s pass":
		p.peer.keepAlive()
	}
}

// handle is every kind's handler: it does what the transcript says.
func (p *player) handle(ctx context.Context, task *Task) (any, error) {
	p.mu.Lock()
	steps := p.steps[task.entry.ref]
	if want := p.trace[task.entry.ref]; task.Trace != want {
		p.t.Errorf("trace: %q, want %q", task.Trace, want)
	}
	p.mu.Unlock()
	for {
		select {
		case m := <-steps:
			if m.Type == protocol.TypeResult {
				return p.outcome(ctx, m)
			}
			p.say(task, m)
		case <-p.t.Context().Done():
			return nil, errors.New("the test is over")
		}
	}
}

func (p *player) say(task *Task, m protocol.Message) {
	switch m.Type {
	case protocol.TypeProgress:
		var v protocol.Progress
		p.decode(m, &v)
		percent := -1.0
		if v.Percent != nil {
			percent = *v.Percent
		}
		task.Progress(percent, v.Message)
	case protocol.TypeLog:
		var v protocol.Log
		p.decode(m, &v)
		for _, line := range v.Lines {
			task.LogStream(v.Stream, line)
		}
	case protocol.TypeCheckpoint:
		var v protocol.Checkpoint
		p.decode(m, &v)
		if err := task.SaveCheckpoint(v.Data); err != nil {
			p.t.Error(err)
		}
	}
}

func (p *player) outcome(ctx context.Context, m protocol.Message) (any, error) {
	var r protocol.Result
	p.decode(m, &r)
	switch r.Status {
	case protocol.Succeeded:
		return r.Output, nil
	case protocol.Failed:
		return nil, Fail(r.Error.Code, r.Error.Message, r.Error.Retryable)
	default:
		<-ctx.Done()
		return nil, ctx.Err()
	}
}
