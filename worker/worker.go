// Package worker is the Go SDK for workers: programs that connect to a
// Firmlight server, take tasks and send results (docs/worker-protocol.md).
//
//	w := worker.New(worker.Options{Server: "https://firmlight.example", Token: token, Slots: 4})
//	w.Handle("greet", func(ctx context.Context, task *worker.Task) (any, error) {
//		var name string
//		if err := task.Decode(&name); err != nil {
//			return nil, err
//		}
//		return "hello " + name, nil
//	})
//	err := w.Run(ctx)
//
// The connection is made again whenever it is lost; running tasks and results
// that were not acknowledged survive that.
package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// SDK is what a worker tells about itself unless Options.SDK says otherwise.
const SDK = "firmlight-go/0.1.0"

// Options are the settings of a worker. Server and Token are required.
type Options struct {
	Server string // http, https, ws or wss URL; the protocol's path is appended
	Token  string // worker token
	Name   string // 1–64 characters, same after a restart; default: the host's name
	Slots  int    // tasks at a time, 1–1024; default: number of CPUs; see SetSlots for 0
	Groups []string
	Labels map[string]string
	SDK    string

	Logger *slog.Logger // default: slog.Default()
	TLS    *tls.Config  // default: the system's roots
	// DialContext makes the TCP connection; default: net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Handler does one task and returns its output, encoded as JSON of at most
// 1 MiB; json.RawMessage is sent as it stands. A cancelled ctx (context.Cause
// says why) means stop and return ctx.Err(). See Fail and Reject for errors; a
// panic fails the attempt with code "panic" and the stack in the task's log.
type Handler func(ctx context.Context, task *Task) (output any, err error)

// Worker takes tasks for the kinds it has handlers for.
type Worker struct {
	opts     Options
	log      *slog.Logger
	kinds    []string // in the order of Handle
	handlers map[string]Handler
	ledger   *ledger
	busy     sync.WaitGroup // handlers
	wake     chan struct{}  // something to send, or a reason to look whether all is done
	stop     chan struct{}  // closed by Stop
	stopOnce sync.Once

	mu       sync.Mutex // guards what follows
	started  bool
	slots    int
	draining bool
	welcome  protocol.Welcome // the latest
	groups   []string         // it now works for, nil before the first welcome
}

// New prepares a worker; what is wrong with the options, Run tells.
func New(opts Options) *Worker {
	if opts.Name == "" {
		opts.Name, _ = os.Hostname()
	}
	if opts.Slots == 0 {
		opts.Slots = min(runtime.NumCPU(), protocol.MaxSlots)
	}
	if opts.SDK == "" {
		opts.SDK = SDK
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.DialContext == nil {
		opts.DialContext = (&net.Dialer{}).DialContext
	}
	return &Worker{
		opts:     opts,
		log:      opts.Logger,
		handlers: map[string]Handler{},
		ledger:   newLedger(opts.Logger),
		wake:     make(chan struct{}, 1),
		stop:     make(chan struct{}),
		slots:    opts.Slots,
	}
}

// Handle sets the handler of a kind. It must not be called after Run.
func (w *Worker) Handle(kind string, h Handler) {
	if _, again := w.handlers[kind]; !again {
		w.kinds = append(w.kinds, kind)
	}
	w.handlers[kind] = h
}

// SetSlots changes how many tasks are taken at a time, 0–1024; 0 pauses. What
// runs goes on.
func (w *Worker) SetSlots(n int) {
	w.mu.Lock()
	w.slots = min(max(n, 0), protocol.MaxSlots)
	w.mu.Unlock()
	w.wakeUp()
}

// Groups returns the ids of the groups it now works for, nil before the first
// connection.
func (w *Worker) Groups() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.groups)
}

// Run connects and works until ctx is cancelled: then it takes nothing new,
// finishes what runs, waits until every result is acknowledged and returns nil.
// Stop ends that wait. Other errors: *ClosedError, *HandshakeError and wrong
// options, after which trying again would not help. Run may be called once.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.start(); err != nil {
		return err
	}
	address, err := socketURL(w.opts.Server)
	if err != nil {
		return err
	}
	// life outlasts ctx: it ends with Run, or by Stop.
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
			w.drain()
		case <-w.stop:
		case <-life.Done():
		}
		select {
		case <-w.stop:
			kill()
		case <-life.Done():
		}
	})
	err = w.serve(life, address)
	kill()
	watch.Wait()
	if !w.waitForHandlers() {
		w.log.WarnContext(ctx, "handlers still run: they ignore their context")
	}
	return err
}

// Stop ends Run at once: running tasks are cancelled and given back, results
// without ack are lost to this worker. It may be called at any time, also twice.
func (w *Worker) Stop() { w.stopOnce.Do(func() { close(w.stop) }) }

func (w *Worker) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return errors.New("worker: Run called twice")
	}
	if w.opts.Token == "" {
		return errors.New("worker: no token")
	}
	hello := w.helloLocked()
	if err := hello.Validate(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.started = true
	return nil
}

// serve makes one connection after the other.
func (w *Worker) serve(life context.Context, address string) error {
	again := newSchedule(time.Now())
	for {
		welcomed, err := w.connection(life, address, again.begin(time.Now()))
		switch {
		case w.done():
			return nil
		case life.Err() != nil && w.ledger.empty():
			return nil
		case life.Err() != nil:
			return ErrStopped
		}
		if end := final(err); end != nil {
			return end
		}
		wait := again.pause(time.Now(), welcomed, err)
		w.log.WarnContext(life, "not connected", "server", address, "error", err, "next_try_in", wait.Round(time.Millisecond))
		w.rest(life, wait)
		if w.done() {
			return nil
		}
	}
}

// rest waits, but not when there is nothing left to connect for.
func (w *Worker) rest(life context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !w.done() {
		select {
		case <-timer.C:
			return
		case <-life.Done():
			return
		case <-w.wake:
		}
	}
}

func (w *Worker) drain() {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	w.log.Info("draining: finishing what runs")
	w.wakeUp()
}

func (w *Worker) isDraining() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining
}

// done says that the worker was asked to leave and owes nothing any more.
func (w *Worker) done() bool { return w.isDraining() && w.ledger.empty() }

func (w *Worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) waitForHandlers() bool {
	all := make(chan struct{})
	go func() {
		w.busy.Wait()
		close(all)
	}()
	select {
	case <-all:
		return true
	case <-time.After(killWait):
		return false
	}
}

func (w *Worker) hello() protocol.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.helloLocked()
}

func (w *Worker) helloLocked() protocol.Hello {
	h := protocol.Hello{
		Type: protocol.TypeHello, Name: w.opts.Name, Kinds: w.kinds, Slots: w.slots,
		Groups: w.allowedGroups(), Labels: w.opts.Labels, SDK: w.opts.SDK,
	}
	if w.welcome.Session != "" {
		h.Session, h.Resume, h.Running = w.welcome.Session, w.welcome.Resume, w.ledger.refs()
	}
	return h
}

// allowedGroups leaves out groups that were taken away while connected: asking
// for them would close with 4403 and end the worker. With none left it asks as
// at first, and that is the right end.
func (w *Worker) allowedGroups() []string {
	if len(w.opts.Groups) == 0 || w.groups == nil {
		return w.opts.Groups
	}
	var allowed []string
	for _, g := range w.opts.Groups {
		if slices.Contains(w.groups, g) {
			allowed = append(allowed, g)
		}
	}
	if len(allowed) == 0 {
		return w.opts.Groups
	}
	return allowed
}

// adopt takes over what a welcome says.
func (w *Worker) adopt(m protocol.Welcome) {
	w.mu.Lock()
	w.welcome = m
	w.groups = m.Groups
	w.mu.Unlock()
	w.ledger.connected()
	for _, ref := range m.Dropped {
		w.ledger.cancelOne(ref, &CancelError{Reason: protocol.CancelReassigned})
	}
	w.log.Info("connected", "worker_id", m.Worker, "session_id", m.Session, "groups", len(m.Groups),
		"resumed", len(m.Resumed), "dropped", len(m.Dropped))
}

// forget makes the next hello open a new session: this one was closed for good.
func (w *Worker) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.welcome = protocol.Welcome{}
}

// assign starts a task, or rejects it.
func (w *Worker) assign(life context.Context, m protocol.Assign) {
	w.mu.Lock()
	slots, draining := w.slots, w.draining
	w.mu.Unlock()
	ref := protocol.AttemptRef{Task: m.Task, Attempt: m.Attempt}
	ctx, cancel := context.WithCancelCause(life)
	a, fresh, busy := w.ledger.open(ref, slots, cancel)
	if !fresh {
		cancel(nil)
		return
	}
	log := w.log.With("task_id", m.Task, "attempt", m.Attempt)
	handler := w.handlers[m.Kind]
	why := ""
	switch {
	case handler == nil:
		why = "unknown kind"
	case busy:
		why = "no free slot"
	case draining:
		why = "draining"
	}
	if why != "" {
		cancel(nil)
		log.WarnContext(ctx, "task rejected", "kind", m.Kind, "reason", why)
		w.ledger.finish(a, resultOf(ctx, ref, nil, Reject(why)))
		return
	}
	task := &Task{
		ID: m.Task, Attempt: m.Attempt, Kind: m.Kind, Group: m.Group, Input: m.Input,
		Parent: m.Parent, Count: m.Count, Trace: m.Trace, Logger: log, worker: w, entry: a, checkpoint: m.Checkpoint,
	}
	if m.Index != nil {
		task.Index = *m.Index
	}
	w.busy.Go(func() {
		defer cancel(nil)
		w.work(ctx, time.Duration(m.TimeoutMS)*time.Millisecond, handler, task)
	})
}

// work runs one handler and enters its result.
func (w *Worker) work(ctx context.Context, timeout time.Duration, handler Handler, task *Task) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	began := time.Now()
	returned := false
	var output any
	var err error
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			cause := recover()
			if cause == nil {
				cause = "the handler called runtime.Goexit"
			}
			task.Log(fmt.Sprintf("panic: %v\n%s", cause, debug.Stack()))
			err = Fail(codePanic, fmt.Sprint(cause), true)
		}
		r := resultOf(ctx, task.entry.ref, output, err)
		w.ledger.finish(task.entry, r)
		log := task.Logger.With("kind", task.Kind, "status", r.Status, "ms", time.Since(began).Milliseconds())
		if err != nil {
			log = log.With("error", err)
		}
		log.InfoContext(ctx, "task done")
		w.wakeUp()
	}()
	output, err = handler(ctx, task)
	returned = true
}
