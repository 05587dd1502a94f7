package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
)

// taskActionRoutes are those that change tasks. Members act on what they
// submitted themselves, owners and admins of the group on everybody's.
func (a *API) taskActionRoutes() {
	write := user(auth.TasksWrite)
	handle(a, route{
		method: http.MethodPost, path: taskPath + "/cancel", id: "cancel-task", tag: taskTag,
		summary: "Cancel a task; a running one is asked to stop", access: write,
	}, a.cancelTask)
	handle(a, route{
		method: http.MethodPost, path: taskPath + "/retry", id: "retry-task", tag: taskTag,
		summary: "Queue a failed or cancelled task again", access: write,
	}, a.retryTask)
	handle(a, route{
		method: http.MethodDelete, path: taskPath + "/result", id: "drop-result", tag: taskTag,
		summary: "Drop an ended task's input, output, checkpoint and log now", access: write,
	}, a.dropResult)
	handle(a, route{
		method: http.MethodPost, path: groupTaskPath + ":cancel", id: "cancel-tasks", tag: taskTag,
		summary: "Cancel a group's unfinished tasks that match", access: write,
	}, a.cancelTasks)
	handle(a, route{
		method: http.MethodPost, path: groupTaskPath + ":retry", id: "retry-tasks", tag: taskTag,
		summary: "Retry a group's failed and cancelled tasks that match", access: write,
	}, a.retryTasks)
}

// mayManage reports whether the role reaches what others submitted.
func mayManage(m groups.Mine) bool { return m.Role == auth.Owner || m.Role == auth.Admin }

// ownTask returns a task that the caller may act on.
func (a *API) ownTask(ctx context.Context, id string) (tasks.Task, error) {
	c := caller(ctx)
	t, m, err := a.task(ctx, c, id, auth.Submit)
	if err == nil && t.CreatedBy != c.UserID && !mayManage(m) {
		err = groups.ErrRole
	}
	return t, err
}

func (a *API) cancelTask(ctx context.Context, in *IDRequest) (*taskAnswer, error) {
	return a.act(ctx, in.ID, a.deps.Tasks.Cancel)
}

func (a *API) retryTask(ctx context.Context, in *IDRequest) (*taskAnswer, error) {
	return a.act(ctx, in.ID, a.deps.Tasks.Retry)
}

func (a *API) act(ctx context.Context, id string, do func(context.Context, tasks.Task) (tasks.Task, error)) (*taskAnswer, error) {
	t, err := a.ownTask(ctx, id)
	if err != nil {
		return nil, err
	}
	if t, err = do(ctx, t); err != nil {
		return nil, err
	}
	return &taskAnswer{Status: http.StatusOK, Body: t.View()}, nil
}

func (a *API) dropResult(ctx context.Context, in *IDRequest) (*struct{}, error) {
	t, err := a.ownTask(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.deps.Tasks.DropPayloads(ctx, t)
}

type bulkRequest struct {
	IDRequest
	Body struct {
		Filter TaskFilter `json:"filter" doc:"Empty: all. A member's reaches only what the member submitted"`
		DryRun bool       `json:"dry_run,omitempty" doc:"Only count"`
	}
}

type bulkAnswer struct {
	Body struct {
		Count  int  `json:"count" doc:"How many tasks it reached, or would"`
		DryRun bool `json:"dry_run"`
	}
}

func (a *API) cancelTasks(ctx context.Context, in *bulkRequest) (*bulkAnswer, error) {
	return a.bulk(ctx, in, a.deps.Tasks.CancelAll)
}

func (a *API) retryTasks(ctx context.Context, in *bulkRequest) (*bulkAnswer, error) {
	return a.bulk(ctx, in, a.deps.Tasks.RetryAll)
}

func (a *API) bulk(ctx context.Context, in *bulkRequest, do func(context.Context, tasks.ListFilter, bool) (int, error)) (*bulkAnswer, error) {
	c := caller(ctx)
	m, err := a.deps.Groups.Authorize(ctx, c, in.ID, auth.Submit)
	if err != nil {
		return nil, err
	}
	f := in.Body.Filter.list(in.ID)
	if !mayManage(m) {
		if f.Member != "" && f.Member != c.UserID {
			return nil, groups.ErrRole
		}
		f.Member = c.UserID
	}
	answer := &bulkAnswer{}
	answer.Body.DryRun = in.Body.DryRun
	if in.Body.DryRun {
		noteNothing(ctx)
	}
	answer.Body.Count, err = do(ctx, f, in.Body.DryRun)
	return answer, err
}
