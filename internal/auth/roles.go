package auth

import "slices"

// Role is what a member is in a group (docs/http-api.md, Groups).
type Role string

const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Member Role = "member"
	Viewer Role = "viewer"
)

// Permission is something a member may do in a group.
type Permission string

const (
	View           Permission = "view"            // read the group, its tasks and workers
	Submit         Permission = "submit"          // submit, cancel and retry tasks
	RunWorkers     Permission = "run_workers"     // run workers for the group
	ManageMembers  Permission = "manage_members"  // invite and remove, change roles
	ManageSettings Permission = "manage_settings" // name, description, retention, alert rules
	ManageTokens   Permission = "manage_tokens"   // device tokens of the group
	DeleteGroup    Permission = "delete_group"
)

// permissions is the one table of what a role may do.
var permissions = map[Role][]Permission{
	Viewer: {View},
	Member: {View, Submit, RunWorkers},
	Admin:  {View, Submit, RunWorkers, ManageMembers, ManageSettings, ManageTokens},
	Owner:  {View, Submit, RunWorkers, ManageMembers, ManageSettings, ManageTokens, DeleteGroup},
}

// May reports whether the role includes the permission; no role includes none.
func (r Role) May(p Permission) bool { return slices.Contains(permissions[r], p) }
