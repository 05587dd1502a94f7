package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/auth"
)

func (a *API) userRoutes() {
	const tag, path = "Administration", "/api/v1/admin/users"
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-users", tag: tag, summary: "Everybody with an account", access: admin,
	}, a.listUsers)
	handle(a, route{
		method: http.MethodPatch, path: path + "/{id}", id: "update-user", tag: tag,
		summary: "Disable or enable a user, make or unmake an administrator", access: admin,
	}, a.updateUser)
}

// Account is a user as administrators see one.
type Account struct {
	User
	Disabled    bool  `json:"disabled" doc:"May neither log in nor use any token"`
	LastLoginAt *Time `json:"last_login_at" nullable:"true" doc:"null: never"`
	Groups      int   `json:"groups" doc:"In how many groups"`
}

func showAccount(u auth.Account) Account {
	return Account{User: showUser(u.User), Disabled: u.Disabled, LastLoginAt: timeOf(u.LastLoginAt), Groups: u.Groups}
}

type listUsersRequest struct {
	Page
	Q        string `query:"q" maxLength:"254" doc:"What the username or email begins with"`
	Disabled string `query:"disabled" enum:"true,false"`
	Admin    string `query:"admin" enum:"true,false"`
}

// filter is nil where a query leaves both values open.
func filter(value string) *bool {
	if value == "" {
		return nil
	}
	is := value == "true"
	return &is
}

type accountList struct{ Body List[Account] }

func (a *API) listUsers(ctx context.Context, in *listUsersRequest) (*accountList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Auth.Accounts(ctx, caller(ctx), auth.UserQuery{
		Prefix: in.Q, Disabled: filter(in.Disabled), Admin: filter(in.Admin), After: after, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return &accountList{Body: listOf(rows, in.Limit, func(u auth.Account) string { return u.ID }, showAccount)}, nil
}

type updateUserRequest struct {
	IDRequest
	Body struct {
		Disabled *bool `json:"disabled,omitempty"`
		Admin    *bool `json:"admin,omitempty"`
	}
}

type accountAnswer struct{ Body Account }

func (a *API) updateUser(ctx context.Context, in *updateUserRequest) (*accountAnswer, error) {
	u, err := a.deps.Auth.UpdateUser(ctx, caller(ctx), in.ID, auth.UserChange{Disabled: in.Body.Disabled, Admin: in.Body.Admin})
	if err != nil {
		return nil, err
	}
	a.deps.Live.Recheck(u.ID) // the administrators' topic is for those who still are
	return &accountAnswer{Body: showAccount(u)}, nil
}
