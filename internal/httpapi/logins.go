package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
)

func (a *API) sessionRoutes() {
	const tag, path = "Authentication", "/api/v1/me/sessions"
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-sessions", tag: tag, summary: "Where you are logged in, newest first", access: session,
	}, a.listSessions)
	handle(a, route{
		method: http.MethodDelete, path: path + "/{id}", id: "end-session", tag: tag,
		summary: "Log out there; what it has connected is closed", access: session,
	}, a.endSession)
}

// Session is a login of the caller's.
type Session struct {
	ID         string `json:"id" format:"uuid"`
	Current    bool   `json:"current" doc:"The one that asks"`
	UserAgent  string `json:"user_agent" doc:"As the program called itself at the login or the last refresh; at most 200 characters"`
	Address    string `json:"address" doc:"At the login or the last refresh; empty: not known"`
	CreatedAt  Time   `json:"created_at"`
	LastUsedAt Time   `json:"last_used_at" doc:"To the minute"`
}

func showSession(s auth.Session, current string) Session {
	out := Session{
		ID: s.ID, Current: s.ID == current, UserAgent: s.Client.UserAgent,
		CreatedAt: Time{s.CreatedAt}, LastUsedAt: Time{s.LastUsedAt},
	}
	if s.Client.Address.IsValid() {
		out.Address = s.Client.Address.String()
	}
	return out
}

type sessionList struct{ Body List[Session] }

func (a *API) listSessions(ctx context.Context, in *listRequest) (*sessionList, error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	c := caller(ctx)
	rows, err := a.deps.Auth.Sessions(ctx, c, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	show := func(s auth.Session) Session { return showSession(s, c.SessionID) }
	return &sessionList{Body: listOf(rows, in.Limit, func(s auth.Session) string { return s.ID }, show)}, nil
}

func (a *API) endSession(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Auth.EndSession(ctx, caller(ctx), in.ID)
}
