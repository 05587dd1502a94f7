package main

import (
	"bytes"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

type eventsCmd struct {
	Send eventsSendCmd `cmd:"" help:"Send sync events, one JSON object a line."`
}

type eventsSendCmd struct {
	File string `arg:"" default:"-" help:"File to read; - for standard input."`
}

// Help says with which token.
func (eventsSendCmd) Help() string {
	return "It needs a device token of the group, in FIRMLIGHT_TOKEN (firmlight tokens create device NAME --group GROUP). " +
		"Lines that the server has already do no harm."
}

// Limits of docs/http-api.md, Devices; portions are small for a slow server.
const (
	maxEventLine = 64 << 10
	portion      = 1000
	sendTries    = 5
)

// sent counts what became of events.
type sent struct {
	New      int `json:"new"`
	Repeated int `json:"repeated"`
	Refused  int `json:"refused"`
}

// numbered is a line of the input.
type numbered struct {
	number int
	text   []byte
}

func (c *eventsSendCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	var s sent
	var waiting []numbered
	flush := func() error {
		err := s.send(e, api, waiting)
		waiting = waiting[:0]
		return err
	}
	err = lines(e, c.File, maxEventLine, func(number int, line []byte) error {
		if err := checkJSON(line); err != nil {
			s.refuse(e, number, "is not JSON: "+err.Error())
			return nil
		}
		if waiting = append(waiting, numbered{number, bytes.Clone(line)}); len(waiting) < portion {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if shown := e.say(s, "%d new, %d repeated, %d refused", s.New, s.Repeated, s.Refused); err == nil {
		err = shown
	}
	if err == nil && s.Refused > 0 {
		err = usage("%d lines were refused", s.Refused)
	}
	return err
}

func (s *sent) refuse(e *env, number int, why string) {
	s.Refused++
	e.note("line %d %s", number, why)
}

// send sends lines until each has an answer.
func (s *sent) send(e *env, api *client.Client, waiting []numbered) error {
	for try := 0; len(waiting) > 0; try++ {
		if try > 0 {
			if try == sendTries {
				return fail(exitAway, "the server does not take line %d now, nor what is after it", waiting[0].number)
			}
			select {
			case <-e.ctx.Done():
				return e.ctx.Err()
			case <-time.After(time.Second << (try - 1)):
			}
		}
		var body bytes.Buffer
		for _, line := range waiting {
			body.Write(line.text)
			body.WriteByte('\n')
		}
		var answer struct {
			Results []struct {
				Status  int
				Problem *client.Problem
			}
		}
		if err := api.Send(e.ctx, http.MethodPost, client.Base+"/sync-events", "application/x-ndjson", body.Bytes(), &answer); err != nil {
			return err
		}
		// What is told to come back, or has no result, is sent again.
		answered := min(len(answer.Results), len(waiting))
		var again []numbered
		for i, r := range answer.Results[:answered] {
			switch {
			case r.Status == http.StatusCreated:
				s.New++
			case r.Status == http.StatusOK:
				s.Repeated++
			case r.Status == http.StatusTooManyRequests || r.Status >= http.StatusInternalServerError:
				again = append(again, waiting[i])
			case r.Problem != nil && statusOfHTTP(r.Status) == exitForbidden:
				return r.Problem // of the whole, not of a line
			case r.Problem != nil:
				s.refuse(e, waiting[i].number, "is refused: "+inWords(r.Problem))
			}
		}
		waiting = append(again, waiting[answered:]...)
	}
	return nil
}
