package app

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/sqlitetest"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/worker"
)

// starts notes when tasks began on a worker.
type starts struct {
	mu sync.Mutex
	at []time.Time
}

func (s *starts) all() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

// echoes runs a worker for kind echo until the test ends.
func (a *App) echoes(t *testing.T, bearer string) *starts {
	t.Helper()
	s := &starts{}
	w := worker.New(worker.Options{Server: a.URL(), Token: bearer, Name: "echoes", Slots: 2, Logger: slog.New(slog.DiscardHandler)})
	w.Handle("echo", func(_ context.Context, task *worker.Task) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at = append(s.at, time.Now())
		return task.Input, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

// both runs a test with two servers that know of each other, and with two that
// share no more than the store.
func both(t *testing.T, test func(t *testing.T, here, there *App)) {
	t.Run("asking the store", func(t *testing.T) {
		db := sqlitetest.Open(t)
		test(t, startServer(t, db, ""), startServer(t, db, ""))
	})
	t.Run("pushed over Redis", func(t *testing.T) {
		here, there := onRedis(t)
		test(t, here, there)
	})
}

// TestPauseHoldsThere: a queue paused through one server starts nothing on
// another one after a second, under load, and all of it once resumed.
func TestPauseHoldsThere(t *testing.T) {
	both(t, func(t *testing.T, here, there *App) {
		root, ada := here.login(t, "root"), here.register(t, "ada")
		var group struct{ ID string }
		here.must(t, ada.Access, "POST", "/groups", map[string]string{"name": "laboratory"}, &group)
		ran := there.echoes(t, here.token(t, ada, "worker").Secret)
		submitted := 0
		load := func(until func() bool) {
			eventually(t, "enough load", func() bool {
				there.must(t, ada.Access, "POST", "/groups/"+group.ID+"/tasks", map[string]any{"kind": "echo"}, nil)
				submitted++
				return until()
			})
		}
		load(func() bool { return len(ran.all()) > 10 })
		queue := map[string]string{"group": group.ID, "kind": "echo"}
		here.must(t, root.Access, "POST", "/admin/queues:pause", queue, nil)
		paused := time.Now()
		load(func() bool { return time.Since(paused) > 2*time.Second })
		before := ran.all()
		if last := before[len(before)-1]; last.Sub(paused) > time.Second {
			t.Errorf("a task began %s after the pause", last.Sub(paused))
		}
		if len(before) == submitted {
			t.Error("nothing waits")
		}
		here.must(t, root.Access, "POST", "/admin/queues:resume", queue, nil)
		eventually(t, "all have run", func() bool { return len(ran.all()) == submitted })
	})
}

// TestDisconnectReachesThere: a worker of another server is closed within a
// second, and a session without a connection is lost at once.
func TestDisconnectReachesThere(t *testing.T) {
	here, there := onRedis(t)
	root, ada := here.login(t, "root"), here.register(t, "ada")
	here.must(t, ada.Access, "POST", "/groups", map[string]string{"name": "laboratory"}, nil)
	ended := there.worker(t, here.token(t, ada, "worker").Secret)
	mine := func(states ...workers.State) []workers.Session {
		list, err := here.sessions.List(t.Context(), workers.Filter{Owner: ada.User.ID, States: states})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	s := mine(workers.Connected)[0]
	shaky, err := here.sessions.Open(t.Context(), workers.Session{
		ID: "00000000-0000-7000-8000-000000000001", Name: s.Name, Owner: s.Owner, Server: "gone", ConnectedAt: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := here.sessions.Part(t.Context(), shaky.ID, 1, time.Now().Add(time.Hour), time.Now(), true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	here.must(t, root.Access, "POST", "/admin/workers/"+s.Worker+"/disconnect", nil, nil)
	done := time.Now()
	if left := mine(workers.Grace); len(left) != 0 {
		t.Errorf("in grace: %+v", left)
	}
	select {
	case e := <-ended:
		if took := e.at.Sub(done); e.code != protocol.CloseDisconnected || took > time.Second {
			t.Errorf("closed with %d after %s", e.code, took)
		}
	case <-time.After(patience):
		t.Fatal("still open")
	}
	eventually(t, "both are lost", func() bool { return len(mine(workers.Connected, workers.Grace)) == 0 })
	unknown := "/admin/workers/00000000-0000-7000-8000-000000000002/disconnect"
	if status := here.do(t, root.Access, "POST", unknown, nil, nil); status != http.StatusNotFound {
		t.Errorf("an unknown worker: %d", status)
	}
}
