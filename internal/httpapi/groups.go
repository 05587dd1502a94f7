package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

func (a *API) groupRoutes() {
	const tag, path = "Groups", "/api/v1/groups"
	read, write := user(auth.GroupsRead), user(auth.GroupsWrite)
	handle(a, route{
		method: http.MethodPost, path: path, id: "create-group", tag: tag,
		summary: "Make a group of your own", access: write, status: http.StatusCreated,
	}, a.createGroup)
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-groups", tag: tag, summary: "Your groups", access: read,
	}, a.listGroups)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}", id: "get-group", tag: tag, summary: "A group of yours", access: read,
	}, a.getGroup)
	handle(a, route{
		method: http.MethodPatch, path: path + "/{id}", id: "update-group", tag: tag,
		summary: "Change a group's settings", access: write,
	}, a.updateGroup)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}/members", id: "list-members", tag: tag,
		summary: "Who is in the group, in the order they joined", access: read,
	}, a.listMembers)
}

// Group is a group as one of its members sees it.
type Group struct {
	ID               string `json:"id" format:"uuid"`
	Name             string `json:"name"`
	Description      string `json:"description"`
	Role             string `json:"role" enum:"owner,admin,member,viewer" doc:"Yours"`
	Members          int    `json:"members" doc:"How many there are"`
	Starred          bool   `json:"starred" doc:"By you"`
	ResultRetentionS *int64 `json:"result_retention_s" doc:"How long inputs and results stay after a task ended; null: the server's default"`
	CreatedAt        Time   `json:"created_at"`
}

func showGroup(m groups.Mine) Group {
	g := Group{
		ID: m.ID, Name: m.Name, Description: m.Description, Role: string(m.Role), Members: m.Members,
		Starred: m.Starred, CreatedAt: Time{m.CreatedAt},
	}
	if m.ResultRetention != nil {
		s := int64(*m.ResultRetention / time.Second)
		g.ResultRetentionS = &s
	}
	return g
}

// maxSeconds keeps a number of seconds within a time.Duration; the domain has
// the limit that matters.
const maxSeconds = int64(1 << 32)

// seconds returns nil for nil.
func seconds(s *int64) *time.Duration {
	if s == nil {
		return nil
	}
	d := time.Duration(max(-1, min(*s, maxSeconds))) * time.Second
	return &d
}

type groupAnswer struct{ Body Group }

func groupOrError(m groups.Mine, err error) (*groupAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &groupAnswer{Body: showGroup(m)}, nil
}

type createGroupRequest struct {
	Body struct {
		Name             string `json:"name" doc:"3 to 50 characters"`
		Description      string `json:"description,omitempty" doc:"At most 300 characters"`
		ResultRetentionS *int64 `json:"result_retention_s,omitempty" doc:"0 to 2592000; left out: the server's default"`
	}
}

func (a *API) createGroup(ctx context.Context, in *createGroupRequest) (*groupAnswer, error) {
	b := in.Body
	return groupOrError(a.deps.Groups.Create(ctx, caller(ctx), b.Name, b.Description, seconds(b.ResultRetentionS)))
}

type groupList struct{ Body List[Group] }

func (a *API) listGroups(ctx context.Context, in *listRequest) (*groupList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Groups.List(ctx, caller(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &groupList{Body: listOf(rows, in.Limit, func(m groups.Mine) string { return m.ID }, showGroup)}, nil
}

func (a *API) getGroup(ctx context.Context, in *IDRequest) (*groupAnswer, error) {
	return groupOrError(a.deps.Groups.Authorize(ctx, caller(ctx), in.ID, auth.View))
}

type updateGroupRequest struct {
	IDRequest
	Body struct {
		Name             *string         `json:"name,omitempty" doc:"3 to 50 characters"`
		Description      *string         `json:"description,omitempty" doc:"At most 300 characters"`
		ResultRetentionS Optional[int64] `json:"result_retention_s,omitempty" doc:"0 to 2592000; null: the server's default"`
	}
}

func (a *API) updateGroup(ctx context.Context, in *updateGroupRequest) (*groupAnswer, error) {
	b := in.Body
	return groupOrError(a.deps.Groups.Update(ctx, caller(ctx), in.ID, groups.Settings{
		Name: b.Name, Description: b.Description,
		SetRetention: b.ResultRetentionS.Set, ResultRetention: seconds(b.ResultRetentionS.Value),
	}))
}

// GroupMember is a user in a group.
type GroupMember struct {
	UserID   string `json:"user_id" format:"uuid"`
	Username string `json:"username"`
	Role     string `json:"role" enum:"owner,admin,member,viewer"`
	JoinedAt Time   `json:"joined_at"`
}

func showMember(m groups.Membership) GroupMember {
	return GroupMember{UserID: m.User, Username: m.Username, Role: string(m.Role), JoinedAt: Time{m.JoinedAt}}
}

type listOfGroupRequest struct {
	IDRequest
	Page
}

type memberList struct{ Body List[GroupMember] }

func (a *API) listMembers(ctx context.Context, in *listOfGroupRequest) (*memberList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Groups.Members(ctx, caller(ctx), in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &memberList{Body: listOf(rows, in.Limit, func(m groups.Membership) string { return m.ID }, showMember)}, nil
}
