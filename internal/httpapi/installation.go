package httpapi

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/workers"
)

const (
	adminTag  = "Administration"
	adminPath = "/api/v1/admin"
)

// installationRoutes show administrators the whole: figures, groups, workers.
func (a *API) installationRoutes() {
	handle(a, route{
		method: http.MethodGet, path: adminPath + "/overview", id: "admin-overview", tag: adminTag,
		summary: "The installation in numbers", access: admin,
	}, a.adminOverview)
	handle(a, route{
		method: http.MethodGet, path: adminPath + "/groups", id: "admin-list-groups", tag: adminTag,
		summary: "Every group", access: admin,
	}, a.adminGroups)
	handle(a, route{
		method: http.MethodGet, path: adminPath + "/workers", id: "admin-list-workers", tag: adminTag,
		summary: "Every worker that is connected, or may come back", access: admin,
	}, a.adminWorkers)
	handle(a, route{
		method: http.MethodPost, path: adminPath + "/workers/{id}/disconnect", id: "admin-disconnect-worker", tag: adminTag,
		summary: "Close a worker's connections on every server; its tasks go to others at once", access: admin,
	}, a.disconnectWorker)
}

// Overview is the installation in numbers.
type Overview struct {
	Users     int             `json:"users"`
	Groups    int             `json:"groups"`
	Workers   OverviewWorkers `json:"workers"`
	Servers   []Server        `json:"servers" nullable:"false"`
	Tasks     OverviewTasks   `json:"tasks" doc:"Unfinished ones; parents of a fan-out do not count, their parts do"`
	Rates     OverviewRates   `json:"rates" doc:"Ended tasks per second, over the last full minute"`
	Failovers int64           `json:"failovers_24h" doc:"Tasks taken back from lost workers and servers"`
	Minutes   []Minute        `json:"minutes" nullable:"false" doc:"Of the last hour and the one that runs, oldest first, those in which something happened"`
	Queues    []Queue         `json:"queues" nullable:"false" doc:"The 20 longest, longest first"`
}

// OverviewWorkers counts workers, whatever their sessions.
type OverviewWorkers struct {
	Connected int `json:"connected"`
	Grace     int `json:"grace" doc:"All connections lost, and may come back"`
	Slots     int `json:"slots" doc:"Of those connected"`
	Running   int `json:"running" doc:"Tasks they run"`
}

// OverviewTasks counts unfinished tasks by status.
type OverviewTasks struct {
	Scheduled int `json:"scheduled"`
	Queued    int `json:"queued"`
	Running   int `json:"running"`
}

// OverviewRates are tasks per second.
type OverviewRates struct {
	Succeeded float64 `json:"succeeded"`
	Failed    float64 `json:"failed"`
	Cancelled float64 `json:"cancelled"`
}

// Minute is what happened within one.
type Minute struct {
	At        Time  `json:"at" doc:"Its start"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Failovers int64 `json:"failovers"`
}

// Server is one server process.
type Server struct {
	ID         string `json:"id" format:"uuid"`
	Address    string `json:"address"`
	StartedAt  Time   `json:"started_at"`
	LastBeatAt *Time  `json:"last_beat_at" nullable:"true" doc:"By its own clock"`
}

// longestQueues is how many queues an overview shows.
const longestQueues = 20

func (a *API) overview(ctx context.Context) (*Overview, error) {
	now := time.Now()
	o, err := a.deps.Installation.Overview(ctx, now)
	if err != nil {
		return nil, err
	}
	servers, err := a.deps.Cluster.Servers(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := a.deps.Tasks.Queues.LongestQueues(ctx, longestQueues, now)
	if err != nil {
		return nil, err
	}
	out := &Overview{
		Users: o.Users, Groups: o.Groups, Failovers: o.Failovers,
		Workers: OverviewWorkers{Connected: o.WorkersConnected, Grace: o.WorkersGrace, Slots: o.Slots, Running: o.Running},
		Tasks:   OverviewTasks{Scheduled: o.Scheduled, Queued: o.Queued, Running: o.Running},
		Rates:   OverviewRates{Succeeded: perSecond(o.Succeeded), Failed: perSecond(o.Failed), Cancelled: perSecond(o.Cancelled)},
		Servers: make([]Server, len(servers)), Queues: make([]Queue, len(queues)),
		Minutes: make([]Minute, len(o.Minutes)),
	}
	for i, s := range servers {
		out.Servers[i] = Server{ID: s.ID, Address: s.Address, StartedAt: Time{s.Started}, LastBeatAt: timeOf(s.BeatAt)}
	}
	for i, m := range o.Minutes {
		out.Minutes[i] = Minute{Time{m.At}, m.Succeeded, m.Failed, m.Cancelled, m.Failovers}
	}
	for i, q := range queues {
		out.Queues[i] = showQueue(q)
	}
	return out, nil
}

// perSecond makes a rate of a minute's count, to a thousandth.
func perSecond(n int64) float64 { return math.Round(float64(n)/60*1000) / 1000 }

type overviewAnswer struct{ Body *Overview }

func (a *API) adminOverview(ctx context.Context, _ *struct{}) (*overviewAnswer, error) {
	o, err := a.overview(ctx)
	return &overviewAnswer{o}, err
}

// NamedPage is the query of a list whose rows have names.
type NamedPage struct {
	Q string `query:"q" maxLength:"64" doc:"How the name begins, in any case"`
	Page
}

type namedListRequest struct{ NamedPage }

// AdminGroup is a group as administrators see it.
type AdminGroup struct {
	ID        string   `json:"id" format:"uuid"`
	Name      string   `json:"name"`
	Members   int      `json:"members" doc:"How many there are"`
	Owner     *UserRef `json:"owner" doc:"Null for a moment, while the group goes"`
	Queued    int      `json:"queued" doc:"Tasks that wait, scheduled ones too"`
	Running   int      `json:"running" doc:"Tasks on workers"`
	CreatedAt Time     `json:"created_at"`
}

func showAdminGroup(g installation.Group) AdminGroup {
	out := AdminGroup{
		ID: g.ID, Name: g.Name, Members: g.Members, Queued: g.Waiting, Running: g.Running, CreatedAt: Time{g.CreatedAt},
	}
	if g.Owner != "" {
		out.Owner = &UserRef{g.Owner, g.OwnerName}
	}
	return out
}

type adminGroupList struct{ Body List[AdminGroup] }

func (a *API) adminGroups(ctx context.Context, in *namedListRequest) (*adminGroupList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Installation.AllGroups(ctx, in.Q, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &adminGroupList{listOf(rows, in.Limit, func(g installation.Group) string { return g.ID }, showAdminGroup)}, nil
}

// AdminWorker is a worker with its owner.
type AdminWorker struct {
	Worker
	Owner UserRef `json:"owner"`
}

type adminWorkerList struct{ Body List[AdminWorker] }

func (a *API) adminWorkers(ctx context.Context, in *namedListRequest) (*adminWorkerList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Installation.AllWorkers(ctx, in.Q, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	sessions, err := a.deps.Sessions.List(ctx, workers.Filter{
		Workers: ids, States: []workers.State{workers.Connected, workers.Grace},
	})
	if err != nil {
		return nil, err
	}
	owned, err := a.deps.Tasks.Store.Running(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Worker, len(rows))
	for _, w := range workersOf(sessions, owned) {
		byID[w.ID] = w
	}
	list := listOf(rows, in.Limit, func(w installation.Worker) string { return w.ID }, func(w installation.Worker) AdminWorker {
		return AdminWorker{Worker: byID[w.ID], Owner: UserRef{w.Owner, w.OwnerName}}
	})
	return &adminWorkerList{list}, nil
}

var errNoWorker = fault.New(fault.NotFound, "worker_not_found", "There is no such worker.")

func (a *API) disconnectWorker(ctx context.Context, in *IDRequest) (*struct{}, error) {
	known, err := a.deps.Installation.HasWorker(ctx, in.ID)
	if err == nil && !known {
		err = errNoWorker
	}
	if err != nil {
		return nil, err
	}
	return nil, a.deps.Disconnect(ctx, in.ID)
}
