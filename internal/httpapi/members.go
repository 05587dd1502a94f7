package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
)

const starUnaudited = "a mark for oneself alone"

// memberRoutes are what changes who is in a group, and as what.
func (a *API) memberRoutes() {
	const tag, path = "Groups", "/api/v1/groups/{id}"
	write := user(auth.GroupsWrite)
	handle(a, route{
		method: http.MethodDelete, path: path, id: "delete-group", tag: tag,
		summary: "Delete the group and cancel its tasks (owner)", access: write,
	}, a.deleteGroup)
	handle(a, route{
		method: http.MethodPut, path: path + "/star", id: "star-group", tag: tag,
		summary: "Mark a group, for yourself alone", access: write, unaudited: starUnaudited,
	}, a.starGroup)
	handle(a, route{
		method: http.MethodDelete, path: path + "/star", id: "unstar-group", tag: tag,
		summary: "Take the mark away", access: write, unaudited: starUnaudited,
	}, a.unstarGroup)
	handle(a, route{
		method: http.MethodPost, path: path + "/leave", id: "leave-group", tag: tag,
		summary: "Leave a group; an owner hands it over, and with the last one it goes", access: write,
	}, a.leaveGroup)
	handle(a, route{
		method: http.MethodPatch, path: path + "/members/{user}", id: "update-member", tag: tag,
		summary: "Change a member's role; owner hands the group over", access: write,
	}, a.updateMember)
	handle(a, route{
		method: http.MethodDelete, path: path + "/members/{user}", id: "kick-member", tag: tag,
		summary: "Remove a member whom you outrank", access: write,
	}, a.kickMember)
}

func (a *API) deleteGroup(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Delete(ctx, caller(ctx), in.ID)
}

func (a *API) starGroup(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Star(ctx, caller(ctx), in.ID, true)
}

func (a *API) unstarGroup(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Star(ctx, caller(ctx), in.ID, false)
}

func (a *API) leaveGroup(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Leave(ctx, caller(ctx), in.ID)
}

// MemberRequest names a member of a group.
type MemberRequest struct {
	IDRequest
	User string `path:"user" maxLength:"64" doc:"Id of the member"`
}

type updateMemberRequest struct {
	MemberRequest
	Body struct {
		Role auth.Role `json:"role" enum:"owner,admin,member,viewer"`
	}
}

type memberAnswer struct{ Body GroupMember }

func (a *API) updateMember(ctx context.Context, in *updateMemberRequest) (*memberAnswer, error) {
	m, err := a.deps.Groups.SetRole(ctx, caller(ctx), in.ID, in.User, in.Body.Role)
	if err != nil {
		return nil, err
	}
	return &memberAnswer{Body: showMember(m)}, nil
}

func (a *API) kickMember(ctx context.Context, in *MemberRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Kick(ctx, caller(ctx), in.ID, in.User)
}
