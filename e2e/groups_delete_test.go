package e2e

import (
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, to look at tasks that nobody may see any more

	"github.com/firmlight/firmlight/e2e/kit"
)

// TestDeletedGroup: with a group go its tasks, wherever they are; the worker is
// told to stop what it runs, and serves its other groups.
func TestDeletedGroup(t *testing.T) {
	c := start(t)
	s := newOutsider(t, c, "deletion")
	ctx := t.Context()
	other, err := c.Group(ctx, "Difference engines")
	must(t, err)

	w, running := s.busy(nil, nil)
	running.has(t, msg{"group": c.group})
	for _, spec := range []msg{
		{}, {"priority": "high"}, {"run_at": time.Now().Add(time.Hour)}, {"input": nil, "inputs": []int{1, 2, 3}},
	} {
		s.task(spec)
	}
	must(t, c.Do(ctx, "DELETE", "/groups/"+c.group, nil, nil))
	var refused *kit.Problem
	if _, err := c.Submit(ctx, c.group, msg{"kind": s.kind}); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("submit to a deleted group: %v", err)
	}
	if err := c.Do(ctx, "GET", "/tasks/"+running.id(), nil, nil); !errors.As(err, &refused) || refused.Code != "not_found" {
		t.Errorf("a task of a deleted group: %v", err)
	}

	expect := func(kind string) msg {
		t.Helper()
		m := w.next()
		for m["type"] == "groups" { // whenever the server tells which ones are left
			m = w.next()
		}
		m.has(t, msg{"type": kind})
		return m
	}
	cancel := expect("cancel")
	cancel.has(t, msg{"task": running.id(), "attempt": 1})
	// Two things end it: it is cancelled, and its worker has left the group.
	if why := cancel["reason"]; why != "requested" && why != "reassigned" {
		t.Errorf("cancelled because: %v", why)
	}
	w.send(running.of("result", msg{"status": "cancelled"}))
	expect("ack")
	next, err := c.Submit(ctx, other, msg{"kind": s.kind, "input": "x"})
	must(t, err)
	a := expect("assign") // nothing of the deleted group comes before it
	a.has(t, msg{"task": next.ID, "group": other})
	w.finish(a)
	c.wait(next.ID, "succeeded")

	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Server.Dir(), "firmlight.db")+"?_pragma=busy_timeout(5000)")
	must(t, err)
	defer db.Close()
	eventually(t, patience, "every task of the deleted group is cancelled", func() bool {
		var all, cancelled int
		must(t, db.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE status = 'cancelled') FROM tasks WHERE group_id = ?",
			c.group).Scan(&all, &cancelled))
		return all >= 5 && all == cancelled
	})
}
