package app

import (
	"slices"

	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/live"
)

// rights has everybody looked at anew whose place in a group has changed: who
// left sees no more of it from then on, and their workers run nothing more for it.
type rights struct {
	live    *live.Hub
	control *control
}

// GroupChanged implements groups.Events.
func (r rights) GroupChanged(e groups.Event) {
	users := slices.Clone(e.Members)
	if e.User.ID != "" && e.Type != groups.Invited {
		users = append(users, e.User.ID)
	}
	for _, user := range users {
		r.live.Recheck(user)
		r.control.refreshOwner(user)
	}
}
