package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// ownWorkerRoutes are what people decide about their own workers.
func (a *API) ownWorkerRoutes() {
	const tag, path = "Own workers", "/api/v1/workers"
	read, write := user(auth.TasksRead), user(auth.TasksWrite)
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-own-workers", tag: tag,
		summary: "Your workers, also those that are away", access: read,
	}, a.listOwnWorkers)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}", id: "get-own-worker", tag: tag,
		summary: "A worker of yours", access: read,
	}, a.getOwnWorker)
	handle(a, route{
		method: http.MethodPatch, path: path + "/{id}", id: "update-own-worker", tag: tag,
		summary: "Pause a worker, cap it, say what it takes, for whom and when", access: write,
	}, a.updateOwnWorker)
	handle(a, route{
		method: http.MethodDelete, path: path + "/{id}", id: "forget-own-worker", tag: tag,
		summary: "Forget a worker that is away, with its settings and history", access: write,
	}, a.forgetOwnWorker)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}/history", id: "get-own-worker-history", tag: tag,
		summary: "What a worker did, by day, group and who submitted it", access: read,
	}, a.getOwnWorkerHistory)
}

// OwnWorker is a worker as its owner sees it.
type OwnWorker struct {
	ID         string            `json:"id" format:"uuid"`
	Name       string            `json:"name"`
	State      workers.State     `json:"state" enum:"connected,grace,away" doc:"grace: all its connections were lost, and it may come back"`
	IdleReason string            `json:"idle_reason" enum:",paused,quiet_hours,draining" doc:"Why it gets nothing new; empty: it does, or it is away"`
	Sessions   int               `json:"sessions" doc:"Connections; their slots add up"`
	Slots      int               `json:"slots" doc:"Tasks it takes at the same time now: 0 while it is paused, in quiet hours or away"`
	Running    int               `json:"running" doc:"Tasks it runs, of all its groups"`
	Kinds      []string          `json:"kinds" nullable:"false" doc:"All it offers, or offered when it was last connected; settings.kinds says which of them it may take"`
	Groups     []string          `json:"groups" nullable:"false" doc:"Ids of those that it works for now"`
	Labels     map[string]string `json:"labels,omitempty"`
	SDK        string            `json:"sdk,omitempty"`
	FirstSeen  Time              `json:"first_seen"`
	LastSeen   Time              `json:"last_seen" doc:"Now, while it is connected"`
	Settings   WorkerSettings    `json:"settings"`
}

// WorkerSettings are what the owner decided about a worker.
type WorkerSettings struct {
	Paused     bool          `json:"paused" doc:"Nothing new; what runs goes on"`
	SlotsCap   *int          `json:"slots_cap" doc:"At most so many of the slots of each connection; null: all"`
	Kinds      []string      `json:"kinds" nullable:"true" doc:"Only these; null: all it has"`
	Groups     []string      `json:"groups" nullable:"true" doc:"Only these; null: all of its token"`
	QuietHours []QuietWindow `json:"quiet_hours" nullable:"false" doc:"Nothing new in them; what runs goes on"`
	TimeZone   string        `json:"time_zone" doc:"IANA name, of the quiet hours"`
}

// QuietWindow is a time of day on some days, by the clock on the wall.
type QuietWindow struct {
	Days []string `json:"days" nullable:"false" doc:"On which it begins: some of mon, tue, wed, thu, fri, sat, sun"`
	From string   `json:"from" doc:"HH:MM"`
	To   string   `json:"to" doc:"HH:MM; not after from: on the next day"`
}

func showOwnWorker(w workers.Worker, sessions []workers.Session, running map[string]int) OwnWorker {
	at := time.Now()
	now := workers.NowOf(w, sessions, at)
	out := OwnWorker{
		ID: w.ID, Name: w.Name, State: now.State, IdleReason: now.Idle, Sessions: len(now.Sessions), Slots: now.Slots,
		Kinds: now.Kinds, Groups: now.Groups, Labels: w.Labels, SDK: w.SDK,
		FirstSeen: Time{w.FirstSeen}, LastSeen: Time{w.LastSeen}, Settings: showSettings(w.Settings),
	}
	for _, s := range now.Sessions {
		out.Running += running[s.ID]
	}
	if now.State == workers.Connected {
		out.LastSeen = Time{at}
	}
	return out
}

func showSettings(s workers.Settings) WorkerSettings {
	out := WorkerSettings{
		Paused: s.Paused, SlotsCap: s.SlotsCap, Kinds: s.Kinds, Groups: s.Groups,
		QuietHours: make([]QuietWindow, len(s.QuietHours)), TimeZone: cmp.Or(s.TimeZone, time.UTC.String()),
	}
	for i, w := range s.QuietHours {
		out.QuietHours[i] = QuietWindow(w)
	}
	return out
}

// ofOwner returns the sessions of the caller's workers, and how many tasks each
// session runs.
func (a *API) ofOwner(ctx context.Context) ([]workers.Session, map[string]int, error) {
	sessions, err := a.deps.Sessions.List(ctx, workers.Filter{
		Owner: caller(ctx).UserID, States: []workers.State{workers.Connected, workers.Grace},
	})
	if err != nil {
		return nil, nil, err
	}
	owned, err := a.deps.Tasks.Store.Running(ctx)
	return sessions, runningOf(owned), err
}

// runningOf counts running tasks by session.
func runningOf(owned []tasks.Owned) map[string]int {
	running := make(map[string]int, len(owned))
	for _, o := range owned {
		running[o.Session] += o.Tasks
	}
	return running
}

type ownWorkerList struct{ Body List[OwnWorker] }

func (a *API) listOwnWorkers(ctx context.Context, in *listRequest) (*ownWorkerList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.OwnWorkers.List(ctx, caller(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	sessions, running, err := a.ofOwner(ctx)
	if err != nil {
		return nil, err
	}
	return &ownWorkerList{Body: listOf(rows, in.Limit, func(w workers.Worker) string { return w.ID },
		func(w workers.Worker) OwnWorker { return showOwnWorker(w, sessions, running) })}, nil
}

type ownWorkerAnswer struct{ Body OwnWorker }

func (a *API) ownWorkerOrError(ctx context.Context, w workers.Worker, err error) (*ownWorkerAnswer, error) {
	if err != nil {
		return nil, err
	}
	sessions, running, err := a.ofOwner(ctx)
	if err != nil {
		return nil, err
	}
	return &ownWorkerAnswer{Body: showOwnWorker(w, sessions, running)}, nil
}

func (a *API) getOwnWorker(ctx context.Context, in *IDRequest) (*ownWorkerAnswer, error) {
	w, err := a.deps.OwnWorkers.Get(ctx, caller(ctx), in.ID)
	return a.ownWorkerOrError(ctx, w, err)
}

type updateOwnWorkerRequest struct {
	IDRequest
	Body struct {
		Paused     *bool                   `json:"paused,omitempty"`
		SlotsCap   Optional[int]           `json:"slots_cap,omitempty" doc:"0 to 1024; null: none"`
		Kinds      Optional[[]string]      `json:"kinds,omitempty" doc:"At most 64; null: all it has"`
		Groups     Optional[[]string]      `json:"groups,omitempty" doc:"Ids of groups of yours, at most 256; null: all of its token"`
		QuietHours Optional[[]QuietWindow] `json:"quiet_hours,omitempty" doc:"At most 14; null: none"`
		TimeZone   *string                 `json:"time_zone,omitempty" doc:"IANA name, such as Europe/Berlin"`
	}
}

func (a *API) updateOwnWorker(ctx context.Context, in *updateOwnWorkerRequest) (*ownWorkerAnswer, error) {
	b := in.Body
	change := workers.Change{
		Paused: b.Paused, SetSlotsCap: b.SlotsCap.Set, SlotsCap: b.SlotsCap.Value, TimeZone: b.TimeZone,
		SetKinds: b.Kinds.Set, SetGroups: b.Groups.Set, SetQuiet: b.QuietHours.Set,
	}
	if b.Kinds.Value != nil {
		change.Kinds = *b.Kinds.Value
	}
	if b.Groups.Value != nil {
		change.Groups = *b.Groups.Value
	}
	if b.QuietHours.Value != nil {
		for _, w := range *b.QuietHours.Value {
			change.QuietHours = append(change.QuietHours, workers.Window(w))
		}
	}
	w, err := a.deps.OwnWorkers.Change(ctx, caller(ctx), in.ID, change)
	return a.ownWorkerOrError(ctx, w, err)
}

func (a *API) forgetOwnWorker(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.OwnWorkers.Forget(ctx, caller(ctx), in.ID)
}

// WorkerDay is what a worker did on one day for one member of one group.
type WorkerDay struct {
	Day       string       `json:"day" format:"date" doc:"Of UTC"`
	Group     WorkerGroup  `json:"group"`
	Member    WorkerMember `json:"member" doc:"Who submitted"`
	Tasks     int64        `json:"tasks" doc:"That ended there"`
	Succeeded int64        `json:"succeeded"`
	Failed    int64        `json:"failed"`
	Cancelled int64        `json:"cancelled"`
	RunS      int64        `json:"run_s" doc:"Seconds run"`
}

// WorkerGroup names a group in a worker's history.
type WorkerGroup struct {
	ID   string `json:"id" format:"uuid"`
	Name string `json:"name" doc:"Empty: you are not in it any more, or it is gone"`
}

// WorkerMember names a user in a worker's history.
type WorkerMember struct {
	ID       string `json:"id" format:"uuid"`
	Username string `json:"username"`
}

type getOwnWorkerHistoryRequest struct {
	IDRequest
	Days int `query:"days" minimum:"1" maximum:"366" default:"30" doc:"Today and the days before it"`
}

type workerHistory struct {
	Body struct {
		Items []WorkerDay `json:"items" nullable:"false" doc:"The newest day first; at most 10,000 rows"`
	}
}

func (a *API) getOwnWorkerHistory(ctx context.Context, in *getOwnWorkerHistoryRequest) (*workerHistory, error) {
	w, err := a.deps.OwnWorkers.Get(ctx, caller(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	days, err := a.deps.Tasks.WorkerHistory(ctx, w.ID, in.Days)
	if err != nil {
		return nil, err
	}
	out := &workerHistory{}
	out.Body.Items = make([]WorkerDay, len(days))
	for i, d := range days {
		out.Body.Items[i] = WorkerDay{
			Day: d.Day.Format(time.DateOnly), Group: WorkerGroup{d.Group, d.GroupName}, Member: WorkerMember{d.Member, d.MemberName},
			Tasks: d.Succeeded + d.Failed + d.Cancelled, Succeeded: d.Succeeded, Failed: d.Failed, Cancelled: d.Cancelled,
			RunS: int64(d.Run / time.Second),
		}
	}
	return out, nil
}
