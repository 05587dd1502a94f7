package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// submission is a request whose tasks were accepted.
type submission struct {
	began time.Time
	tasks []string
}

// round submits at the pace of watchEvents and waits until all is done.
func (s *arena) round(ctx context.Context, length time.Duration) (watchResult, error) {
	s.tally.start()
	s.assigns.Clear()
	s.frames.Store(0)
	used, began := kit.CPU(s.PID()), time.Now()
	var (
		mu   sync.Mutex
		sent []submission
		fail error
		all  sync.WaitGroup
	)
	limited, cancel := context.WithDeadline(ctx, began.Add(length))
	defer cancel()
	todo := make(chan int)
	for range watchSubmitters {
		all.Go(func() {
			got, err := s.submitPaced(todo)
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, got...)
			if err != nil {
				fail = err
				cancel()
			}
		})
	}
	pace := time.NewTicker(time.Second * watchBatch * stepsOfTask / watchEvents)
	defer pace.Stop()
	for k := 0; limited.Err() == nil; k++ {
		select {
		case <-pace.C: // one that the submitters were too busy for is gone
			select {
			case todo <- k % watchedGroups:
			case <-limited.Done():
			}
		case <-limited.Done():
		}
	}
	close(todo)
	all.Wait()
	if fail != nil {
		return watchResult{}, fail
	}
	last, err := s.tally.await(ctx, len(sent)*watchBatch)
	took := last.Sub(began)
	res := watchResult{
		steps: perSecond(len(sent)*watchBatch*stepsOfTask, took), frames: perSecond(int(s.frames.Load()), took),
		core: 100 * float64(kit.CPU(s.PID())-used) / float64(time.Since(began)),
	}
	var times []float64
	for _, one := range sent {
		for _, task := range one.tasks {
			if at, ok := s.assigns.Load(task); ok {
				times = append(times, millis(at.(time.Time).Sub(one.began)))
			}
		}
	}
	res.p50, res.p99 = percentile(times, 50), percentile(times, 99)
	return res, err
}

const busyPause = 50 * time.Millisecond // before what was refused is sent again

// submitPaced sends a batch to each group of todo, again where the server is behind.
func (s *arena) submitPaced(todo <-chan int) (sent []submission, err error) {
	c, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	requests := make([][]byte, len(s.groups))
	for i, group := range s.groups {
		requests[i] = s.request("/groups/"+group+"/tasks:batch", `{"tasks":[`+loadTask+strings.Repeat(","+loadTask, watchBatch-1)+`]}`)
	}
	for k := range todo {
		began := time.Now()
		a, err := c.do(requests[k])
		for err == nil && a.status == http.StatusTooManyRequests { // the server does not keep up
			time.Sleep(busyPause)
			a, err = c.do(requests[k])
		}
		if err != nil {
			return sent, err
		}
		var got struct {
			Results []struct {
				Status int
				Task   struct{ ID string }
			}
		}
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusMultiStatus {
			return sent, fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
		}
		one := submission{began: began}
		for _, item := range got.Results {
			if item.Status != http.StatusAccepted {
				return sent, fmt.Errorf("submit: an entry has status %d", item.Status)
			}
			one.tasks = append(one.tasks, item.Task.ID)
		}
		sent = append(sent, one)
	}
	return sent, nil
}
