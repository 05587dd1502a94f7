package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// watcher draws a task's parts as they move, from the live feed.
type watcher struct {
	s          *stage
	id         string
	onProgress func(worker string, percent float64)
	parts      map[int]part
	parent     kit.Task
	drawn      int // lines on the terminal that the next draw replaces
	last       time.Time
	notes      []string
}

type part struct {
	kit.Task
	percent float64
}

func newWatcher(s *stage, id string) *watcher {
	return &watcher{s: s, id: id, parts: map[int]part{}}
}

// run returns when the task has ended: with an error if it did not succeed.
func (w *watcher) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := w.s.client.Watch(ctx, []string{"task:" + w.id}, func(e kit.Event) bool {
		return w.take(ctx, e)
	}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.Join(errors.New("the task did not end"), ctx.Err())
	}
	w.draw(true)
	if w.parent.Status != "succeeded" {
		return fmt.Errorf("task %s: %+v", w.parent.Status, w.parent.Error)
	}
	say("succeeded after %s", round(w.parent.FinishedAt.Sub(w.parent.CreatedAt)))
	return nil
}

// take handles one event; false ends the watch.
func (w *watcher) take(ctx context.Context, e kit.Event) bool {
	switch e.Type {
	case "subscribed", "resync": // read what happened before
		w.readAll(ctx)
	case "task":
		w.put(*e.Task)
	case "progress":
		if p := e.Progress; p.Percent != nil {
			w.advance(p.TaskID, *p.Percent)
		}
	}
	w.draw(false)
	return !w.parent.Ended()
}

func (w *watcher) readAll(ctx context.Context) {
	if t, err := w.s.client.Get(ctx, w.id); err == nil {
		w.put(t)
	}
	if cs, err := w.s.client.Children(ctx, w.id); err == nil {
		for _, c := range cs {
			w.put(c)
		}
	}
}

func (w *watcher) put(t kit.Task) {
	if t.ID == w.id {
		w.parent = t
		return
	}
	if t.Index == nil {
		return
	}
	p := part{Task: t}
	switch {
	case t.Status == "succeeded":
		p.percent = 100
	case t.Progress != nil && t.Progress.Percent != nil:
		p.percent = *t.Progress.Percent
	}
	w.parts[*t.Index] = p
}

// advance notes how far a part is.
func (w *watcher) advance(id string, percent float64) {
	for i, p := range w.parts {
		if p.ID != id {
			continue
		}
		p.percent = percent
		w.parts[i] = p
		if p.Worker != nil && w.onProgress != nil {
			w.onProgress(p.Worker.Name, percent)
		}
	}
}

func (w *watcher) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

const barWidth = 30

// draw prints a bar for each part: in place on a terminal, else once in a while.
func (w *watcher) draw(final bool) {
	every := 100 * time.Millisecond
	if !isTerminal {
		every = 2 * time.Second
	}
	if !final && time.Since(w.last) < every {
		return
	}
	w.last = time.Now()
	if isTerminal && w.drawn > 0 {
		fmt.Printf("\x1b[%dA\x1b[J", w.drawn)
	}
	w.drawn = 0
	for _, n := range w.notes {
		say("! %s", n)
	}
	w.notes = nil
	index := make([]int, 0, len(w.parts))
	for i := range w.parts {
		index = append(index, i)
	}
	sort.Ints(index)
	for _, i := range index {
		p := w.parts[i]
		full := int(p.percent / 100 * barWidth)
		worker := ""
		if p.Worker != nil {
			worker = p.Worker.Name
		}
		say("part %d [%s%s] %3.0f %%  %-9s %s attempt %d", i,
			strings.Repeat("#", full), strings.Repeat(".", barWidth-full), p.percent, p.Status, worker, p.Attempt)
		w.drawn++
	}
}

var isTerminal = func() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}()

func title(s string) { fmt.Printf("\n== %s\n", s) }

func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// check compares a result with an independent computation.
func check(what, got, want, how string) error {
	if got != want {
		return fmt.Errorf("%s: got %s, but %s gives %s", what, got, how, want)
	}
	say("checked: %s = %s (%s)", what, short(got), how)
	return nil
}

func short(s string) string {
	if len(s) > 100 {
		return s[:100] + " …"
	}
	return s
}
