package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
)

// TestPlans pins the hot queries of docs/store.md to their indexes.
func TestPlans(t *testing.T) {
	db := openTest(t)
	now := time.Now()
	list := func(also ...tasks.Cond) tasks.Query {
		return tasks.Query{
			Where: append(tasks.Where{tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColParent, "")}, also...),
			Sort:  []tasks.Sort{{Column: tasks.ColID, Desc: true}}, Limit: 50,
		}
	}
	sweep := func(w ...tasks.Cond) tasks.Query {
		return tasks.Query{
			Where: append(tasks.Where(w), tasks.Gt(tasks.ColID, "")), Sort: []tasks.Sort{{Column: tasks.ColID}}, Limit: 500,
		}
	}
	children := func(w ...tasks.Cond) tasks.Query {
		return tasks.Query{Where: append(tasks.Where{tasks.Eq(tasks.ColParent, "p")}, w...), Limit: 100}
	}
	before := tasks.Lt(tasks.ColID, "x")
	refill := tasks.Query{
		Where: tasks.Where{
			tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColKind, "k"), tasks.Eq(tasks.ColTarget, ""),
			tasks.Eq(tasks.ColPriority, tasks.Normal), tasks.In(tasks.ColStatus, tasks.Queued, tasks.Scheduled),
			tasks.Eq(tasks.ColPhase, tasks.NoPhase), tasks.Lte(tasks.ColRunAt, now), tasks.Lte(tasks.ColEnqueuedAt, now),
		},
		Sort: []tasks.Sort{{Column: tasks.ColEnqueuedAt}, {Column: tasks.ColID}}, Limit: 1000,
	}
	byIndex := children(tasks.Gt(tasks.ColIndex, -1))
	byIndex.Sort = []tasks.Sort{{Column: tasks.ColIndex}}
	failed := children(tasks.In(tasks.ColStatus, tasks.Failed, tasks.Cancelled))
	failed.Sort = byIndex.Sort
	tests := []struct {
		name  string
		query tasks.Query
		index string
		sorts bool // in memory, of few rows
	}{
		{"list", list(), "tasks_list", false},
		{"list, next page", list(before), "tasks_list", false},
		{"list by status", list(before, tasks.Eq(tasks.ColStatus, tasks.Failed)), "tasks_list_status", false},
		{"list by kind", list(before, tasks.Eq(tasks.ColKind, "k")), "tasks_list_kind", false},
		{"list by member", list(before, tasks.Eq(tasks.ColCreatedBy, "u")), "tasks_list_by", false},
		{"list by time", list(tasks.Lt(tasks.ColCreatedAt, now)), "tasks_list", false},
		{"list of unfinished", list(tasks.In(tasks.ColStatus, tasks.Unfinished...)), "tasks_list_status", false},
		{"list by worker", tasks.Query{
			Where: tasks.Where{tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColWorker, "w"), before},
			Sort:  []tasks.Sort{{Column: tasks.ColID, Desc: true}}, Limit: 50,
		}, "tasks_list_worker", false},
		{"refill", refill, "tasks_refill", false},
		{"owned by a session", tasks.Query{Where: tasks.Where{tasks.Eq(tasks.ColSession, "s"), tasks.Eq(tasks.ColStatus, tasks.Running)}}, "tasks_session", false},
		{"overdue", sweep(tasks.Eq(tasks.ColStatus, tasks.Running), tasks.Gt(tasks.ColDeadline, time.Time{}), tasks.Lt(tasks.ColDeadline, now)), "tasks_deadline", true},
		{"cancels", sweep(tasks.Eq(tasks.ColStatus, tasks.Running), tasks.Gt(tasks.ColCancelRequested, time.Time{}), tasks.Lt(tasks.ColCancelRequested, now)), "tasks_cancel", true},
		{"unstarted parts", sweep(tasks.In(tasks.ColStatus, tasks.Queued, tasks.Scheduled), tasks.Ne(tasks.ColTarget, "")), "tasks_target", false},
		{"parents", sweep(tasks.Ne(tasks.ColPhase, tasks.NoPhase)), "tasks_phase", false},
		{"to drop", sweep(tasks.Gt(tasks.ColDropAt, time.Time{}), tasks.Lte(tasks.ColDropAt, now), tasks.Eq(tasks.ColDroppedAt, time.Time{})), "tasks_drop", true},
		{"to delete", sweep(tasks.Eq(tasks.ColParent, ""), tasks.Gt(tasks.ColFinishedAt, time.Time{}), tasks.Lt(tasks.ColFinishedAt, now), tasks.Eq(tasks.ColPhase, tasks.NoPhase)), "tasks_finished", true},
		{"unfinished children", children(tasks.In(tasks.ColStatus, tasks.Unfinished...), tasks.Gte(tasks.ColIndex, 0)), "tasks_child_status", false},
		{"children by index", byIndex, "tasks_child_idx", false},
		{"first failed child", failed, "tasks_child_idx", false},
		{"waiting in a queue", tasks.Query{Where: tasks.Where{
			tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColKind, "k"), tasks.In(tasks.ColStatus, tasks.Queued, tasks.Scheduled),
			tasks.Eq(tasks.ColPhase, tasks.NoPhase), tasks.Lte(tasks.ColCreatedAt, now),
		}}, "(group_id=? AND kind=?)", false},
		{"reduce child", children(tasks.Eq(tasks.ColIndex, -1)), "tasks_child_idx", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := db.find(context.Background(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			wantPlan(t, db, c, test.index, test.sorts)
		})
	}
	found := list(before, tasks.Cond{Column: tasks.ColTitle, Op: tasks.OpWords, Value: "word"})
	for name, test := range map[string]struct {
		c     *clause
		order string
		plan  string
		sorts bool
	}{
		"search, one word":   {withWord(found, "g", "word"), "task_id", "task_words USING PRIMARY KEY (grp=? AND word=? AND task_id<?)", false},
		"search, newest":     {newest(found, "g", 10), "id", "tasks_list (group_id=? AND id>? AND id<?)", false},
		"search, many words": {withBeginning("g", "word", "x"), "", "task_words USING PRIMARY KEY (grp=? AND word>? AND word<?)", true},
		"search, its tasks":  {withBeginning("g", "word", "x"), "", "SCAN (subquery-2)\nSEARCH tasks USING INTEGER PRIMARY KEY (rowid=?)", true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.c.page(found, test.order); err != nil {
				t.Fatal(err)
			}
			wantPlan(t, db, test.c, test.plan, test.sorts)
		})
	}
	t.Run("claim", func(t *testing.T) {
		c, err := update(tasks.Claim("id", 0, tasks.Owner{}, time.Minute, now))
		if err != nil {
			t.Fatal(err)
		}
		wantPlan(t, db, c, "sqlite_autoindex_tasks_1", false)
	})
	t.Run("sessions with tasks", func(t *testing.T) {
		c := &clause{}
		c.add(running)
		wantPlan(t, db, c, "COVERING INDEX tasks_session", false)
	})
	t.Run("depth", func(t *testing.T) {
		c := &clause{}
		c.add(depth, "g")
		wantPlan(t, db, c, "queues USING PRIMARY KEY (group_id=?)", false)
		wantPlan(t, db, c, "COVERING INDEX tasks_scheduled (group_id=?)", false)
	})
	t.Run("pairs", func(t *testing.T) {
		c := &clause{}
		c.add(duePairs, "[]", "[]", 1)
		wantPlan(t, db, c, "tasks_pairs (group_id=? AND kind=? AND target>?)", true)
	})
	for name, test := range map[string]struct {
		filter audit.Filter
		index  string
	}{
		"audit":                {audit.Filter{}, "USING PRIMARY KEY (id<?)"},
		"audit of a time":      {audit.Filter{From: now, To: now}, "USING PRIMARY KEY (id>? AND id<?)"},
		"audit by actor":       {audit.Filter{Actor: strings.Repeat("x", 36)}, "audit_actor (actor=? AND id<?)"},
		"audit by name":        {audit.Filter{Actor: "ada"}, "audit_name (actor_name=? AND id<?)"},
		"audit by action":      {audit.Filter{Action: "a"}, "audit_action (action=? AND id<?)"},
		"audit by target":      {audit.Filter{Target: "t", Action: "a", Outcome: "x", From: now}, "audit_target (target=? AND id>? AND id<?)"},
		"audit by group":       {audit.Filter{Group: "g", Outcome: audit.OK}, "audit_group (group_id=? AND id<?)"},
		"audit by outcome":     {audit.Filter{Outcome: "x"}, "audit_outcome (outcome=? AND id<?)"},
		"audit of the refused": {audit.Filter{Outcome: audit.Refused}, "audit_refused (id<?)"},
	} {
		t.Run(name, func(t *testing.T) { wantPlan(t, db, auditQuery(test.filter, "x", 50), test.index, false) })
	}
	t.Run("audit to delete", func(t *testing.T) {
		c := &clause{}
		c.add(deleteAudit, "x", 200)
		wantPlan(t, db, c, "USING PRIMARY KEY (id<?)", false)
	})
	for name, test := range map[string]struct{ query, index string }{
		"notifications":           {listNotifications, "notifications_user (user_id=? AND (updated_at,id)<(?,?))"},
		"unread notifications":    {listUnread, "notifications_unread (user_id=? AND (updated_at,id)<(?,?))"},
		"count of notifications":  {countNotifications, "COVERING INDEX notifications_unread (user_id=?)"},
		"read all notifications":  {readAllNotifications, "notifications_unread (user_id=?)"},
		"too many notifications":  {trimNotifications, "COVERING INDEX notifications_user (user_id=?)"},
		"expire of notifications": {expireNotifications, "COVERING INDEX notifications_age (updated_at<?)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clause{}
			c.add(test.query, slices.Repeat([]any{1}, strings.Count(test.query, "?"))...)
			wantPlan(t, db, c, test.index, false)
		})
	}
	for _, test := range []struct {
		name, query string
		args        []any
		index       string
		sorts       bool
	}{
		{"page of queues", queuePage, []any{1, "g", "k", 50}, "SEARCH q USING PRIMARY KEY ((group_id,kind)>(?,?))", false},
		{"its tasks ahead", queuePage, []any{1, "g", "k", 50}, "COVERING INDEX tasks_scheduled (group_id=? AND kind=? AND run_at>?)", false},
		{"its retries ahead", queuePage, []any{1, "g", "k", 50}, "INDEX tasks_requeued (group_id=? AND kind=? AND run_at>?)", false},
		{"its oldest task", queuePage, []any{1, "g", "k", 50}, "INDEX tasks_pairs (group_id=? AND kind=? AND target=?)", false},
		{"longest queues", queuesLongest, []any{1, 20}, "SEARCH q USING PRIMARY KEY (group_id=? AND kind=?)", true},
		{"paused queues", pausedQueues, nil, "INDEX queues_paused", false},
		{"overview of tasks", overviewTasks, nil, "COVERING INDEX tasks_scheduled", false},
		{"overview of users", overviewTasks, nil, "COVERING INDEX users_deleted", false},
		{"overview of workers", overviewWorkers, nil, "COVERING INDEX sessions_here", false},
		{"periods of a group", groupPeriods, []any{"g", "h", 1}, "SEARCH stats_members USING PRIMARY KEY (group_id=? AND span=? AND at>?)", false},
		{"their times", groupTimes, []any{"g", "h", 1}, "SEARCH stats_times USING PRIMARY KEY (group_id=? AND span=? AND at>?)", false},
		{"overview of a day", overviewDay, []any{1}, "SEARCH stats_minutes USING INTEGER PRIMARY KEY (rowid>?)", false},
		{"overview of an hour", overviewMinutes, []any{1}, "SEARCH stats_minutes USING INTEGER PRIMARY KEY (rowid>?)", false},
		{"names of groups", groupNames, []any{"g"}, "SEARCH user_groups USING PRIMARY KEY (id>?)", false},
		{"a page of groups", groupsSeen, []any{"[]"}, "INDEX memberships_owner (group_id=?)", false},
		{"names of workers", workerNames, []any{"w"}, "COVERING INDEX sessions_here (worker>?)", false},
		{"a page of workers", workersSeen, []any{"[]"}, "SEARCH w USING PRIMARY KEY (id=?)", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &clause{}
			c.add(test.query, test.args...)
			wantPlan(t, db, c, test.index, test.sorts)
		})
	}
	t.Run("counts of children", func(t *testing.T) {
		c := &clause{}
		c.add(childStatuses, "p")
		wantPlan(t, db, c, "COVERING INDEX tasks_child_status", false)
	})
}

// TestWorkerPlans does the same for the queries about workers.
func TestWorkerPlans(t *testing.T) {
	db := openTest(t)
	for name, query := range map[string]struct {
		sql   string
		args  []any
		index string
	}{
		"own workers":               {ownWorkers, []any{"o", "", 50}, "workers_owner (owner=? AND id>?)"},
		"settings":                  {settingsOf, []any{"[]"}, "workers USING PRIMARY KEY (id=?)"},
		"memberships of each":       {rolesOfEach, []any{"[]"}, "(user_id=?)"},
		"live sessions of a worker": {liveSession, []any{"o", "w"}, "COVERING INDEX sessions_here (worker=? AND state=?)"},
		"history of a worker":       {workerDays, []any{"w", 0, 50}, "PRIMARY KEY (worker=? AND day>?)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clause{}
			c.add(query.sql, query.args...)
			wantPlan(t, db, c, query.index, name == "history of a worker") // the rows of one day
		})
	}
}

// TestDevicePlans does the same for the queries about devices.
func TestDevicePlans(t *testing.T) {
	db := openTest(t)
	now := time.Now()
	plain := func(q string, args ...any) *clause {
		c := &clause{}
		c.add(q, args...)
		return c
	}
	list := func(q devsync.DeviceQuery) *clause {
		q.Group, q.Limit = "g", 50
		return plain("SELECT "+deviceColumns+fromDevices+devicePage(q, q.Limit).String(), devicePage(q, q.Limit).args...)
	}
	history := func(q devsync.EventQuery) *clause {
		q.Group, q.Device, q.Limit = "g", "d", 50
		return historyPage(q)
	}
	for name, test := range map[string]struct {
		query *clause
		index string
		sorts bool // in memory, of few rows
	}{
		"devices":             {list(devsync.DeviceQuery{States: []devsync.State{devsync.Active}}), "devices_id (group_id=? AND id>?)", false},
		"devices, next page":  {list(devsync.DeviceQuery{After: "x"}), "devices_id (group_id=? AND id>?)", false},
		"retired devices":     {list(devsync.DeviceQuery{States: []devsync.State{devsync.Retired}}), "devices_others (group_id=? AND id>?)", false},
		"history":             {history(devsync.EventQuery{}), "PRIMARY KEY (device=?)", false},
		"history, next page":  {history(devsync.EventQuery{Before: devsync.Mark{At: now, Event: "x"}}), "PRIMARY KEY (device=? AND (at,id)<(?,?))", false},
		"history of failures": {history(devsync.EventQuery{Status: devsync.Failed}), "sync_events_failed (device=?)", false},
		"export":              {exportPage(devsync.ExportQuery{Group: "g"}, 50, " AND d.id > ?", "x"), "devices_id (group_id=? AND id>?)", false},
		"export, its events":  {exportPage(devsync.ExportQuery{Group: "g", From: now}, 50, " AND d.id > ?", "x"), "e USING PRIMARY KEY (device=? AND at>?)", false},
		"failures":            {plain(failingByTotal, "[]", 1, 1, 50), "COVERING INDEX sync_events_failed (device=? AND at>?)", true},
		"failures of a group": {plain(failingByTotal, "[]", 1, 1, 50), "COVERING INDEX devices_id (group_id=?)", true},
		"failures in a row":   {plain(failingByStreak, "[]", 1, 1, 50), "device_sums_streak (streak>?)", true},
		"streak":              {plain(countStreak, 1, 1, "x"), "COVERING INDEX sync_events_failed (device=? AND at>?)", false},
		"events to drop":      {plain(deviceToDrop, 1, 1), "PRIMARY KEY (device=? AND at<?)", false},
	} {
		t.Run(name, func(t *testing.T) { wantPlan(t, db, test.query, test.index, test.sorts) })
	}
}

func wantPlan(t *testing.T, db *DB, c *clause, index string, sorts bool) {
	t.Helper()
	var plan []string
	err := db.read(context.Background(), func(rows *sql.Rows) error {
		var id, parent, unused int
		var detail string
		err := rows.Scan(&id, &parent, &unused, &detail)
		plan = append(plan, detail)
		return err
	}, "EXPLAIN QUERY PLAN "+c.String(), c.args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.String())
	}
	all := strings.Join(plan, "\n")
	if !strings.Contains(all, index) || strings.Contains(all, "SCAN tasks\n") {
		t.Errorf("want index %s, got\n%s\n%s", index, all, c.String())
	}
	if got := strings.Contains(all, "TEMP B-TREE"); got != sorts {
		t.Errorf("sorts: %v, want %v\n%s\n%s", got, sorts, all, c.String())
	}
}
