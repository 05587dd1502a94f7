package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// model is a small worker written from docs/worker-protocol.md, with a fault to
// plant. One goroutine owns all its state.
type model struct {
	fault string
	env   Environment
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)

	stop     context.CancelFunc
	drained  chan struct{} // has a token when it is to leave
	finished chan *job
	ended    chan struct{}

	draining, serverDrains bool

	saidHello int
	jobs      []*job // without an ack, in the order of their assigns
	past      []protocol.AttemptRef
	welcome   protocol.Welcome
	ws        *websocket.Conn
}

type job struct {
	protocol.Assign
	stop   chan struct{}
	told   bool
	result []byte // nil while it runs
	sentAt time.Time
}

func (j *job) ref() protocol.AttemptRef { return refOf(j.Assign) }

func startModel(fault string, dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, Environment) (Program, error) {
	return func(_ context.Context, env Environment) (Program, error) {
		ctx, stop := context.WithCancel(context.Background())
		m := &model{
			fault: fault, env: env, dial: dial, stop: stop,
			drained: make(chan struct{}, 1), finished: make(chan *job, 100), ended: make(chan struct{}),
		}
		go m.run(ctx)
		return m, nil
	}
}

func (m *model) Drain() error          { m.drained <- struct{}{}; return nil }
func (m *model) Kill()                 { m.stop(); <-m.ended }
func (m *model) Done() <-chan struct{} { return m.ended }
func (m *model) Output() string        { return "" }

func (m *model) has(fault string) bool { return m.fault == fault }

func (m *model) run(ctx context.Context) {
	defer close(m.ended)
	defer m.stop()
	var lost time.Time
	first := true
	for ctx.Err() == nil {
		err := m.connection(ctx)
		if m.draining && len(m.jobs) == 0 || m.has("ends when the server drains") && errors.Is(err, errDrained) {
			return
		}
		var closed *websocket.CloseError
		code := 0
		if errors.As(err, &closed) {
			code = closed.Code
		}
		if code >= 4000 && !protocol.Reconnects(code) && !m.has("reconnects after final codes") {
			return
		}
		wait := 900 * time.Millisecond
		if m.has("tries seldom") {
			wait = 3 * time.Second
		}
		if first || time.Since(lost) > 3*time.Second {
			first, lost, wait = false, time.Now(), 0
		}
		if (code == protocol.CloseTooMany || code == protocol.CloseDisconnected) && !m.has("hurries after 4429") {
			wait = 5 * time.Second
		}
		if code == protocol.CloseTooLarge {
			m.tooLarge()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

var errDrained = errors.New("the server drains")

func (m *model) tooLarge() {
	for _, j := range m.jobs {
		if len(j.result) > 0 && !m.has("sends the same after 1009") {
			j.result = protocol.Encode(protocol.Result{Task: j.Task, Attempt: j.Attempt, Status: protocol.Failed,
				Error: &protocol.TaskError{Code: "message_too_large", Message: "too large"}})
		}
	}
}

// connection makes one connection and serves it to its end.
func (m *model) connection(ctx context.Context) error {
	d := websocket.Dialer{NetDialContext: m.dial, Subprotocols: []string{protocol.Subprotocol}}
	ws, _, err := d.DialContext(ctx, "ws://memory"+protocol.Path, http.Header{"Authorization": {"Bearer " + m.env.Token}})
	if err != nil {
		return err
	}
	m.ws = ws
	over := make(chan struct{})
	frames, failed := make(chan []byte), make(chan error, 1)
	go func() {
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- frame:
			case <-over:
				failed <- err
				return
			}
		}
	}()
	defer func() {
		close(over)
		ws.Close()
		<-failed
	}()
	m.hello()
	return m.serve(ctx, frames, failed)
}

func (m *model) serve(ctx context.Context, frames <-chan []byte, failed chan error) error {
	welcomed, heard, opened := false, time.Now(), time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-failed:
			failed <- err
		case frame := <-frames:
			if !m.has("only pings are life") || bytes.Contains(frame, []byte(`"ping"`)) {
				heard = time.Now()
			}
			welcomed = true
			err = m.frame(frame)
		case j := <-m.finished:
			m.deliver(j)
		case <-m.drained:
			m.draining = true
			if !m.has("drains without a word") {
				m.say(protocol.Bare{Type: protocol.TypeDrain})
			}
		case <-tick.C:
			if !welcomed && time.Since(opened) > time.Second && m.has("says hello twice") {
				opened = time.Now()
				m.hello()
			}
			m.resend()
			limit := time.Duration(m.welcome.TimeoutMS) * time.Millisecond
			if welcomed && time.Since(heard) > limit && !m.has("waits for ever") {
				err = errors.New("silent")
			}
		}
		if err == nil && len(m.jobs) == 0 && m.draining {
			m.bye(protocol.CloseNormal)
			return nil
		}
		if err == nil && len(m.jobs) == 0 && m.serverDrains {
			m.serverDrains, m.welcome = false, protocol.Welcome{} // the next hello opens another session
			m.bye(protocol.CloseGoingAway)
			return errDrained
		}
		if err != nil {
			return err
		}
	}
}

func (m *model) bye(code int) {
	_ = m.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
}

func (m *model) say(msg protocol.Encoding) { m.write(protocol.Encode(msg)) }

func (m *model) write(frame []byte) {
	if m.ws != nil {
		_ = m.ws.WriteMessage(websocket.TextMessage, frame)
	}
}

func (m *model) hello() {
	h := protocol.Hello{Name: m.env.Name, Kinds: []string{"echo", "sleep"}, Slots: m.env.Slots, SDK: "model"}
	if h.Session, h.Resume = m.welcome.Session, m.welcome.Resume; h.Session != "" {
		for _, j := range m.jobs {
			h.Running = append(h.Running, j.ref())
		}
		if m.has("lists acknowledged attempts") {
			h.Running = append(h.Running, m.past...)
		}
	}
	m.saidHello++
	switch {
	case m.saidHello == 1 && m.has("resumes from the start"):
		h.Session, h.Resume = newID(), newID()
	case m.saidHello > 1 && m.has("changes its name"):
		h.Name += "-again"
	}
	m.say(h)
}

func (m *model) frame(frame []byte) error {
	for msg, err := range protocol.Messages(frame) {
		if err == nil {
			err = m.message(msg)
		}
		if err != nil || m.has("one object per frame") {
			return err
		}
	}
	return nil
}

func read[T any](m *model, msg protocol.Message) (v T, err error) {
	switch {
	case m.has("names in any case"):
		err = json.Unmarshal(msg.Raw, &v)
	case m.has("refuses unknown fields"):
		d := json.NewDecoder(bytes.NewReader(msg.Raw))
		d.DisallowUnknownFields()
		err = d.Decode(&v)
	default:
		err = msg.Decode(&v)
	}
	return v, err
}

func (m *model) message(msg protocol.Message) error {
	switch msg.Type {
	case protocol.TypeWelcome:
		w, err := read[protocol.Welcome](m, msg)
		m.welcomed(w)
		return err
	case protocol.TypePing:
		if !m.has("pongs when idle") || !m.busy() {
			m.say(protocol.Bare{Type: protocol.TypePong})
		}
	case protocol.TypeAssign:
		a, err := read[protocol.Assign](m, msg)
		m.assign(a)
		return err
	case protocol.TypeAck:
		a, err := read[protocol.Ack](m, msg)
		m.ack(a)
		return err
	case protocol.TypeCancel:
		a, err := read[protocol.Cancel](m, msg)
		if !m.has("ignores cancel") {
			m.cancel(protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt})
		}
		return err
	case protocol.TypeDrain:
		m.serverDrains = true
	case protocol.TypeGroups:
		if g, err := read[protocol.Groups](m, msg); err != nil || len(g.Groups) == 0 && m.has("leaves without groups") {
			return errors.New("no groups")
		}
	case protocol.TypeError:
		if m.has("leaves on an error") {
			return errors.New("the server complains")
		}
	default:
		if m.has("closes on unknown types") {
			return errors.New("what is that?")
		}
	}
	return nil
}

func (m *model) welcomed(w protocol.Welcome) {
	if m.welcome.Session == "" || !m.has("keeps its first session") {
		m.welcome = w
	}
	for _, ref := range w.Dropped {
		if !m.has("runs dropped attempts on") {
			m.cancel(ref)
		}
	}
	if m.draining {
		m.say(protocol.Bare{Type: protocol.TypeDrain})
	}
	var all []byte
	for _, j := range m.jobs {
		if j.result == nil || m.has("forgets results on reconnect") || slices.Contains(w.Dropped, j.ref()) && m.has("never answers what was dropped") {
			continue
		}
		j.sentAt = time.Now()
		if m.has("ignores max_message_bytes") {
			all = append(append(all, j.result...), '\n')
		} else {
			m.write(j.result)
		}
	}
	if len(all) > 0 {
		m.write(all)
	}
}
