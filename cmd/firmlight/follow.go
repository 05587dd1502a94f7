package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

// taskPath is the path of a task below /api/v1.
func taskPath(id string) string { return "/tasks/" + url.PathEscape(id) }

// maxWatched is how many topics one live connection has.
const maxWatched = 256

// How often a lost server is tried again, and when that is given up.
const (
	retryEvery = time.Second
	retryFor   = 2 * time.Minute
)

// message is one of the live socket.
type message struct {
	Type     string           `json:"type"`
	Topic    string           `json:"topic"`
	Code     string           `json:"code"`
	Message  string           `json:"message"`
	Task     *client.Task     `json:"task"`
	Progress *client.Progress `json:"progress"`
	Log      *struct {
		TaskID string           `json:"task_id"`
		Lines  []client.LogLine `json:"lines"`
	} `json:"log"`
}

// live calls f with each message about the tasks, until it returns false. When
// the connection is lost it makes a new one; catchUp is called whenever messages
// may have been missed, and at the beginning.
func (e *env) live(api *client.Client, ids []string, catchUp func() error, f func(message, json.RawMessage) (bool, error)) error {
	topics := make([]string, len(ids))
	for i, id := range ids {
		topics[i] = "task:" + id
	}
	heard, told := time.Now(), false
	for {
		var stop error
		done := false
		err := client.Watch(e.ctx, api, topics, func(raw json.RawMessage) bool {
			var m message
			if stop = json.Unmarshal(raw, &m); stop != nil {
				return false
			}
			heard = time.Now()
			switch m.Type {
			case "subscribed", "resync":
				stop = catchUp()
			case "error", "unsubscribed":
				stop = fail(exitForbidden, "%s: %s", m.Topic, m.Message)
				if strings.HasSuffix(m.Code, "not_found") {
					stop = fail(exitNotFound, "%s: %s", m.Topic, m.Message)
				}
			}
			if stop == nil {
				var more bool
				more, stop = f(m, raw)
				done = !more
			}
			return stop == nil && !done
		})
		if e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		if err == nil {
			err = stop
		}
		if done || statusOf(err) != exitAway || time.Since(heard) > retryFor {
			return err
		}
		if !told {
			told = true
			e.note("The connection to %s is lost; trying again.", api.URL)
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// followed is a task and its parts, as they are.
type followed struct {
	client.Task
	parts map[int]client.Task // by index
}

// follow shows tasks until all have ended, and returns them in their order. With
// raw it prints the messages as they are.
func (e *env) follow(api *client.Client, ids []string, raw bool) ([]client.Task, error) {
	if len(ids) > maxWatched {
		return nil, usage("at most %d tasks can be watched at a time", maxWatched)
	}
	w := &following{e: e, api: api, ids: ids, tasks: map[string]*followed{}, raw: raw}
	if err := w.catchUp(); err != nil { // before anything is drawn: it may not be there
		return nil, err
	}
	if raw {
		w.show = func(*followed) {}
	} else {
		shown := newDisplay(e, ids)
		defer shown.stop()
		w.show = shown.update
	}
	for _, t := range w.tasks {
		w.show(t)
	}
	if !w.ended() {
		if err := e.live(api, ids, w.catchUp, w.take); err != nil {
			if errors.Is(err, context.Canceled) {
				err = fail(exitInterrupted, "").hinting("The task goes on. Watch it again with: firmlight watch %s", strings.Join(ids, " "))
			}
			return nil, err
		}
	}
	ended := make([]client.Task, len(ids))
	for i, id := range ids {
		ended[i] = w.tasks[id].Task
	}
	return ended, nil
}

// following is the state of follow.
type following struct {
	e     *env
	api   *client.Client
	ids   []string
	tasks map[string]*followed
	show  func(*followed)
	raw   bool
}

func (w *following) ended() bool {
	for _, t := range w.tasks {
		if !t.Ended() {
			return false
		}
	}
	return true
}

// catchUp reads everything as it is now.
func (w *following) catchUp() error {
	for _, id := range w.ids {
		var data json.RawMessage
		if err := w.api.Do(w.e.ctx, http.MethodGet, taskPath(id), nil, &data); err != nil {
			return err
		}
		t := &followed{parts: map[int]client.Task{}}
		if err := json.Unmarshal(data, &t.Task); err != nil {
			return err
		}
		if w.raw {
			if err := w.e.printJSON(map[string]any{"type": "task", "topic": "task:" + id, "task": data}); err != nil {
				return err
			}
		}
		if t.FanOut != nil && !t.Ended() {
			for part, err := range client.Items[client.Task](w.e.ctx, w.api, taskPath(id)+"/children", nil) {
				if err != nil {
					return err
				}
				t.put(part)
			}
		}
		w.tasks[id] = t
		if w.show != nil {
			w.show(t)
		}
	}
	return nil
}

// take handles one message; false: all have ended.
func (w *following) take(m message, raw json.RawMessage) (bool, error) {
	root := w.tasks[strings.TrimPrefix(m.Topic, "task:")]
	if root == nil {
		return !w.ended(), nil
	}
	if w.raw && (m.Type == "task" || m.Type == "progress" || m.Type == "log") {
		if err := w.e.printJSON(raw); err != nil {
			return false, err
		}
	}
	switch {
	case m.Task != nil && m.Task.ID == root.ID:
		root.Task = *m.Task
	case m.Task != nil:
		root.put(*m.Task)
	case m.Progress != nil:
		root.progress(*m.Progress)
	}
	w.show(root)
	return !w.ended(), nil
}

// put takes a part as it is now. (The part that reduces has no index.)
func (f *followed) put(part client.Task) {
	if part.Index == nil {
		return
	}
	if old, ok := f.parts[*part.Index]; ok && old.Attempt > part.Attempt {
		return // several servers may overtake each other
	}
	f.parts[*part.Index] = part
}

func (f *followed) progress(p client.Progress) {
	if p.TaskID == f.ID {
		if p.Attempt >= f.Attempt {
			f.Progress = &p
		}
		return
	}
	for i, part := range f.parts {
		if part.ID == p.TaskID && p.Attempt >= part.Attempt {
			part.Progress = &p
			f.parts[i] = part
			return
		}
	}
}

// percent is how far a task is, 0 to 100; of a parent, its parts together.
func (f *followed) percent() float64 {
	if f.Status == "succeeded" {
		return 100
	}
	if f.FanOut == nil || len(f.parts) == 0 {
		return percentOf(f.Task)
	}
	sum := 0.0
	for _, part := range f.parts {
		if part.Ended() {
			sum += 100
		} else {
			sum += percentOf(part)
		}
	}
	return sum / float64(len(f.parts))
}

func percentOf(t client.Task) float64 {
	if t.Progress == nil || t.Progress.Percent == nil || t.Status != "running" {
		return 0
	}
	return *t.Progress.Percent
}

// words say how a task stands.
func (f *followed) words() string {
	text := f.Status
	if n := len(f.parts); n > 0 {
		done := 0
		for _, part := range f.parts {
			if part.Ended() {
				done++
			}
		}
		text += fmt.Sprintf(", %d of %d parts", done, n)
	} else if f.Worker != nil && f.Status == "running" {
		text += " on " + f.Worker.Name
	}
	return text
}

// running are the parts that run, by index.
func (f *followed) running() []client.Task {
	var run []client.Task
	for _, part := range f.parts {
		if part.Status == "running" {
			run = append(run, part)
		}
	}
	slices.SortFunc(run, func(a, b client.Task) int { return *a.Index - *b.Index })
	return run
}

// howItEnded is nil for a task that succeeded.
func howItEnded(t client.Task) error {
	if t.Status == "succeeded" {
		return nil
	}
	text := "task " + t.ID + " was cancelled"
	if t.Status == "failed" {
		text = "task " + t.ID + " failed"
		if t.Error != nil {
			text += ": " + t.Error.Message + " (" + t.Error.Code + ")"
		}
	}
	return fail(exitFailed, "%s", text)
}

type watchCmd struct {
	Tasks []string `arg:"" name:"task" help:"Ids of tasks."`
}

func (c *watchCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	ended, err := e.follow(api, c.Tasks, e.JSON)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range ended {
		if !e.JSON {
			if _, err := fmt.Fprintln(e.out, t.ID, t.Status); err != nil {
				return err
			}
		}
		errs = append(errs, howItEnded(t))
	}
	return errors.Join(errs...)
}
