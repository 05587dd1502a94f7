package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/groups"
)

func (a *API) linkRoutes() {
	const tag, path = "Groups", "/api/v1/groups/{id}/invite-links"
	read, write := user(auth.GroupsRead), user(auth.GroupsWrite)
	handle(a, route{
		method: http.MethodPost, path: path, id: "create-invite-link", tag: tag,
		summary: "Make a link that lets people in; its code is shown this once", access: write, status: http.StatusCreated,
	}, a.createLink)
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-invite-links", tag: tag,
		summary: "The group's invite links", access: read,
	}, a.listLinks)
	handle(a, route{
		method: http.MethodDelete, path: path + "/{link}", id: "revoke-invite-link", tag: tag,
		summary: "Revoke an invite link", access: write,
	}, a.revokeLink)
	handle(a, route{
		method: http.MethodGet, path: "/api/v1/invite-links/{code}", id: "get-invite-link", tag: tag,
		summary: "Where an invite link leads", access: public,
	}, a.getLink)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/invite-links/{code}/join", id: "join-group", tag: tag,
		summary: "Join the group of an invite link", access: write,
	}, a.joinGroup)
}

// InviteLink lets whoever has its code into a group.
type InviteLink struct {
	ID        string  `json:"id" format:"uuid"`
	Role      string  `json:"role" enum:"admin,member,viewer" doc:"What people join as"`
	ExpiresAt Time    `json:"expires_at"`
	MaxUses   int     `json:"max_uses"`
	Uses      int     `json:"uses"`
	CreatedBy UserRef `json:"created_by"`
	CreatedAt Time    `json:"created_at"`
}

func showLink(l groups.Link) InviteLink {
	return InviteLink{
		ID: l.ID, Role: string(l.Role), ExpiresAt: Time{l.ExpiresAt}, MaxUses: l.MaxUses, Uses: l.Uses,
		CreatedBy: UserRef{l.CreatedBy, l.CreatedByName}, CreatedAt: Time{l.CreatedAt},
	}
}

type createLinkRequest struct {
	IDRequest
	Body *struct {
		Role      auth.Role `json:"role,omitempty" enum:"admin,member,viewer" default:"member"`
		ExpiresAt *Time     `json:"expires_at,omitempty" doc:"At most 90 days ahead; left out: 7"`
		MaxUses   int       `json:"max_uses,omitempty" minimum:"1" maximum:"1000" default:"1"`
	}
}

type newLinkAnswer struct {
	Body struct {
		InviteLink
		Code string `json:"code" doc:"Keep it: it is not shown again"`
		URL  string `json:"url" doc:"The page for it, with the code"`
	}
}

func (a *API) createLink(ctx context.Context, in *createLinkRequest) (*newLinkAnswer, error) {
	var n groups.NewLink
	if b := in.Body; b != nil {
		n.Role, n.MaxUses = b.Role, b.MaxUses
		if b.ExpiresAt != nil {
			n.ExpiresAt = b.ExpiresAt.Time
		}
	}
	l, code, err := a.deps.Groups.CreateLink(ctx, caller(ctx), in.ID, n)
	if err != nil {
		return nil, err
	}
	out := &newLinkAnswer{}
	out.Body.InviteLink, out.Body.Code = showLink(l), code
	out.Body.URL = a.publicURL(requestFrom(ctx).http) + "/invite/" + code
	return out, nil
}

// publicURL is the server as people reach it, without a slash at the end.
func (a *API) publicURL(r *http.Request) string {
	if a.deps.PublicURL != "" {
		return strings.TrimSuffix(a.deps.PublicURL, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

type linkList struct{ Body List[InviteLink] }

func (a *API) listLinks(ctx context.Context, in *listOfGroupRequest) (*linkList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Groups.Links(ctx, caller(ctx), in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &linkList{Body: listOf(rows, in.Limit, func(l groups.Link) string { return l.ID }, showLink)}, nil
}

type linkRequest struct {
	IDRequest
	Link string `path:"link" maxLength:"64"`
}

func (a *API) revokeLink(ctx context.Context, in *linkRequest) (*struct{}, error) {
	return nil, a.deps.Groups.RevokeLink(ctx, caller(ctx), in.ID, in.Link)
}

type codeRequest struct {
	Code string `path:"code" maxLength:"64"`
}

// LinkPreview is what somebody with the code of an invite link may know.
type LinkPreview struct {
	Group     Named  `json:"group"`
	Role      string `json:"role" enum:"admin,member,viewer"`
	ExpiresAt Time   `json:"expires_at"`
}

type linkPreviewAnswer struct{ Body LinkPreview }

func (a *API) getLink(ctx context.Context, in *codeRequest) (*linkPreviewAnswer, error) {
	l, err := a.deps.Groups.LinkByCode(ctx, in.Code, requestFrom(ctx).addr)
	if err != nil {
		return nil, err
	}
	return &linkPreviewAnswer{Body: LinkPreview{
		Group: Named{l.Group, l.GroupName}, Role: string(l.Role), ExpiresAt: Time{l.ExpiresAt},
	}}, nil
}

func (a *API) joinGroup(ctx context.Context, in *codeRequest) (*groupAnswer, error) {
	m, err := a.deps.Groups.Join(ctx, caller(ctx), in.Code, requestFrom(ctx).addr)
	if err == nil {
		noteTarget(ctx, "group", m.ID) // the path has the code
	}
	return groupOrError(m, err)
}
