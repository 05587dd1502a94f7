package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	loadKind    = "noop"
	loadTask    = `{"kind":"noop","input":{"n":1}}`
	loadSockets = 8
	loadSlots   = 128 // of each socket
	batchSize   = 1000
)

// pipeline is a way of tasks from HTTP to worker sockets and back: ours, or a
// peer's.
type pipeline interface {
	name() string
	single() post // of one task
	batch() post  // of batchSize tasks
	checkBatch(answer) error
	begin(context.Context) error                // a round
	progress(context.Context) (progress, error) // of the round
	cpu() cpu
	stop()
}

// progress is what became of a round's tasks. A task is done when its result is
// stored.
type progress struct {
	accepted, done int
	last           time.Time // of the newest done
}

// post is an HTTP request that a load generator repeats.
type post struct{ host, path, token, body string }

func (p post) bytes() []byte {
	auth := ""
	if p.token != "" {
		auth = "Authorization: Bearer " + p.token + "\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		p.path, p.host, auth, len(p.body), p.body)
}

// settled waits until all that was accepted is done: at least want tasks, and
// those whose answer the load generator did not stay for.
func settled(ctx context.Context, p pipeline, want int) (progress, error) {
	var before progress
	for moved := time.Now(); ; {
		got, err := p.progress(ctx)
		switch {
		case err != nil:
			return got, err
		case got.done == got.accepted && got.accepted >= want && got == before:
			return got, nil
		case got != before:
			moved = time.Now()
		case time.Since(moved) > stallLimit:
			return got, fmt.Errorf("%s: %d tasks answered, %d accepted, %d done, then nothing for %s",
				p.name(), want, got.accepted, got.done, stallLimit)
		}
		before = got
		if !pause(ctx, 20*time.Millisecond) {
			return got, fmt.Errorf("%d of %d tasks done: %w", got.done, got.accepted, ctx.Err())
		}
	}
}

// own is our pipeline: a server, and worker sockets of one kind.
type own struct {
	*rig
	tally  *tally
	leave  func()
	before int    // tasks accepted before the round
	title  string // empty: Firmlight
}

// startBeside runs what P3 and P4 compare with: the BullMQ pipeline, or the server of
// -against.
func (b *bench) startBeside(ctx context.Context) (pipeline, error) {
	if b.against == "" {
		return b.startBullMQ(ctx)
	}
	other := *b
	other.server = b.against
	o, err := other.startOwn(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	o.title = b.against
	return o, nil
}

// goal is that of a ratio to the peer; another build of ours has none.
func (b *bench) goal(peer float64) float64 { return pick(b.against == "", peer, 0) }

func (b *bench) startOwn(ctx context.Context, on backend) (*own, error) {
	r, err := b.start(ctx, on)
	if err != nil {
		return nil, err
	}
	o := &own{rig: r, tally: &tally{}}
	o.tally.start()
	if o.leave, err = r.connectWorkers(ctx, loadSockets, loadSlots, loadKind, o.tally); err != nil {
		r.stop()
		return nil, err
	}
	return o, nil
}

func (o *own) stop() { o.leave(); o.rig.stop() }

func (o *own) name() string { return cmp.Or(o.title, "Firmlight") }

func (o *own) single() post {
	return o.post("/groups/"+o.group+"/tasks", loadTask)
}

func (o *own) batch() post {
	return o.post("/groups/"+o.group+"/tasks:batch", batchBody)
}

var batchBody = batchOf(loadTask, batchSize)

// batchOf is the body of a request with a task n times.
func batchOf(task string, n int) string {
	return `{"tasks":[` + task + strings.Repeat(","+task, n-1) + `]}`
}

// checkBatch wants every entry accepted.
func (o *own) checkBatch(a answer) error { return checkBatch(a) }

func (o *own) begin(ctx context.Context) (err error) {
	o.tally.start()
	o.before, err = o.submitted(ctx)
	return err
}

func (o *own) submitted(ctx context.Context) (int, error) {
	n, err := o.metric(ctx, `firmlight_task_events_total{event="submitted"}`)
	return int(n), err
}

func (o *own) progress(ctx context.Context) (progress, error) {
	n, err := o.submitted(ctx)
	if what := o.tally.remarks(); err == nil && strings.Contains(what, "worker socket") {
		err = errors.New(what)
	}
	done, last := o.tally.doneSoFar()
	return progress{n - o.before, done, last}, err
}

// bullMQ is the peer: HTTP → BullMQ → socket.io, without a database.
type bullMQ struct {
	redis, process *kit.Process
	address        string
	sockets        []*ioSocket
	before         bullState
}

// bullState is what the peer has counted since it was started.
type bullState struct {
	Accepted int     `json:"accepted"`
	Done     int     `json:"done"`
	Last     float64 `json:"last"` // Unix milliseconds of the newest done
}

func (b *bench) startBullMQ(ctx context.Context) (*bullMQ, error) {
	p := &bullMQ{}
	if err := p.start(ctx, b); err != nil {
		p.stop()
		return nil, fmt.Errorf("BullMQ pipeline: %w", err)
	}
	return p, nil
}

func (p *bullMQ) start(ctx context.Context, b *bench) error {
	if err := b.preparePeers(ctx); err != nil {
		return err
	}
	dir, err := b.temp("bullmq")
	if err != nil {
		return err
	}
	var redis string
	if p.redis, redis, err = startRedis(ctx, dir); err != nil {
		return err
	}
	if p.address, err = kit.FreeAddress(); err != nil {
		return err
	}
	p.process, err = kit.StartProcess("node", []string{filepath.Join(peersDir, "dist/bullmq-pipeline.js")}, []string{
		"PORT=" + portOf(p.address), "REDIS_PORT=" + portOf(redis), "NODE_ENV=production",
		fmt.Sprintf("CONCURRENCY=%d", bullConcurrency),
	}, nil)
	if err != nil {
		return err
	}
	if err := untilListening(ctx, p.process, p.address); err != nil {
		return err
	}
	for range loadSockets {
		s, err := dialIO(ctx, p.address)
		if err != nil {
			return err
		}
		p.sockets = append(p.sockets, s)
	}
	return nil
}

// bullConcurrency is how many jobs run at once: of what its documentation
// recommends, 100 to 300, the end that used less CPU per job.
const bullConcurrency = 100

func (p *bullMQ) stop() {
	for _, s := range p.sockets {
		s.close()
	}
	for _, started := range []*kit.Process{p.process, p.redis} {
		if started != nil {
			started.Kill()
		}
	}
}

func (p *bullMQ) name() string { return "BullMQ pipeline" }

func (p *bullMQ) single() post { return post{host: p.address, path: "/tasks", body: loadTask} }

func (p *bullMQ) batch() post { return post{host: p.address, path: "/tasks:batch", body: batchBody} }

func (p *bullMQ) checkBatch(a answer) error {
	if a.status != http.StatusAccepted {
		return fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
	}
	return nil
}

func (p *bullMQ) begin(ctx context.Context) (err error) {
	p.before, err = p.state(ctx)
	return err
}

func (p *bullMQ) progress(ctx context.Context) (progress, error) {
	s, err := p.state(ctx)
	for _, socket := range p.sockets {
		err = errors.Join(err, socket.failed())
	}
	if text := p.process.Output(); text != "" {
		err = errors.Join(err, fmt.Errorf("the peer says %.300s", text))
	}
	return progress{s.Accepted - p.before.Accepted, s.Done - p.before.Done, time.UnixMicro(int64(s.Last * 1000))}, err
}

func (p *bullMQ) state(ctx context.Context) (s bullState, err error) {
	text, err := get(ctx, "http://"+p.address+"/state")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func (p *bullMQ) cpu() cpu {
	return cpu{server: kit.CPU(p.process.PID()), redis: kit.CPU(p.redis.PID()), bench: kit.CPU(os.Getpid())}
}

// wrkResult is what wrk saw.
type wrkResult struct {
	Answers int     `json:"answers"`
	Refused int     `json:"refused"` // of them, statuses of 400 and above
	Errors  int     `json:"errors"`  // no answer
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	cpu     time.Duration
}

// wrk repeats a request on so many connections.
func wrk(ctx context.Context, p post, connections int, length time.Duration) (r wrkResult, err error) {
	if _, err := exec.LookPath("wrk"); err != nil {
		if err := command(ctx, "scripts/setup", "wrk"); err != nil {
			return r, err
		}
	}
	cmd := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%.0fs", length.Seconds()),
		"-s", filepath.Join(peersDir, "wrk.lua"), "http://"+p.host+p.path)
	cmd.Env = append(os.Environ(), "BODY="+p.body)
	if p.token != "" {
		cmd.Env = append(cmd.Env, "TOKEN="+p.token)
	}
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("wrk: %w", err)
	}
	_, line, _ := strings.Cut(string(out), "{")
	if err := json.Unmarshal([]byte("{"+line), &r); err != nil {
		return r, fmt.Errorf("wrk: %w in %s", err, out)
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r.Errors > 0 {
		err = fmt.Errorf("wrk: %d requests had no answer", r.Errors)
	}
	return r, err
}
