package e2e

import (
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

type inbox struct {
	Items []struct {
		Type   string
		Count  int
		Task   *struct{ ID string }
		Worker *struct{ Name string }
	}
	Unread int
}

// TestNotifications: what ended and what was lost is told, also after the server
// was killed; a server that stops writes what waits.
func TestNotifications(t *testing.T) {
	c := start(t)
	ada, err := kit.Login(t.Context(), c.Server.URL, "ada", "a long password")
	must(t, err)
	get := func() (got inbox) {
		must(t, ada.Do(t.Context(), "GET", "/notifications", nil, &got))
		return got
	}
	first := c.worker("first", 4)
	var last kit.Task
	for range 20 {
		last = c.submit(map[string]any{"kind": "echo"})
		c.wait(last.ID, "succeeded")
	}
	eventually(t, 10*time.Second, "20 tasks are told", func() bool {
		got := get()
		return len(got.Items) == 1 && got.Items[0].Type == "task_finished" && got.Items[0].Count == 20 && got.Items[0].Task.ID == last.ID
	})
	first.Kill()
	eventually(t, 30*time.Second, "the worker's loss is told", func() bool {
		got := get()
		return got.Unread == 2 && got.Items[0].Type == "worker_lost" && got.Items[0].Worker.Name == "first"
	})
	c.Server.Kill()
	must(t, c.Server.Restart())
	if got := get(); got.Unread != 2 {
		t.Errorf("after a kill: %+v", got)
	}
	c.worker("second", 1)
	task := c.submit(map[string]any{"kind": "echo"})
	c.wait(task.ID, "succeeded")
	must(t, c.Server.Stop(20*time.Second))
	must(t, c.Server.Restart())
	if got := get(); got.Unread != 2 || got.Items[0].Count != 21 {
		t.Errorf("after a stop: %+v", got)
	}
}
