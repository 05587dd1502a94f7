package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
)

// queueRoutes show administrators what waits, and let them hold it back or drop it.
func (a *API) queueRoutes() {
	const path = adminPath + "/queues"
	handle(a, route{
		method: http.MethodGet, path: path, id: "admin-list-queues", tag: adminTag,
		summary: "The queues that hold tasks or are paused: a kind in a group, over all priorities", access: admin,
	}, a.listQueues)
	handle(a, route{
		method: http.MethodPost, path: path + ":pause", id: "admin-pause-queue", tag: adminTag,
		summary: "Let no task of a queue start, on every server within a second; what runs goes on", access: admin,
	}, a.pauseQueue)
	handle(a, route{
		method: http.MethodPost, path: path + ":resume", id: "admin-resume-queue", tag: adminTag,
		summary: "Let the tasks of a paused queue start again", access: admin,
	}, a.resumeQueue)
	handle(a, route{
		method: http.MethodPost, path: path + ":empty", id: "admin-empty-queue", tag: adminTag,
		summary: "Cancel what waits in a queue", access: admin,
	}, a.emptyQueue)
}

// Queue is the work of one kind in one group, over all priorities.
type Queue struct {
	Group     Named  `json:"group"`
	Kind      string `json:"kind"`
	Waiting   int    `json:"waiting" doc:"Tasks that are due and do not run"`
	Scheduled int    `json:"scheduled" doc:"Tasks whose time is ahead, be it by a retry"`
	OldestAt  *Time  `json:"oldest_at" nullable:"true" doc:"Since when the first of those that wait is due; null where none waits"`
	Paused    bool   `json:"paused"`
}

func showQueue(q tasks.QueueState) Queue {
	return Queue{
		Group: Named{q.Group, q.GroupName}, Kind: q.Kind, Waiting: q.Waiting, Scheduled: q.Scheduled,
		OldestAt: timeOf(q.Oldest), Paused: !q.PausedAt.IsZero(),
	}
}

type queueList struct{ Body List[Queue] }

func (a *API) listQueues(ctx context.Context, in *listRequest) (*queueList, error) {
	key, err := in.after()
	if err != nil {
		return nil, err
	}
	var after tasks.Pair
	after.Group, after.Kind, _ = strings.Cut(key, " ")
	rows, err := a.deps.Tasks.Queues.Queues(ctx, after, in.Limit+1, time.Now())
	if err != nil {
		return nil, err
	}
	return &queueList{listOf(rows, in.Limit, func(q tasks.QueueState) string { return q.Group + " " + q.Kind }, showQueue)}, nil
}

// QueueName names a queue in a body; it is exported for huma.
type QueueName struct {
	Group string `json:"group" maxLength:"64" doc:"Its id"`
	Kind  string `json:"kind" maxLength:"64"`
}

type queueRequest struct{ Body QueueName }

// known checks a queue's group, and notes the queue for the audit log.
func (a *API) known(ctx context.Context, q QueueName) error {
	if _, err := a.deps.Groups.Get(ctx, q.Group); err != nil {
		return err
	}
	noteTarget(ctx, "queue", q.Kind)
	noteGroup(ctx, q.Group)
	return nil
}

func (a *API) pauseQueue(ctx context.Context, in *queueRequest) (*struct{}, error) {
	if err := a.known(ctx, in.Body); err != nil {
		return nil, err
	}
	return nil, a.deps.Tasks.PauseQueue(ctx, in.Body.Group, in.Body.Kind)
}

func (a *API) resumeQueue(ctx context.Context, in *queueRequest) (*struct{}, error) {
	if err := a.known(ctx, in.Body); err != nil {
		return nil, err
	}
	return nil, a.deps.Tasks.ResumeQueue(ctx, in.Body.Group, in.Body.Kind)
}

type emptyQueueRequest struct {
	Body struct {
		QueueName
		DryRun  bool `json:"dry_run,omitempty" doc:"Only count"`
		Confirm bool `json:"confirm,omitempty" doc:"Must be true, unless it is a dry run"`
	}
}

func (a *API) emptyQueue(ctx context.Context, in *emptyQueueRequest) (*bulkAnswer, error) {
	b := in.Body
	if !b.DryRun && !b.Confirm {
		return nil, fault.InvalidField("body.confirm", "must be true: what waits is cancelled for good")
	}
	err := a.known(ctx, b.QueueName)
	if err != nil {
		return nil, err
	}
	answer := &bulkAnswer{}
	answer.Body.DryRun = b.DryRun
	if b.DryRun {
		noteNothing(ctx)
	}
	answer.Body.Count, err = a.deps.Tasks.EmptyQueue(ctx, b.Group, b.Kind, b.DryRun)
	return answer, err
}
