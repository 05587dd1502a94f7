package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/config"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	"github.com/firmlight/firmlight/protocol"
)

const (
	password = "correct horse"
	patience = 20 * time.Second // for what has to come
)

// startServer starts a whole server on a database that others may share; without
// a Redis of their own they do not know of each other.
func startServer(t *testing.T, db *sqlite.DB, redisURL string) *App {
	t.Helper()
	cfg, err := config.Parse([]string{
		"--listen=127.0.0.1:0", "--data-dir=" + t.TempDir(), "--secret=" + strings.Repeat("s", 32), "--redis-url=" + redisURL,
		"--admin-username=root", "--admin-email=root@example.org", "--admin-password=" + password,
		"--argon2-memory-kib=8", "--argon2-iterations=1", "--shutdown-timeout=1s",
	}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	a := New(cfg, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if a.front, err = listen(ctx, cfg, a.log); err != nil {
		t.Fatal(err)
	}
	a.started("listener", a.front.close)
	a.use(db, db.Sessions(), db.Notifications())
	if a.redis, err = queue.Open(ctx, redisURL, a.log); err != nil {
		t.Fatal(err)
	}
	a.started("redis", func(context.Context) error { return a.redis.Close() })
	if err := errors.Join(a.wire(ctx), a.startParts(ctx)); err != nil {
		t.Fatal(err)
	}
	return a
}

// do makes a call and returns its status; into may be nil.
func (a *App) do(t *testing.T, token, method, path string, body, into any) int {
	t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	rq, err := http.NewRequestWithContext(t.Context(), method, a.URL()+"/api/v1"+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	rq.Header.Set("Content-Type", "application/json")
	rq.Header.Set("Authorization", "Bearer "+token)
	r, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if into != nil {
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return r.StatusCode
}

// must is do for a call that has to succeed.
func (a *App) must(t *testing.T, token, method, path string, body, into any) {
	t.Helper()
	if status := a.do(t, token, method, path, body, into); status >= 300 {
		t.Fatalf("%s %s: %d", method, path, status)
	}
}

// login is what a login gives.
type login struct {
	User    struct{ ID string }
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (a *App) login(t *testing.T, name string) (in login) {
	t.Helper()
	a.must(t, "", "POST", "/auth/login", map[string]string{"login": name, "password": password}, &in)
	return in
}

func (a *App) register(t *testing.T, name string) (in login) {
	t.Helper()
	a.must(t, "", "POST", "/auth/register",
		map[string]string{"username": name, "email": name + "@example.org", "password": password}, &in)
	return in
}

type token struct{ ID, Secret string }

func (a *App) token(t *testing.T, in login, kind string) (tok token) {
	t.Helper()
	a.must(t, in.Access, "POST", "/tokens", map[string]string{"name": "lab", "kind": kind}, &tok)
	return tok
}

// end is how a socket ended.
type end struct {
	code int
	at   time.Time
}

// socket opens a WebSocket, says hello if there is one to say, and waits for the
// first answer to it. What it returns gets the end.
func (a *App) socket(t *testing.T, path, subprotocol, bearer string, hello any) <-chan end {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{subprotocol}}
	ws, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(a.URL(), "http")+path,
		http.Header{"Authorization": {"Bearer " + bearer}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { ws.Close() })
	if err := errors.Join(ws.WriteJSON(hello), ws.SetReadDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan end, 1)
	go func() {
		for {
			_, _, err := ws.ReadMessage()
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				ended <- end{closed.Code, time.Now()}
				return
			}
			if err != nil {
				ended <- end{0, time.Now()}
				return
			}
		}
	}()
	return ended
}

func (a *App) browser(t *testing.T, bearer string) <-chan end {
	t.Helper()
	return a.socket(t, "/api/v1/live", live.Subprotocol, bearer, map[string]any{"type": "unsubscribe", "topics": []string{"x"}})
}

func (a *App) worker(t *testing.T, bearer string) <-chan end {
	t.Helper()
	return a.socket(t, protocol.Path, protocol.Subprotocol, bearer,
		map[string]any{"type": "hello", "name": "w", "kinds": []string{"echo"}, "slots": 1})
}

// eventually asks until it is so.
func eventually(t *testing.T, what string, is func() bool) time.Time {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if is() {
			return time.Now()
		}
	}
	t.Fatalf("not within %s: %s", patience, what)
	return time.Time{}
}

// onRedis starts two servers on one database and one Redis, and returns once each
// hears the other.
func onRedis(t *testing.T) (here, there *App) {
	t.Helper()
	url, _ := redistest.Start(t)
	db := sqlitetest.Open(t)
	here, there = startServer(t, db, url), startServer(t, db, url)
	eventually(t, "both listen", func() bool {
		n, err := here.redis.Client().PubSubNumSub(t.Context(), controlChannel).Result()
		return err == nil && n[controlChannel] == 2
	})
	return here, there
}

// TestWhatEndsHereEndsThere: within a second nothing of a session, token or user
// that ended through one server works on another one, or is open there.
func TestWhatEndsHereEndsThere(t *testing.T) {
	t.Run("asking the store", func(t *testing.T) {
		db := sqlitetest.Open(t)
		endsThere(t, startServer(t, db, ""), startServer(t, db, ""))
	})
	t.Run("pushed over Redis", func(t *testing.T) {
		here, there := onRedis(t)
		if err := there.auth.Stop(t.Context()); err != nil { // it asks no more: only the push is left
			t.Fatal(err)
		}
		endsThere(t, here, there)
	})
}

func endsThere(t *testing.T, here, there *App) {
	root := here.login(t, "root")
	// Each case gets ada, logged in twice (mine ends), with a worker token and an
	// API token, and says which of them end with what it does.
	for _, test := range []struct {
		name           string
		session, token bool // which end
		do             func(t *testing.T, mine, other login, worker, api token)
	}{
		{"logout", true, false, func(t *testing.T, mine, _ login, _, _ token) {
			here.must(t, mine.Access, "POST", "/auth/logout", nil, nil)
		}},
		{"logout everywhere", true, false, func(t *testing.T, _, other login, _, _ token) {
			here.must(t, other.Access, "POST", "/auth/logout-all", nil, nil)
		}},
		{"session deleted", true, false, func(t *testing.T, mine, other login, _, _ token) {
			var list struct {
				Items []struct {
					ID      string
					Current bool
				}
			}
			here.must(t, mine.Access, "GET", "/me/sessions", nil, &list)
			for _, s := range list.Items {
				if s.Current {
					here.must(t, other.Access, "DELETE", "/me/sessions/"+s.ID, nil, nil)
				}
			}
		}},
		{"password changed", true, false, func(t *testing.T, _, other login, _, _ token) {
			here.must(t, other.Access, "PUT", "/me/password", map[string]string{"old_password": password, "new_password": password}, nil)
		}},
		{"refresh token used again", true, false, func(t *testing.T, mine, _ login, _, _ token) {
			var next login
			refresh := func(token string) int {
				return here.do(t, "", "POST", "/auth/refresh", map[string]string{"refresh_token": token}, &next)
			}
			refresh(mine.Refresh)
			refresh(next.Refresh)
			if status := refresh(mine.Refresh); status != http.StatusUnauthorized {
				t.Errorf("a token two generations old: %d", status)
			}
		}},
		{"tokens deleted", false, true, func(t *testing.T, mine, _ login, worker, api token) {
			here.must(t, mine.Access, "DELETE", "/tokens/"+worker.ID, nil, nil)
			here.must(t, mine.Access, "DELETE", "/tokens/"+api.ID, nil, nil)
		}},
		{"disabled", true, true, func(t *testing.T, mine, _ login, _, _ token) {
			here.must(t, root.Access, "PATCH", "/admin/users/"+mine.User.ID, map[string]bool{"disabled": true}, nil)
		}},
		{"deleted", true, true, func(t *testing.T, mine, _ login, _, _ token) {
			here.must(t, mine.Access, "DELETE", "/me", map[string]string{"password": password}, nil)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := strings.ReplaceAll(test.name, " ", "-")
			other := here.register(t, name)
			mine := here.login(t, name)
			worker, api := here.token(t, mine, "worker"), here.token(t, mine, "api")
			sockets := map[string]struct {
				ended <-chan end
				ends  bool
			}{
				"browser": {there.browser(t, mine.Access), test.session},
				"program": {there.browser(t, api.Secret), test.token},
				"worker":  {there.worker(t, worker.Secret), test.token},
			}
			for _, bearer := range []string{mine.Access, api.Secret} { // now in the memory of the other server
				there.must(t, bearer, "GET", "/me", nil, nil)
			}
			test.do(t, mine, other, worker, api)
			done := time.Now()
			for what, s := range sockets {
				if !s.ends {
					continue
				}
				select {
				case e := <-s.ended:
					if took := e.at.Sub(done); e.code != protocol.CloseUnauthorized || took > time.Second {
						t.Errorf("%s: closed with %d after %s", what, e.code, took)
					}
				case <-time.After(patience):
					t.Errorf("%s: still open", what)
				}
			}
			for what, bearer := range map[string]string{"session": mine.Access, "API token": api.Secret} {
				if what == "session" && !test.session || what == "API token" && !test.token {
					there.must(t, bearer, "GET", "/me", nil, nil)
					continue
				}
				at := eventually(t, what+" is refused", func() bool {
					return there.do(t, bearer, "GET", "/me", nil, nil) == http.StatusUnauthorized
				})
				if took := at.Sub(done); took > time.Second {
					t.Errorf("%s: works for %s", what, took)
				}
			}
			for what, s := range sockets {
				if !s.ends && len(s.ended) > 0 {
					t.Errorf("%s: closed with %d, and should not have been", what, (<-s.ended).code)
				}
			}
		})
	}
}

// TestOneRefreshTokenOnTwoServers: two tabs that refresh at the same moment, each
// on another server, get the same pair; a thief who comes later ends it on both.
func TestOneRefreshTokenOnTwoServers(t *testing.T) {
	db := sqlitetest.Open(t)
	servers := []*App{startServer(t, db, ""), startServer(t, db, "")}
	first := servers[0].register(t, "ada")
	refresh := func(a *App, token string) (in login, status int) {
		status = a.do(t, "", "POST", "/auth/refresh", map[string]string{"refresh_token": token}, &in)
		return in, status
	}
	var got [8]login
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var status int
			if got[i], status = refresh(servers[i%2], first.Refresh); status != http.StatusOK {
				t.Errorf("tab %d: %d", i, status)
			}
		})
	}
	wg.Wait()
	for _, in := range got {
		if in.Refresh == first.Refresh || in.Refresh != got[0].Refresh || in.Access != got[0].Access {
			t.Error("tabs got different pairs")
		}
	}
	newest, _ := refresh(servers[0], got[0].Refresh)
	for _, a := range servers {
		if _, status := refresh(a, first.Refresh); status != http.StatusUnauthorized {
			t.Errorf("used again: %d", status)
		}
		if _, status := refresh(a, newest.Refresh); status != http.StatusUnauthorized {
			t.Errorf("the family after that: %d", status)
		}
	}
}

// TestLoginsAreThrottledTogether: failures on one server count on the other.
func TestLoginsAreThrottledTogether(t *testing.T) {
	url, _ := redistest.Start(t)
	db := sqlitetest.Open(t)
	servers := []*App{startServer(t, db, url), startServer(t, db, url)}
	servers[0].register(t, "ada")
	try := func(a *App, name, password string) int {
		return a.do(t, "", "POST", "/auth/login", map[string]string{"login": name, "password": password}, nil)
	}
	for i := range 10 {
		if status := try(servers[i%2], "ada", "wrong password"); status != http.StatusUnauthorized {
			t.Fatalf("failure %d: %d", i+1, status)
		}
	}
	for i, a := range servers {
		if status := try(a, "ada", password); status != http.StatusTooManyRequests {
			t.Errorf("server %d, after ten failures: %d", i, status)
		}
		if status := try(a, "root", password); status != http.StatusOK {
			t.Errorf("server %d, another login: %d", i, status)
		}
	}
}
