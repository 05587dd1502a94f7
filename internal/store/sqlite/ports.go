package sqlite

import (
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

var (
	_ tasks.Store      = (*DB)(nil)
	_ tasks.Payloads   = (*DB)(nil)
	_ tasks.StatsStore = (*DB)(nil)
	_ workers.Cluster  = (*DB)(nil)
	_ workers.Store    = (*Sessions)(nil)
	_ workers.Roster   = (*Sessions)(nil)
)
