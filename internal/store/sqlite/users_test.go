package sqlite

import (
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
)

// TestUserPlans pins the queries of users and logins to their indexes (docs/store.md).
func TestUserPlans(t *testing.T) {
	db := openTest(t)
	yes := true
	say := func(q string, args ...any) *clause {
		c := &clause{}
		c.add(q, args...)
		return c
	}
	users := func(q auth.UserQuery) *clause {
		q.Limit = 50
		where := usersWhere(q)
		return say("SELECT "+userColumns+" FROM users "+where.String(), where.args...)
	}
	sessions := say("SELECT "+sessionColumns+" FROM login_sessions "+loginsBefore, "u", ms(time.Now()), "x", 50)
	for _, test := range []struct {
		name, index string
		query       *clause
		sorts       bool
	}{
		{"users", "USING PRIMARY KEY (id>?)", users(auth.UserQuery{}), false},
		{"administrators", "users_admin", users(auth.UserQuery{Admin: &yes}), false},
		{"disabled", "users_disabled", users(auth.UserQuery{Disabled: &yes}), false},
		{"by name or email", "(email>? AND email<?)", users(auth.UserQuery{Prefix: "ada"}), true},
		{"sessions of a user", "login_sessions_user (user_id=? AND id<?)", sessions, false},
		{"revocations", "USING PRIMARY KEY (at>?)", say(revokedSince, ms(time.Now())), false},
	} {
		t.Run(test.name, func(t *testing.T) { wantPlan(t, db, test.query, test.index, test.sorts) })
	}
}
