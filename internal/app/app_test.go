package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/config"
)

// run starts a server in this process, on ports of its own.
func run(t *testing.T, env ...string) *App {
	t.Helper()
	cfg, err := config.Parse(nil, append([]string{
		"FIRMLIGHT_LISTEN=127.0.0.1:0", "FIRMLIGHT_DATA_DIR=" + t.TempDir(), "FIRMLIGHT_ARGON2_MEMORY_KIB=8",
	}, env...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	a := New(cfg, slog.New(slog.DiscardHandler))
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// TestPrivateListener has metrics of every part, and profiles, without a token;
// the public one asks for it.
func TestPrivateListener(t *testing.T) {
	a := run(t, "FIRMLIGHT_METRICS_LISTEN=127.0.0.1:0")
	private := "http://" + a.front.private.Addr().String()
	status, body := get(t, private+"/metrics")
	for _, want := range []string{
		"\nfirmlight_redis_up 1\n", "\nfirmlight_worker_sessions 0\n", "\nfirmlight_worker_slots 0\n", "\nfirmlight_worker_slots_busy 0\n",
		"\nfirmlight_live_connections 0\n", "\nfirmlight_store_write_delay_seconds ", "\nfirmlight_store_commits_total ",
		"\nfirmlight_store_writes_total ", "\nfirmlight_queue_oldest_seconds 0\n",
		"\nfirmlight_redis_seconds_count{outcome=\"error\"} 0\n", "\nfirmlight_task_reassignments_total{cause=\"server_lost\"} 0\n",
		"\nfirmlight_audit_failures_total 0\n",
		"\ngo_goroutines ",
		"\nfirmlight_task_events_total{event=\"submitted\"} 0\n",
		"\nfirmlight_tasks{status=\"queued\"} 0\n", "\nfirmlight_tasks{status=\"running\"} 0\n", "\nfirmlight_tasks{status=\"scheduled\"} 0\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%d without %q", status, want)
		}
	}
	for _, never := range []string{
		"store_commits_total", "store_seconds_count{operation=\"commit\"}", "store_seconds_count{operation=\"read\"}",
		"redis_seconds_count{outcome=\"ok\"}",
	} {
		if strings.Contains(body, "\nfirmlight_"+never+" 0\n") {
			t.Errorf("%s is 0, after a start", never)
		}
	}
	if status, _ := get(t, private+"/debug/pprof/"); status != http.StatusOK {
		t.Errorf("profiles: %d", status)
	}
	if status, _ := get(t, a.URL()+"/metrics"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	if err := a.webhooks.Stop(t.Context()); err != nil { // asynq does not survive a client that is closed
		t.Fatal(err)
	}
	if err := a.redis.Close(); err != nil {
		t.Fatal(err)
	}
	if _, body := get(t, private+"/metrics"); !strings.Contains(body, "\nfirmlight_redis_up 0\n") {
		t.Error("redis is up, after it was closed")
	}
}

// TestFirstAdminIsAudited: what the server itself did is in the log, once.
func TestFirstAdminIsAudited(t *testing.T) {
	a := run(t, "FIRMLIGHT_ADMIN_USERNAME=root", "FIRMLIGHT_ADMIN_EMAIL=root@example.org", "FIRMLIGHT_ADMIN_PASSWORD=correct horse")
	if err := a.prepareAdmin(t.Context()); err != nil { // as the next start does
		t.Fatal(err)
	}
	u, err := a.auth.UserByLogin(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	all, err := a.audit.List(t.Context(), audit.Filter{}, "", 10)
	if err != nil || len(all) != 1 || all[0].Action != "first-admin" || all[0].Target != u.ID || all[0].Actor != "" {
		t.Errorf("%+v, %v", all, err)
	}
}
