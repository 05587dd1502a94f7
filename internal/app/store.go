package app

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/store/mongo"
	"github.com/firmlight/firmlight/internal/store/sqlite"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// store is all that a server keeps: what each domain package asks for, and what
// the server itself does with a database.
type store interface {
	auth.Store
	auth.Memberships
	groups.Store
	audit.Store
	installation.Store
	tasks.Store
	tasks.Payloads
	tasks.StatsStore
	tasks.QueueStore
	workers.Cluster
	devsync.Store

	// PruneStats removes the hours of statistics before a time; days stay.
	PruneStats(ctx context.Context, before time.Time) error
	// QueueDelay is the age of the oldest write that is not durable yet.
	QueueDelay() time.Duration
	// Writes counts commits, and the operations in them.
	Writes() (commits, operations int64)
	// Observe has the functions told how long reads and commits take, and how many
	// events of devices one has.
	Observe(read, commit func(time.Duration), events func(int))
	Close() error
}

// sessionStore is what is kept of workers.
type sessionStore interface {
	workers.Store
	workers.Roster
}

// openStore opens the database that is configured.
func (a *App) openStore(ctx context.Context) error {
	if a.cfg.MongodbURI != "" {
		db, err := mongo.Open(ctx, a.cfg.MongodbURI, a.log)
		if err == nil {
			a.use(db, db.Sessions(), db.Notifications())
		}
		return err
	}
	db, err := sqlite.Open(ctx, a.cfg.DataDir, a.log)
	if err == nil {
		a.use(db, db.Sessions(), db.Notifications())
	}
	return err
}

func (a *App) use(db store, sessions sessionStore, notifications notify.Store) {
	a.store, a.sessions, a.notifications = db, sessions, notifications
}

// embedded reports whether the database is this server's alone.
func (a *App) embedded() bool { return a.cfg.MongodbURI == "" }
