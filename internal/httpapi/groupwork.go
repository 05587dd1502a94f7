package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// groupWorkRoutes show who works for a group, and how much.
func (a *API) groupWorkRoutes() {
	const tag, path = "Groups", "/api/v1/groups/{id}"
	handle(a, route{
		method: http.MethodGet, path: path + "/workers", id: "list-workers", tag: tag,
		summary: "The workers connected for a group, on every server", access: user(auth.TasksRead),
	}, a.listWorkers)
	handle(a, route{
		method: http.MethodGet, path: path + "/stats", id: "get-stats", tag: tag,
		summary: "What a group's tasks and members did", access: user(auth.TasksRead),
	}, a.getStats)
}

// Worker is a worker with all its sessions.
type Worker struct {
	ID          string            `json:"id" format:"uuid"`
	Name        string            `json:"name"`
	OwnerID     string            `json:"owner_id" format:"uuid"`
	State       workers.State     `json:"state" enum:"connected,grace" doc:"grace: all its connections were lost, and it may come back"`
	Sessions    int               `json:"sessions" doc:"Connections; their slots add up"`
	Slots       int               `json:"slots" doc:"Tasks it takes at the same time"`
	Running     int               `json:"running" doc:"Tasks it runs, of all its groups"`
	Draining    bool              `json:"draining" doc:"It takes nothing new"`
	Kinds       []string          `json:"kinds" nullable:"false"`
	Labels      map[string]string `json:"labels,omitempty"`
	SDK         string            `json:"sdk,omitempty"`
	ConnectedAt Time              `json:"connected_at" doc:"Of its oldest session"`
}

type workerList struct{ Body List[Worker] }

func (a *API) listWorkers(ctx context.Context, in *listOfGroupRequest) (*workerList, error) {
	if _, err := a.deps.Groups.Authorize(ctx, caller(ctx), in.ID, auth.View); err != nil {
		return nil, err
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	sessions, err := a.deps.Sessions.List(ctx, workers.Filter{
		Group: in.ID, States: []workers.State{workers.Connected, workers.Grace},
	})
	if err != nil {
		return nil, err
	}
	owned, err := a.deps.Tasks.Store.Running(ctx)
	if err != nil {
		return nil, err
	}
	rows := slices.DeleteFunc(workersOf(sessions, owned), func(w Worker) bool { return w.ID <= after })
	return &workerList{Body: listOf(rows, in.Limit,
		func(w Worker) string { return w.ID }, func(w Worker) Worker { return w })}, nil
}

// workersOf joins the sessions of each worker, sorted by id.
func workersOf(sessions []workers.Session, owned []tasks.Owned) []Worker {
	running := runningOf(owned)
	byID := make(map[string]*Worker)
	for _, s := range sessions {
		w := byID[s.Worker]
		if w == nil {
			w = &Worker{
				ID: s.Worker, Name: s.Name, OwnerID: s.Owner, State: s.State, Draining: true,
				Kinds: []string{}, Labels: s.Labels, SDK: s.SDK, ConnectedAt: Time{s.ConnectedAt},
			}
			byID[s.Worker] = w
		}
		w.Sessions++
		w.Slots += s.Slots
		w.Running += running[s.ID]
		w.Draining = w.Draining && s.Draining
		if s.State == workers.Connected {
			w.State = workers.Connected
		}
		if s.ConnectedAt.Before(w.ConnectedAt.Time) {
			w.ConnectedAt = Time{s.ConnectedAt}
		}
		w.Kinds = append(w.Kinds, s.Kinds...)
	}
	rows := make([]Worker, 0, len(byID))
	for _, w := range byID {
		slices.Sort(w.Kinds)
		w.Kinds = slices.Compact(w.Kinds)
		rows = append(rows, *w)
	}
	slices.SortFunc(rows, func(a, b Worker) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}

// Stats are a group's figures over a window.
type Stats struct {
	Window  string        `json:"window" enum:"1h,24h,7d"`
	Counts  StatsCounts   `json:"counts" doc:"Unfinished tasks now; ended ones in the window. Parents of a fan-out do not count as ended, their parts do"`
	WaitMS  Percentiles   `json:"wait_ms" doc:"From due to started"`
	RunMS   Percentiles   `json:"run_ms" doc:"Of the last attempt"`
	Members []MemberStats `json:"members" nullable:"false" doc:"Whose workers ran them"`
	Series  StatsSeries   `json:"series" doc:"What ended, over time"`
}

// StatsSeries is what a group's tasks did, step by step.
type StatsSeries struct {
	StepS int          `json:"step_s" doc:"60 in 1h, 3600 in 24h, 21600 in 7d"`
	Steps []StatsPoint `json:"steps" nullable:"false" doc:"Oldest first, steps in which something ended"`
}

// StatsPoint is one step.
type StatsPoint struct {
	At        Time         `json:"at" doc:"Its start"`
	Succeeded int64        `json:"succeeded"`
	Failed    int64        `json:"failed"`
	Cancelled int64        `json:"cancelled"`
	WaitMS    *Percentiles `json:"wait_ms,omitempty" doc:"Absent in minutes: times are kept by the hour"`
	RunMS     *Percentiles `json:"run_ms,omitempty"`
}

// StatsCounts counts tasks by status.
type StatsCounts struct {
	Scheduled int `json:"scheduled"`
	Queued    int `json:"queued"`
	Running   int `json:"running"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
}

// Percentiles are at most 12 % off; 0 where nothing was counted.
type Percentiles struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	P99 int64 `json:"p99"`
}

// MemberStats is what one member's workers did.
type MemberStats struct {
	UserID    string `json:"user_id,omitempty" doc:"Absent: ended without having run"`
	Tasks     int64  `json:"tasks" doc:"Tasks run"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	Cancelled int64  `json:"cancelled"`
	RunS      int64  `json:"run_s" doc:"Seconds run"`
}

var windows = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

type getStatsRequest struct {
	IDRequest
	Window string `query:"window" enum:"1h,24h,7d" default:"24h" doc:"To the full hour"`
}

type statsAnswer struct{ Body Stats }

func (a *API) getStats(ctx context.Context, in *getStatsRequest) (*statsAnswer, error) {
	if _, err := a.deps.Groups.Authorize(ctx, caller(ctx), in.ID, auth.View); err != nil {
		return nil, err
	}
	s, err := a.deps.Tasks.Stats(ctx, in.ID, windows[in.Window])
	if err != nil {
		return nil, err
	}
	return &statsAnswer{Body: showStats(in.Window, s)}, nil
}

// LiveStats returns what a stats event shows: of a group its statistics, of the
// topic admin the overview.
func (a *API) LiveStats(ctx context.Context, t live.Topic) (any, error) {
	if t.Kind == live.Admin {
		return a.overview(ctx)
	}
	const window = "24h"
	s, err := a.deps.Tasks.Stats(ctx, t.ID, windows[window])
	return showStats(window, s), err
}

// showStats returns a group's figures as JSON shows them.
func showStats(window string, s tasks.GroupStats) Stats {
	out := Stats{
		Window: window, WaitMS: percentiles(s.Wait), RunMS: percentiles(s.Run),
		Counts: StatsCounts{
			Scheduled: s.Counts[tasks.Scheduled], Queued: s.Counts[tasks.Queued], Running: s.Counts[tasks.Running],
			Succeeded: s.Counts[tasks.Succeeded], Failed: s.Counts[tasks.Failed], Cancelled: s.Counts[tasks.Cancelled],
		},
		Members: make([]MemberStats, len(s.Members)),
	}
	for i, m := range s.Members {
		out.Members[i] = MemberStats{
			UserID: m.Member, Tasks: m.Succeeded + m.Failed + m.Cancelled,
			Succeeded: m.Succeeded, Failed: m.Failed, Cancelled: m.Cancelled, RunS: int64(m.Run / time.Second),
		}
	}
	out.Series = StatsSeries{StepS: int(s.Step / time.Second), Steps: make([]StatsPoint, len(s.Series))}
	for i, p := range s.Series {
		point := StatsPoint{At: Time{p.At}, Succeeded: p.Succeeded, Failed: p.Failed, Cancelled: p.Cancelled}
		if p.Run != nil {
			wait, run := percentiles(p.Wait), percentiles(p.Run)
			point.WaitMS, point.RunMS = &wait, &run
		}
		out.Series.Steps[i] = point
	}
	return out
}

func percentiles(h tasks.Histogram) Percentiles {
	return Percentiles{
		P50: h.Quantile(0.50).Milliseconds(), P95: h.Quantile(0.95).Milliseconds(), P99: h.Quantile(0.99).Milliseconds(),
	}
}
