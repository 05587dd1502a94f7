package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/firmlight/firmlight/internal/client"
)

type logsCmd struct {
	Task   string `arg:"" help:"Id of the task."`
	Follow bool   `short:"f" help:"Go on until the task has ended."`
	Times  bool   `short:"t" help:"With the time of each line."`
}

func (c *logsCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	l := &log{e: e, api: api, cmd: c}
	if !c.Follow {
		return l.catchUp()
	}
	if err := l.look(); err != nil || l.ended {
		return err
	}
	return e.live(api, []string{c.Task}, l.look, l.take)
}

// log prints each line of a task once.
type log struct {
	e       *env
	api     *client.Client
	cmd     *logsCmd
	seq     int64 // of the last line that was printed
	ended   bool
	dropped int64
}

// look reads whether the task has ended, and then all of its log.
func (l *log) look() error {
	var t client.Task
	if err := l.api.Do(l.e.ctx, http.MethodGet, taskPath(l.cmd.Task), nil, &t); err != nil {
		return err
	}
	l.ended = t.Ended()
	return l.catchUp()
}

// catchUp prints what is there after the last line.
func (l *log) catchUp() error {
	const most = 1000
	for {
		var page struct {
			Items   []json.RawMessage
			Dropped int64
		}
		q := url.Values{"after": {strconv.FormatInt(l.seq, 10)}, "limit": {strconv.Itoa(most)}}
		if err := l.api.Do(l.e.ctx, http.MethodGet, taskPath(l.cmd.Task)+"/logs?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		if page.Dropped > l.dropped {
			l.e.note("(%d lines are not kept)", page.Dropped-l.dropped)
			l.dropped = page.Dropped
		}
		for _, raw := range page.Items {
			var line client.LogLine
			if err := json.Unmarshal(raw, &line); err != nil {
				return err
			}
			if err := l.print(line); err != nil {
				return err
			}
		}
		if len(page.Items) < most {
			return nil
		}
	}
}

// take prints the lines of a message. Where some were missed, or the task has
// ended, the log is read: live events may be late and are not kept.
func (l *log) take(m message, _ json.RawMessage) (more bool, err error) {
	if m.Log != nil {
		for _, line := range m.Log.Lines {
			if line.Seq > l.seq+1 {
				return true, l.catchUp()
			}
			if err := l.print(line); err != nil {
				return false, err
			}
		}
	}
	if m.Task != nil && m.Task.ID == l.cmd.Task && m.Task.Ended() {
		l.ended = true
		return false, l.catchUp()
	}
	return !l.ended, nil
}

func (l *log) print(line client.LogLine) error {
	if line.Seq <= l.seq {
		return nil
	}
	l.seq = line.Seq
	if l.e.JSON {
		return l.e.printJSON(line)
	}
	text := line.Line
	if _, ok := terminal(l.e.out); ok {
		text = printable(text)
	}
	if l.cmd.Times {
		text = line.At.Local().Format("2006-01-02 15:04:05.000 ") + text
	}
	_, err := fmt.Fprintln(l.e.out, text)
	return err
}
