// Package conformance checks a worker, in whatever language, against
// docs/worker-protocol.md. A scripted coordinator of its own lets the worker
// connect and plays one case after the other with it, also what a real server
// does seldom: acks that get lost, lines that break, messages of the future.
//
// The worker has to serve the built-in kinds echo and sleep
// (docs/workloads.md), nothing else.
package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// Case is one thing a worker has to do right.
type Case struct {
	Name string
	Rule string // of docs/worker-protocol.md: its section and what it asks for
	play func(*scene)

	needsProgram bool // cannot be played with a worker that somebody else started
}

// Cases returns all cases, in the order of the page.
func Cases() []Case {
	return slices.Concat(openingCases, transportCases, workCases, livenessCases, closingCases())
}

// Select returns the cases whose names are given, or begin with one that ends
// in "*"; all without names. A name that fits no case is an error.
func Select(names ...string) ([]Case, error) {
	all := Cases()
	if len(names) == 0 {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, name := range names {
		found := false
		for _, c := range all {
			prefix, open := strings.CutSuffix(name, "*")
			if c.Name == name || open && strings.HasPrefix(c.Name, prefix) {
				wanted[c.Name], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no case %q; --list names them", name)
		}
	}
	return slices.DeleteFunc(all, func(c Case) bool { return !wanted[c.Name] }), nil
}

// Result is how a case went.
type Result struct {
	Case    Case
	Took    time.Duration
	Failure string   // what was expected and what came; empty: passed
	Frames  []string // the last ones of the case, with times and directions, if it failed
	Output  string   // the end of what the program wrote, if it failed
}

// Passed says whether the worker did right.
func (r Result) Passed() bool { return r.Failure == "" }

// Environment is what a worker program is told.
type Environment struct {
	Server string // http URL
	Token  string // worker token
	Name   string // of the worker
	Slots  int
}

// Program is a running worker.
type Program interface {
	Drain() error          // asks it to finish and leave, as a service manager does
	Kill()                 // ends it and waits
	Done() <-chan struct{} // closed when it has ended
	Output() string        // the end of what it wrote
}

// Suite is what to run on which worker.
type Suite struct {
	Listener net.Listener // for the coordinator; the run closes it
	Cases    []Case
	// Start begins a worker, one for each case. Nil: somebody else starts one, and
	// again whenever it has ended; the cases are played one by one.
	Start    func(ctx context.Context, env Environment) (Program, error)
	Token    string        // that a worker started by somebody else shows
	Timeout  time.Duration // of one case
	Parallel int           // cases at a time
	Tell     func(Result)  // hears of each result as it comes, one at a time; may be nil
}

// slots is what the coordinator asks programs to offer.
const slots = 2

// Run plays the cases and returns their results in the order of the cases. Its
// error is that of ctx, with the results of what was played until it ended, or
// of the listener.
func (s Suite) Run(ctx context.Context) ([]Result, error) {
	k := &coordinator{scenes: make(map[string]*scene), byHand: s.Token}
	server := &http.Server{Handler: k, ReadHeaderTimeout: s.Timeout, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.Listener) }()

	results := make([]*Result, len(s.Cases))
	turns := make(chan struct{}, max(1, s.Parallel))
	if s.Start == nil {
		turns = make(chan struct{}, 1)
	}
	var told sync.Mutex
	var all sync.WaitGroup
	for i, c := range s.Cases {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			r := s.one(ctx, k, c)
			if ctx.Err() != nil && !r.Passed() {
				return // not the worker's fault
			}
			results[i] = &r
			told.Lock()
			defer told.Unlock()
			if s.Tell != nil {
				s.Tell(r)
			}
		})
	}
	all.Wait()
	var played []Result
	for _, r := range results {
		if r != nil {
			played = append(played, *r)
		}
	}
	_ = server.Close()                                // what it says of the listener, Serve says too
	if err := <-served; err != http.ErrServerClosed { //nolint:errorlint // Serve promises this very value
		return played, err
	}
	return played, ctx.Err()
}

// one plays a case with a worker of its own, which is gone afterwards.
func (s Suite) one(ctx context.Context, k *coordinator, c Case) Result {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	began := time.Now()
	sc := newScene(ctx, k)
	sc.token = s.Token
	if s.Start != nil {
		sc.token = newID()
	}
	k.enter(sc)
	failure := s.play(ctx, sc, c)
	k.leave(sc)
	r := Result{Case: c, Took: time.Since(began), Failure: failure}
	if !r.Passed() {
		r.Frames = sc.frames()
		if sc.program != nil {
			r.Output = sc.program.Output()
		}
	}
	return r
}

// play starts a program for the case, if it is ours to start, and plays it.
func (s Suite) play(ctx context.Context, sc *scene, c Case) (failure string) {
	if s.Start == nil {
		return sc.run(c.play)
	}
	program, err := s.Start(ctx, Environment{
		Server: "http://" + s.Listener.Addr().String(), Token: sc.token, Name: "conformance-" + c.Name, Slots: slots,
	})
	if err != nil {
		return "the program could not be started: " + err.Error()
	}
	defer program.Kill()
	sc.program = program
	return sc.run(c.play)
}

// coordinator is the server that workers connect to.
type coordinator struct {
	byHand string // the token of workers that somebody else starts

	mu      sync.Mutex // guards what follows
	scenes  map[string]*scene
	refused string // the last request that was no worker's
}

func (k *coordinator) enter(s *scene) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.scenes[s.token] = s
}

func (k *coordinator) leave(s *scene) {
	k.mu.Lock()
	delete(k.scenes, s.token)
	k.mu.Unlock()
	s.end()
}

// ServeHTTP lets a worker in to the case that its token names.
func (k *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	k.mu.Lock()
	s := k.scenes[token]
	if s != nil && r.URL.Path == protocol.Path {
		s.visits.Add(1) // under the lock: the scene has not ended
	}
	k.mu.Unlock()
	switch {
	case r.URL.Path != protocol.Path:
		k.refuse(w, http.StatusNotFound, fmt.Sprintf("%s %s, not %s", r.Method, r.URL.Path, protocol.Path))
	case s != nil:
		s.visit(w, r)
	case bearer && k.byHand != "" && token == k.byHand:
		w.WriteHeader(http.StatusServiceUnavailable) // between two cases
	default:
		k.refuse(w, http.StatusUnauthorized, "a request without the token it was told, as Authorization: Bearer <token>")
	}
}

func (k *coordinator) refuse(w http.ResponseWriter, status int, why string) {
	k.mu.Lock()
	k.refused = why
	k.mu.Unlock()
	w.WriteHeader(status)
}

// strangers is a remark on a request that was no worker's, for a case to which
// nobody came.
func (k *coordinator) strangers() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused == "" {
		return ""
	}
	return " (there was " + k.refused + ")"
}
