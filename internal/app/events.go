package app

import (
	"slices"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/httpapi"
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

// aboutPeople are what entries of the audit log are about when a group's page shows
// something else from then on.
var aboutPeople = []string{"group", "user", "invitation", "invite_link"}

// tellAudited tells open pages of what the audit log has: whoever changed it,
// and on whichever server.
func (a *App) tellAudited(e audit.Entry) {
	a.live.Audited(httpapi.ShowAuditEntry(e))
	if e.Outcome == audit.OK && e.Group != "" && slices.Contains(aboutPeople, e.TargetType) {
		a.live.GroupChanged(e.Group)
	}
}

// workerLost tells a worker's owner.
func (a *App) workerLost(s workers.Session) { a.notify.WorkerLost(s.Owner, s.Worker, s.Name) }
