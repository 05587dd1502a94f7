package live

import (
	"strings"

	"github.com/google/uuid"
)

// Topic is what a client may watch.
type Topic struct {
	Kind TopicKind `json:"kind"`
	ID   string    `json:"id,omitempty"` // of the group or task; of the user for Me; empty for Admin
}

// TopicKind is the word before the colon.
type TopicKind string

const (
	Group  TopicKind = "group"  // a group's tasks, workers and statistics
	Task   TopicKind = "task"   // one task, its parts and its log
	Device TopicKind = "device" // the devices of a group
	Me     TopicKind = "me"     // the caller's notifications
	Admin  TopicKind = "admin"  // what the admin pages show
)

// ParseTopic reads a topic as a client names it; user fills in whose Me is.
func ParseTopic(name, user string) (Topic, bool) {
	switch TopicKind(name) {
	case Me:
		return Topic{Me, user}, true
	case Admin:
		return Topic{Kind: Admin}, true
	}
	kind, id, _ := strings.Cut(name, ":")
	switch TopicKind(kind) {
	case Group, Task, Device:
		_, err := uuid.Parse(id)
		return Topic{TopicKind(kind), id}, err == nil && len(id) == 36
	}
	return Topic{}, false
}

// String returns the topic as clients name it.
func (t Topic) String() string {
	if t.Kind == Me || t.Kind == Admin {
		return string(t.Kind)
	}
	return string(t.Kind) + ":" + t.ID
}
