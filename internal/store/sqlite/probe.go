package sqlite

import "time"

// probe is told what the store does, for metrics.
type probe struct {
	read, commit func(time.Duration)
	events       func(int)
}

// Observe has the functions told how long each read and each commit took, and how
// many sync events shared a commit. They must not block.
func (db *DB) Observe(read, commit func(time.Duration), events func(int)) {
	db.probe.Store(&probe{read, commit, events})
}
