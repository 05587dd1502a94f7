// Package installation is what administrators see of the whole: figures over
// all servers, and every group and worker, whoever's they are.
package installation

import (
	"context"
	"time"
)

// Overview is the state of the installation in numbers.
type Overview struct {
	Users  int // without deleted ones
	Groups int

	WorkersConnected int
	WorkersGrace     int // all their connections were lost, and they may come back
	Slots            int // of connected sessions

	// Unfinished tasks by status; parents do not count, their parts do.
	Scheduled int
	Queued    int
	Running   int

	// What ended in the last full minute.
	Succeeded int64
	Failed    int64
	Cancelled int64
	// Failovers is how many tasks were taken back from lost workers and servers
	// within 24 hours, to the minute.
	Failovers int64
	Minutes   []Minute // of the last hour and the one that runs, oldest first, where something happened
}

// Minute is what ended, or was taken back, within one.
type Minute struct {
	At        time.Time // its start
	Succeeded int64
	Failed    int64
	Cancelled int64
	Failovers int64
}

// AddMinute adds the next of the last hour to an overview at the time now.
func (o *Overview) AddMinute(m Minute, now time.Time) {
	if m.At.Equal(now.Truncate(time.Minute).Add(-time.Minute)) {
		o.Succeeded, o.Failed, o.Cancelled = m.Succeeded, m.Failed, m.Cancelled
	}
	o.Minutes = append(o.Minutes, m)
}

// Group is a group as administrators see it.
type Group struct {
	ID        string
	Name      string
	Members   int
	Owner     string // user id
	OwnerName string
	Waiting   int // tasks, queued or scheduled
	Running   int
	CreatedAt time.Time
}

// Worker is one that is connected, or may come back, with its owner.
type Worker struct {
	ID        string
	Owner     string // user id
	OwnerName string
}

// Store reads over the whole installation. Lists are in the order of ids, after
// one; their names begin with prefix, whatever the case (fault.Fold).
type Store interface {
	// Overview costs little at a million tasks: it may be asked every second.
	Overview(ctx context.Context, now time.Time) (Overview, error)
	AllGroups(ctx context.Context, prefix, after string, limit int) ([]Group, error)
	AllWorkers(ctx context.Context, prefix, after string, limit int) ([]Worker, error)
	// HasWorker reports whether there is, or was, a worker of that id.
	HasWorker(ctx context.Context, id string) (bool, error)
}
