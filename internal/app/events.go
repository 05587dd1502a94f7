package app

import (
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
)

// taskEvents tells open pages all that happens to tasks, and who submitted one
// how it ended.
type taskEvents struct {
	*live.Hub
	notify *notify.Service
}

// TaskChanged implements tasks.Events.
func (e taskEvents) TaskChanged(t tasks.Task) {
	e.Hub.TaskChanged(t)
	e.notify.TaskChanged(t)
}

// workerLost tells a worker's owner.
func (a *App) workerLost(s workers.Session) { a.notify.WorkerLost(s.Owner, s.Worker, s.Name) }
