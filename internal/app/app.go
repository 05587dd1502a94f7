// Package app wires the parts of a server together and starts and stops them in
// order. Only it and the mains see everything.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/config"
	"github.com/firmlight/firmlight/internal/dispatch"
	"github.com/firmlight/firmlight/internal/downloads"
	"github.com/firmlight/firmlight/internal/failover"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/metrics"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/queue"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/throttle"
	"github.com/firmlight/firmlight/internal/tracing"
	"github.com/firmlight/firmlight/internal/webhook"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/web"
	"github.com/firmlight/firmlight/workload"
)

// restartGrace is what every session gets when an embedded server starts: its
// workers find the address again within it.
const restartGrace = 10 * time.Second

// App is one server.
type App struct {
	cfg config.Config
	log *slog.Logger
	id  string // of this process

	store    store
	sessions sessionStore
	redis    *queue.Redis
	control  *control
	auth     *auth.Service
	groups   *groups.Service
	devices  *devsync.Service
	webhooks *webhook.Sender
	fleet    *live.Devices
	audit    *audit.Service
	metrics  *metrics.Metrics
	tracing  *tracing.Tracer // nil: off
	live     *live.Hub
	stats    *live.Stats
	notify   *notify.Service
	// notifications is where notify keeps them.
	notifications notify.Store
	tasks         *tasks.Service
	hub           *workers.Hub
	dispatcher    *dispatch.Dispatcher
	failover      *failover.Runner
	api           *httpapi.API
	front         *front

	stops []step // of what has started, in order of start
}

// step is one part's stop, with its name for the log.
type step struct {
	name string
	stop func(context.Context) error
}

// New returns a server that is not started.
func New(cfg config.Config, log *slog.Logger) *App {
	return &App{cfg: cfg, log: log, id: uuid.Must(uuid.NewV7()).String()}
}

// URL is where the server listens, once started.
func (a *App) URL() string { return "http://" + a.front.public.Addr().String() }

// Start returns when the server serves, or with the first error, having stopped
// what had started.
func (a *App) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	// Listen first: a taken port is found before anything else is touched.
	if a.front, err = listen(ctx, a.cfg, a.log); err != nil {
		return err
	}
	a.started("listener", a.front.close)
	if a.tracing, err = tracing.New(ctx, tracing.Options{
		Endpoint: a.cfg.OTLPEndpoint, Ratio: a.cfg.TraceRatio, Server: a.id, Log: a.log,
	}); err != nil {
		return err
	}
	a.started("tracing", a.tracing.Stop)
	if err := a.openStores(ctx); err != nil {
		return err
	}
	if err := a.wire(ctx); err != nil {
		return err
	}
	if err := a.reviveSessions(ctx); err != nil {
		return err
	}
	err = a.startParts(ctx)
	debug.FreeOSMemory() // what only the start needed: an idle server stays small
	return err
}

func (a *App) started(name string, stop func(context.Context) error) {
	a.stops = append(a.stops, step{name, stop})
}

// Stop stops what has started, in reverse order (invariant 7): no new
// connections; drain the workers; stop consumers and jobs; flush; close the
// stores. It may be called twice.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	for len(a.stops) > 0 {
		last := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		began := time.Now()
		if err := last.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
		a.log.DebugContext(ctx, "stopped", "part", last.name, "took", time.Since(began))
	}
	return errors.Join(errs...)
}

func (a *App) openStores(ctx context.Context) (err error) {
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	a.started("store", func(context.Context) error { return a.store.Close() })
	if a.redis, err = queue.Open(ctx, a.cfg.RedisURL, a.log); err != nil {
		return err
	}
	a.started("redis", func(context.Context) error { return a.redis.Close() })
	return nil
}

// wire builds the parts, bottom up.
func (a *App) wire(ctx context.Context) error {
	a.metrics = metrics.New(a.log)
	a.redis.Client().AddHook(a.metrics.Redis())
	a.store.Observe(a.metrics.StoreRead, a.metrics.StoreCommit, a.metrics.EventsCommitted)
	secret, err := secretOf(a.cfg)
	if err != nil {
		return err
	}
	if err := a.wirePeople(secret); err != nil {
		return err
	}
	a.wireDevices(secret)
	a.wireWork()
	a.wireAPI()
	return a.prepareAdmin(ctx)
}

// wirePeople builds who is who, who works together, and who is told.
func (a *App) wirePeople(secret []byte) (err error) {
	attempts := throttle.New(a.redis.Client(), time.Now, a.log)
	if a.auth, err = auth.NewService(auth.Options{
		Store: a.store, Memberships: a.store, Throttle: attempts, Secret: secret,
		AccessTTL: a.cfg.AccessTokenTTL, RefreshTTL: a.cfg.RefreshTokenTTL,
		Hash: auth.HashParams{
			MemoryKiB: a.cfg.Argon2MemoryKiB, Iterations: a.cfg.Argon2Iterations, Parallelism: a.cfg.Argon2Parallelism,
		},
		HashesAtOnce: 2, Registration: a.cfg.Registration == "open", ByInvite: a.cfg.Registration == "invite", Now: time.Now, Log: a.log,
	}); err != nil {
		return err
	}
	a.groups = groups.NewService(a.store, a.store, attempts, time.Now)
	a.audit = audit.NewService(audit.Options{Store: a.store, Retention: a.cfg.AuditRetention, Now: time.Now, Log: a.log, Told: a.tellAudited})
	var relay *live.Relay // none for one server alone
	if !a.embedded() {
		relay = live.NewRelay(a.redis.Client(), a.id, func() bool { return true }, a.log)
	}
	a.live = live.NewHub(live.DefaultTiming, relay)
	a.notify = notify.New(notify.Options{Store: a.notifications, Groups: a.store, Live: a.live, Log: a.log})
	return nil
}

// wireWork builds what carries tasks to workers and back.
func (a *App) wireWork() {
	q := queue.New(a.redis, a.log)
	a.control = newControl(a.redis.Client(), a.id, a.sessions, a.log)
	a.tasks = tasks.NewService(tasks.Deps{
		Store: a.tracing.Tasks(a.metrics.Tasks(a.store)), Payloads: a.store, Counts: a.store, Queues: a.store, Queue: q, Events: taskEvents{a.live, a.notify}, Workers: a.control,
		Kinds: workload.Builtin(workload.Options{}), Server: a.id, Logger: a.log, GroupExists: a.groupExists,
		PausesChanged: a.control.pausesChanged,
	})
	a.hub = workers.NewHub(workers.HubOptions{
		Store: a.sessions, Tasks: a.tasks, Server: a.id, Ping: a.cfg.WorkerPing, Timeout: a.cfg.WorkerTimeout,
		Grace: a.cfg.WorkerGrace, Drain: a.cfg.ShutdownTimeout / 2, Logger: a.log,
		Groups: a.auth.WorkerGroups, Trace: a.tracing.Run,
		OnChange: func(groups, kinds []string) {
			a.dispatcher.Changed(groups, kinds)
			a.live.WorkersChanged(groups, kinds)
		},
		OnResume: a.control.resumed, OnLost: a.workerLost,
	})
	a.control.auth = a.auth
	a.dispatcher = dispatch.New(dispatch.Options{
		Queue: q, Slots: dispatch.SlotsOf[*workers.Slot](a.hub), Tasks: a.tasks, Server: a.id, Logger: a.log,
	})
	a.control.hub, a.control.tasks, a.control.dispatcher = a.hub, a.tasks, a.dispatcher
	a.failover = failover.New(failover.Deps{
		Server: workers.Server{ID: a.id, Address: a.URL(), Started: time.Now()}, Tasks: a.tasks, Sessions: a.sessions,
		Cluster: a.store, Hub: a.hub, Grace: a.cfg.WorkerGrace, KeepMetadata: a.cfg.MetadataRetention,
		PruneStats: a.store.PruneStats, SweepLogins: a.auth.Sweep, PruneAudit: a.audit.Prune,
		Devices: a.devices, KeepEvents: a.cfg.EventRetention,
		SweepNotifications: a.notify.Sweep, WorkerLost: a.workerLost, ServerLost: a.live.Missed,
		Tombstones: a.store, RemoveQueues: q.Remove, Log: a.log,
	})
	a.listen()
}

// wireAPI builds the face of all that.
func (a *App) wireAPI() {
	a.api = httpapi.New(httpapi.Deps{
		Log: a.log, Auth: a.auth, Groups: a.groups, TrustedProxies: a.cfg.TrustedProxies,
		AllowedOrigins: a.cfg.AllowedOrigins, PublicURL: a.cfg.PublicURL,
		Downloads: downloads.Dir(cmp.Or(a.cfg.DownloadDir, filepath.Join(a.cfg.DataDir, "downloads"))),
		Tasks:     a.tasks, Sessions: a.sessions, Workers: a.hub, Live: a.live, Audit: a.audit, Notify: a.notify,
		Installation: a.store, Cluster: a.store, Disconnect: a.control.disconnect,
		Metrics: a.metrics, Tracing: a.tracing, Devices: a.devices, WebhookKey: a.webhooks.Key,
		OwnWorkers: workers.NewService(a.sessions, a.store, a.control.refreshNow),
		Ready:      a.ready,
		Behind:     func() time.Duration { return max(a.store.QueueDelay(), a.tasks.SubmitLag()) },
		Web:        web.Handler,
	})
	a.watch()
	a.stats = live.NewStats(a.live, a.api.LiveStats, live.StatsInterval, a.log)
}

// listen has the parts told of each other's changes.
func (a *App) listen() {
	for _, l := range []groups.Events{a.notify, a.failover, rights{a.live, a.control}} {
		a.groups.Listen(l)
	}
	a.auth.OnRevoked(a.hub.Revoke)
	a.auth.OnRevoked(a.live.Revoke)
	a.auth.OnRevokedHere(a.control.revoked)
}

// ready reports what does not answer of store and Redis.
func (a *App) ready(ctx context.Context) error {
	if _, err := a.store.Servers(ctx); err != nil {
		return httpapi.NotReady("The store", err)
	}
	if err := a.redis.Ping(ctx); err != nil {
		return httpapi.NotReady("Redis", err)
	}
	return nil
}

func (a *App) groupExists(ctx context.Context, group string) error {
	_, err := a.groups.Get(ctx, group)
	return err
}

// prepareAdmin makes the configured first administrator, or logs the way to one.
func (a *App) prepareAdmin(ctx context.Context) error {
	var first *auth.Registration
	if a.cfg.AdminUsername != "" {
		first = &auth.Registration{
			Username: a.cfg.AdminUsername, Email: a.cfg.AdminEmail, Password: a.cfg.AdminPassword,
		}
	}
	had, err := a.store.HasAdmin(ctx)
	if err != nil {
		return err
	}
	code, err := a.auth.PrepareAdmin(ctx, first)
	if err == nil && !had && first != nil {
		err = a.recordFirstAdmin(ctx)
	}
	if err == nil && code != "" {
		base := a.cfg.PublicURL
		if base == "" {
			base = a.URL()
		}
		a.log.InfoContext(ctx, "no administrator yet: make the first one once with this link", "link", base+"/setup?code="+code)
	}
	return err
}

// recordFirstAdmin puts the server's own act into the audit log.
func (a *App) recordFirstAdmin(ctx context.Context) error {
	u, err := a.auth.UserByLogin(ctx, a.cfg.AdminUsername)
	if err == nil {
		a.audit.Record(ctx, audit.Entry{Action: "first-admin", TargetType: "user", Target: u.ID, Outcome: audit.OK})
	}
	return err
}

// reviveSessions gives the sessions of the process before this one time to come
// back: the data directory is locked, so all of them were its. Those of a database
// that servers share are the sweep's.
func (a *App) reviveSessions(ctx context.Context) error {
	if !a.embedded() {
		return nil
	}
	left, err := a.sessions.List(ctx, workers.Filter{States: []workers.State{workers.Connected, workers.Grace}})
	if err != nil {
		return err
	}
	servers, err := a.store.Servers(ctx)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := a.store.RemoveServer(ctx, s.ID); err != nil {
			return err
		}
	}
	return failover.PartAll(ctx, a.sessions, left, restartGrace)
}

// startParts starts what runs, from what others need to what needs others.
func (a *App) startParts(ctx context.Context) error {
	for _, p := range []struct {
		name string
		part interface {
			Start(context.Context) error
			Stop(context.Context) error
		}
	}{
		{"audit", a.audit}, {"auth", a.auth}, {"live", a.live}, {"stats", a.stats}, {"fleet", a.fleet}, {"webhooks", a.webhooks}, {"notify", a.notify},
		{"tasks", a.tasks}, {"control", a.control}, {"failover", a.failover}, {"dispatcher", a.dispatcher}, {"workers", a.hub},
	} {
		if err := p.part.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		a.started(p.name, p.part.Stop)
	}
	a.front.serve(a.api, a.metrics.Handler())
	a.started("http", a.front.shutdown)
	a.log.InfoContext(ctx, "server is ready", "url", a.URL(), "server", a.id)
	if a.front.private != nil {
		a.log.InfoContext(ctx, "metrics and profiles", "url", "http://"+a.front.private.Addr().String()+"/metrics")
	}
	return nil
}
