package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackup: a backup is taken while tasks are submitted and worked on; after the
// server is killed and what it had is replaced by the backup, tokens work as
// before, and every task that was acknowledged before the backup ends.
func TestBackup(t *testing.T) {
	redises(t, func(t *testing.T, env ...string) {
		c := start(t, env...)
		c.worker("steady", 4)
		command := func(args ...string) (string, error) {
			out, err := exec.CommandContext(t.Context(), bins.Server, args...).CombinedOutput()
			return string(out), err
		}
		file := filepath.Join(t.TempDir(), "firmlight.tar.gz")

		submitting, stop := context.WithCancel(t.Context())
		acknowledged, stopped := make(chan string, 100_000), make(chan struct{})
		go func() {
			defer close(stopped)
			for submitting.Err() == nil {
				if task, err := c.Submit(submitting, c.group, map[string]any{"kind": "sleep", "input": map[string]any{"ms": 20}}); err == nil {
					acknowledged <- task.ID
				}
			}
		}()
		var before []string
		for len(before) < 100 {
			before = append(before, <-acknowledged)
		}
		if out, err := command("backup", "--data-dir", c.Dir(), file); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if out, err := command("backup", "--data-dir", c.Dir(), file); err == nil || !strings.Contains(out, "exists already") {
			t.Errorf("over another backup: %v, %s", err, out)
		}
		if out, err := command("restore", "--replace", "--data-dir", c.Dir(), file); err == nil || !strings.Contains(out, "in use") {
			t.Errorf("under a running server: %v, %s", err, out)
		}
		c.Server.Kill()
		stop()
		<-stopped
		if out, err := command("restore", "--data-dir", c.Dir(), file); err == nil || !strings.Contains(out, "--replace") {
			t.Errorf("over a database: %v, %s", err, out)
		}
		if out, err := command("restore", "--replace", "--data-dir", c.Dir(), file); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		must(t, c.Server.Restart())
		for _, id := range before {
			c.wait(id, "succeeded")
		}
		eventually(t, time.Minute, "nothing is left to do", func() bool {
			var stats struct{ Counts map[string]int }
			must(t, c.Do(t.Context(), "GET", "/groups/"+c.group+"/stats", nil, &stats))
			return stats.Counts["queued"]+stats.Counts["running"]+stats.Counts["scheduled"] == 0
		})
	})
}
