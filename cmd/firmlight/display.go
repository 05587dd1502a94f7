package main

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"

	"github.com/firmlight/firmlight/internal/client"
)

// maxBars is how many parts of a task have a bar at a time.
const maxBars = 12

// display shows people how tasks stand: bars on a terminal, else a line for each
// change of status.
type display struct {
	e     *env
	many  bool // tasks: each is named
	said  map[string]string
	bars  progress.Writer // nil: no terminal
	roots map[string]*progress.Tracker
	parts map[string]*progress.Tracker // that run, by id
	drawn chan struct{}                // closed when the drawing has ended
}

func newDisplay(e *env, ids []string) *display {
	d := &display{
		e: e, many: len(ids) > 1, said: map[string]string{},
		roots: map[string]*progress.Tracker{}, parts: map[string]*progress.Tracker{},
	}
	if _, ok := terminal(e.err); !ok {
		return d
	}
	d.bars = progress.NewWriter()
	d.bars.SetOutputWriter(e.err)
	d.bars.SetUpdateFrequency(100 * time.Millisecond)
	d.bars.SetTrackerLength(30)
	d.bars.SetMessageLength(40)
	d.bars.SetTrackerPosition(progress.PositionRight)
	style := progress.StyleDefault
	if e.colour(e.err) {
		style.Colors = progress.StyleColorsExample
	}
	style.Options.PercentFormat = "%3.0f%%"
	style.Options.TimeInProgressPrecision, style.Options.TimeDonePrecision = time.Second, 100*time.Millisecond
	style.Options.Separator = " "
	style.Visibility = progress.StyleVisibility{Percentage: true, Time: true, Tracker: true, TrackerOverall: false}
	d.bars.SetStyle(style)
	d.drawn = make(chan struct{})
	go func() {
		defer close(d.drawn)
		d.bars.Render()
	}()
	return d
}

// update shows a task as it is now.
func (d *display) update(f *followed) {
	if d.bars == nil {
		d.line(f)
		return
	}
	root := d.roots[f.ID]
	if root == nil {
		root = &progress.Tracker{Total: 100, AutoStopDisabled: true}
		d.roots[f.ID] = root
		d.bars.AppendTracker(root)
	}
	if root.IsDone() {
		return
	}
	text := f.words()
	if d.many {
		text = f.ID + " " + text
	}
	root.UpdateMessage(printable(text))
	root.SetValue(int64(f.percent()))
	running := map[string]bool{}
	for _, part := range f.running() {
		running[part.ID] = true
		d.part(part)
	}
	for id, bar := range d.parts {
		if !running[id] && !d.many {
			bar.MarkAsDone() // and so removed
			delete(d.parts, id)
		}
	}
	switch {
	case f.Status == "succeeded":
		root.MarkAsDone()
	case f.Ended():
		root.MarkAsErrored()
	}
}

// part shows a part that runs, of a task that is watched alone.
func (d *display) part(t client.Task) {
	bar := d.parts[t.ID]
	if bar == nil {
		if d.many || len(d.parts) >= maxBars {
			return
		}
		bar = &progress.Tracker{Total: 100, AutoStopDisabled: true, RemoveOnCompletion: true}
		d.parts[t.ID] = bar
		d.bars.AppendTracker(bar)
	}
	text := fmt.Sprint("  part ", *t.Index)
	if t.Worker != nil {
		text += " on " + t.Worker.Name
	}
	bar.UpdateMessage(printable(text))
	bar.SetValue(int64(percentOf(t)))
}

// line says how a task stands, where that is news.
func (d *display) line(f *followed) {
	if d.said[f.ID] != f.Status {
		d.said[f.ID] = f.Status
		d.e.note("%s %s", f.ID, f.words())
	}
}

// stop ends the drawing, with the last state on the terminal.
func (d *display) stop() {
	for d.bars != nil {
		d.bars.Stop() // says nothing to a drawing that has not yet begun
		select {
		case <-d.drawn:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
