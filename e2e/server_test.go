package e2e

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// serve runs a server on a folder, without a user; it is stopped with the test.
func serve(t *testing.T, dir string, env ...string) *kit.Server {
	t.Helper()
	s, err := kit.StartServer(bins.Server, dir, env, nil)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(20 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestStartIsRefused: what cannot work ends with status 1 and says why, and
// leaves the server that runs already alone.
func TestStartIsRefused(t *testing.T) {
	dir, damaged := t.TempDir(), t.TempDir()
	s := serve(t, dir)
	must(t, os.WriteFile(filepath.Join(damaged, "secret"), []byte("short"), 0o600))
	file := filepath.Join(damaged, "secret")
	for name, c := range map[string]struct {
		args, env []string
		want      string
	}{
		"taken port":         {nil, []string{"FIRMLIGHT_LISTEN=" + strings.TrimPrefix(s.URL, "http://")}, "address already in use"},
		"taken folder":       {nil, []string{"FIRMLIGHT_DATA_DIR=" + dir}, "the data directory is in use by another server"},
		"folder is a file":   {[]string{"--data-dir", file}, nil, "data directory"},
		"damaged secret":     {[]string{"--data-dir", damaged}, nil, "is damaged"},
		"unknown variable":   {nil, []string{"FIRMLIGHT_LISTNE=:1"}, "unknown variable FIRMLIGHT_LISTNE"},
		"unknown flag":       {[]string{"--listne=:1"}, nil, "unknown flag --listne"},
		"wrong value":        {nil, []string{"FIRMLIGHT_WORKER_PING=soon"}, "worker-ping"},
		"half an admin":      {nil, []string{"FIRMLIGHT_ADMIN_USERNAME=ada"}, "--admin-password"},
		"database not named": {nil, []string{"FIRMLIGHT_MONGODB_URI=mongodb://127.0.0.1:1"}, "must name a database"},
		"store not there":    {nil, []string{"FIRMLIGHT_MONGODB_URI=mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=200"}, "The store does not answer"},
		"metrics port taken": {nil, []string{"FIRMLIGHT_METRICS_LISTEN=" + strings.TrimPrefix(s.URL, "http://")}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"FIRMLIGHT_LISTEN=127.0.0.1:0", "FIRMLIGHT_DATA_DIR=" + t.TempDir()}, c.env...)
			p, err := kit.StartProcess(bins.Server, c.args, env, nil)
			must(t, err)
			select {
			case <-p.Done():
			case <-time.After(30 * time.Second):
				t.Error("it runs")
			}
			var exit *exec.ExitError
			if err := p.Stop(time.Second); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want status 1", err)
			}
			if !strings.Contains(p.Output(), c.want) {
				t.Errorf("says %q, want %q", p.Output(), c.want)
			}
		})
	}
	t.Cleanup(func() { must(t, s.WaitReady(time.Second)) }) // after the parallel ones
}

type me struct {
	Username string
	Admin    bool
}

var setupLink = regexp.MustCompile(`/setup\?code=([A-Z0-9]+)`)

// TestSetupLink: without an administrator in the configuration, the log has a
// link that makes the first one, once.
func TestSetupLink(t *testing.T) {
	s := serve(t, t.TempDir(), "FIRMLIGHT_ADMIN_USERNAME=", "FIRMLIGHT_ADMIN_EMAIL=", "FIRMLIGHT_ADMIN_PASSWORD=")
	link := setupLink.FindStringSubmatch(s.Output())
	if link == nil {
		t.Fatalf("no link in the log: %s", s.Output())
	}
	nobody := kit.NewClient(s.URL, "")
	ctx := t.Context()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	setUp := func(code string) (status int) {
		err := nobody.Do(ctx, "POST", "/auth/setup", map[string]string{
			"code": code, "username": "root", "email": "root@example.org", "password": "a long password",
		}, &got)
		var p *kit.Problem
		if errors.As(err, &p) {
			return p.Status
		}
		must(t, err)
		return http.StatusCreated
	}
	for _, step := range []struct {
		code   string
		status int
	}{{"WRONG", 403}, {link[1], 201}, {link[1], 409}} {
		if status := setUp(step.code); status != step.status {
			t.Fatalf("setup with %s: status %d, want %d", step.code, status, step.status)
		}
	}
	var who me
	must(t, kit.NewClient(s.URL, got.AccessToken).Do(ctx, "GET", "/me", nil, &who))
	if who != (me{"root", true}) {
		t.Errorf("made %+v", who)
	}
	must(t, s.Stop(20*time.Second))
	must(t, s.Restart())
	if setupLink.MatchString(s.Output()) {
		t.Error("a second start offers the link although there is an administrator")
	}
}

// TestConfiguredAdmin: the administrator of the variables is there from the start.
func TestConfiguredAdmin(t *testing.T) {
	s := serve(t, t.TempDir())
	if strings.Contains(s.Output(), "code=") || strings.Contains(s.Output(), kit.AdminPassword) {
		t.Errorf("log: %s", s.Output())
	}
	c, err := kit.Login(t.Context(), s.URL, "admin", kit.AdminPassword)
	must(t, err)
	var who me
	must(t, c.Do(t.Context(), "GET", "/me", nil, &who))
	if who != (me{"admin", true}) {
		t.Errorf("made %+v", who)
	}
}

// TestDataDirectory: nobody else may read what is in it, and it holds what makes
// a login outlive the process.
func TestDataDirectory(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755)) // as an operator may have made it
	s := serve(t, dir)
	c, err := kit.Register(t.Context(), s.URL, "ada", "a long password")
	must(t, err)
	var files []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", d.Name(), info.Mode())
		}
		files = append(files, d.Name())
		return err
	}))
	if !strings.Contains(strings.Join(files, " "), "secret") {
		t.Errorf("no secret among %v", files)
	}
	s.Kill()
	must(t, s.Restart())
	must(t, c.Do(t.Context(), "GET", "/me", nil, nil))
}

// TestStopOrder holds invariant 7 of docs/architecture.md against the log of a
// stop, while a worker finishes what it runs.
func TestStopOrder(t *testing.T) {
	c := start(t, "FIRMLIGHT_LOG_LEVEL=debug")
	c.worker("w", 1)
	task := c.submit(map[string]any{"kind": "sleep", "input": map[string]int{"ms": 8000}})
	c.running(task.ID)
	must(t, c.Signal(syscall.SIGTERM))
	eventually(t, 5*time.Second, "no new connections", func() bool {
		_, err := c.Get(t.Context(), task.ID)
		return err != nil
	})
	select {
	case <-c.Done():
		t.Error("the server did not wait for its worker")
	default:
	}
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Error("the server does not stop")
	}
	must(t, c.Stop(time.Second)) // status 0
	var got []string
	for _, m := range regexp.MustCompile(`msg=stopped part=(\S+)`).FindAllStringSubmatch(c.Server.Output(), -1) {
		got = append(got, m[1])
	}
	want := []string{
		"http", "workers", "dispatcher", "failover", "control", "tasks", "notify", "webhooks", "fleet", "stats", "live", "auth",
		"audit", "redis", "store", "tracing", "listener",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stopped %v, want %v", got, want)
	}
	must(t, c.Restart())
	if got := c.wait(task.ID, "succeeded"); got.Attempt != 1 {
		t.Errorf("attempt %d", got.Attempt)
	}
}

// TestKilledWhileStopping kills a stopping server at several moments, with tasks
// coming in until the last: every accepted one ends exactly once.
func TestKilledWhileStopping(t *testing.T) {
	c := start(t, "FIRMLIGHT_SHUTDOWN_TIMEOUT=2s")
	c.testWorker("w1", 4)
	c.testWorker("w2", 4)
	c.connected(2)
	ctx := t.Context()
	var accepted []string
	for _, delay := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond, 1100 * time.Millisecond} {
		signalled := make(chan struct{})
		ids := make(chan []string)
		go func() {
			var mine []string
			for n := 0; ; n++ {
				if n == 25 {
					close(signalled)
				}
				task, err := c.offer(map[string]any{"kind": "work", "input": map[string]int{"ms": 20 * (n % 100)}})
				if err != nil {
					ids <- mine
					return
				}
				mine = append(mine, task.ID)
			}
		}()
		select {
		case <-signalled:
		case mine := <-ids:
			t.Fatalf("a submit was refused after %d", len(mine))
		}
		must(t, c.Signal(syscall.SIGTERM))
		select {
		case <-c.Done():
		case <-time.After(delay):
		}
		c.Kill()
		accepted = append(accepted, <-ids...)
		must(t, c.Restart())
	}
	for _, id := range accepted {
		c.wait(id, "succeeded")
		entries, err := c.Timeline(ctx, id)
		must(t, err)
		ends := 0
		for _, e := range entries {
			if e.Event == "succeeded" || e.Event == "failed" || e.Event == "cancelled" {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("task %s ended %d times: %+v", id, ends, entries)
		}
	}
	t.Logf("%d tasks accepted by a server that was killed four times while it stopped", len(accepted))
}
