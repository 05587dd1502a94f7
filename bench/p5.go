package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// idlePause lies between two submissions, so that each meets an idle server.
const idlePause = 3 * time.Millisecond

// idle is P5: one task at a time on an idle server with one idle worker, and what its
// parts take by themselves.
func (b *bench) idle(ctx context.Context) ([]row, error) {
	var rows []row
	for _, on := range []backend{inProcess, realRedis} {
		got, err := b.idleOn(ctx, on)
		rows = append(rows, got...)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", on, err)
		}
	}
	limits, err := b.limits(ctx)
	return append(rows, limits...), err
}

func (b *bench) idleOn(ctx context.Context, on backend) ([]row, error) {
	r, err := b.start(ctx, on)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	i, leave, err := r.idler(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, _, err := i.submit(ctx, 50); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	n := pick(b.short, 100, 500)
	var p50, p99, whole50, whole99 []float64
	for k := range b.rounds {
		after, whole, err := i.submit(ctx, n)
		if err != nil {
			return nil, err
		}
		p50, p99 = append(p50, percentile(after, 50)), append(p99, percentile(after, 99))
		whole50, whole99 = append(whole50, percentile(whole, 50)), append(whole99, percentile(whole, 99))
		b.say("  %s, round %d of %d: 202 → assign p50 %s ms, p99 %s ms, max %s ms; from the request p50 %s ms, p99 %s ms%s",
			on, k+1, b.rounds, number(p50[k]), number(p99[k]), number(percentile(after, 100)),
			number(whole50[k]), number(whole99[k]), remarked(i.tally.remarks()))
	}
	where := fmt.Sprintf(" (%s)", on)
	return []row{
		newRow("P5", "idle dispatch, 202 → assign, p50"+where, "ms", p50...).atMost(1).note("%d submissions a round", n),
		newRow("P5", "idle dispatch, 202 → assign, p99"+where, "ms", p99...).atMost(5),
		newRow("P5", "from the start of the request, p50"+where, "ms", whole50...),
		newRow("P5", "from the start of the request, p99"+where, "ms", whole99...),
	}, nil
}

// idler submits on one connection and listens on one worker socket.
type idler struct {
	*rig
	conn    *conn
	tally   *tally
	assigns chan assignment
	task    string // that is submitted
}

type assignment struct {
	task string
	at   time.Time
}

func (r *rig) idler(ctx context.Context) (*idler, func(), error) {
	i := &idler{rig: r, tally: &tally{}, assigns: make(chan assignment, 16), task: loadTask}
	i.tally.start()
	w, err := r.connectWorker(ctx, "idle", loadKind, 4, i.tally, func(task string, at time.Time) {
		i.assigns <- assignment{task, at}
	})
	if err != nil {
		return nil, nil, err
	}
	if i.conn, err = r.dial(); err != nil {
		w.close()
		return nil, nil, err
	}
	return i, func() { i.conn.Close(); w.close() }, nil
}

// submit submits n tasks, each after the one before is done, and returns the
// times to assign in milliseconds: after the answer was read (0 where assign
// came first), and from the start of the request.
func (i *idler) submit(ctx context.Context, n int) (after, whole []float64, err error) {
	request := i.request("/groups/"+i.group+"/tasks", i.task)
	i.tally.start()
	for k := range n {
		began := time.Now()
		a, err := i.conn.do(request)
		answered := time.Now()
		if err != nil {
			return nil, nil, err
		}
		if a.status != 202 {
			return nil, nil, fmt.Errorf("submit: status %d: %.300s", a.status, a.body)
		}
		select {
		case got := <-i.assigns:
			if !bytes.Contains(a.body, []byte(got.task)) {
				return nil, nil, fmt.Errorf("task %s was assigned, but %s was submitted", got.task, a.body)
			}
			after = append(after, millis(max(got.at.Sub(answered), 0)))
			whole = append(whole, millis(got.at.Sub(began)))
		case <-time.After(stallLimit):
			return nil, nil, fmt.Errorf("task %d of %d was not assigned within %s: %s", k+1, n, stallLimit, a.body)
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if _, err := i.tally.await(ctx, k+1); err != nil {
			return nil, nil, err
		}
		pause(ctx, idlePause)
	}
	return after, whole, nil
}
