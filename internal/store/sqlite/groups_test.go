package sqlite

import "testing"

// TestGroupPlans pins the queries of groups in docs/store.md to their indexes.
func TestGroupPlans(t *testing.T) {
	db := openTest(t)
	for _, test := range []struct {
		query, index string
		args         []any
	}{
		{mineQuery + "WHERE m.user_id = ? AND m.group_id > ? ORDER BY m.group_id LIMIT ?", "(user_id=? AND group_id>?)", []any{"u", "", 50}},
		{memberQuery + membersAfter, "memberships_group (group_id=? AND id>?)", []any{"g", "", 50}},
		{invitationQuery + invitationsTo, "invitations_user (user_id=? AND id>?)", []any{"u", "", 50}},
		{invitationQuery + invitationsOf, "invitations_group (group_id=? AND id>?)", []any{"g", "", 50}},
		{linkQuery + linksAfter, "invite_links_group (group_id=? AND id>?)", []any{"g", "", 50}},
		{linkQuery + linkInForce, "(hash=?)", []any{"h", 0}},
		{dueTombstones, "deleted_groups_sweep (sweep_at<?)", []any{0, 50}},
	} {
		t.Run(test.index, func(t *testing.T) {
			c := &clause{}
			c.add(test.query, test.args...)
			wantPlan(t, db, c, test.index, false)
		})
	}
}
