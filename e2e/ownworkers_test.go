package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// ownWorker is a worker as its owner sees it.
type ownWorker struct {
	ID         string
	Name       string
	State      string
	IdleReason string `json:"idle_reason"`
	Slots      int
	Running    int
	Groups     []string
}

// own returns the user's worker of a name, once it is there.
func (c *cluster) own(name string) ownWorker {
	c.t.Helper()
	var found ownWorker
	eventually(c.t, 20*time.Second, "worker "+name+" is connected", func() bool {
		var list struct{ Items []ownWorker }
		must(c.t, c.Do(c.t.Context(), "GET", "/workers", nil, &list))
		for _, w := range list.Items {
			if w.Name == name && w.State == "connected" {
				found = w
			}
		}
		return found.ID != ""
	})
	return found
}

func (c *cluster) decide(id string, settings map[string]any) ownWorker {
	c.t.Helper()
	var w ownWorker
	must(c.t, c.Do(c.t.Context(), "PATCH", "/workers/"+id, settings, &w))
	return w
}

// waits checks that a task stays queued for longer than a dispatch takes.
func (c *cluster) waits(id string) {
	c.t.Helper()
	pause(c.t.Context(), 500*time.Millisecond)
	if t, err := c.Get(c.t.Context(), id); err != nil || t.Status != "queued" {
		c.t.Errorf("task %s is %s: %v", id, t.Status, err)
	}
}

func sleep(ms int) map[string]any {
	return map[string]any{"kind": "sleep", "input": map[string]int{"ms": ms}}
}

func echo(v any) map[string]any { return map[string]any{"kind": "echo", "input": v} }

// TestOwnWorkers: what the owner of a worker decides is in force at once, outlives
// reconnects and the server, and what runs goes on.
func TestOwnWorkers(t *testing.T) {
	c := start(t)
	process := c.worker("box", 4)
	box := c.own("box")

	// A pause: what runs goes on, nothing new starts, and all goes on after it.
	long := c.submit(sleep(3000))
	c.working(long.ID)
	if w := c.decide(box.ID, map[string]any{"paused": true}); w.Slots != 0 || w.IdleReason != "paused" || w.Running != 1 {
		t.Errorf("paused: %+v", w)
	}
	var queued []kit.Task
	for i := range 3 {
		queued = append(queued, c.submit(echo(i)))
	}
	c.waits(queued[2].ID)
	if got := c.wait(long.ID, "succeeded"); got.Attempt != 1 {
		t.Errorf("what ran before the pause took %d attempts", got.Attempt)
	}
	c.waits(queued[0].ID)
	if err := c.Do(t.Context(), "POST", "/groups/"+c.group+"/tasks", map[string]any{"kind": "echo", "broadcast": true}, nil); err == nil {
		t.Error("a paused worker got a part of a broadcast")
	}

	// Over a reconnect, as another process and on another server.
	process.Kill()
	c.worker("box", 4)
	eventually(t, 20*time.Second, "the worker is back", func() bool { return c.own("box").State == "connected" })
	c.waits(queued[1].ID)
	c.Server.Kill()
	must(t, c.Server.Restart())
	if again := c.own("box"); again.ID != box.ID || again.IdleReason != "paused" {
		t.Errorf("after the restart: %+v", again)
	}
	c.waits(queued[1].ID)
	began := time.Now()
	c.decide(box.ID, map[string]any{"paused": false})
	for _, task := range queued {
		c.wait(task.ID, "succeeded")
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to go on after the pause", took)
	}

	// A cap.
	c.decide(box.ID, map[string]any{"slots_cap": 2})
	var four []kit.Task
	for range 4 {
		four = append(four, c.submit(sleep(5000)))
	}
	c.running(four[1].ID)
	c.waits(four[2].ID)
	c.waits(four[3].ID)
	c.decide(box.ID, map[string]any{"slots_cap": nil})
	c.running(four[3].ID)
	for _, task := range four {
		c.wait(task.ID, "succeeded")
	}

	// Kinds.
	c.decide(box.ID, map[string]any{"kinds": []string{"sleep"}})
	other := c.submit(echo("not for it"))
	c.wait(c.submit(sleep(1)).ID, "succeeded")
	c.waits(other.ID)
	c.decide(box.ID, map[string]any{"kinds": nil})
	c.wait(other.ID, "succeeded")

	// Quiet hours: all day, every day.
	every := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	w := c.decide(box.ID, map[string]any{"time_zone": "Europe/Berlin", "quiet_hours": []any{
		map[string]any{"days": every, "from": "00:00", "to": "00:00"},
	}})
	if w.IdleReason != "quiet_hours" || w.Slots != 0 {
		t.Errorf("in quiet hours: %+v", w)
	}
	late := c.submit(echo("tomorrow"))
	c.waits(late.ID)
	c.decide(box.ID, map[string]any{"quiet_hours": nil})
	c.wait(late.ID, "succeeded")
}

// TestGroupsOfAWorker: a running task of a group that a worker no longer works for
// goes to another worker, whether its owner decided so or had to leave.
func TestGroupsOfAWorker(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	bob, err := kit.Register(ctx, c.Server.URL, "bob", "a long password")
	must(t, err)
	var invitation, bobby struct{ ID string }
	join := func() {
		t.Helper()
		must(t, c.Do(ctx, "POST", "/groups/"+c.group+"/invitations", map[string]string{"username": "bob"}, &invitation))
		must(t, bob.Do(ctx, "POST", "/invitations/"+invitation.ID+"/accept", nil, nil))
	}
	must(t, bob.Do(ctx, "GET", "/me", nil, &bobby))
	his := *c
	his.Client = bob
	his.token, err = bob.NewToken(ctx, "worker")
	must(t, err)
	his.worker("bob's", 1) // before he is a member of anything
	box := his.own("bob's")
	waiting := c.submit(echo("first"))
	join() // its token is for all groups: no reconnect
	c.wait(waiting.ID, "succeeded")

	for name, leave := range map[string]func(){
		"settings": func() { his.decide(box.ID, map[string]any{"groups": []string{}}) },
		"kicked":   func() { must(t, c.Do(ctx, "DELETE", "/groups/"+c.group+"/members/"+bobby.ID, nil, nil)) },
	} {
		task := c.submit(sleep(4000))
		c.working(task.ID)
		began := time.Now()
		leave()
		eventually(t, 5*time.Second, "the task is taken back: "+name, func() bool {
			got, err := c.Get(ctx, task.ID)
			must(t, err)
			return got.Status == "queued"
		})
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: taken back after %s", name, took)
		}
		ada := c.worker("ada's", 1)
		got := c.wait(task.ID, "succeeded")
		if got.Attempt != 2 || got.Worker == nil || got.Worker.Name != "ada's" || got.Reassignments != 0 {
			t.Errorf("%s: attempt %d on %+v, %d reassignments", name, got.Attempt, got.Worker, got.Reassignments)
		}
		must(t, ada.Stop(20*time.Second))
		waiting := c.submit(echo(name))
		c.waits(waiting.ID)
		if name == "kicked" {
			join()
		} else {
			his.decide(box.ID, map[string]any{"groups": nil})
		}
		c.wait(waiting.ID, "succeeded")
	}
}

// TestWorkerHistorySurvives: what a worker did is counted once and kept, also by a
// server that is killed right after.
func TestWorkerHistorySurvives(t *testing.T) {
	c := start(t)
	c.worker("box", 2)
	box := c.own("box")
	for i := range 5 {
		c.wait(c.submit(echo(i)).ID, "succeeded")
	}
	c.wait(c.submit(sleep(1100)).ID, "succeeded")
	c.Server.Kill()
	must(t, c.Server.Restart())
	type row struct {
		Day              string
		Group            struct{ ID, Name string }
		Member           struct{ ID, Username string }
		Tasks, Succeeded int
		RunS             int `json:"run_s"`
	}
	var got struct{ Items []row }
	must(t, c.Do(t.Context(), "GET", "/workers/"+box.ID+"/history?days=2", nil, &got))
	sum := row{}
	for _, r := range got.Items { // two, where midnight came in between
		if r.Group.ID != c.group || r.Group.Name != "Analytical engines" || r.Member.Username != "ada" {
			t.Errorf("%+v", r)
		}
		sum.Tasks, sum.Succeeded, sum.RunS = sum.Tasks+r.Tasks, sum.Succeeded+r.Succeeded, sum.RunS+r.RunS
	}
	if sum.Tasks != 6 || sum.Succeeded != 6 || sum.RunS < 1 || sum.RunS > 10 {
		t.Errorf("history %s", fmt.Sprint(got.Items))
	}
}
