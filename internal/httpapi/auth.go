package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

func (a *API) authRoutes() {
	const tag = "Authentication"
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/register", id: "register", tag: tag,
		summary: "Make an account and log in", access: public, status: http.StatusCreated,
	}, a.register)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/setup", id: "setup", tag: tag,
		summary: "Make the first administrator, with the code from the server's log", access: public, status: http.StatusCreated,
	}, a.setup)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/login", id: "login", tag: tag,
		summary: "Log in with username or email", access: public,
	}, a.login)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/refresh", id: "refresh", tag: tag,
		summary: "Exchange a refresh token for a new pair", access: public,
		unaudited: "a session goes on; its begin and end are there, and a token used again",
	}, a.refresh)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/logout", id: "logout", tag: tag,
		summary: "End the session of the access token, else of the refresh token", access: public,
	}, a.logout)
	handle(a, route{
		method: http.MethodPost, path: "/api/v1/auth/logout-all", id: "logout-all", tag: tag,
		summary: "End every session of the user", access: session,
	}, a.logoutAll)
}

// Credentials is what a new user says.
type Credentials struct {
	Username string `json:"username" doc:"3 to 32 of a-z, 0-9, _ and -" example:"ada"`
	Email    string `json:"email" example:"ada@example.org"`
	Password string `json:"password" doc:"8 to 128 characters"`
}

func (c Credentials) registration() auth.Registration {
	return auth.Registration{Username: c.Username, Email: c.Email, Password: c.Password}
}

// User is an account as its owner sees it.
type User struct {
	ID        string `json:"id" format:"uuid"`
	Username  string `json:"username"`
	Email     string `json:"email"`
	Admin     bool   `json:"admin" doc:"Administrator of the installation"`
	CreatedAt Time   `json:"created_at"`
}

func showUser(u auth.User) User {
	return User{ID: u.ID, Username: u.Username, Email: u.Email, Admin: u.Admin, CreatedAt: Time{u.CreatedAt}}
}

// LoggedIn is the answer of a login or refresh.
type LoggedIn struct {
	User         User   `json:"user"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Left out for browsers, which get it as a cookie"`
	ExpiresIn    int    `json:"expires_in" doc:"Seconds until the access token expires"`
}

type loggedIn struct {
	SetCookie *http.Cookie `header:"Set-Cookie"`
	Body      LoggedIn
}

type loggedOut struct {
	SetCookie *http.Cookie `header:"Set-Cookie"`
}

type registerRequest struct {
	Body struct {
		Credentials
		Invite string `json:"invite,omitempty" maxLength:"64" doc:"Code of an invite link: the new user joins its group"`
	}
}

func (a *API) register(ctx context.Context, in *registerRequest) (*loggedIn, error) {
	r, rq := in.Body.registration(), requestFrom(ctx)
	if in.Body.Invite == "" {
		pair, err := a.deps.Auth.Register(ctx, r, rq.client())
		return a.loggedIn(ctx, pair, err)
	}
	var pair auth.Pair
	group, err := a.deps.Groups.JoinAs(ctx, in.Body.Invite, rq.addr, func() (_ auth.User, err error) {
		pair, err = a.deps.Auth.RegisterInvited(ctx, r, rq.client())
		return pair.User, err
	})
	if err == nil {
		noteGroup(ctx, group)
	} else if pair.User.ID != "" {
		// The group was deleted or filled up in the meantime. The account is there.
		rq.log().WarnContext(ctx, "a new user could not join the group of the invite link", "user_id", pair.User.ID, "error", err)
		err = nil
	}
	return a.loggedIn(ctx, pair, err)
}

type setupRequest struct {
	Body struct {
		Code string `json:"code" maxLength:"128" doc:"From the server's log"`
		Credentials
	}
}

func (a *API) setup(ctx context.Context, in *setupRequest) (*loggedIn, error) {
	pair, err := a.deps.Auth.Setup(ctx, in.Body.Code, in.Body.registration(), requestFrom(ctx).client())
	return a.loggedIn(ctx, pair, err)
}

type loginRequest struct {
	Body struct {
		Login    string `json:"login" minLength:"1" maxLength:"254" doc:"Username or email"`
		Password string `json:"password"`
	}
}

func (a *API) login(ctx context.Context, in *loginRequest) (*loggedIn, error) {
	pair, err := a.deps.Auth.Login(ctx, in.Body.Login, in.Body.Password, requestFrom(ctx).client())
	if errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled) {
		a.noteFailedLogin(ctx, in.Body.Login)
	}
	return a.loggedIn(ctx, pair, err)
}

// noteFailedLogin notes whose account it was, if anybody's. What else was typed is
// not kept: people type passwords there.
func (a *API) noteFailedLogin(ctx context.Context, login string) {
	requestFrom(ctx).note.keep = true
	if u, err := a.deps.Auth.UserByLogin(ctx, login); err == nil {
		noteUser(ctx, u)
	}
}

// RefreshRequest has its token in the body, or in a browser's cookie.
type RefreshRequest struct {
	Cookie string `cookie:"firmlight_refresh"`
	Body   *struct {
		RefreshToken string `json:"refresh_token,omitempty"`
	}
}

var errOrigin = fault.New(fault.Forbidden, "bad_origin", "Pages of this origin may not do this.")

// token returns the refresh token. A cookie counts only for our own pages.
func (in *RefreshRequest) token(ctx context.Context, a *API) (string, error) {
	if in.Body != nil && in.Body.RefreshToken != "" {
		return in.Body.RefreshToken, nil
	}
	if in.Cookie != "" && !a.originAllowed(requestFrom(ctx).http) {
		return "", errOrigin
	}
	return in.Cookie, nil
}

func (a *API) refresh(ctx context.Context, in *RefreshRequest) (*loggedIn, error) {
	token, err := in.token(ctx, a)
	if err != nil {
		return nil, err
	}
	pair, err := a.deps.Auth.Refresh(ctx, token, requestFrom(ctx).client())
	var again auth.UsedAgain
	if errors.As(err, &again) {
		requestFrom(ctx).note.keep = true
		noteUser(ctx, again.User)
		noteTarget(ctx, "session", again.Session)
	}
	return a.loggedIn(ctx, pair, err)
}

type logoutRequest struct {
	Authorization string `header:"Authorization"`
	RefreshRequest
}

func (a *API) logout(ctx context.Context, in *logoutRequest) (*loggedOut, error) {
	out := a.loggedOut(ctx)
	if err := a.authenticate(ctx, bearer(in.Authorization), session); err == nil {
		return out, a.deps.Auth.Logout(ctx, caller(ctx))
	}
	token, err := in.token(ctx, a)
	if err != nil {
		return nil, err
	}
	if token == "" {
		return nil, auth.ErrUnauthenticated
	}
	u, err := a.deps.Auth.LogoutRefresh(ctx, token)
	noteUser(ctx, u)
	return out, err
}

func (a *API) logoutAll(ctx context.Context, _ *struct{}) (*loggedOut, error) {
	return a.loggedOut(ctx), a.deps.Auth.LogoutAll(ctx, caller(ctx))
}

// refreshCookie holds a browser's refresh token, out of reach of scripts.
const refreshCookie = "firmlight_refresh"

// loggedIn shows a pair. A browser, known by the Origin header that it sends
// with every POST, gets the refresh token as a cookie instead.
func (a *API) loggedIn(ctx context.Context, p auth.Pair, err error) (*loggedIn, error) {
	if err != nil {
		return nil, err
	}
	noteUser(ctx, p.User)
	out := &loggedIn{Body: LoggedIn{
		User: showUser(p.User), AccessToken: p.AccessToken, RefreshToken: p.RefreshToken,
		ExpiresIn: int(p.ExpiresIn / time.Second),
	}}
	if r := requestFrom(ctx).http; r.Header.Get("Origin") != "" {
		out.Body.RefreshToken = ""
		out.SetCookie = a.cookie(r, p.RefreshToken, p.RefreshUntil)
	}
	return out, nil
}

func (a *API) loggedOut(ctx context.Context) *loggedOut {
	r := requestFrom(ctx).http
	if r.Header.Get("Origin") == "" {
		return &loggedOut{}
	}
	return &loggedOut{SetCookie: a.cookie(r, "", time.Unix(0, 0))}
}

func (a *API) cookie(r *http.Request, value string, expires time.Time) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // not Secure where people use plain http: G124
		Name: refreshCookie, Value: value, Expires: expires,
		Path: "/api/v1/auth", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || strings.HasPrefix(a.deps.PublicURL, "https://"),
	}
}

// originAllowed reports whether the request comes from no browser, from the
// server's own pages, or from an origin that the operator allowed.
func (a *API) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(a.deps.AllowedOrigins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if public, err := url.Parse(a.deps.PublicURL); err == nil && public.Host != "" {
		return u.Scheme == public.Scheme && u.Host == public.Host
	}
	return u.Host == r.Host
}
