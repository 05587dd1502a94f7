package workers_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// TestTranscripts plays the worker's side of the golden transcripts and has the
// server do what they show of its side.
func TestTranscripts(t *testing.T) {
	const dir = "../../protocol/testdata/transcripts"
	paths, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("transcripts: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playTranscript(t, string(content)) })
		})
	}
}

// stage is a domain whose answers are those of the transcript.
type stage struct {
	*domain
	acks    []protocol.Ack
	welcome protocol.Welcome
}

func (s *stage) Result(context.Context, tasks.Task, protocol.Result) (ack protocol.Ack, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ack, s.acks = s.acks[0], s.acks[1:]
	return ack, nil
}

func (s *stage) StrayResult(ctx context.Context, _ string, r protocol.Result) (protocol.Ack, error) {
	return s.Result(ctx, tasks.Task{}, r)
}

func (s *stage) Resume(_ context.Context, session, _ string, epoch int64, _ []protocol.AttemptRef) (resumed []tasks.Task, dropped []protocol.AttemptRef, err error) {
	for _, ref := range s.welcome.Resumed {
		resumed = append(resumed, tasks.Task{
			ID: ref.Task, Attempt: ref.Attempt, Session: session, Epoch: epoch, Group: s.welcome.Groups[0],
		})
	}
	return resumed, s.welcome.Dropped, nil
}

// player goes through one transcript.
type player struct {
	t     *testing.T
	w     *world
	stage *stage
	sock  *pipe
	got   []protocol.Message // received, not expected yet
	ids   map[string]string  // placeholder of a session or secret → the real one
	hello protocol.Hello
	told  protocol.Welcome // the newest, as it was
	trace string           // of the next assign
	may   membership
	store workers.Store
}

func playTranscript(t *testing.T, content string) {
	p := &player{t: t, stage: &stage{domain: newDomain()}, ids: map[string]string{}, store: realStore(t)}
	p.start()
	var frame, mark string
	flush := func() {
		if frame != "" {
			p.send(frame)
		}
		frame = ""
	}
	lines := strings.Split(content, "\n")
	for i, line := range lines {
		m, text, _ := strings.Cut(line, " ")
		if m == "+" && mark == ">" {
			frame += "\n" + text
			continue
		}
		flush()
		switch {
		case m == ">":
			mark, frame = m, text
			p.prepare(lines[i+1:])
		case m == "<", m == "+":
			mark = "<"
			p.expect(text)
		case strings.HasPrefix(text, "close "):
			p.prepare(lines[i+1:])
			p.close(strings.Fields(text))
		}
	}
	flush()
	p.w.stop()
}

func (p *player) start() {
	p.w = newWorld(p.t, p.store, func(o *workers.HubOptions) {
		o.Tasks, o.Groups = p.stage, p.may.of
		o.Drain = 5 * time.Second // less than its patience with a silent worker
		o.Trace = func(tasks.Task) string { return p.trace }
	})
}

// prepare tells the stage what the server answers next.
func (p *player) prepare(rest []string) {
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.stage.acks = nil
	welcomed := false
	for _, line := range rest {
		_, text, _ := strings.Cut(line, " ")
		var ack protocol.Ack
		if json.Unmarshal([]byte(text), &ack) == nil && ack.Type == protocol.TypeAck {
			p.stage.acks = append(p.stage.acks, ack)
		}
		var welcome protocol.Welcome
		if json.Unmarshal([]byte(text), &welcome) == nil && welcome.Type == protocol.TypeWelcome && !welcomed {
			p.stage.welcome, welcomed = welcome, true
		}
	}
}

func (p *player) send(frame string) {
	p.t.Helper()
	for placeholder, real := range p.ids {
		frame = strings.ReplaceAll(frame, `"`+placeholder+`"`, `"`+real+`"`)
	}
	var h protocol.Hello
	if json.Unmarshal([]byte(frame), &h) == nil && h.Type == protocol.TypeHello {
		p.hello = h
		p.dial()
	}
	if err := p.sock.write([]byte(frame)); err != nil {
		p.t.Fatalf("send %.100s: %v", frame, err)
	}
	synctest.Wait()
}

// window is how many frames a worker leaves unread before the server notices.
const window = 100

func (p *player) dial() {
	if p.w.hub.Snapshot() == nil && p.sock != nil && p.stopped() {
		p.w.wg.Wait()
		p.start()
	}
	sock := newPipe(window)
	p.sock = sock
	id := alice
	id.Groups = p.stage.welcome.Groups
	p.may.set(id.Groups...)
	p.w.wg.Go(func() { p.w.hub.Serve(context.Background(), sock, id) })
}

// stopped reports whether the hub lets nobody in any more.
func (p *player) stopped() bool {
	probe := newPipe(0)
	go p.w.hub.Serve(p.t.Context(), probe, alice)
	synctest.Wait()
	probe.cut()
	return probe.closed() == protocol.CloseGoingAway
}

// expect makes the server say what the line shows, where it has a choice, and
// compares.
func (p *player) expect(text string) {
	p.t.Helper()
	var head struct {
		protocol.Bare
		Task string `json:"task"`
	}
	p.decode([]byte(text), &head)
	if strings.Contains(text, `"code":"rate"`) {
		return // a server may say so; this one closes with 4429
	}
	p.cause(head.Type, []byte(text))
	msg := p.next(head.Task)
	var want, got map[string]any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(msg.Raw, &got); err != nil {
		p.t.Fatal(err)
	}
	switch msg.Type {
	case protocol.TypeWelcome:
		if real := p.ids[want["session"].(string)]; p.hello.Session != "" && real != "" && real != got["session"] {
			p.t.Errorf("another session than before: %s", msg.Raw)
		}
		p.decode(msg.Raw, &p.told)
		for _, field := range []string{"session", "resume"} {
			p.ids[want[field].(string)] = got[field].(string)
		}
		want["session"], want["resume"], want["worker"] = got["session"], got["resume"], got["worker"]
		delete(want, "kept") // of unknown_fields.txt
	case protocol.TypeError:
		want["message"] = got["message"]
	}
	if !reflect.DeepEqual(got, want) {
		p.t.Errorf("got  %s\nwant %s", msg.Raw, text)
	}
}

// cause has the server send a message that nothing the worker sent asks for.
func (p *player) cause(kind protocol.Type, text []byte) {
	p.t.Helper()
	session := p.ids[p.stage.welcome.Session]
	switch kind {
	case protocol.TypeAssign:
		var a protocol.Assign
		p.decode(text, &a)
		p.trace = a.Trace
		slots, err := p.w.hub.Reserve(p.t.Context(), pair(a.Group, p.hello.Kinds[0]), 1)
		if err != nil {
			p.t.Fatal(err)
		}
		task := tasks.Task{
			ID: a.Task, Attempt: a.Attempt, Kind: a.Kind, Group: a.Group, Session: session,
			Epoch: slots[0].Owner().Epoch, Timeout: time.Duration(a.TimeoutMS) * time.Millisecond, Deadline: a.Deadline.Time,
			Parent: a.Parent, Count: a.Count,
		}
		if a.Index != nil {
			task.Index = *a.Index
		}
		if err := slots[0].Assign(task, a.Input, a.Checkpoint); err != nil {
			p.t.Fatal(err)
		}
	case protocol.TypeCancel:
		var c protocol.Cancel
		p.decode(text, &c)
		if !p.w.hub.Cancel(tasks.Task{ID: c.Task, Attempt: c.Attempt, Session: session}, c.Reason) {
			p.t.Fatal("the attempt to cancel is not open")
		}
	case protocol.TypeGroups:
		var g protocol.Groups
		p.decode(text, &g)
		p.may.set(g.Groups...)
		if err := p.w.hub.Refresh(p.t.Context(), alice.User); err != nil {
			p.t.Fatal(err)
		}
	case protocol.TypeDrain:
		hub := p.w.hub
		p.w.wg.Go(func() {
			if err := hub.Stop(context.Background()); err != nil {
				p.t.Error(err)
			}
		})
	}
}

func (p *player) decode(text []byte, v any) {
	p.t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		p.t.Fatal(err)
	}
}

// next returns what came first. Only acks may overtake each other, the results of
// one frame are decided side by side: of them the one for task.
func (p *player) next(task string) protocol.Message {
	p.t.Helper()
	due := func(msg protocol.Message) bool {
		if msg.Type != protocol.TypeAck {
			return true
		}
		var ack protocol.Ack
		p.decode(msg.Raw, &ack)
		return ack.Task == task
	}
	for {
		if i := slices.IndexFunc(p.got, due); i >= 0 {
			msg := p.got[i]
			p.got = slices.Delete(p.got, i, i+1)
			return msg
		}
		frame, err := p.sock.read()
		if err != nil {
			p.t.Fatalf("nothing more comes: %v; %d messages were not expected", err, len(p.got))
		}
		for msg, err := range protocol.Messages(frame) {
			if err != nil {
				p.t.Fatal(err)
			}
			p.got = append(p.got, msg)
		}
	}
}

// close ends the connection as "close <by> <code>" says.
func (p *player) close(words []string) {
	code, err := strconv.Atoi(words[2])
	if err != nil {
		p.t.Fatal(err)
	}
	switch words[1] {
	case "worker":
		p.sock.leave(code)
	case "server":
		p.provoke(code)
		if got := p.sock.closed(); got != code {
			p.t.Errorf("closed with %d, want %d", got, code)
		}
		p.got = nil
	case "lost":
		p.sock.cut()
	}
	if words[1] != "worker" && len(p.stage.welcome.Resumed) == 0 {
		pass(time.Minute) // longer than the grace, unless it is resumed; see prepare
	}
	synctest.Wait()
}

// provoke gives the server the reason to close that the transcript's first
// comment names.
func (p *player) provoke(code int) {
	ctx, write := p.t.Context(), func(frame string) {
		_ = p.sock.write([]byte(frame)) // the server may close before it has read all
		synctest.Wait()
	}
	switch code {
	case protocol.CloseTooLarge:
		write(strings.Repeat(" ", protocol.MaxMessageBytes+1))
	case protocol.CloseMalformed:
		write("not JSON")
	case protocol.CloseUnauthorized:
		p.w.hub.Revoke(alice.Token)
	case protocol.CloseResumed:
		other := newPipe(window)
		p.w.wg.Go(func() { p.w.hub.Serve(ctx, other, alice) })
		h := p.hello
		h.Session, h.Resume = p.told.Session, p.told.Resume
		_ = other.write(protocol.Encode(h))
		synctest.Wait()
		other.cut()
	case protocol.CloseTooMany:
		write(strings.Repeat("{\"type\":\"pong\"}\n", 5001))
	case protocol.CloseInternal:
		if ok, err := p.store.Part(ctx, p.told.Session, 1, time.Now(), time.Now().Add(time.Minute), true); !ok || err != nil {
			p.t.Errorf("part: %v, %v", ok, err)
		}
		if err := p.w.hub.DropForeign(ctx); err != nil {
			p.t.Error(err)
		}
	case protocol.CloseDisconnected:
		p.w.hub.CloseWorker(p.told.Worker)
	case protocol.CloseSlow:
		for range window + 1 {
			write(`{"type":"question"}`) // each is answered
		}
		for range workers.WriteWait / time.Second {
			pass(time.Second)
			write(`{"type":"pong"}`) // it is no silent one
		}
	case protocol.CloseGoingAway, protocol.CloseSilent, protocol.CloseGroup: // time, or the hello, is enough
	}
}
