package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// taskLog is what /logs answers.
type taskLog struct {
	Items   []struct{ Stream, Line string }
	Dropped int
}

func (c *cluster) log(id string) (got taskLog) {
	c.t.Helper()
	must(c.t, c.Do(c.t.Context(), "GET", "/tasks/"+id+"/logs?limit=1000", nil, &got))
	return got
}

// TestPanicFailsItsTaskOnly: the stack is in the task's log, and the same process
// does the next task.
func TestPanicFailsItsTaskOnly(t *testing.T) {
	c := start(t)
	w := c.testWorker("w", 1)
	task := c.submit(map[string]any{"kind": "panic", "max_attempts": 1})
	if e := c.wait(task.ID, "failed").Error; e == nil || e.Code != "panic" || e.Message != "ouch" {
		t.Errorf("error %+v", e)
	}
	var stack strings.Builder
	for _, l := range c.log(task.ID).Items {
		fmt.Fprintln(&stack, l.Line)
	}
	if text := stack.String(); !strings.Contains(text, "panic: ouch") || !strings.Contains(text, "testworker/main.go") {
		t.Errorf("log: %s", text)
	}
	next := c.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 1}})
	c.wait(next.ID, "succeeded")
	var out struct{ PID int }
	must(t, c.Output(t.Context(), next.ID, &out))
	if out.PID != w.PID() {
		t.Errorf("process %d did the next task, want %d", out.PID, w.PID())
	}
}

// TestOnlyWhatTheWorkerAllowed: a task names a kind and gives an input, and
// neither can make a worker run anything else.
func TestOnlyWhatTheWorkerAllowed(t *testing.T) {
	c := start(t)
	file := filepath.Join(t.TempDir(), "file")
	c.worker("w", 4, "--kinds", "mean", "--exec", "cat=cat")
	c.connected(1)
	touch := "; touch " + file + " $(touch " + file + ") `touch " + file + "`"
	var never []kit.Task
	for _, kind := range []string{"sh", "touch", "echo", "exec", "cat2"} {
		never = append(never, c.submit(map[string]any{"kind": kind, "input": touch}))
	}
	cat := c.submit(map[string]any{"kind": "cat", "input": touch})
	c.wait(cat.ID, "succeeded")
	var out string
	must(t, c.Output(t.Context(), cat.ID, &out))
	if out != touch {
		t.Errorf("cat says %q", out)
	}
	mean := c.submit(map[string]any{"kind": "mean", "input": map[string]any{"numbers": []int{1}}})
	c.wait(mean.ID, "succeeded") // slots are free, and still:
	for _, task := range never {
		if got, err := c.Get(t.Context(), task.ID); err != nil || got.Status != "queued" {
			t.Errorf("kind %s: %s, %v", task.Kind, got.Status, err)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("a task ran a program: %v", err)
	}
}

// TestLogOf256KiB: 64 lines of 4,095 bytes and one of 64 fit; one byte more drops
// the oldest line.
func TestLogOf256KiB(t *testing.T) {
	c := start(t)
	script := `read n; line() { head -c "$1" /dev/zero | tr "\0" x >&2; echo >&2; }; ` +
		`i=0; while [ $i -lt 64 ]; do line 4095; i=$((i+1)); done; line "$n"`
	c.worker("w", 1, "--exec", "noise=sh -c '"+script+"'")
	for _, test := range []struct{ last, kept, dropped int }{{64, 65, 0}, {65, 64, 1}} {
		task := c.submit(map[string]any{"kind": "noise", "input": test.last})
		c.wait(task.ID, "succeeded")
		var got taskLog
		eventually(t, 10*time.Second, "all lines are there", func() bool {
			got = c.log(task.ID)
			return len(got.Items)+got.Dropped == 65
		})
		if len(got.Items) != test.kept || got.Dropped != test.dropped {
			t.Errorf("last line of %d: %d kept, %d dropped, want %d, %d", test.last, len(got.Items), got.Dropped, test.kept, test.dropped)
		}
	}
}

// TestPayloadsAreDropped: per group, per task, and when asked; else they stay.
func TestPayloadsAreDropped(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	var brief struct{ ID string }
	must(t, c.Do(ctx, "POST", "/groups", map[string]any{"name": "Brief", "result_retention_s": 0}, &brief))
	c.worker("w", 4) // works for the groups that there are when it connects
	submit := func(group string, different map[string]any) string {
		spec := map[string]any{"kind": "echo"}
		maps.Copy(spec, different)
		task, err := c.Submit(ctx, group, spec)
		must(t, err)
		return task.ID
	}
	keeps := map[string]any{"result_retention_s": 3600}
	tasks := map[string]struct {
		id, code string // of the problem that /result answers with
	}{
		"group keeps nothing":          {submit(brief.ID, nil), "result_dropped"},
		"task keeps, group does not":   {submit(brief.ID, keeps), ""},
		"task keeps nothing":           {submit(c.group, map[string]any{"result_retention_s": 0}), "result_dropped"},
		"parent keeps nothing":         {submit(c.group, map[string]any{"inputs": []int{1, 2}, "result_retention_s": 0}), "result_dropped"},
		"nothing said":                 {submit(c.group, nil), ""},
		"nothing said, but asked then": {submit(c.group, nil), "result_dropped"},
	}
	for name, task := range tasks {
		t.Run(name, func(t *testing.T) {
			c.wait(task.id, "succeeded")
			if strings.Contains(name, "asked") {
				must(t, c.Do(ctx, "DELETE", "/tasks/"+task.id+"/result", nil, nil))
			}
			if task.code == "" {
				must(t, c.Output(ctx, task.id, new(any)))
				return
			}
			eventually(t, 30*time.Second, "the result is dropped", func() bool {
				err := c.Output(ctx, task.id, new(any))
				return err != nil && strings.Contains(err.Error(), "410 "+task.code)
			})
			if err := c.Do(ctx, "POST", "/tasks/"+task.id+"/retry", nil, nil); err == nil {
				t.Error("a task without its input was taken for a retry")
			}
		})
	}
}

// TestStatsPerMember: a task counts for whose worker ran it.
func TestStatsPerMember(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	bob, err := kit.Register(ctx, c.Server.URL, "bob", "a long password")
	must(t, err)
	var invitation, bobby, ada struct{ ID string }
	must(t, c.Do(ctx, "POST", "/groups/"+c.group+"/invitations", map[string]string{"username": "bob"}, &invitation))
	must(t, bob.Do(ctx, "POST", "/invitations/"+invitation.ID+"/accept", nil, nil))
	must(t, bob.Do(ctx, "GET", "/me", nil, &bobby))
	must(t, c.Do(ctx, "GET", "/me", nil, &ada))
	c.worker("ada's", 2, "--kinds", "echo")
	c.token, err = bob.NewToken(ctx, "worker")
	must(t, err)
	c.worker("bob's", 2, "--kinds", "sleep")
	const slept = 4 // seconds
	for _, spec := range []map[string]any{echo(1), echo(2), sleep(slept * 1000)} {
		c.wait(c.submit(spec).ID, "succeeded")
	}
	type member struct {
		UserID    string `json:"user_id"`
		Tasks     int
		Succeeded int
		RunS      int `json:"run_s"`
	}
	var got struct{ Members []member }
	must(t, c.Do(ctx, "GET", "/groups/"+c.group+"/stats?window=1h", nil, &got))
	all := map[string]member{}
	for _, m := range got.Members {
		all[m.UserID] = m
	}
	if m := all[ada.ID]; m.Tasks != 2 || m.Succeeded != 2 || m.RunS >= slept {
		t.Errorf("ada's workers: %+v", m)
	}
	if m := all[bobby.ID]; m.Tasks != 1 || m.RunS < slept || m.RunS > 10 || len(all) != 2 {
		t.Errorf("bob's workers: %+v of %+v", m, got.Members)
	}
}
