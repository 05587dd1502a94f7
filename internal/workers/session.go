// Package workers holds the connections of workers: the session's state machine
// over a small Conn, the hub of this server's sessions, and the scheduler that
// hands out their slots.
package workers

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// State of a session in the store; every transition compares it and the epoch.
type State string

const (
	Connected State = "connected"
	Grace     State = "grace"
	Lost      State = "lost"
)

// Session is one worker's connection over its reconnects, as the store keeps it.
type Session struct {
	ID          string
	Worker      string // worker id: one for (Owner, Name)
	Name        string
	Owner       string // user id
	Token       string // token id
	Server      string // where it is, or was last
	State       State
	Epoch       int64     // raised by every resume
	Until       time.Time // of grace
	LastHeard   time.Time // when it was last known alive (kept at state changes)
	SecretHash  string    // of the resume secret, SHA-256 hex
	Groups      []string  // it works for now, sorted; as are Kinds and Slots in force
	Kinds       []string
	Slots       int
	Offered     []string // kinds of its hello, sorted
	Asked       []string // groups of its first hello, sorted; nil: all that it may
	Labels      map[string]string
	SDK         string
	Draining    bool
	ConnectedAt time.Time
	ByServer    bool // its last loss was a server's fault: reassignments are not counted
}

// Unexpected reports whether the loss of a session is news to the worker's owner:
// it was not about to leave, and no server lost it.
func (s Session) Unexpected() bool { return !s.ByServer && !s.Draining }

// Worker is (owner, name), over all its sessions.
type Worker struct {
	ID        string
	Owner     string
	Name      string
	FirstSeen time.Time
	LastSeen  time.Time // of one that is away; while it is connected: when it came
	Kinds     []string  // it offered when it last connected, sorted
	Labels    map[string]string
	SDK       string
	Settings  Settings
	Revision  int64 // of the settings
}

// Server is a running server process as others see it. Beat changes with every
// heartbeat; observers time its standstill by their own clocks.
type Server struct {
	ID      string
	Address string
	Beat    int64
	Started time.Time
	BeatAt  time.Time // by its own clock, for people to read
}

// Faults about sessions and workers.
var (
	// ErrNoSession answers a resume of a session that is lost or has another secret.
	ErrNoSession       = fault.New(fault.NotFound, "no_session", "There is no such session to resume.")
	ErrNoWorker        = fault.New(fault.NotFound, "worker_not_found", "There is no such worker of yours.")
	ErrWorkerConnected = fault.New(fault.Conflict, "worker_connected", "The worker is connected, or may come back any second.")
)

// Store keeps sessions and workers. All transitions are compare-and-set; ok is
// false where the state or epoch was another.
type Store interface {
	// Open stores a new session (connected, epoch 1) and what it says of its
	// worker, whose id it fills in: the one known for (owner, name), else a new one.
	Open(ctx context.Context, s Session) (Session, error)
	// Resume takes a session in connected or grace over to a server and raises
	// its epoch. ErrNoSession where it is lost, unknown, of another owner, or the
	// secret differs. Groups, kinds, slots, what is offered, labels and sdk are
	// taken from s; what was asked for stays.
	Resume(ctx context.Context, s Session) (Session, error)
	// Part moves connected(epoch) to grace until a time.
	Part(ctx context.Context, id string, epoch int64, until, lastHeard time.Time, byServer bool) (ok bool, err error)
	// Lose moves connected(epoch) or grace(epoch) to lost. With graceBy set only
	// a grace whose Until is not after it.
	Lose(ctx context.Context, id string, epoch int64, graceBy time.Time) (Session, bool, error)
	// Update keeps changed slots, groups, kinds or draining of a connected session.
	Update(ctx context.Context, s Session) (ok bool, err error)
	// Sessions returns those with these ids, in any state.
	Sessions(ctx context.Context, ids ...string) ([]Session, error)
	// List returns sessions by filter.
	List(ctx context.Context, f Filter) ([]Session, error)
	// Forget deletes sessions lost before a time.
	Forget(ctx context.Context, before time.Time) (int, error)
	// Settings returns those of the workers with these ids; workers without any
	// are left out.
	Settings(ctx context.Context, ids ...string) (map[string]Settings, error)
	// SettingsOf returns a worker's by its name; none for an unknown one.
	SettingsOf(ctx context.Context, owner, name string) (Settings, error)
}

// Roster keeps the workers themselves, also those that are away.
type Roster interface {
	// Worker returns ErrNoWorker for one that is not the owner's.
	Worker(ctx context.Context, owner, id string) (Worker, error)
	// Workers lists an owner's by id, those after the id after.
	Workers(ctx context.Context, owner, after string, limit int) ([]Worker, error)
	// SaveSettings replaces the settings of a revision by those of the next; ok is
	// false where they have another by now, or the worker is gone.
	SaveSettings(ctx context.Context, id string, revision int64, s Settings) (ok bool, err error)
	// RemoveWorker forgets a worker with settings and history: ErrNoWorker, or
	// ErrWorkerConnected while it has a session that is not lost. That is one step;
	// the history may be gone a little later.
	RemoveWorker(ctx context.Context, owner, id string) error
}

// Filter of List; empty fields do not filter.
type Filter struct {
	States     []State
	Server     string
	Group      string
	Kind       string
	Owner      string
	Workers    []string  // ids; nil does not filter
	GraceEnded time.Time // only grace whose Until is not after it
	Limit      int       // 0: 10,000
}

// Cluster keeps the servers' heartbeats and the leases of cron jobs.
type Cluster interface {
	// Beat inserts or raises this server's heartbeat.
	Beat(ctx context.Context, s Server) error
	Servers(ctx context.Context) ([]Server, error)
	// RemoveServer forgets a server that left or was declared dead.
	RemoveServer(ctx context.Context, id string) error
	// Lease takes or extends a job's lease until a time, with a fencing number
	// that rises whenever it changes hands; ok is false while another holds it.
	Lease(ctx context.Context, job, server string, now, until time.Time) (fence int64, ok bool, err error)
}
