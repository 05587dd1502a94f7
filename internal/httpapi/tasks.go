package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
)

// maxBatch is how many tasks one batch may submit (docs/http-api.md).
const maxBatch = 5000

const (
	taskTag       = "Tasks"
	taskPath      = "/api/v1/tasks/{id}"
	groupTaskPath = "/api/v1/groups/{id}/tasks"
)

const submitUnaudited = "a task itself says who submitted it and when"

// taskRoutes are those that submit and read.
func (a *API) taskRoutes() {
	read, write := user(auth.TasksRead), user(auth.TasksWrite)
	handle(a, route{
		method: http.MethodPost, path: groupTaskPath, id: "submit-task", tag: taskTag,
		summary: "Submit a task: 202, or 200 with the first task of its idempotency key",
		access:  write, status: http.StatusAccepted, maxBody: bodyBatch, skipSchema: true, submits: true, unaudited: submitUnaudited,
	}, a.submitTask)
	handle(a, route{
		method: http.MethodPost, path: groupTaskPath + ":batch", id: "submit-tasks", tag: taskTag,
		summary: "Submit up to 5,000 tasks, each on its own",
		access:  write, status: http.StatusMultiStatus, maxBody: bodyBatch, skipSchema: true, submits: true, unaudited: submitUnaudited,
	}, a.submitTasks)
	handle(a, route{
		method: http.MethodGet, path: groupTaskPath, id: "list-tasks", tag: taskTag,
		summary: "A group's tasks, newest first; parts of a fan-out stand below their parent", access: read,
	}, a.listTasks)
	handle(a, route{
		method: http.MethodGet, path: taskPath, id: "get-task", tag: taskTag, summary: "A task", access: read,
	}, a.getTask)
	handle(a, route{
		method: http.MethodGet, path: taskPath + "/children", id: "list-children", tag: taskTag,
		summary: "The parts of a fan-out, by index", access: read,
	}, a.listChildren)
	handle(a, route{
		method: http.MethodGet, path: taskPath + "/input", id: "get-input", tag: taskTag,
		summary: "What a task was given: 410 after its retention", access: read,
	}, a.getInput)
	handle(a, route{
		method: http.MethodGet, path: taskPath + "/result", id: "get-result", tag: taskTag,
		summary: "A task's output: 404 before the end, 410 after its retention", access: read,
	}, a.getResult)
	handle(a, route{
		method: http.MethodGet, path: taskPath + "/logs", id: "get-logs", tag: taskTag,
		summary: "What the task wrote: the last 1,000 lines", access: read,
	}, a.getLogs)
	handle(a, route{
		method: http.MethodGet, path: taskPath + "/timeline", id: "get-timeline", tag: taskTag,
		summary: "All that happened to a task, oldest first", access: read,
	}, a.getTimeline)
}

// maxBehind is how far the store may be behind before submits are refused, so
// that they cannot starve the tasks that run.
const maxBehind = time.Second

// admit refuses submits while the store is behind, before their body is read.
func (a *API) admit(ctx huma.Context, next func(huma.Context)) {
	if a.deps.Behind != nil {
		if behind := a.deps.Behind(); behind > maxBehind {
			busy := fault.New(fault.TooMany, "busy", "The server is behind with what was submitted; try again soon.")
			busy.RetryAfter = behind
			_ = huma.WriteErr(a.huma, ctx, http.StatusInternalServerError, "", busy) // an error: the peer has gone
			return
		}
	}
	next(ctx)
}

// taskAnswer has a status of its own where a route knows two.
type taskAnswer struct {
	Status int
	Body   tasks.View
}

type submitTaskRequest struct {
	IDRequest
	Body strict[TaskSpec]
}

func (a *API) submitTask(ctx context.Context, in *submitTaskRequest) (*taskAnswer, error) {
	c := caller(ctx)
	m, err := a.deps.Groups.Authorize(ctx, c, in.ID, auth.Submit)
	if err != nil {
		return nil, err
	}
	if in.Body.err != nil {
		return nil, in.Body.err
	}
	if in.Body.size > bodyDefault && !in.Body.value.fansOut() {
		return nil, fault.New(fault.TooLarge, "too_large", "The body is larger than %d bytes.", int64(bodyDefault))
	}
	o := a.deps.Tasks.Submit(ctx, tasks.Submitter{User: c.UserID, Group: in.ID, Retention: m.ResultRetention}, []tasks.Spec{in.Body.value.spec()})[0]
	if o.Err != nil {
		return nil, under("body", o.Err)
	}
	return &taskAnswer{Status: submitStatus(o), Body: o.Task.View()}, nil
}

func submitStatus(o tasks.Outcome) int {
	if o.Existed {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// TaskBatch is many tasks to submit.
type TaskBatch struct {
	Tasks batchEntries `json:"tasks" minItems:"1" maxItems:"5000" nullable:"false"`
}

// batchEntries are told one by one what is wrong with them.
type batchEntries []strict[TaskSpec]

// UnmarshalJSON refuses too many before it decodes them.
func (b *batchEntries) UnmarshalJSON(data []byte) error {
	return decodeList(data, "tasks", maxBatch, (*[]strict[TaskSpec])(b))
}

// SubmitResult is what became of one entry of a batch.
type SubmitResult struct {
	Status  int         `json:"status" doc:"As if it had been submitted alone: 202, 200, or an error's"`
	Task    *tasks.View `json:"task,omitempty"`
	Problem *Problem    `json:"problem,omitempty"`
}

type submitTasksRequest struct {
	IDRequest
	Body strict[TaskBatch]
}

type submitTasksAnswer struct {
	Body struct {
		Results []SubmitResult `json:"results" nullable:"false" doc:"One for each entry, in its order"`
	}
}

func (a *API) submitTasks(ctx context.Context, in *submitTasksRequest) (*submitTasksAnswer, error) {
	c := caller(ctx)
	m, err := a.deps.Groups.Authorize(ctx, c, in.ID, auth.Submit)
	if err != nil {
		return nil, err
	}
	if in.Body.err != nil {
		return nil, in.Body.err
	}
	entries := in.Body.value.Tasks
	if n := len(entries); n < 1 || n > maxBatch {
		return nil, fault.InvalidField("body.tasks", "must have 1 to %d entries", maxBatch)
	}
	answer := &submitTasksAnswer{}
	answer.Body.Results = make([]SubmitResult, len(entries))
	refuse := func(i int, err error) {
		p := problemOf(ctx, under("body.tasks["+strconv.Itoa(i)+"]", err))
		answer.Body.Results[i] = SubmitResult{Status: p.Status, Problem: p}
	}
	specs, place := make([]tasks.Spec, 0, len(entries)), make([]int, 0, len(entries))
	for i, e := range entries {
		if e.err != nil {
			refuse(i, e.err)
			continue
		}
		specs, place = append(specs, e.value.spec()), append(place, i)
	}
	for j, o := range a.deps.Tasks.Submit(ctx, tasks.Submitter{User: c.UserID, Group: in.ID, Retention: m.ResultRetention}, specs) {
		if o.Err != nil {
			refuse(place[j], o.Err)
			continue
		}
		v := o.Task.View()
		answer.Body.Results[place[j]] = SubmitResult{Status: submitStatus(o), Task: &v}
	}
	return answer, nil
}

type listTasksRequest struct {
	IDRequest
	TaskFilter
	Page
}

type taskList struct{ Body List[tasks.View] }

func (a *API) listTasks(ctx context.Context, in *listTasksRequest) (*taskList, error) {
	if _, err := a.deps.Groups.Authorize(ctx, caller(ctx), in.ID, auth.View); err != nil {
		return nil, err
	}
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, next, err := a.deps.Tasks.List(ctx, in.list(in.ID), after, in.Limit)
	if err != nil {
		return nil, err
	}
	return &taskList{Body: taskPage(rows, next)}, nil
}

// taskPage makes a page of rows and the key after them, empty for the last.
func taskPage(rows []tasks.Task, next string) List[tasks.View] {
	l := List[tasks.View]{Items: make([]tasks.View, len(rows))}
	for i, t := range rows {
		l.Items[i] = t.View()
	}
	if next != "" {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(next))
		l.NextCursor = &cursor
	}
	return l
}

// task returns a task that the caller may see, and the caller's place in its
// group: tasks.ErrNotFound for any other.
func (a *API) task(ctx context.Context, c auth.Caller, id string, p auth.Permission) (tasks.Task, groups.Mine, error) {
	t, err := a.deps.Tasks.Get(ctx, id)
	if err != nil {
		return tasks.Task{}, groups.Mine{}, err
	}
	noteGroup(ctx, t.Group)
	m, err := a.deps.Groups.Authorize(ctx, c, t.Group, p)
	if fault.KindOf(err) == fault.NotFound {
		err = tasks.ErrNotFound
	}
	return t, m, err
}

func (a *API) getTask(ctx context.Context, in *IDRequest) (*taskAnswer, error) {
	t, _, err := a.task(ctx, caller(ctx), in.ID, auth.View)
	if err != nil {
		return nil, err
	}
	v := t.View()
	if t.IsParent() {
		by, err := a.deps.Tasks.ChildCounts(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		v.Children = tasks.ChildCounts(by)
	}
	return &taskAnswer{Status: http.StatusOK, Body: v}, nil
}

type listOfTaskRequest struct {
	IDRequest
	Page
}

func (a *API) listChildren(ctx context.Context, in *listOfTaskRequest) (*taskList, error) {
	if _, _, err := a.task(ctx, caller(ctx), in.ID, auth.View); err != nil {
		return nil, err
	}
	key, err := in.after()
	if err != nil {
		return nil, err
	}
	after := -1
	if key != "" {
		if after, err = strconv.Atoi(key); err != nil {
			return nil, errCursor
		}
	}
	rows, err := a.deps.Tasks.Children(ctx, in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &taskList{Body: listOf(rows, in.Limit,
		func(t tasks.Task) string { return strconv.Itoa(t.Index) }, tasks.Task.View)}, nil
}

type inputAnswer struct {
	Body struct {
		Input json.RawMessage `json:"input" doc:"As submitted; where inputs were, the array of them"`
	}
}

func (a *API) getInput(ctx context.Context, in *IDRequest) (*inputAnswer, error) {
	t, _, err := a.task(ctx, caller(ctx), in.ID, auth.View)
	if err != nil {
		return nil, err
	}
	answer := &inputAnswer{}
	answer.Body.Input, err = a.deps.Tasks.Input(ctx, t)
	return answer, err
}

type resultAnswer struct {
	Body struct {
		Output json.RawMessage `json:"output" doc:"What the task gave back; of a fan-out, reduced"`
	}
}

func (a *API) getResult(ctx context.Context, in *IDRequest) (*resultAnswer, error) {
	t, _, err := a.task(ctx, caller(ctx), in.ID, auth.View)
	if err != nil {
		return nil, err
	}
	answer := &resultAnswer{}
	answer.Body.Output, err = a.deps.Tasks.Output(ctx, t)
	return answer, err
}

type getLogsRequest struct {
	IDRequest
	After int64 `query:"after" minimum:"0" doc:"Only lines with a greater seq"`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type logsAnswer struct {
	Body struct {
		Items   []tasks.LogView `json:"items" nullable:"false"`
		Dropped int64           `json:"dropped" doc:"How many of the oldest lines went over the log's limits"`
	}
}

func (a *API) getLogs(ctx context.Context, in *getLogsRequest) (*logsAnswer, error) {
	if _, _, err := a.task(ctx, caller(ctx), in.ID, auth.View); err != nil {
		return nil, err
	}
	lines, dropped, err := a.deps.Tasks.Logs(ctx, in.ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	answer := &logsAnswer{}
	answer.Body.Items, answer.Body.Dropped = tasks.LogViews(lines), dropped
	return answer, nil
}

type timelineAnswer struct {
	Body struct {
		Items []tasks.EntryView `json:"items" nullable:"false"`
	}
}

func (a *API) getTimeline(ctx context.Context, in *IDRequest) (*timelineAnswer, error) {
	t, _, err := a.task(ctx, caller(ctx), in.ID, auth.View)
	if err != nil {
		return nil, err
	}
	entries, err := a.deps.Tasks.Timeline(ctx, t)
	if err != nil {
		return nil, err
	}
	answer := &timelineAnswer{}
	answer.Body.Items = tasks.EntryViews(entries)
	return answer, nil
}
