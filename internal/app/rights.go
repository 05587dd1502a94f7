package app

import (
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/live"
)

// rights has everybody looked at anew whose place in a group has changed: who
// left sees no more of it from then on.
type rights struct {
	live *live.Hub
}

// GroupChanged implements groups.Events.
func (r rights) GroupChanged(e groups.Event) {
	users := e.Members
	if e.User.ID != "" && e.Type != groups.Invited {
		users = append(users, e.User.ID)
	}
	for _, user := range users {
		r.live.Recheck(user)
	}
}
