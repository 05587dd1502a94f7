package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/metrics"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/store/sqlite"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// lockedBuffer is a log that handlers write to at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// site is the real handler on the real domain and store.
type site struct {
	t     *testing.T
	api   http.Handler
	auth  *auth.Service
	audit *audit.Service
	db    *sqlite.DB
	clock *clock
	log   *lockedBuffer
}

const password = "correct horse"

func newSite(t *testing.T, change ...func(*auth.Options, *httpapi.Deps)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{at: time.UnixMilli(1_800_000_000_000).UTC()}, log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.db, err = sqlite.Open(context.Background(), t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	o := auth.Options{
		Store: s.db, Memberships: s.db, Throttle: auth.NewThrottle(s.clock.now), Secret: []byte(strings.Repeat("s", 32)),
		AccessTTL: 15 * time.Minute, RefreshTTL: 30 * 24 * time.Hour,
		Hash: auth.HashParams{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, HashesAtOnce: 2, Registration: true,
		Now: s.clock.now, Log: log,
	}
	s.audit = audit.NewService(audit.Options{Store: s.db, Retention: 24 * time.Hour, Now: s.clock.now, Log: log})
	hub := live.NewHub(live.DefaultTiming, nil)
	d := httpapi.Deps{
		Log: log, Groups: groups.NewService(s.db, s.db, o.Throttle, s.clock.now), Live: hub, Audit: s.audit,
		Metrics: metrics.New(log),
		Notify:  notify.New(notify.Options{Store: s.db.Notifications(), Groups: s.db, Live: hub, Log: log}),
	}
	for _, c := range change {
		c(&o, &d)
	}
	if s.auth, err = auth.NewService(o); err != nil {
		t.Fatal(err)
	}
	d.Auth = s.auth
	s.api = httpapi.New(d)
	return s
}

// header changes a request before it is sent.
type header func(*http.Request)

func with(name, value string) header { return func(r *http.Request) { r.Header.Set(name, value) } }

func bearer(token string) header { return with("Authorization", "Bearer "+token) }

func from(addr string) header { return func(r *http.Request) { r.RemoteAddr = addr + ":1234" } }

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

// problem is an error's body.
type problem struct {
	Type, Title, Detail, Code string
	Status                    int
	RequestID                 string `json:"request_id"`
	Errors                    []struct{ Field, Message string }
}

// send sends one request; body is a string sent as it is, or a value as JSON.
func (s *site) send(method, path string, body any, headers ...header) reply {
	s.t.Helper()
	var r io.Reader = http.NoBody
	if text, ok := body.(string); ok {
		r = strings.NewReader(text)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	rq := httptest.NewRequest(method, path, r)
	for _, h := range headers {
		h(rq)
	}
	rec := httptest.NewRecorder()
	s.api.ServeHTTP(rec, rq)
	return reply{rec.Result(), rec.Body.Bytes()}
}

// ok sends a request that has to be answered with status, and decodes the body.
func (s *site) ok(status int, into any, method, path string, body any, headers ...header) reply {
	s.t.Helper()
	r := s.send(method, path, body, headers...)
	if r.StatusCode != status {
		s.t.Fatalf("%s %s: %d, want %d: %s", method, path, r.StatusCode, status, r.body)
	}
	if into != nil {
		if err := json.Unmarshal(r.body, into); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, r.body)
		}
	}
	return r
}

// fails sends a request that has to be answered with a problem of this status
// and code, and returns it. Every problem is held against the rules for all.
func (s *site) fails(status int, code, method, path string, body any, headers ...header) problem {
	s.t.Helper()
	r := s.send(method, path, body, headers...)
	var p problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		s.t.Fatalf("%s %s: %d with %q: %v", method, path, r.StatusCode, r.body, err)
	}
	if r.StatusCode != status || p.Code != code {
		s.t.Fatalf("%s %s: %d %s, want %d %s: %s", method, path, r.StatusCode, p.Code, status, code, r.body)
	}
	if p.Status != status || p.Type != "about:blank" || p.Title != http.StatusText(status) ||
		p.RequestID == "" || p.RequestID != r.Header.Get("X-Request-Id") ||
		r.Header.Get("Content-Type") != "application/problem+json" {
		s.t.Errorf("%s %s: not a whole problem: %s %v", method, path, r.body, r.Header)
	}
	if status == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
		s.t.Errorf("%s %s: 429 without Retry-After", method, path)
	}
	if status == http.StatusUnauthorized && r.Header.Get("WWW-Authenticate") != "Bearer" {
		s.t.Errorf("%s %s: 401 without WWW-Authenticate", method, path)
	}
	return p
}

func (p problem) fields() string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return strings.Join(names, " ")
}

type account struct {
	ID, Access, Refresh, Name string
}

func (a account) as() header { return bearer(a.Access) }

type loggedIn struct {
	User struct {
		ID, Username, Email string
		Admin               bool
		CreatedAt           string `json:"created_at"`
	}
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

// register makes an account.
func (s *site) register(name string) account {
	s.t.Helper()
	var in loggedIn
	s.ok(http.StatusCreated, &in, "POST", "/api/v1/auth/register",
		map[string]string{"username": name, "email": name + "@example.org", "password": password})
	return account{ID: in.User.ID, Access: in.AccessToken, Refresh: in.RefreshToken, Name: name}
}

// group makes a group.
func (s *site) group(owner account, name string) string {
	s.t.Helper()
	var g struct{ ID string }
	s.ok(http.StatusCreated, &g, "POST", "/api/v1/groups", map[string]string{"name": name}, owner.as())
	return g.ID
}

// join makes a user a member.
func (s *site) join(owner account, group string, user account) {
	s.t.Helper()
	var i struct{ ID string }
	s.ok(http.StatusCreated, &i, "POST", "/api/v1/groups/"+group+"/invitations", map[string]string{"username": user.Name}, owner.as())
	s.ok(http.StatusNoContent, nil, "POST", "/api/v1/invitations/"+i.ID+"/accept", nil, user.as())
}

type token struct {
	ID, Name, Kind, Secret string
	Groups, Scopes         []string
	DeviceID               string  `json:"device_id"`
	CreatedAt              string  `json:"created_at"`
	ExpiresAt              *string `json:"expires_at"`
	LastUsedAt             *string `json:"last_used_at"`
}

// token makes a token.
func (s *site) token(owner account, body map[string]any) token {
	s.t.Helper()
	if body["name"] == nil {
		body["name"] = "lab"
	}
	var t token
	s.ok(http.StatusCreated, &t, "POST", "/api/v1/tokens", body, owner.as())
	return t
}

func trusted(prefixes ...string) func(*auth.Options, *httpapi.Deps) {
	return func(_ *auth.Options, d *httpapi.Deps) {
		for _, p := range prefixes {
			d.TrustedProxies = append(d.TrustedProxies, netip.MustParsePrefix(p))
		}
	}
}
