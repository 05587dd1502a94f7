package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
	"github.com/firmlight/firmlight/internal/redistest"
)

// pausing is a cluster under load whose queue an administrator pauses.
type pausing struct {
	*cluster
	admin *kit.Client
	tasks int // submitted
}

// call pauses, resumes or empties the queue of kind "work".
func (p *pausing) call(what string, more map[string]any) (got struct{ Count int }) {
	p.t.Helper()
	body := map[string]any{"group": p.group, "kind": "work"}
	for k, v := range more {
		body[k] = v
	}
	must(p.t, p.admin.Do(p.t.Context(), "POST", "/admin/queues:"+what, body, &got))
	return got
}

// load submits short tasks until a time.
func (p *pausing) load(until time.Time) {
	p.t.Helper()
	eventually(p.t, time.Minute, "the load is over", func() bool {
		p.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 1}})
		p.tasks++
		return time.Now().After(until)
	})
}

// started counts the group's tasks, and says when the last of them began.
func (p *pausing) started() (byStatus map[string]int, last time.Time) {
	p.t.Helper()
	all, err := p.List(p.t.Context(), p.group, nil)
	must(p.t, err)
	byStatus = map[string]int{}
	for _, task := range all {
		byStatus[task.Status]++
		if task.StartedAt != nil && task.StartedAt.After(last) {
			last = *task.StartedAt
		}
	}
	return byStatus, last
}

// wantPaused puts load on the paused queue and wants none of it to begin.
func (p *pausing) wantPaused(what string, since time.Time) {
	p.t.Helper()
	p.load(time.Now().Add(3 * time.Second))
	counts, last := p.started()
	if since = since.Add(time.Second); last.After(since) {
		p.t.Errorf("%s: a task began %s too late", what, last.Sub(since))
	}
	if counts["queued"] == 0 {
		p.t.Errorf("%s: nothing waits: %v", what, counts)
	}
	var got struct {
		Items []struct {
			Kind    string
			Waiting int
			Paused  bool
		}
	}
	must(p.t, p.admin.Do(p.t.Context(), "GET", "/admin/queues", nil, &got))
	if len(got.Items) != 1 || got.Items[0].Kind != "work" || !got.Items[0].Paused || got.Items[0].Waiting != counts["queued"] {
		p.t.Errorf("%s: queues %+v, of %v", what, got.Items, counts)
	}
}

// watchOverview waits for two events of the installation's figures, as they come
// every 2 s.
func (p *pausing) watchOverview() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	seen := 0
	err := p.admin.Watch(ctx, []string{"admin"}, func(e kit.Event) bool {
		if e.Type != "stats" {
			return true
		}
		var o struct {
			Users   int
			Servers []struct{ ID string }
			Workers struct{ Connected, Slots int }
			Tasks   struct{ Queued int }
			Queues  []struct {
				Waiting int
				Paused  bool
			}
		}
		must(p.t, json.Unmarshal(e.Stats, &o))
		if o.Users != 2 || len(o.Servers) != 1 || o.Workers.Connected != 1 || o.Workers.Slots != 3 ||
			len(o.Queues) != 1 || !o.Queues[0].Paused || o.Queues[0].Waiting == 0 || o.Queues[0].Waiting != o.Tasks.Queued {
			p.t.Errorf("overview %s", e.Stats)
		}
		seen++
		return seen < 2
	})
	must(p.t, err)
	if seen != 2 {
		p.t.Errorf("%d events within 20 s", seen)
	}
}

// TestPause: under load nothing of a paused queue begins, over a server's death
// and whatever Redis forgets; what runs goes on, and all the rest after a resume.
func TestPause(t *testing.T) {
	t.Run("in-process Redis", func(t *testing.T) { testPause(t, nil) })
	t.Run("real Redis", func(t *testing.T) {
		url, redis := redistest.Start(t)
		testPause(t, redis, "FIRMLIGHT_REDIS_URL="+url)
	})
}

func testPause(t *testing.T, redis *redistest.Server, env ...string) {
	p := &pausing{cluster: start(t, env...)}
	var err error
	p.admin, err = kit.Login(t.Context(), p.Server.URL, "admin", kit.AdminPassword)
	must(t, err)
	p.testWorker("w", 3)
	p.connected(1)
	long := p.submit(map[string]any{"kind": "work", "input": map[string]int{"ms": 4000}})
	p.tasks++
	p.load(time.Now().Add(time.Second))
	if counts, _ := p.started(); counts["succeeded"] == 0 {
		t.Fatalf("no load: %v", counts)
	}
	p.call("pause", nil)
	at := time.Now()
	p.wantPaused("under load", at)
	p.watchOverview()
	p.wait(long.ID, "succeeded")
	if redis != nil {
		redis.FlushAll()
		p.wantPaused("after FLUSHALL", at)
	}
	p.Server.Kill()
	must(t, p.Server.Restart())
	p.connected(1)
	p.wantPaused("after kill -9", at)

	counts, _ := p.started()
	if n := p.call("empty", map[string]any{"dry_run": true}).Count; n != counts["queued"] {
		t.Errorf("a dry run counts %d of %v", n, counts)
	}
	p.call("resume", nil)
	eventually(t, time.Minute, "all have run", func() bool {
		counts, _ := p.started()
		return counts["succeeded"] == p.tasks
	})
}
