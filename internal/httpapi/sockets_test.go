package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/protocol"
)

// dial opens a socket; what the server refuses is an answer like any other.
func (w *workshop) dial(path string, header http.Header, offer ...string) (*websocket.Conn, answer) {
	w.Helper()
	d := websocket.Dialer{Subprotocols: offer, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.DialContext(w.Context(), "ws"+strings.TrimPrefix(w.url, "http")+path, header)
	if resp == nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // the dialer keeps the first KiB
	if err == nil {
		w.Cleanup(func() { ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	return ws, answer{w, "dial " + path, resp.StatusCode, resp.Header, body}
}

func bearerOf(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// closeCode reads to the end.
func closeCode(t *testing.T, ws *websocket.Conn) int {
	t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			var c *websocket.CloseError
			if !errors.As(err, &c) {
				t.Fatalf("ended without a close frame: %v", err)
			}
			return c.Code
		}
	}
}

func TestWorkerUpgrade(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	me.group()
	worker := me.with(auth.NewToken{Kind: auth.KindWorker})
	device := me.with(auth.NewToken{Kind: auth.KindDevice, Groups: []string{me.group()}})
	tests := []struct {
		name   string
		header http.Header
		offer  string
		status int
		code   string
	}{
		{"worker token", bearerOf(worker.token), protocol.Subprotocol, 101, ""},
		{"no subprotocol", bearerOf(worker.token), "", 400, "subprotocol"},
		{"another subprotocol", bearerOf(worker.token), live.Subprotocol, 400, "subprotocol"},
		{"no token", nil, protocol.Subprotocol, 401, "unauthenticated"},
		{"unknown token", bearerOf("flw_unknown"), protocol.Subprotocol, 401, "unauthenticated"},
		{"access token", bearerOf(me.token), protocol.Subprotocol, 403, "wrong_token_kind"},
		{"device token", bearerOf(device.token), protocol.Subprotocol, 403, "wrong_token_kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var offer []string
			if tt.offer != "" {
				offer = []string{tt.offer}
			}
			_, a := w.dial(protocol.Path, tt.header, offer...)
			a.want(tt.status, tt.code)
		})
	}
	worker.get(protocol.Path).want(400, "websocket_only")
}

func TestWorkerIsServed(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	worker := me.with(auth.NewToken{Kind: auth.KindWorker})
	ws, a := w.dial(protocol.Path, bearerOf(worker.token), protocol.Subprotocol)
	a.want(101, "")
	if ws.Subprotocol() != protocol.Subprotocol {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	if err := ws.WriteJSON(protocol.Hello{Type: protocol.TypeHello, Name: "lab", Kinds: []string{"echo"}, Slots: 1}); err != nil {
		t.Fatal(err)
	}
	var welcome protocol.Welcome
	if err := ws.ReadJSON(&welcome); err != nil || len(welcome.Groups) != 1 || welcome.Groups[0] != group {
		t.Fatalf("welcome %+v: %v", welcome, err)
	}
	list := into[struct{ Items []struct{ ID, Name string } }](me.get("/api/v1/groups/"+group+"/workers"), 200)
	if len(list.Items) != 1 || list.Items[0].ID != welcome.Worker || list.Items[0].Name != "lab" {
		t.Errorf("workers %+v", list)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.hub.Stop(t.Context()) }()
	if code := closeCode(t, ws); code != protocol.CloseGoingAway {
		t.Errorf("closed with %d when the server stops, want 1001", code)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestLiveUpgrade(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	me.group()
	api := func(scopes ...auth.Scope) string {
		return me.with(auth.NewToken{Kind: auth.KindAPI, Scopes: scopes}).token
	}
	from := func(origin string) http.Header {
		h := bearerOf(me.token)
		h.Set("Origin", origin)
		return h
	}
	const path = "/api/v1/live"
	tests := []struct {
		name   string
		header http.Header
		offer  []string
		status int
		code   string
	}{
		{"header", bearerOf(me.token), []string{live.Subprotocol}, 101, ""},
		{"subprotocol", nil, []string{live.Subprotocol, "bearer." + me.token}, 101, ""},
		{"subprotocols turned", nil, []string{"bearer." + me.token, live.Subprotocol}, 101, ""},
		{"API token", bearerOf(api(auth.TasksRead)), []string{live.Subprotocol}, 101, ""},
		{"API token without the scope", bearerOf(api(auth.GroupsRead)), []string{live.Subprotocol}, 403, "missing_scope"},
		{"worker token", bearerOf(me.with(auth.NewToken{Kind: auth.KindWorker}).token), []string{live.Subprotocol}, 403, "wrong_token_kind"},
		{"no token", nil, []string{live.Subprotocol}, 401, "unauthenticated"},
		{"bad token", nil, []string{live.Subprotocol, "bearer.nonsense"}, 401, "unauthenticated"},
		{"no subprotocol", bearerOf(me.token), nil, 400, "subprotocol"},
		{"token alone", nil, []string{"bearer." + me.token}, 400, "subprotocol"},
		{"own origin", from(w.url), []string{live.Subprotocol}, 101, ""},
		{"allowed origin", from(allowedOrigin), []string{live.Subprotocol}, 101, ""},
		{"foreign origin", from("https://evil.example"), []string{live.Subprotocol}, 403, "bad_origin"},
		{"opaque origin", from("null"), []string{live.Subprotocol}, 403, "bad_origin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, a := w.dial(path, tt.header, tt.offer...)
			a.want(tt.status, tt.code)
			if got := a.header.Get("Sec-Websocket-Protocol"); tt.status == 101 && got != live.Subprotocol {
				t.Errorf("subprotocol %q is echoed", got)
			}
		})
	}
	me.get(path).want(400, "websocket_only")
}

// note is any message of the live socket.
type note struct {
	Type, Topic, Code string
	Task              *seen
}

func readNote(t *testing.T, ws *websocket.Conn) note {
	t.Helper()
	_, data, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhoMayWatch(t *testing.T) {
	w := newWorkshop(t)
	me, other := w.someone("someone"), w.someone("other")
	mine, theirs := me.group(), other.group()
	myTask, theirTask := me.submit(mine, `{"kind":"k"}`).ID, other.submit(theirs, `{"kind":"k"}`).ID
	person := map[string]string{ // topic → type or code of the answer
		"group:" + mine: "subscribed", "group:" + theirs: "group_not_found",
		"task:" + myTask: "subscribed", "task:" + theirTask: "not_found", "task:" + newID(): "not_found",
		"device:" + mine: "subscribed", "device:" + theirs: "group_not_found",
		"me": "subscribed", "admin": "not_admin",
	}
	program := map[string]string{
		"group:" + mine: "subscribed", "task:" + myTask: "subscribed", "device:" + mine: "missing_scope",
		"me": "wrong_token_kind", "admin": "wrong_token_kind",
	}
	api := me.with(auth.NewToken{Kind: auth.KindAPI, Scopes: []auth.Scope{auth.TasksRead}})
	for name, tt := range map[string]struct {
		token  string
		topics map[string]string
	}{"person": {me.token, person}, "program": {api.token, program}} {
		t.Run(name, func(t *testing.T) {
			ws, a := w.dial("/api/v1/live", bearerOf(tt.token), live.Subprotocol)
			a.want(101, "")
			for topic, want := range tt.topics {
				if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": []string{topic}}); err != nil {
					t.Fatal(err)
				}
				n := readNote(t, ws)
				got := n.Type
				if got == "error" {
					got = n.Code
				}
				if got != want || n.Topic != topic {
					t.Errorf("%s: %s of %s, want %s", topic, got, n.Topic, want)
				}
			}
		})
	}
}

func TestLiveShowsASubmittedTask(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	group := me.group()
	ws, _ := w.dial("/api/v1/live", nil, live.Subprotocol, "bearer."+me.token)
	if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": []string{"group:" + group}}); err != nil {
		t.Fatal(err)
	}
	if n := readNote(t, ws); n.Type != "subscribed" {
		t.Fatalf("got %+v", n)
	}
	id := me.submit(group, `{"kind":"k","title":"seen"}`).ID
	if n := readNote(t, ws); n.Type != "task" || n.Task == nil || n.Task.ID != id || n.Task.Title != "seen" {
		t.Errorf("got %+v, want the task", n)
	}
}

func TestLiveEndsWithTheToken(t *testing.T) {
	w := newWorkshop(t)
	me := w.someone("someone")
	caller := auth.Caller{UserID: me.id}
	token, secret, err := w.auth.CreateToken(t.Context(), caller, auth.NewToken{Name: "x", Kind: auth.KindAPI})
	if err != nil {
		t.Fatal(err)
	}
	byPoll, a := w.dial("/api/v1/live", bearerOf(secret), live.Subprotocol)
	a.want(101, "")
	me.do(http.MethodDelete, "/api/v1/tokens/"+token.ID, nil).want(204, "")
	if code := closeCode(t, byPoll); code != protocol.CloseUnauthorized {
		t.Errorf("closed with %d after the token was deleted, want 4401", code)
	}
	session, _ := w.dial("/api/v1/live", bearerOf(me.token), live.Subprotocol)
	me.post("/api/v1/auth/logout", nil).want(204, "")
	if code := closeCode(t, session); code != protocol.CloseUnauthorized {
		t.Errorf("closed with %d after the logout, want 4401", code)
	}
}

// TestUnmadeAdminStopsWatching unmakes an administrator as another server does:
// what this one remembers of the token must not count.
func TestUnmadeAdminStopsWatching(t *testing.T) {
	w := newWorld(t)
	root, second := w.person("root"), w.newPerson("second")
	yes, no := true, false
	_, err := w.auth.UpdateUser(t.Context(), auth.Caller{Admin: true}, second.id, auth.UserChange{Admin: &yes})
	must(w, second, err)
	ws, _ := w.dial("/api/v1/live", bearerOf(root.token), live.Subprotocol)
	if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": []string{"admin"}}); err != nil {
		t.Fatal(err)
	}
	if n := readNote(t, ws); n.Type != "subscribed" {
		t.Fatalf("got %+v", n)
	}
	root.get("/api/v1/me").want(http.StatusOK, "") // remembered from now on
	_, err = w.store.UpdateUser(t.Context(), root.id, auth.UserChange{Admin: &no}, time.Now())
	must(w, root, err)
	w.live.Recheck(root.id)
	n := readNote(t, ws)
	for n.Type != "unsubscribed" { // what is told to administrators meanwhile
		n = readNote(t, ws)
	}
	if n.Topic != "admin" || n.Code != "not_admin" {
		t.Errorf("got %+v", n)
	}
}
