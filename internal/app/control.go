package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/background"
	"github.com/firmlight/firmlight/internal/dispatch"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// control reaches worker sessions on whichever server they are: at once where
// they are here, by Redis pub/sub otherwise. A message that is lost costs time
// only: cancels and resumes are healed by cron, refreshes by the hub, and each
// server asks the store for revocations.
type control struct {
	redis    redis.UniversalClient
	server   string
	sessions workers.Store
	log      *slog.Logger
	// Set before Start.
	hub        *workers.Hub
	auth       *auth.Service
	tasks      *tasks.Service
	dispatcher *dispatch.Dispatcher

	out    chan order  // to the other servers; full: dropped
	owners chan string // of workers, to refresh here; full: dropped
	loops  background.Loops
}

var _ tasks.Workers = (*control)(nil)

const (
	controlChannel = "firmlight:control"
	publishTime    = 2 * time.Second
	maxOrders      = 1024 // that wait for Redis
)

// order is one message to the other servers: one of Cancel, Session, Revoked,
// Owner, Worker and Pauses is set.
type order struct {
	From    string     `json:"from"`
	Cancel  tasks.Task `json:"cancel,omitzero"`
	Reason  string     `json:"reason,omitempty"`
	Session string     `json:"session,omitempty"` // resumed elsewhere, with this epoch
	Epoch   int64      `json:"epoch,omitempty"`
	Revoked []string   `json:"revoked,omitempty"` // sessions, tokens and users
	Owner   string     `json:"owner,omitempty"`   // of workers: settings or memberships have changed
	Worker  string     `json:"worker,omitempty"`  // disconnected by an administrator
	Pauses  bool       `json:"pauses,omitempty"`  // of queues have changed
}

func newControl(c redis.UniversalClient, server string, sessions workers.Store, log *slog.Logger) *control {
	return &control{
		redis: c, server: server, sessions: sessions, log: log,
		out: make(chan order, maxOrders), owners: make(chan string, maxOrders),
	}
}

// Start listens and speaks to the other servers.
func (c *control) Start(ctx context.Context) error {
	sub := c.redis.Subscribe(context.WithoutCancel(ctx), controlChannel)
	c.loops.Start(ctx,
		background.Each(c.out, c.send),
		background.Each(c.owners, c.refreshHere),
		func(ctx context.Context) {
			defer func() { _ = sub.Close() }()
			background.Each(sub.Channel(), c.obey)(ctx)
		},
	)
	return nil
}

// Stop ends both.
func (c *control) Stop(context.Context) error {
	c.loops.Stop()
	return nil
}

func (c *control) obey(ctx context.Context, m *redis.Message) {
	var o order
	if err := json.Unmarshal([]byte(m.Payload), &o); err != nil {
		c.log.WarnContext(ctx, "control message not understood", "error", err)
		return
	}
	if o.From == c.server {
		return
	}
	switch {
	case o.Cancel.ID != "":
		c.hub.Cancel(o.Cancel, o.Reason)
	case o.Session != "":
		c.hub.Evict(o.Session, o.Epoch)
	case len(o.Revoked) > 0:
		c.auth.Revoked(o.Revoked...)
	case o.Owner != "":
		c.queueRefresh(o.Owner)
	case o.Worker != "":
		c.hub.CloseWorker(o.Worker)
	case o.Pauses:
		c.dispatcher.PausesChanged()
	}
}

// publish hands an order to the sender; it never blocks, since sessions wait on it.
func (c *control) publish(o order) {
	o.From = c.server
	select {
	case c.out <- o:
	default:
		c.log.Warn("other servers not told: too many orders wait; cron heals it")
	}
}

func (c *control) send(ctx context.Context, o order) {
	data, err := json.Marshal(o)
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	if err == nil {
		err = c.redis.Publish(ctx, controlChannel, data).Err()
	}
	if err != nil {
		c.log.WarnContext(ctx, "other servers not told; cron heals it", "error", err)
	}
}

// Cancel asks the session that runs an attempt to stop it.
func (c *control) Cancel(t tasks.Task, reason string) {
	if c.hub.Cancel(t, reason) || t.Server == c.server {
		return
	}
	c.publish(order{Cancel: tasks.Task{ID: t.ID, Attempt: t.Attempt, Session: t.Session}, Reason: reason})
}

// resumed tells the server that had a session before to let go of it.
func (c *control) resumed(session string, epoch int64) {
	c.publish(order{Session: session, Epoch: epoch})
}

// revoked tells the other servers what ended here.
func (c *control) revoked(ids ...string) { c.publish(order{Revoked: ids}) }

// refreshNow puts what an owner decided about their workers in force here, before
// it returns, and elsewhere.
func (c *control) refreshNow(ctx context.Context, owner string) {
	c.publish(order{Owner: owner})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTime)
	defer cancel()
	c.refreshHere(ctx, owner)
}

// refreshOwner does the same without waiting.
func (c *control) refreshOwner(owner string) {
	c.publish(order{Owner: owner})
	c.queueRefresh(owner)
}

func (c *control) queueRefresh(owner string) {
	select {
	case c.owners <- owner:
	default:
		c.log.Warn("workers not refreshed: too many owners wait; the hub heals it")
	}
}

func (c *control) refreshHere(ctx context.Context, owner string) {
	if err := c.hub.Refresh(ctx, owner); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "workers not refreshed; the hub heals it", "error", err)
	}
}

// pausesChanged tells every server that queues were paused or resumed; one that
// does not hear of it sees it in the store.
func (c *control) pausesChanged() {
	c.dispatcher.PausesChanged()
	c.publish(order{Pauses: true})
}

// disconnect closes every connection of a worker, here and elsewhere. Its tasks
// go to others at once, also those of sessions that have no connection now. A
// worker that has no session is left alone.
func (c *control) disconnect(ctx context.Context, worker string) error {
	grace, err := c.sessions.List(ctx, workers.Filter{Workers: []string{worker}, States: []workers.State{workers.Grace}})
	if err != nil {
		return err
	}
	for _, s := range grace {
		s, lost, err := c.sessions.Lose(ctx, s.ID, s.Epoch, time.Time{})
		if err == nil && lost {
			err = c.tasks.Lost(ctx, s.ID, tasks.Loss{
				LastHeard: s.LastHeard, ByServer: true, Cause: tasks.CauseDisconnect, Reason: workers.Disconnected,
			})
		}
		if err != nil {
			return err
		}
	}
	c.hub.CloseWorker(worker)
	c.publish(order{Worker: worker})
	return nil
}

// Connected returns the ids of the workers connected for a group and kind.
func (c *control) Connected(ctx context.Context, group, kind string) ([]string, error) {
	ss, err := c.sessions.List(ctx, workers.Filter{States: []workers.State{workers.Connected}, Group: group, Kind: kind})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range ss {
		if s.Slots > 0 && !s.Draining {
			ids = append(ids, s.Worker)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
