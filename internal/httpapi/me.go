package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/groups"
)

func (a *API) meRoutes() {
	const tag, path = "Authentication", "/api/v1/me"
	handle(a, route{
		method: http.MethodGet, path: path, id: "get-me", tag: tag, summary: "Your profile", access: user(""),
	}, a.getMe)
	handle(a, route{
		method: http.MethodPatch, path: path, id: "update-me", tag: tag, summary: "Change your profile", access: session,
	}, a.updateMe)
	handle(a, route{
		method: http.MethodPut, path: path + "/password", id: "change-password", tag: tag,
		summary: "Change your password; your other sessions end", access: session,
	}, a.changePassword)
	handle(a, route{
		method: http.MethodDelete, path: path, id: "delete-me", tag: tag,
		summary: "Delete your account; you leave your groups, and everything of yours that is connected is closed", access: session,
	}, a.deleteMe)
}

type userAnswer struct{ Body User }

func (a *API) getMe(ctx context.Context, _ *struct{}) (*userAnswer, error) {
	u, err := a.deps.Auth.UserByID(ctx, caller(ctx).UserID)
	if err != nil {
		return nil, err
	}
	return &userAnswer{Body: showUser(u)}, nil
}

type updateMeRequest struct {
	Body struct {
		Email *string `json:"email,omitempty"`
	}
}

func (a *API) updateMe(ctx context.Context, in *updateMeRequest) (*userAnswer, error) {
	if in.Body.Email != nil {
		if err := a.deps.Auth.ChangeEmail(ctx, caller(ctx).UserID, *in.Body.Email); err != nil {
			return nil, err
		}
	}
	return a.getMe(ctx, nil)
}

type passwordRequest struct {
	Body struct {
		OldPassword string `json:"old_password"`
		NewPassword string `json:"new_password" doc:"8 to 128 characters"`
	}
}

func (a *API) changePassword(ctx context.Context, in *passwordRequest) (*struct{}, error) {
	return nil, a.deps.Auth.ChangePassword(ctx, caller(ctx), in.Body.OldPassword, in.Body.NewPassword, requestFrom(ctx).client())
}

type deleteMeRequest struct {
	Body struct {
		Password string `json:"password"`
	}
}

func (a *API) deleteMe(ctx context.Context, in *deleteMeRequest) (*loggedOut, error) {
	c := caller(ctx)
	err := a.deps.Auth.DeleteMe(ctx, c, in.Body.Password, requestFrom(ctx).client(), func(ctx context.Context) error {
		return a.deps.Groups.LeaveAll(ctx, groups.Ref{ID: c.UserID, Name: c.Username})
	})
	if err != nil {
		return nil, err
	}
	if err := a.deps.Notify.Forget(context.WithoutCancel(ctx), c.UserID); err != nil { // they go with their age
		requestFrom(ctx).log().WarnContext(ctx, "notifications of a deleted user stay", "user_id", c.UserID, "error", err)
	}
	return a.loggedOut(ctx), nil
}
