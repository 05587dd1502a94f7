package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // for what has to come

// site is a hub behind a real HTTP server. Rights are a set of topics refused.
type site struct {
	t   *testing.T
	hub *Hub
	url string

	writes atomic.Int64 // to all connections

	mu      sync.Mutex
	refused map[Topic]error
	dead    error // what Alive says
}

func newSite(t *testing.T, timing Timing, relay *Relay) *site {
	t.Helper()
	s := &site{t: t, hub: NewHub(timing, relay), refused: map[Topic]error{}}
	if err := s.hub.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := websocket.Upgrader{Subprotocols: []string{Subprotocol}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(Cork(counted{w, &s.writes}), r, nil)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		q := r.URL.Query()
		who := Watcher{User: q.Get("user"), Token: q.Get("token"), May: s.may, Alive: s.alive}
		if after, err := time.ParseDuration(q.Get("expires")); err == nil {
			who.ExpiresAt = time.Now().Add(after)
		}
		s.hub.Serve(context.WithoutCancel(r.Context()), ws, who)
	}))
	s.url = "ws" + strings.TrimPrefix(srv.URL, "http")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.hub.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		srv.Close()
	})
	return s
}

// counted is a ResponseWriter whose connection counts its writes.
type counted struct {
	http.ResponseWriter
	writes *atomic.Int64
}

func (c counted) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(c.ResponseWriter).Hijack()
	return countedConn{conn, c.writes}, rw, err
}

type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func (s *site) may(_ context.Context, t Topic) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[t]
}

func (s *site) alive(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

func (s *site) die(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = err
}

func (s *site) refuse(t Topic, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[t] = err
}

// page is a browser's end.
type page struct {
	t  *testing.T
	ws *websocket.Conn
}

func (s *site) open(query string) *page {
	s.t.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial(s.url+"?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.t.Cleanup(func() { ws.Close() })
	return &page{s.t, ws}
}

// message is any message of the server.
type message struct {
	Type     Type            `json:"type"`
	Topic    string          `json:"topic"`
	Code     string          `json:"code"`
	Task     *tasks.View     `json:"task"`
	Progress *Progress       `json:"progress"`
	Log      *Log            `json:"log"`
	Worker   *Workers        `json:"worker"`
	Stats    json.RawMessage `json:"stats"`
	Note     json.RawMessage `json:"notification"`
	Device   json.RawMessage `json:"device"`
}

func (p *page) next() message {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	_, b, err := p.ws.ReadMessage()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Fatalf("%s: %v", b, err)
	}
	return m
}

// until reads up to a message of a type.
func (p *page) until(kind Type) message {
	p.t.Helper()
	for {
		if m := p.next(); m.Type == kind {
			return m
		}
	}
}

func (p *page) send(v any) {
	p.t.Helper()
	if err := p.ws.WriteJSON(v); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) subscribe(topics ...string) {
	p.t.Helper()
	p.send(request{TypeSubscribe, topics})
	for range topics {
		if m := p.next(); m.Type != TypeSubscribed {
			p.t.Fatalf("answer %+v, want subscribed", m)
		}
	}
}

// closed reads to the end and returns the close code.
func (p *page) closed() int {
	p.t.Helper()
	for {
		_ = p.ws.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := p.ws.ReadMessage(); err != nil {
			var c *websocket.CloseError
			if !errors.As(err, &c) {
				p.t.Fatalf("ended without a close frame: %v", err)
			}
			return c.Code
		}
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func TestTaskEventsReachTheirTopics(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	group, parent, id := newID(), newID(), newID()
	part := tasks.Task{ID: id, Group: group, Parent: parent, Status: tasks.Running, Attempt: 1, Message: "half"}
	for _, topic := range []string{"group:" + group, "task:" + id, "task:" + parent} {
		p := s.open("user=u")
		p.subscribe(topic)
		s.hub.TaskChanged(part)
		if m := p.next(); m.Type != TypeTask || m.Topic != topic || m.Task == nil || m.Task.ID != id {
			t.Errorf("%s: got %+v, want the task", topic, m)
		}
		s.hub.TaskProgress(part)
		if m := p.next(); m.Type != TypeProgress || m.Topic != topic || m.Progress.TaskID != id || m.Progress.Message != "half" {
			t.Errorf("%s: got %+v, want its progress", topic, m)
		}
	}
	p := s.open("user=u")
	p.subscribe("task:"+id, "group:"+group)
	s.hub.TaskLogged(part, []tasks.LogLine{{Seq: 7, Line: "hello"}})
	if m := p.next(); m.Type != TypeLog || m.Topic != "task:"+id || len(m.Log.Lines) != 1 || m.Log.Lines[0].Seq != 7 {
		t.Errorf("got %+v, want the log line", m)
	}
	s.hub.WorkersChanged([]string{newID(), group}, []string{"echo"})
	if m := p.next(); m.Type != TypeWorker || m.Topic != "group:"+group || len(m.Worker.Kinds) != 1 {
		t.Errorf("got %+v, want the worker", m)
	}
}

func TestNotificationsReachOnlyTheirUser(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	mine, other := s.open("user=me"), s.open("user=other")
	mine.subscribe("me")
	other.subscribe("me")
	s.hub.Notify("me", map[string]string{"id": "1"})
	s.hub.Notify("other", map[string]string{"id": "2"})
	for p, want := range map[*page]string{mine: `{"id":"1"}`, other: `{"id":"2"}`} {
		if m := p.next(); m.Type != TypeNotification || m.Topic != "me" || string(m.Note) != want {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	hidden, shown := Topic{Group, newID()}, Topic{Group, newID()}
	s.refuse(hidden, fault.New(fault.NotFound, "not_found", "There is no such group."))
	p := s.open("user=u")
	p.send(request{TypeSubscribe, []string{hidden.String(), "nonsense", shown.String()}})
	for _, want := range []message{
		{Type: TypeError, Topic: hidden.String(), Code: "not_found"},
		{Type: TypeError, Topic: "nonsense", Code: "bad_topic"},
		{Type: TypeSubscribed, Topic: shown.String()},
	} {
		if m := p.next(); m.Type != want.Type || m.Topic != want.Topic || m.Code != want.Code {
			t.Errorf("answer %+v, want %+v", m, want)
		}
	}
	if s.hub.Watched(hidden) || !s.hub.Watched(shown) {
		t.Error("only the topic that was granted is watched")
	}
	p.send(request{TypeUnsubscribe, []string{shown.String()}})
	if m := p.next(); m.Type != TypeUnsubscribed {
		t.Errorf("answer %+v, want unsubscribed", m)
	}
	if s.hub.Watched(shown) {
		t.Error("still watched after unsubscribe")
	}
	p.send(request{Type: "shout"})
	if m := p.next(); m.Type != TypeError || m.Code != protocol.CodeUnknownType {
		t.Errorf("answer %+v, want unknown_type", m)
	}
}

func TestTopicsOfAConnectionAreBounded(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	p := s.open("user=u")
	topics := make([]string, maxTopics)
	for i := range topics {
		topics[i] = "task:" + newID()
	}
	p.subscribe(topics...)
	p.send(request{TypeSubscribe, []string{"me"}})
	if m := p.next(); m.Type != TypeError || m.Code != "too_many_topics" {
		t.Errorf("answer %+v, want too_many_topics", m)
	}
}

func TestLostRightsEndASubscription(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	lost, kept := Topic{Group, newID()}, Topic{Group, newID()}
	p := s.open("user=u")
	p.subscribe(lost.String(), kept.String())
	s.refuse(lost, fault.New(fault.NotFound, "not_found", "There is no such group."))
	s.hub.Recheck("u")
	if m := p.next(); m.Type != TypeUnsubscribed || m.Topic != lost.String() || m.Code != "not_found" {
		t.Errorf("got %+v, want unsubscribed", m)
	}
	if s.hub.Watched(lost) || !s.hub.Watched(kept) {
		t.Error("only the topic that was lost has ended")
	}
}

func TestRightsAreLookedAtWithoutBeingAsked(t *testing.T) {
	timing := DefaultTiming
	timing.Rights = 20 * time.Millisecond
	s := newSite(t, timing, nil)
	topic := Topic{Group, newID()}
	p := s.open("user=u")
	p.subscribe(topic.String())
	s.refuse(topic, fault.New(fault.NotFound, "not_found", "There is no such group."))
	if m := p.next(); m.Type != TypeUnsubscribed || m.Topic != topic.String() {
		t.Errorf("got %+v, want unsubscribed", m)
	}
}

func TestUnansweredCheckIsAskedAgain(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	topic := Topic{Group, newID()}
	p := s.open("user=u")
	p.subscribe(topic.String())
	s.refuse(topic, errors.New("store away"))
	s.hub.Recheck("u")
	s.hub.Publish(Event{Type: TypeWorker, Topics: []Topic{topic}, Data: []byte(`{}`)})
	if m := p.next(); m.Type != TypeWorker {
		t.Fatalf("got %+v: a store that is away ends no subscription", m)
	}
	s.refuse(topic, fault.New(fault.NotFound, "not_found", "There is no such group."))
	if m := p.next(); m.Type != TypeUnsubscribed {
		t.Errorf("got %+v, want unsubscribed once the store answers", m)
	}
}

func TestConnectionsEndWithTheirToken(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	unauthorized := func(what string, p *page) {
		t.Helper()
		if code := p.closed(); code != protocol.CloseUnauthorized {
			t.Errorf("%s: closed with %d, want 4401", what, code)
		}
	}
	revoked, other, user := s.open("user=u&token=a"), s.open("user=u&token=b"), s.open("user=v&token=c")
	for _, p := range []*page{revoked, other, user} {
		p.subscribe("me")
	}
	s.hub.Revoke("x", "a")
	unauthorized("revoked token", revoked)
	s.hub.Revoke("v")
	unauthorized("disabled user", user)
	s.hub.Notify("u", 1)
	if m := other.next(); m.Type != TypeNotification {
		t.Errorf("the other token's connection got %+v", m)
	}
	unauthorized("expired", s.open("user=u&token=d&expires=20ms"))

	s.die(fault.New(fault.Unauthenticated, "unauthenticated", "A valid token is needed."))
	unauthorized("revoked before the hub knew it", s.open("user=u&token=e"))
	s.die(errors.New("store away"))
	late := s.open("user=u&token=f")
	late.subscribe("me") // a store that is away ends nothing
	s.die(fault.New(fault.Unauthenticated, "unauthenticated", "A valid token is needed."))
	unauthorized("once the store answers", late)
}

func TestMalformedMessageCloses(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	for kind, text := range map[int]string{websocket.TextMessage: "[", websocket.BinaryMessage: "{}"} {
		p := s.open("user=u")
		if err := p.ws.WriteMessage(kind, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if code := p.closed(); code != protocol.CloseMalformed {
			t.Errorf("%s: closed with %d, want 4400", text, code)
		}
	}
}

func TestStopSaysGoingAwayAndRefusesNewOnes(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	p := s.open("user=u")
	p.subscribe("me")
	done := make(chan error, 1)
	go func() { done <- s.hub.Stop(t.Context()) }()
	if code := p.closed(); code != protocol.CloseGoingAway {
		t.Errorf("closed with %d, want 1001", code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if code := s.open("user=u").closed(); code != protocol.CloseGoingAway {
		t.Errorf("after Stop: closed with %d, want 1001", code)
	}
	if n := s.hub.Clients(); n != 0 {
		t.Errorf("%d clients after Stop", n)
	}
}

func TestConnectionsOfAUserAreBounded(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	for range maxOfUser {
		s.open("user=u").subscribe("me")
	}
	if code := s.open("user=u").closed(); code != protocol.CloseTooMany {
		t.Errorf("closed with %d, want 4429", code)
	}
	s.open("user=other").subscribe("me")
}
