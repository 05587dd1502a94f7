package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

func (a *API) invitationRoutes() {
	const tag = "Groups"
	read, write := user(auth.GroupsRead), user(auth.GroupsWrite)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/groups/{id}/invitations", id: "invite", tag: tag,
		summary: "Invite a user by name", access: write, status: http.StatusCreated,
	}, a.invite)
	handle(a, route{
		method: http.MethodGet, path: "/api/v1/groups/{id}/invitations", id: "list-group-invitations", tag: tag,
		summary: "Invitations to the group that wait for an answer", access: read,
	}, a.listGroupInvitations)
	handle(a, route{
		method: http.MethodDelete, path: "/api/v1/groups/{id}/invitations/{invitation}", id: "withdraw-invitation", tag: tag,
		summary: "Withdraw an invitation", access: write,
	}, a.withdrawInvitation)
	handle(a, route{
		method: http.MethodGet, path: "/api/v1/invitations", id: "list-invitations", tag: tag,
		summary: "Invitations to you that wait for an answer", access: read,
	}, a.listInvitations)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/invitations/{id}/accept", id: "accept-invitation", tag: tag,
		summary: "Join the group as a member", access: write,
	}, a.acceptInvitation)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/invitations/{id}/decline", id: "decline-invitation", tag: tag,
		summary: "Turn the invitation down", access: write,
	}, a.declineInvitation)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/invitations/accept-all", id: "accept-all-invitations", tag: tag,
		summary: "Join every group you are invited to that is not full", access: write,
	}, a.acceptAllInvitations)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/invitations/decline-all", id: "decline-all-invitations", tag: tag,
		summary: "Turn every invitation down", access: write,
	}, a.declineAllInvitations)
}

// Invitation waits for the answer of the invited.
type Invitation struct {
	ID        string  `json:"id" format:"uuid"`
	Group     Named   `json:"group"`
	User      UserRef `json:"user" doc:"The invited"`
	InvitedBy UserRef `json:"invited_by"`
	CreatedAt Time    `json:"created_at"`
}

// Named is an id and a name.
type Named struct {
	ID   string `json:"id" format:"uuid"`
	Name string `json:"name"`
}

// UserRef is a user as others see one.
type UserRef struct {
	ID       string `json:"id" format:"uuid"`
	Username string `json:"username"`
}

func showInvitation(i groups.Invitation) Invitation {
	return Invitation{
		ID: i.ID, Group: Named{i.Group, i.GroupName}, User: UserRef{i.User, i.Username},
		InvitedBy: UserRef{i.InvitedBy, i.InvitedByName}, CreatedAt: Time{i.CreatedAt},
	}
}

type inviteRequest struct {
	IDRequest
	Body struct {
		Username string `json:"username" minLength:"1" maxLength:"32"`
	}
}

type invitationAnswer struct{ Body Invitation }

func (a *API) invite(ctx context.Context, in *inviteRequest) (*invitationAnswer, error) {
	i, err := a.deps.Groups.Invite(ctx, caller(ctx), in.ID, in.Body.Username)
	if err != nil {
		return nil, err
	}
	return &invitationAnswer{Body: showInvitation(i)}, nil
}

type invitationList struct{ Body List[Invitation] }

func invitationPage(rows []groups.Invitation, limit int) *invitationList {
	return &invitationList{Body: listOf(rows, limit, func(i groups.Invitation) string { return i.ID }, showInvitation)}
}

func (a *API) listInvitations(ctx context.Context, in *listRequest) (*invitationList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Groups.Invitations(ctx, caller(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return invitationPage(rows, in.Limit), nil
}

func (a *API) listGroupInvitations(ctx context.Context, in *listOfGroupRequest) (*invitationList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Groups.Pending(ctx, caller(ctx), in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return invitationPage(rows, in.Limit), nil
}

type withdrawRequest struct {
	IDRequest
	Invitation string `path:"invitation" maxLength:"64"`
}

func (a *API) withdrawInvitation(ctx context.Context, in *withdrawRequest) (*struct{}, error) {
	return nil, a.deps.Groups.Withdraw(ctx, caller(ctx), in.ID, in.Invitation)
}

func (a *API) acceptInvitation(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.answer(ctx, in.ID, true)
}

func (a *API) declineInvitation(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.answer(ctx, in.ID, false)
}

func (a *API) answer(ctx context.Context, invitation string, accept bool) error {
	i, err := a.deps.Groups.Answer(ctx, caller(ctx), invitation, accept)
	noteGroup(ctx, i.Group) // the invitation is gone by now
	return err
}

type countAnswer struct {
	Body struct {
		Count int `json:"count" doc:"How many were answered"`
	}
}

func (a *API) acceptAllInvitations(ctx context.Context, _ *struct{}) (*countAnswer, error) {
	return a.answerAll(ctx, true)
}

func (a *API) declineAllInvitations(ctx context.Context, _ *struct{}) (*countAnswer, error) {
	return a.answerAll(ctx, false)
}

func (a *API) answerAll(ctx context.Context, accept bool) (*countAnswer, error) {
	answered, err := a.deps.Groups.AnswerAll(ctx, caller(ctx), accept)
	for _, group := range answered {
		noteGroup(ctx, group)
		requestFrom(ctx).note.keep = true // these stay answered, whatever came after
	}
	if err != nil {
		return nil, err
	}
	out := &countAnswer{}
	out.Body.Count = len(answered)
	return out, nil
}
