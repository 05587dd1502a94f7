package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
)

func (a *API) tokenRoutes() {
	const tag, path = "Tokens", "/api/v1/tokens"
	handle(a, route{
		method: http.MethodPost, path: path, id: "create-token", tag: tag,
		summary: "Make a worker, device or API token", access: session, status: http.StatusCreated,
	}, a.createToken)
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-tokens", tag: tag, summary: "Your tokens, newest first", access: session,
	}, a.listTokens)
	handle(a, route{
		method: http.MethodDelete, path: path + "/{id}", id: "delete-token", tag: tag,
		summary: "Revoke a token; what it has connected is closed", access: session,
	}, a.deleteToken)
}

// Token is a worker, device or API token without its secret.
type Token struct {
	ID         string   `json:"id" format:"uuid"`
	Name       string   `json:"name"`
	Kind       string   `json:"kind" enum:"worker,device,api"`
	Groups     []string `json:"groups" doc:"What it is limited to; null: every group of yours"`
	Scopes     []string `json:"scopes,omitempty" doc:"Of an API token"`
	DeviceID   string   `json:"device_id,omitempty" doc:"What a device token is bound to"`
	CreatedAt  Time     `json:"created_at"`
	ExpiresAt  *Time    `json:"expires_at" nullable:"true" doc:"null: never"`
	LastUsedAt *Time    `json:"last_used_at" nullable:"true" doc:"To the minute; null: never"`
}

func showToken(t auth.Token) Token {
	out := Token{
		ID: t.ID, Name: t.Name, Kind: string(t.Kind), Groups: t.Groups, DeviceID: t.DeviceID,
		CreatedAt: Time{t.CreatedAt}, ExpiresAt: timeOf(t.ExpiresAt), LastUsedAt: timeOf(t.LastUsedAt),
	}
	for _, s := range t.Scopes {
		out.Scopes = append(out.Scopes, string(s))
	}
	return out
}

// NewToken is a Token with its secret, shown this once.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"Shown only now"`
}

type createTokenRequest struct {
	Body struct {
		Name      string   `json:"name" doc:"1 to 64 characters"`
		Kind      string   `json:"kind" enum:"worker,device,api"`
		Groups    []string `json:"groups,omitempty" maxItems:"256" doc:"What it is limited to; left out: every group of yours. A device token names one"`
		Scopes    []string `json:"scopes,omitempty" maxItems:"16" doc:"Of an API token; left out: all but metrics"`
		DeviceID  string   `json:"device_id,omitempty" doc:"Binds a device token to one device"`
		ExpiresAt *Time    `json:"expires_at,omitempty"`
	}
}

type newTokenAnswer struct{ Body NewToken }

func (a *API) createToken(ctx context.Context, in *createTokenRequest) (*newTokenAnswer, error) {
	b := in.Body
	n := auth.NewToken{Name: b.Name, Kind: auth.Kind(b.Kind), Groups: b.Groups, DeviceID: b.DeviceID}
	for _, s := range b.Scopes {
		n.Scopes = append(n.Scopes, auth.Scope(s))
	}
	if b.ExpiresAt != nil {
		n.ExpiresAt = b.ExpiresAt.Time
	}
	t, secret, err := a.deps.Auth.CreateToken(ctx, caller(ctx), n)
	if err != nil {
		return nil, err
	}
	return &newTokenAnswer{Body: NewToken{Token: showToken(t), Secret: secret}}, nil
}

type listRequest struct{ Page }

type tokenList struct{ Body List[Token] }

func (a *API) listTokens(ctx context.Context, in *listRequest) (*tokenList, error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Auth.Tokens(ctx, caller(ctx), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return &tokenList{Body: listOf(rows, in.Limit, func(t auth.Token) string { return t.ID }, showToken)}, nil
}

// IDRequest names one thing by the id in its path. It is exported because huma
// passes over embedded structs that are not.
type IDRequest struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) deleteToken(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Auth.DeleteToken(ctx, caller(ctx), in.ID)
}
