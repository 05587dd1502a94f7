package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is where the fleet reports, and with what.
type Server struct {
	URL         string
	Group       string
	DeviceToken string // of the group, for any device
	ReadToken   string // an access token, or an API token with devices:read
}

// Report is what a run did and found.
type Report struct {
	Sent       int // events, repeats included
	Kept       int // events that were new
	Took       time.Duration
	Answers    Times    // how long each request took, with all its retries
	Retried    int      // requests that had to be sent again
	Mismatches []string // what the server has other than was sent; the first hundred
}

// maxMismatches bounds a report.
const maxMismatches = 100

// patience is how long a request is tried again: a server that was killed comes
// back within it.
const patience = time.Minute

// Run sends everything, then checks. progress, if not nil, is told now and then
// how many events were sent. An error means that it could not be done.
func Run(ctx context.Context, s Server, o Options, progress func(sent, of int)) (*Report, error) {
	p := newPlan(o)
	r := &Report{Sent: p.sent}
	began := time.Now()
	if err := p.send(ctx, s, r, progress); err != nil {
		return r, err
	}
	r.Took = time.Since(began)
	return r, p.check(ctx, s, o, r)
}

// send plays all clients at the same time.
func (p *plan) send(ctx context.Context, s Server, r *Report, progress func(sent, of int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := newClient(s, len(p.clients))
	defer c.http.CloseIdleConnections()
	var clients sync.WaitGroup
	var sent, kept, retried atomic.Int64
	answers := make([]Times, len(p.clients))
	for i, requests := range p.clients {
		clients.Go(func() {
			for _, q := range requests {
				began := time.Now()
				fresh, again, err := c.post(ctx, q)
				if err != nil {
					cancel(err)
					return
				}
				answers[i] = append(answers[i], time.Since(began))
				kept.Add(int64(fresh))
				retried.Add(int64(again))
				if n := sent.Add(int64(len(q.events))); progress != nil {
					progress(int(n), p.sent)
				}
			}
		})
	}
	clients.Wait()
	r.Kept, r.Retried, r.Answers = int(kept.Load()), int(retried.Load()), slices.Concat(answers...)
	return context.Cause(ctx)
}

type client struct {
	Server
	http *http.Client
}

// newClient is for so many requests at a time.
func newClient(s Server, atOnce int) *client {
	return &client{Server: s, http: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
	}}
}

// post sends one request until it is answered, and returns how many of its events
// the server says are new, and how often it had to be sent again.
func (c *client) post(ctx context.Context, q request) (fresh, again int, err error) {
	path, body := "/api/v1/sync-events", any(q.events)
	if q.single {
		path, body = "/api/sync-event", q.events[0]
	}
	data, err := json.Marshal(body)
	if err != nil {
		return 0, 0, err
	}
	for until := time.Now().Add(patience); ; again++ {
		status, answer, err := c.do(ctx, http.MethodPost, path, c.DeviceToken, data)
		switch {
		case err == nil && status == http.StatusCreated:
			return 1, again, nil
		case err == nil && status == http.StatusOK:
			return 0, again, nil
		case err == nil && status == http.StatusMultiStatus:
			fresh, err := countFresh(answer, len(q.events))
			if err == nil || time.Now().After(until) {
				return fresh, again, err
			}
		case err == nil && status < http.StatusInternalServerError && status != http.StatusTooManyRequests, status == http.StatusInternalServerError:
			return 0, again, fmt.Errorf("%s answered %d: %.200s", path, status, answer)
		case ctx.Err() != nil:
			return 0, again, context.Cause(ctx)
		case time.Now().After(until):
			return 0, again, fmt.Errorf("%s is not answered: %d, %w", path, status, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// countFresh counts what was new in a 207.
func countFresh(answer []byte, events int) (fresh int, err error) {
	var got struct {
		Results []struct {
			Status  int             `json:"status"`
			Problem json.RawMessage `json:"problem"`
		} `json:"results"`
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, err
	}
	if len(got.Results) != events {
		return 0, fmt.Errorf("%d results for %d events", len(got.Results), events)
	}
	for _, r := range got.Results {
		switch r.Status {
		case http.StatusCreated:
			fresh++
		case http.StatusOK:
		default:
			return fresh, fmt.Errorf("an event was refused: %s", r.Problem)
		}
	}
	return fresh, nil
}

func (c *client) do(ctx context.Context, method, path, token string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// get reads an answer, which a server that was killed, or its store, may owe for a
// while.
func (c *client) get(ctx context.Context, path string, into any) error {
	for until := time.Now().Add(patience); ; {
		status, answer, err := c.do(ctx, http.MethodGet, path, c.ReadToken, nil)
		switch {
		case err == nil && status == http.StatusOK:
			return errors.Join(json.Unmarshal(answer, into))
		case err == nil && status <= http.StatusInternalServerError || ctx.Err() != nil || time.Now().After(until):
			return errors.Join(fmt.Errorf("GET %s answered %d: %.200s", path, status, answer), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
