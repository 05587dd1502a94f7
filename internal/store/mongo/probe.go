package mongo

import (
	"context"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
)

// probe sees every command that succeeded.
type probe struct {
	writes atomic.Int64
	tell   atomic.Pointer[observers]
}

type observers struct {
	read, commit func(time.Duration)
	events       func(int)
}

// Observe has the functions told how long each read and each write took, and how
// many events of devices each write had. Call it before the first of them counts.
func (db *DB) Observe(read, commit func(time.Duration), events func(int)) {
	db.probe.tell.Store(&observers{read, commit, events})
}

// Writes returns how many commands wrote something; each is a commit of its own.
func (db *DB) Writes() (commits, operations int64) {
	n := db.probe.writes.Load()
	return n, n
}

// monitor also passes what started on, if somebody wants it.
func (p *probe) monitor(also *event.CommandMonitor) *event.CommandMonitor {
	m := &event.CommandMonitor{Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
		tell := p.tell.Load()
		switch e.CommandName {
		case "insert", "update", "delete", "findAndModify":
			p.writes.Add(1)
			if tell != nil {
				tell.commit(e.Duration)
			}
		case "find", "aggregate", "getMore":
			if tell != nil {
				tell.read(e.Duration)
			}
		}
	}}
	if also != nil {
		m.Started = also.Started
	}
	return m
}

// eventsWritten is called after a write with so many events of devices.
func (p *probe) eventsWritten(n int) {
	if tell := p.tell.Load(); tell != nil && n > 0 {
		tell.events(n)
	}
}
