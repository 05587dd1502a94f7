package app

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// TestOwnersAreRefreshedEverywhere: what an owner decides at one server is in
// force at once on the other, which the worker is connected to.
func TestOwnersAreRefreshedEverywhere(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	db := sqlitetest.Open(t)
	redis, err := queue.Open(t.Context(), "", log)
	must(t, err)
	t.Cleanup(func() { must(t, redis.Close()) })
	server := func(id string) *control {
		c := newControl(redis.Client(), id, db.Sessions(), log)
		c.hub = workers.NewHub(workers.HubOptions{Store: db.Sessions(), Server: id, Logger: log, Drain: time.Millisecond})
		for _, start := range []func(context.Context) error{c.Start, c.hub.Start} {
			must(t, start(t.Context()))
		}
		t.Cleanup(func() {
			for _, stop := range []func(context.Context) error{c.hub.Stop, c.Stop} {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				must(t, stop(ctx))
				cancel()
			}
		})
		return c
	}
	here, there := server("here"), server("there")
	_, session := connect(t, there.hub)
	before, err := db.Sessions().Sessions(t.Context(), session)
	must(t, err)
	for _, tell := range []func(){
		func() { here.refreshNow(t.Context(), "ada") }, func() { here.refreshOwner("ada") },
	} {
		w, err := db.Sessions().Worker(t.Context(), "ada", before[0].Worker)
		must(t, err)
		w.Settings.Paused = !w.Settings.Paused
		if ok, err := db.Sessions().SaveSettings(t.Context(), w.ID, w.Revision, w.Settings); err != nil || !ok {
			t.Fatal(ok, err)
		}
		began := time.Now()
		tell()
		want := 2
		if w.Settings.Paused {
			want = 0
		}
		for there.hub.Snapshot()[0].Slots != want {
			if time.Since(began) > 5*time.Second {
				t.Fatalf("paused %v: %d slots", w.Settings.Paused, there.hub.Snapshot()[0].Slots)
			}
			<-time.After(time.Millisecond)
		}
		if took := time.Since(began); took > time.Second { // else its own look found it
			t.Errorf("in force after %s", took)
		}
	}
}

// connect opens a session of ada's worker over a real socket.
func connect(t *testing.T, hub *workers.Hub) (*websocket.Conn, string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := workers.Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		hub.Serve(context.Background(), conn, workers.Identity{User: "ada", Token: "token", Groups: []string{"g"}})
	}))
	t.Cleanup(srv.Close)
	d := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	must(t, err)
	must(t, resp.Body.Close())
	t.Cleanup(func() { _ = ws.Close() })
	must(t, ws.WriteJSON(protocol.Hello{Type: protocol.TypeHello, Name: "box", Kinds: []string{"echo"}, Slots: 2}))
	var welcome protocol.Welcome
	must(t, ws.ReadJSON(&welcome))
	return ws, welcome.Session
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
