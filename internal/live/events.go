package live

import (
	"encoding/json"

	"github.com/firmlight/firmlight/internal/tasks"
)

var _ tasks.Events = (*Hub)(nil)

// TaskChanged tells the watchers of the group, of the task and of its parent.
func (h *Hub) TaskChanged(t tasks.Task) {
	if h.wantsTask(t) {
		h.send(TypeTask, t.ID, taskTopics(t), t.View())
	}
}

// TaskProgress tells the same watchers how far an attempt is.
func (h *Hub) TaskProgress(t tasks.Task) {
	if h.wantsTask(t) {
		h.send(TypeProgress, t.ID, taskTopics(t), Progress{
			TaskID: t.ID, Attempt: t.Attempt,
			ProgressView: tasks.ProgressView{Percent: t.Percent, Message: t.Message},
		})
	}
}

// TaskLogged tells the watchers of the task; those of its group would drown.
func (h *Hub) TaskLogged(t tasks.Task, lines []tasks.LogLine) {
	if h.wants(Topic{Task, t.ID}) {
		h.send(TypeLog, "", []Topic{{Task, t.ID}}, Log{TaskID: t.ID, Lines: tasks.LogViews(lines)})
	}
}

// WorkersChanged tells the watchers of groups, and admins, that a worker for
// them came, left or changed what it takes. What they list is a worker over all
// its sessions, on every server: they read it again over HTTP.
func (h *Hub) WorkersChanged(groups, kinds []string) {
	topics := []Topic{{Kind: Admin}}
	for _, g := range groups {
		topics = append(topics, Topic{Group, g})
	}
	if h.wants(topics...) {
		h.send(TypeWorker, "changed", topics, Workers{Kinds: kinds})
	}
}

// DeviceChanged tells the watchers of a group's devices; device is its JSON view.
func (h *Hub) DeviceChanged(group, id string, device any) {
	if h.wants(Topic{Device, group}) {
		h.send(TypeDevice, id, []Topic{{Device, group}}, device)
	}
}

// DevicesPending tells the same watchers that a device which waits for approval
// came or changed. Not all of them may see it: those who may read the list again.
func (h *Hub) DevicesPending(group string) {
	if h.wants(Topic{Device, group}) {
		h.send(TypePending, "changed", []Topic{{Device, group}}, struct{}{})
	}
}

// GroupChanged tells a group's watchers that it, its people, invitations or links
// changed: what they see depends on who they are, so they read it again.
func (h *Hub) GroupChanged(group string) {
	if h.wants(Topic{Group, group}) {
		h.send(TypeGroup, "changed", []Topic{{Group, group}}, struct{}{})
	}
}

// Audited tells administrators of an entry of the audit log, which is its JSON view.
func (h *Hub) Audited(entry any) {
	if h.wants(Topic{Kind: Admin}) {
		h.send(TypeAudit, "", []Topic{{Kind: Admin}}, entry)
	}
}

// DeviceAlert tells the same watchers of an alert's opening or end; alert is its
// JSON view.
func (h *Hub) DeviceAlert(group, id string, alert any) {
	if h.wants(Topic{Device, group}) {
		h.send(TypeAlert, id, []Topic{{Device, group}}, alert)
	}
}

// Notify tells a user's connections of a notification.
func (h *Hub) Notify(user string, notification any) {
	if h.wants(Topic{Me, user}) {
		h.send(TypeNotification, "", []Topic{{Me, user}}, notification)
	}
}

// Progress is the data of a progress event.
type Progress struct {
	TaskID  string `json:"task_id"`
	Attempt int    `json:"attempt"`
	tasks.ProgressView
}

// Log is the data of a log event.
type Log struct {
	TaskID string          `json:"task_id"`
	Lines  []tasks.LogView `json:"lines"`
}

// Workers is the data of a worker event.
type Workers struct {
	Kinds []string `json:"kinds"` // of the worker that changed last
}

func taskTopics(t tasks.Task) []Topic {
	ts := []Topic{{Group, t.Group}, {Task, t.ID}}
	if t.Parent != "" {
		ts = append(ts, Topic{Task, t.Parent})
	}
	return ts
}

func (h *Hub) wantsTask(t tasks.Task) bool {
	return h.wants(Topic{Group, t.Group}, Topic{Task, t.ID}, Topic{Task, t.Parent}) // nobody watches ""
}

// wants reports whether anyone watches one of the topics here, or might on
// another server.
func (h *Hub) wants(topics ...Topic) bool {
	if h.relay != nil && h.relay.others() {
		return true
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, t := range topics {
		if len(h.topics[t]) > 0 {
			return true
		}
	}
	return false
}

// send encodes an event once for all who get it.
func (h *Hub) send(kind Type, key string, topics []Topic, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		return // a view that does not encode is a defect its own tests show
	}
	h.Publish(Event{Type: kind, Topics: topics, Key: key, Data: b})
}
