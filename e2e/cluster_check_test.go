package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/bench/fleet"
	"github.com/firmlight/firmlight/e2e/kit"
)

// ownedOnce reads what workers wrote when they began an attempt.
func (m *many) ownedOnce() {
	data, err := os.ReadFile(m.ledger)
	must(m.t, err)
	owner := map[string]string{}
	for line := range strings.Lines(string(data)) {
		attempt, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		if other := owner[attempt]; other != "" {
			m.t.Errorf("attempt %s was begun by processes %s and %s", attempt, other, pid)
		}
		owner[attempt] = pid
	}
	m.t.Logf("%d attempts were begun for %d tasks", len(owner), len(m.accepted))
}

// follower watches a group as a page does: it reads over HTTP what may have changed
// when it has connected, and when it is told to, and otherwise only listens.
type follower struct {
	m *many

	mu     sync.Mutex      // guards the rest
	ended  map[string]bool // tasks it knows, and whether they have ended
	read   time.Time       // when it last read
	reads  int
	events int // ends it was told of
}

const readPatience = 5 * time.Second

// follow watches until ctx ends.
func (m *many) follow(ctx context.Context) *follower {
	f := &follower{m: m, ended: map[string]bool{}}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = m.Watch(ctx, []string{"group:" + m.group}, func(e kit.Event) bool { return f.hear(ctx, e) }) // again
			pause(ctx, time.Second)
		}
	})
	m.t.Cleanup(func() { stop(); wg.Wait() })
	return f
}

// hear takes in an event; false: it could not read what it has to, and connects
// again.
func (f *follower) hear(ctx context.Context, e kit.Event) bool {
	switch {
	case e.Type == "subscribed" || e.Type == "resync":
		return f.catchUp(ctx) == nil
	case e.Task != nil:
		f.note(*e.Task)
		if e.Task.Ended() {
			f.mu.Lock()
			f.events++
			f.mu.Unlock()
		}
	}
	return true
}

func (f *follower) note(t kit.Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended[t.ID] = f.ended[t.ID] || t.Ended()
}

// catchUp reads what was submitted since the last time, and each task that had not
// ended then.
func (f *follower) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	f.mu.Lock()
	since, now := f.read.Add(-30*time.Second), time.Now()
	var open []string
	for id, ended := range f.ended {
		if !ended {
			open = append(open, id)
		}
	}
	f.mu.Unlock()
	q := url.Values{}
	if since.Year() > 1 {
		q.Set("created_after", since.UTC().Format(time.RFC3339))
	}
	fresh, err := f.m.List(ctx, f.m.group, q)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, t := range fresh {
		f.note(t)
		seen[t.ID] = true
	}
	for _, id := range open {
		if seen[id] {
			continue
		}
		t, err := f.m.Get(ctx, id)
		if err != nil {
			return err
		}
		f.note(t)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = now
	f.reads++
	return nil
}

// toldOf expects that it has heard of the end of each task, or soon does.
func (f *follower) toldOf(all []string) {
	var missing []string
	within := time.Now().Add(15 * time.Second)
	for {
		missing = missing[:0]
		f.mu.Lock()
		for _, id := range all {
			if !f.ended[id] {
				missing = append(missing, id)
			}
		}
		reads, events := f.reads, f.events
		f.mu.Unlock()
		if len(missing) == 0 {
			f.m.t.Logf("live: %d ends told, everything read %d times", events, reads)
			return
		}
		if time.Now().After(within) {
			f.m.t.Errorf("live: the ends of %d tasks were not told: %v", len(missing), missing)
			for _, id := range missing {
				es, err := f.m.Timeline(f.m.t.Context(), id)
				f.m.t.Logf("%s: %+v %v", id, es, err)
			}
			return
		}
		pause(f.m.t.Context(), 100*time.Millisecond)
	}
}

// reportDevices plays a fleet that reports for as long as things go wrong, and
// looks at what the servers have of it once that is over.
func (m *many) reportDevices(ctx context.Context, over <-chan struct{}) (done <-chan struct{}) {
	s, err := fleet.NewGroup(ctx, m.Server.URL, "keeper")
	must(m.t, err)
	o := testFleet(11) // the first and the last send each event alone
	o.Events, o.Batch, o.Clients = int(clusterTime/(5*time.Second)), 5, 2
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := fleet.Run(ctx, s, o, func(sent, of int) {
			pause(ctx, 200*time.Millisecond)
			if sent == of {
				<-over
			}
		})
		if err != nil {
			m.t.Errorf("devices: %v", err)
		}
		for _, what := range r.Mismatches {
			m.t.Error("devices: ", what)
		}
		m.t.Logf("devices: %d events, %d requests sent again", r.Sent, r.Retried)
	}()
	return ended
}

// jobRuns are what servers say in their logs about the jobs that one of them does
// for all.
type jobRuns struct {
	mu   sync.Mutex // guards all
	all  []jobRun
	cuts int      // runs that were cancelled at the end of their lease
	bugs []string // what the Go runtime said of data races and panics
}

type jobRun struct {
	Msg    string
	Job    string
	Every  time.Duration
	Fence  int64
	Began  time.Time
	Ended  time.Time `json:"time"`
	Until  time.Time // end of its lease, which outlasts Every
	CutOff bool      `json:"cut_off"`
	server int
}

// of returns what takes the log of a server.
func (j *jobRuns) of(server int) io.Writer { return &jobLog{runs: j, server: server} }

type jobLog struct {
	runs   *jobRuns
	server int
	rest   []byte // the beginning of a line
}

// Write implements io.Writer.
func (l *jobLog) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.rest = rest
		if trouble.Match(line) {
			l.runs.mu.Lock()
			l.runs.bugs = append(l.runs.bugs, fmt.Sprintf("server %d: %s%s", l.server, line, rest))
			l.runs.mu.Unlock()
		}
		r := jobRun{server: l.server}
		if !bytes.Contains(line, []byte("job has run")) || json.Unmarshal(line, &r) != nil {
			continue // or the end of a line whose server was killed
		}
		l.runs.mu.Lock()
		if r.CutOff {
			l.runs.cuts++
		} else {
			l.runs.all = append(l.runs.all, r)
		}
		l.runs.mu.Unlock()
	}
}

// trouble begins what the Go runtime says before a program with a bug goes on, or ends.
var trouble = regexp.MustCompile(`^(WARNING: DATA RACE|panic: |fatal error: )`)

// jobsRunOnce: of two runs of a job by different servers the second has a higher
// fence and begins no earlier than the lease of the first has ended: a lease lasts
// from when the first was due to after the second is.
func (m *many) jobsRunOnce() {
	m.runs.mu.Lock()
	defer m.runs.mu.Unlock()
	for _, bug := range m.runs.bugs {
		m.t.Error(bug)
	}
	last, jobs, moves := map[string]jobRun{}, map[string]int{}, 0
	slices.SortFunc(m.runs.all, func(a, b jobRun) int { return cmp.Compare(a.Began.UnixNano(), b.Began.UnixNano()) })
	for _, r := range m.runs.all {
		jobs[r.Job]++
		was, before := last[r.Job]
		last[r.Job] = r
		if !before {
			continue
		}
		if was.Fence != r.Fence {
			moves++
		}
		switch {
		case r.Fence < was.Fence:
			m.t.Errorf("job %q was run with fence %d on server %d after fence %d on server %d", r.Job, r.Fence, r.server, was.Fence, was.server)
		case r.Fence == was.Fence && r.server != was.server:
			m.t.Errorf("job %q was run with fence %d by servers %d and %d", r.Job, r.Fence, was.server, r.server)
		case r.Fence != was.Fence && r.Began.Before(was.Ended):
			m.t.Errorf("job %q was run by server %d before its run on server %d had ended", r.Job, r.server, was.server)
		case r.Fence != was.Fence && r.Began.Before(was.Until):
			m.t.Errorf("job %q, due every %s, was run within the lease of server %d, %s before its end", r.Job, r.Every, was.server, was.Until.Sub(r.Began))
		}
	}
	if len(jobs) < leastJobs || moves == 0 {
		m.t.Errorf("%d runs of %d jobs, which moved %d times: the servers' logs do not tell", len(m.runs.all), len(jobs), moves)
	}
	m.t.Logf("%d runs of %d jobs; %d times on another server than before; %d cut off at the end of their lease",
		len(m.runs.all), len(jobs), moves, m.runs.cuts)
}

// leastJobs are run for all servers by one within a minute.
const leastJobs = 8

// TestJobsRunTwiceAreFound: the look at the jobs finds each way in which one may
// have been run twice.
func TestJobsRunTwiceAreFound(t *testing.T) {
	at := time.Now()
	run := func(server int, fence int64, began, ended time.Duration) jobRun {
		return jobRun{Job: "job", Every: time.Second, server: server, Fence: fence, Began: at.Add(began), Ended: at.Add(ended), Until: at.Add(began + 6*time.Second)}
	}
	for name, second := range map[string]jobRun{
		"had ended":     run(1, 2, 4*time.Second, 5*time.Second),
		"within":        run(1, 2, 5900*time.Millisecond, 6*time.Second),
		"by servers":    run(1, 1, 9*time.Second, 9*time.Second),
		"after fence 1": run(1, 0, 9*time.Second, 9*time.Second),
	} {
		first := run(0, 1, 0, 10*time.Millisecond)
		if name == "had ended" {
			first.Ended = at.Add(5 * time.Second)
		}
		found := &recorder{TB: t}
		m := &many{runs: &jobRuns{all: []jobRun{second, first}}, faults: &faults{cluster: &cluster{t: found}}}
		m.jobsRunOnce()
		if !strings.Contains(strings.Join(found.errors, "\n"), name) {
			t.Errorf("nothing like %q was found: %v", name, found.errors)
		}
	}
}
