// Package notify tells people what happened to their groups, tasks and workers,
// so that they find it when they look next (docs/http-api.md, Notifications).
// What happens often is one notification with a count.
package notify

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// Type is what a notification tells.
type Type string

const (
	Invited      Type = "invited"
	Joined       Type = "joined"
	Left         Type = "left"
	Kicked       Type = "kicked"
	RoleChanged  Type = "role_changed"
	GroupDeleted Type = "group_deleted"
	TaskFinished Type = "task_finished"
	TaskFailed   Type = "task_failed"
	WorkerLost   Type = "worker_lost"

	DeviceFailing   Type = "device_failing"
	DeviceSilent    Type = "device_silent"
	DeviceRecovered Type = "device_recovered"
)

// Types lists them all.
var Types = []Type{
	Invited, Joined, Left, Kicked, RoleChanged, GroupDeleted, TaskFinished, TaskFailed, WorkerLost,
	DeviceFailing, DeviceSilent, DeviceRecovered,
}

// merges reports whether unread ones of the same type and group are one.
func (t Type) merges() bool {
	switch t {
	case TaskFinished, TaskFailed, WorkerLost, DeviceFailing, DeviceSilent, DeviceRecovered:
		return true
	}
	return false
}

// Limits (docs/http-api.md).
const (
	// Keep is how long a notification stays after it changed last.
	Keep = 30 * 24 * time.Hour
	// MaxOfUser is how many of one user stay: those that changed last.
	MaxOfUser = 1000
)

// ErrNone answers for a notification that is not there, or is somebody else's.
var ErrNone = fault.New(fault.NotFound, "notification_not_found", "There is no such notification.")

// Notification is one entry of a user's list.
type Notification struct {
	ID   string
	To   string // whose it is: a user id
	Type Type
	About
	Count     int // how many happened; the rest tells of the newest
	Read      bool
	CreatedAt time.Time
	UpdatedAt time.Time // when the newest happened
}

// About is what a notification names. What its type does not have is nil.
type About struct {
	Group  *GroupRef        `json:"group,omitempty" doc:"Of all but worker_lost; its name as it was"`
	Actor  *PersonRef       `json:"actor,omitempty" doc:"Who did it"`
	User   *PersonRef       `json:"user,omitempty" doc:"Whom it happened to, where that is neither you nor the actor"`
	Task   *TaskRef         `json:"task,omitempty" doc:"The newest"`
	Worker *tasks.WorkerRef `json:"worker,omitempty" doc:"The newest"`
	Device *DeviceRef       `json:"device,omitempty" doc:"The newest"`
	Role   auth.Role        `json:"role,omitempty" enum:"owner,admin,member,viewer" doc:"From now on"`
}

// GroupRef names a group.
type GroupRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PersonRef names a user.
type PersonRef struct {
	ID       string `json:"id"`
	Username string `json:"username"`
}

// DeviceRef names a device.
type DeviceRef struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// TaskRef names a task.
type TaskRef struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Title string `json:"title,omitempty"`
}

// Slot is where at most one notification stands; another one for the same slot
// is counted there. While it is unread, one that merges has the slot of its user,
// type and group; every other has its own.
func (n Notification) Slot() string {
	if n.Read || !n.Type.merges() {
		return n.ID
	}
	group := ""
	if n.Group != nil {
		group = n.Group.ID
	}
	return n.To + " " + string(n.Type) + " " + group
}

// plus counts a later one of the same slot.
func (n Notification) plus(later Notification) Notification {
	if later.UpdatedAt.Before(n.UpdatedAt) {
		later.About, later.UpdatedAt = n.About, n.UpdatedAt
	}
	n.About, n.UpdatedAt = later.About, later.UpdatedAt
	n.Count += later.Count
	return n
}

// NotificationView is a notification as JSON shows it, over HTTP and over live.
// What its type does not have is absent.
type NotificationView struct {
	ID   string `json:"id" doc:"UUIDv7"`
	Type Type   `json:"type" enum:"invited,joined,left,kicked,role_changed,group_deleted,task_finished,task_failed,worker_lost,device_failing,device_silent,device_recovered"`
	About
	Count     int           `json:"count" doc:"How many happened; of tasks and workers, unread ones of a type and group are one"`
	Read      bool          `json:"read"`
	CreatedAt protocol.Time `json:"created_at" format:"date-time"`
	UpdatedAt protocol.Time `json:"updated_at" format:"date-time" doc:"When the newest happened"`
}

// View returns the notification as JSON shows it.
func (n Notification) View() NotificationView {
	return NotificationView{
		ID: n.ID, Type: n.Type, About: n.About, Count: n.Count, Read: n.Read,
		CreatedAt: protocol.Time{Time: n.CreatedAt}, UpdatedAt: protocol.Time{Time: n.UpdatedAt},
	}
}

// Change is what a user's open pages are told: a notification, new or counted
// once more; or without one, that some were read or deleted.
type Change struct {
	*NotificationView
	Unread int `json:"unread"`
}

// Place is one in a user's list, which begins with what changed last. The zero
// Place is before the first.
type Place struct {
	UpdatedAt time.Time
	ID        string
}

// Place is where the notification stands.
func (n Notification) Place() Place { return Place{n.UpdatedAt, n.ID} }

// String is what ParsePlace reads.
func (p Place) String() string { return strconv.FormatInt(p.UpdatedAt.UnixMilli(), 10) + " " + p.ID }

// ParsePlace is the inverse of String; the empty string is the zero Place.
func ParsePlace(s string) (Place, bool) {
	if s == "" {
		return Place{}, true
	}
	ms, id, ok := strings.Cut(s, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	return Place{time.UnixMilli(n).UTC(), id}, ok && err == nil && n > 0
}

// Settings is what a user does not want to hear of.
type Settings []Off

// Off is types that are off in one group.
type Off struct {
	Group string `json:"group,omitempty"` // empty: in every group, and without one
	Types []Type `json:"types"`
}

// MaxOff is how many groups settings may name.
const MaxOff = 256

// off reports whether the user does not want to hear of it.
func (s Settings) off(n Notification) bool {
	return slices.ContainsFunc(s, func(o Off) bool {
		here := o.Group == "" || n.Group != nil && n.Group.ID == o.Group
		return here && slices.Contains(o.Types, n.Type)
	})
}

// names reports whether the settings say something of a group.
func (s Settings) names(group string) bool {
	return slices.ContainsFunc(s, func(o Off) bool { return o.Group == group })
}

// validate refuses what is unknown, named twice, or a group that is not known.
func (s Settings) validate(known func(group string) bool) error {
	if len(s) > MaxOff {
		return fault.InvalidField("body.off", "must have %d entries at most", MaxOff)
	}
	var errs []error
	for i, o := range s {
		field := "body.off[" + strconv.Itoa(i) + "]"
		switch {
		case s[:i].names(o.Group):
			errs = append(errs, fault.InvalidField(field+".group", "is named twice"))
		case o.Group != "" && !known(o.Group):
			errs = append(errs, fault.InvalidField(field+".group", "is not a group of yours"))
		}
		if len(o.Types) == 0 || len(o.Types) > len(Types) {
			errs = append(errs, fault.InvalidField(field+".types", "must have 1 to %d entries", len(Types)))
		}
		for j, t := range o.Types {
			if !slices.Contains(Types, t) {
				errs = append(errs, fault.InvalidField(field+".types["+strconv.Itoa(j)+"]", "is not a type of notification"))
			}
		}
	}
	return fault.Join(errs...)
}

// person is nil for nobody.
func person(r groups.Ref) *PersonRef {
	if r.ID == "" {
		return nil
	}
	return &PersonRef{r.ID, r.Name}
}
