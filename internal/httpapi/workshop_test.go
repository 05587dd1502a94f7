package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/metrics"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// workshop is the whole API over the real store and services. Only the queue is
// left out: nothing runs a task unless the test does.
type workshop struct {
	*testing.T
	url       string
	api       http.Handler // behind the url
	store     *sqlite.DB
	auth      *auth.Service
	authWith  auth.Options // what auth was made with
	groups    *groups.Service
	audit     *audit.Service
	metrics   *metrics.Metrics
	tasks     *tasks.Service
	live      *live.Hub
	notify    *notify.Service
	devices   *devsync.Service
	hub       *workers.Hub
	connected []string     // workers, for split and broadcast
	behind    atomic.Int64 // nanoseconds
	audits    atomic.Int64 // see auditTime
	unready   atomic.Bool
}

// noQueue takes every ticket and does nothing with it.
type noQueue struct{}

func (noQueue) Admits(context.Context, tasks.Pair, tasks.Priority) bool { return true }
func (noQueue) Push(context.Context, ...tasks.Ticket) error             { return nil }

// told is what hears of tasks.
type told struct {
	*live.Hub
	notify *notify.Service
}

func (to told) TaskChanged(t tasks.Task) {
	to.Hub.TaskChanged(t)
	to.notify.TaskChanged(t)
}

func (w *workshop) Cancel(tasks.Task, string) {}
func (w *workshop) Connected(context.Context, string, string) ([]string, error) {
	return w.connected, nil
}

const allowedOrigin = "https://pages.example"

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	w := &workshop{T: t, metrics: metrics.New(log)}
	var err error
	w.store = sqlitetest.Open(t)
	w.authWith = auth.Options{
		Store: w.store, Memberships: w.store, Throttle: auth.NewThrottle(time.Now), Secret: []byte(strings.Repeat("s", 32)),
		AccessTTL: 15 * time.Minute, RefreshTTL: time.Hour,
		Hash: auth.HashParams{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, HashesAtOnce: 2, Registration: true,
		Now: time.Now, Log: log,
	}
	if w.auth, err = auth.NewService(w.authWith); err != nil {
		t.Fatal(err)
	}
	w.groups = groups.NewService(w.store, w.store, auth.NewThrottle(time.Now), time.Now)
	w.audit = audit.NewService(audit.Options{Store: w.store, Retention: 24 * time.Hour, Now: w.auditTime, Log: log})
	w.live = live.NewHub(live.DefaultTiming, nil)
	w.notify = notify.New(notify.Options{Store: w.store.Notifications(), Groups: w.store, Live: w.live, Log: log})
	w.groups.Listen(w.notify)
	w.tasks = tasks.NewService(tasks.Deps{
		Store: w.metrics.Tasks(w.store), Payloads: w.store, Counts: w.store, Queues: w.store, Queue: noQueue{}, Events: told{w.live, w.notify}, Workers: w,
		Kinds: workload.Builtin(workload.Options{}), Server: "server", Logger: log,
		GroupExists: func(context.Context, string) error { return nil },
	})
	w.hub = workers.NewHub(workers.HubOptions{
		Store: w.store.Sessions(), Tasks: w.tasks, Server: "server", Grace: 50 * time.Millisecond, Drain: time.Millisecond, Logger: log,
		OnLost: func(s workers.Session) { w.notify.WorkerLost(s.Owner, s.Worker, s.Name) },
		Groups: w.auth.WorkerGroups,
	})
	w.auth.OnRevoked(w.hub.Revoke)
	w.auth.OnRevoked(w.live.Revoke)
	w.devices = devsync.NewService(devsync.Options{Store: w.metrics.Events(w.store), Groups: w.groups, Roles: w.store, Now: time.Now})
	w.api = httpapi.New(httpapi.Deps{
		OwnWorkers: workers.NewService(w.store.Sessions(), w.store, func(ctx context.Context, owner string) {
			if err := w.hub.Refresh(ctx, owner); err != nil {
				t.Error(err)
			}
		}),
		Log: log, Auth: w.auth, Groups: w.groups, Tasks: w.tasks, Sessions: w.store.Sessions(), Workers: w.hub, Live: w.live,
		Devices:    w.devices,
		WebhookKey: func(group string) string { return "key of " + group },
		Audit:      w.audit, Notify: w.notify, Metrics: w.metrics, AllowedOrigins: []string{allowedOrigin},
		Installation: w.store, Cluster: w.store, Downloads: putDownloads(t),
		Disconnect: func(_ context.Context, worker string) error { w.hub.CloseWorker(worker); return nil },
		Behind:     func() time.Duration { return time.Duration(w.behind.Load()) },
		Ready: func(ctx context.Context) error {
			if w.unready.Load() {
				return httpapi.NotReady("Redis", errors.New("it was killed"))
			}
			return w.store.Ping(ctx)
		},
	})
	srv := httptest.NewServer(w.api)
	w.url = srv.URL
	for _, start := range []func(context.Context) error{w.live.Start, w.notify.Start, w.tasks.Start, w.hub.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		srv.Close()
		for _, stop := range []func(context.Context) error{w.hub.Stop, w.live.Stop, w.tasks.Stop, w.notify.Stop} {
			if err := stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// someone is a user who calls the API with one token.
type someone struct {
	w     *workshop
	id    string
	token string
}

func (w *workshop) someone(name string) someone {
	w.Helper()
	p, err := w.auth.Register(w.Context(), auth.Registration{Username: name, Email: name + "@example.org", Password: "correct horse"}, auth.Client{})
	if err != nil {
		w.Fatal(err)
	}
	return someone{w, p.User.ID, p.AccessToken}
}

// with returns the same user with a token of another kind.
func (s someone) with(n auth.NewToken) someone {
	s.w.Helper()
	n.Name = "test"
	_, secret, err := s.w.auth.CreateToken(s.w.Context(), auth.Caller{UserID: s.id}, n)
	if err != nil {
		s.w.Fatal(err)
	}
	return someone{s.w, s.id, secret}
}

// group makes a group of the user's.
func (s someone) group() string {
	s.w.Helper()
	g, err := s.w.groups.Create(s.w.Context(), auth.Caller{UserID: s.id}, "laboratory", "", nil)
	if err != nil {
		s.w.Fatal(err)
	}
	return g.ID
}

// join makes the user a member.
func (s someone) join(group string, role auth.Role) {
	s.w.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	i := groups.Invitation{ID: newID(), Group: group, User: s.id, InvitedBy: s.id, CreatedAt: now}
	err := s.w.store.InsertInvitation(s.w.Context(), i)
	if err == nil {
		err = s.w.store.AnswerInvitation(s.w.Context(), i.ID, s.id,
			&groups.Membership{ID: newID(), Group: group, User: s.id, Role: role, JoinedAt: now})
	}
	if err != nil {
		s.w.Fatal(err)
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// answer is what the API said.
type answer struct {
	w      *workshop
	what   string
	status int
	header http.Header
	body   []byte
}

// do calls the API; body is a string as it is, or a value to encode.
func (s someone) do(method, path string, body any) answer {
	s.w.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.w.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	header := http.Header{}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	return s.send(method, path, r, header)
}

// send makes one request with a body and headers as they are, and the token.
func (s someone) send(method, path string, body io.Reader, header http.Header) answer {
	s.w.Helper()
	req, err := http.NewRequestWithContext(s.w.Context(), method, s.w.url+path, body)
	if err != nil {
		s.w.Fatal(err)
	}
	req.Header = header
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.w.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.w.Fatal(err)
	}
	return answer{s.w, method + " " + path, resp.StatusCode, resp.Header, data}
}

func (s someone) get(path string) answer { s.w.Helper(); return s.do(http.MethodGet, path, nil) }
func (s someone) post(path string, body any) answer {
	s.w.Helper()
	return s.do(http.MethodPost, path, body)
}

// want checks the status, and with a code the problem.
func (a answer) want(status int, code string) answer {
	a.w.Helper()
	if a.status != status {
		a.w.Errorf("%s: status %d, want %d: %.300s", a.what, a.status, status, a.body)
		return a
	}
	if code == "" {
		return a
	}
	var p httpapi.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Code != code || p.Status != status || p.RequestID == "" {
		a.w.Errorf("%s: problem %.300s, want code %s", a.what, a.body, code)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		a.w.Errorf("%s: content type %s", a.what, ct)
	}
	return a
}

// field returns the first wrong field a problem names.
func (a answer) field() string {
	var p httpapi.Problem
	if json.Unmarshal(a.body, &p) != nil || len(p.Errors) == 0 {
		return ""
	}
	return p.Errors[0].Field
}

// into decodes the body of an answer that must have the status.
func into[T any](a answer, status int) T {
	a.w.Helper()
	var v T
	a.want(status, "")
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.w.Fatalf("%s: %v in %.300s", a.what, err, a.body)
	}
	return v
}

// seen is a task as clients see it.
type seen struct {
	ID       string
	Kind     string
	Title    string
	Status   string
	Phase    string
	Attempt  int
	Parent   string
	Index    *int
	Priority string
	Worker   *struct{ ID, Name string }
	Error    *struct{ Code string }
	Children *struct{ Total, Queued, Succeeded, Cancelled int }
}

type seenList struct {
	Items      []seen
	NextCursor *string `json:"next_cursor"`
}

func (s someone) submit(group string, body any) seen {
	s.w.Helper()
	return into[seen](s.post("/api/v1/groups/"+group+"/tasks", body), http.StatusAccepted)
}

// claim runs a task on a worker that does not exist.
func (w *workshop) claim(id string) tasks.Task {
	w.Helper()
	t, err := w.tasks.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	c, ok, err := w.tasks.Claim(w.Context(), tasks.TicketOf(t), tasks.Owner{
		Server: "server", Session: "session", Epoch: 1, Worker: "worker", WorkerName: "bench", User: t.CreatedBy,
	})
	if err != nil || !ok {
		w.Fatalf("claim: %v %v", ok, err)
	}
	return c.Task
}

// end ends a claimed task.
func (w *workshop) end(t tasks.Task, r protocol.Result) {
	w.Helper()
	r.Task, r.Attempt = t.ID, t.Attempt
	if ack, err := w.tasks.Result(w.Context(), t, r); err != nil || !ack.Accepted {
		w.Fatalf("result: %+v %v", ack, err)
	}
}

func (w *workshop) succeed(id, output string) {
	w.Helper()
	w.end(w.claim(id), protocol.Result{Status: protocol.Succeeded, Output: json.RawMessage(output)})
}
