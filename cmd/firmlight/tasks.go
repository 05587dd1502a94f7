package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

// filter are the flags that narrow a group's tasks.
type filter struct {
	Status        string `short:"s" enum:"scheduled,queued,running,succeeded,failed,cancelled," default:"" help:"scheduled, queued, running, succeeded, failed or cancelled."`
	Kind          string `short:"k" help:"Kind of the tasks."`
	Query         string `short:"q" placeholder:"WORDS" help:"Beginnings of words of the title, or an id."`
	Worker        string `placeholder:"ID" help:"Worker that ran them last; parts too."`
	Member        string `placeholder:"ID" help:"User who submitted them."`
	CreatedAfter  string `placeholder:"TIME" help:"RFC 3339, or back from now, such as 24h."`
	CreatedBefore string `placeholder:"TIME" help:"RFC 3339, or back from now."`
}

// values is the filter as a query; bodies have the same names.
func (f filter) values() (url.Values, error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"status": f.Status, "kind": f.Kind, "q": f.Query, "worker": f.Worker, "member": f.Member,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, text := range map[string]string{"created_after": f.CreatedAfter, "created_before": f.CreatedBefore} {
		if text == "" {
			continue
		}
		at, err := moment("--"+strings.ReplaceAll(name, "_", "-"), text, -1)
		if err != nil {
			return nil, err
		}
		q.Set(name, at.Format(time.RFC3339Nano))
	}
	return q, nil
}

type tasksCmd struct {
	inGroup
	filter
	listing
	Limit int `short:"n" default:"50" help:"At most so many, newest first; 0: all."`
}

func (c *tasksCmd) Run(e *env) error {
	q, err := c.values()
	if err != nil {
		return err
	}
	api, group, err := c.open(e)
	if err != nil {
		return err
	}
	return list(e, c.listing, first(c.Limit, e, api, "/groups/"+group+"/tasks", q), taskColumns)
}

// first reads at most n rows of a list; 0: all.
func first(n int, e *env, api *client.Client, path string, q url.Values) iter.Seq2[json.RawMessage, error] {
	if n > 0 {
		q.Set("limit", strconv.Itoa(min(n, 200)))
	}
	return func(yield func(json.RawMessage, error) bool) {
		left := n
		for row, err := range client.Items[json.RawMessage](e.ctx, api, path, q) {
			left--
			if !yield(row, err) || left == 0 {
				return
			}
		}
	}
}

var taskColumns = []column[client.Task]{
	{"id", func(t client.Task) any { return t.ID }},
	{"status", func(t client.Task) any { return t.Status }},
	{"kind", func(t client.Task) any { return t.Kind }},
	{"title", func(t client.Task) any { return t.Title }},
	{"progress", progressOf},
	{"attempt", func(t client.Task) any { return t.Attempt }},
	{"worker", workerOf},
	{"created", func(t client.Task) any { return t.CreatedAt }},
	{"ran", func(t client.Task) any { return ranFor(t.RunMS) }},
}

func progressOf(t client.Task) any {
	if t.Progress == nil || t.Progress.Percent == nil || t.Ended() {
		return ""
	}
	return strconv.FormatFloat(*t.Progress.Percent, 'f', 0, 64) + "%"
}

func workerOf(t client.Task) any {
	if t.Worker == nil {
		return ""
	}
	return t.Worker.Name
}

func ranFor(ms *int64) any {
	if ms == nil {
		return ""
	}
	return time.Duration(*ms) * time.Millisecond
}

type taskCmd struct {
	Task string `arg:"" help:"Id of the task."`
}

// entry is a line of a timeline.
type entry struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"`
	Attempt int       `json:"attempt"`
	Worker  string    `json:"worker"`
	Detail  string    `json:"detail"`
}

func (c *taskCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	var data json.RawMessage
	if err := api.Do(e.ctx, http.MethodGet, taskPath(c.Task), nil, &data); err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(data)
	}
	var t client.Task
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	one := func(yield func(json.RawMessage, error) bool) { yield(data, nil) }
	if err := list(e, listing{}, one, taskColumns); err != nil {
		return err
	}
	if t.Error != nil {
		e.outln("\nlast error:", t.Error.Code, t.Error.Message)
	}
	if t.FanOut != nil {
		e.outln("\nparts")
		parts := slices.Insert(slices.Clone(taskColumns), 0, column[client.Task]{"part", partOf})
		if err := list(e, listing{}, client.Items[json.RawMessage](e.ctx, api, taskPath(c.Task)+"/children", nil), parts); err != nil {
			return err
		}
	}
	var timeline struct{ Items []json.RawMessage }
	if err := api.Do(e.ctx, http.MethodGet, taskPath(c.Task)+"/timeline", nil, &timeline); err != nil {
		return err
	}
	e.outln("\nwhat happened")
	return list(e, listing{}, each(timeline.Items), []column[entry]{
		{"at", func(n entry) any { return n.At.Local().Format("2006-01-02 15:04:05.000") }},
		{"event", func(n entry) any { return n.Event }},
		{"attempt", func(n entry) any { return n.Attempt }},
		{"worker", func(n entry) any { return n.Worker }},
		{"detail", func(n entry) any { return n.Detail }},
	})
}

func partOf(t client.Task) any {
	if t.Index == nil {
		return "reduce"
	}
	return *t.Index
}

func each(rows []json.RawMessage) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// selection is what cancel and retry are about: tasks by id, or a group's.
type selection struct {
	inGroup
	filter
	Tasks []string `arg:"" optional:"" name:"task" help:"Ids of tasks; without, those of a group that match the flags."`
	All   bool     `help:"All of the group."`
	Yes   bool     `short:"y" help:"Do not ask."`
}

// act does an action ("cancel" or "retry") to the tasks.
func (s selection) act(e *env, action, done string) error {
	q, err := s.values()
	if err != nil {
		return err
	}
	if len(s.Tasks) > 0 && (len(q) > 0 || s.All) {
		return usage("give ids of tasks, or flags that find them, not both")
	}
	if len(s.Tasks) == 0 && len(q) == 0 && !s.All {
		return usage("which tasks? Give their ids, flags that find them, or --all")
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	if len(s.Tasks) == 0 {
		return s.actOnAll(e, api, action, done, q)
	}
	var errs []error
	for _, id := range s.Tasks {
		var data json.RawMessage
		err := api.Do(e.ctx, http.MethodPost, taskPath(id)+"/"+action, nil, &data)
		if err == nil {
			err = e.say(data, "%s %s", id, done)
		} else if len(s.Tasks) > 1 {
			err = fmt.Errorf("%s: %w", id, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// actOnAll counts the tasks that match, asks, and acts.
func (s selection) actOnAll(e *env, api *client.Client, action, done string, q url.Values) error {
	group, err := s.find(e, api)
	if err != nil {
		return err
	}
	filter := map[string]string{}
	for name := range q {
		filter[name] = q.Get(name)
	}
	do := func(dry bool) (n struct {
		Count int `json:"count"`
	}, err error) {
		err = api.Do(e.ctx, http.MethodPost, "/groups/"+group+"/tasks:"+action, map[string]any{"filter": filter, "dry_run": dry}, &n)
		return n, err
	}
	n, err := do(true)
	if err == nil && n.Count > 0 {
		err = e.confirm(s.Yes, "%s %d tasks?", strings.ToUpper(action[:1])+action[1:], n.Count)
	}
	if err == nil && n.Count > 0 {
		n, err = do(false)
	}
	if err != nil {
		return err
	}
	return e.say(n, "%d tasks %s", n.Count, done)
}

type cancelCmd struct{ selection }

func (c *cancelCmd) Run(e *env) error { return c.act(e, "cancel", "cancelled") }

type retryCmd struct{ selection }

func (c *retryCmd) Run(e *env) error { return c.act(e, "retry", "queued again") }
