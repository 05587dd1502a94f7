package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/internal/tasks"
)

// crashDir tells a copy of the test binary to be the server that is killed.
const crashDir = "FIRMLIGHT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := insertUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// insertUntilKilled inserts and claims from several goroutines and prints each
// id once both are acknowledged.
func insertUntilKilled(dir string) error {
	ctx := context.Background()
	db, err := Open(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for range 16 {
		go func() {
			for {
				t := benchTask()
				if _, err := db.Insert(ctx, t); err != nil {
					failed <- err
				}
				claim := tasks.Claim(t.ID, 0, tasks.Owner{Session: "s"}, t.Timeout, t.RunAt)
				if _, ok, err := db.Apply(ctx, claim); err != nil || !ok {
					failed <- fmt.Errorf("claim: %v, %w", ok, err)
				}
				mu.Lock()
				fmt.Fprintln(os.Stdout, t.ID)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// TestKill kills a server at work with SIGKILL and looks for all that it
// acknowledged. (A lost power supply is beyond it; see TestNotOnDisk.)
func TestKill(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	var acked []string
	for round, n := range []int{1, 50, 300} {
		acked = append(acked, killAfter(t, dir, n)...)
		db, err := Open(ctx, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, id := range acked {
			if got, err := db.Get(ctx, id); err != nil || got.Status != tasks.Running {
				t.Errorf("round %d: acknowledged task is %q, %v", round, got.Status, err)
			}
			if in, err := db.Input(ctx, id); err != nil || len(in) == 0 {
				t.Errorf("round %d: its input: %q, %v", round, in, err)
			}
		}
		var check string
		if err := db.readRow(ctx, "PRAGMA integrity_check", nil, &check); err != nil || check != "ok" {
			t.Errorf("round %d: integrity %q, %v", round, check, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killAfter runs a server on dir until it has acknowledged n tasks, kills it,
// and returns all that it acknowledged.
func killAfter(t *testing.T, dir string, n int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if len(lines.Text()) == 36 { // the last line may be cut
			acked = append(acked, lines.Text())
		}
		if len(acked) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the server was not killed")
	}
	if len(acked) < n {
		t.Fatalf("%d acknowledged, want %d", len(acked), n)
	}
	return acked
}
