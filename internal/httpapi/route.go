package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/firmlight/firmlight/internal/auth"
)

// Body limits (docs/http-api.md, Limits).
const (
	bodyDefault = 1<<20 + 64<<10
	bodyBatch   = 32 << 20 // batch, split, inputs, sync-events
)

// bodyTimeout ends a body that trickles in.
const bodyTimeout = 60 * time.Second

// access says who may call a route; every route names one.
type access struct {
	kinds []auth.Kind // nil: anybody
	scope auth.Scope  // what an API token needs
	admin bool        // only administrators of the installation
}

// public is for everybody, session for a person who logged in, admin for an
// administrator who did.
var (
	public  = access{}
	session = access{kinds: []auth.Kind{auth.KindSession}}
	admin   = access{kinds: []auth.Kind{auth.KindSession}, admin: true}
)

// user is a person, or an API token of theirs with the scope (empty: any).
func user(scope auth.Scope) access {
	return access{kinds: []auth.Kind{auth.KindSession, auth.KindAPI}, scope: scope}
}

// adminOr is an administrator who logged in, or an API token of theirs with the
// scope.
func adminOr(scope auth.Scope) access {
	x := user(scope)
	x.admin = true
	return x
}

func (x access) String() string {
	if x.kinds == nil {
		return "anybody"
	}
	names := make([]string, len(x.kinds))
	for i, k := range x.kinds {
		names[i] = string(k)
		if k == auth.KindAPI && x.scope != "" {
			names[i] += " (" + string(x.scope) + ")"
		}
	}
	who := "token: " + strings.Join(names, ", ")
	if x.admin {
		who += " of an administrator"
	}
	return who
}

// route is one operation of the API.
type route struct {
	method, path string
	id           string // operation id of OpenAPI
	tag          string
	summary      string
	access       access
	status       int   // of success; 0: 200, or 204 without a body
	maxBody      int64 // bytes; 0: bodyDefault
	skipSchema   bool  // the handler validates the body itself
	submits      bool  // traced, and refused while the store is behind

	// Of raw routes, which huma does not know; what they take and answer is for the
	// OpenAPI document.
	raw        bool
	asksItself bool            // the handler finds out who calls, as access says
	detail     string          // more than the summary
	takes      content         // nil: no body
	answers    map[int]content // by status

	// The audit log has every operation that is no GET, unless unaudited says
	// why not, and every refusal; audited adds a GET.
	audited   bool
	unaudited string
}

// handle registers a typed handler: request struct in, response struct out.
func handle[I, O any](a *API, r route, h func(context.Context, *I) (*O, error)) {
	if r.maxBody == 0 {
		r.maxBody = bodyDefault
	}
	a.routes = append(a.routes, r)
	op := r.operation()
	op.DefaultStatus, op.SkipValidateBody = r.status, r.skipSchema
	op.MaxBodyBytes = r.maxBody + 1 // huma refuses a body of exactly this size
	op.BodyReadTimeout = bodyTimeout
	op.Middlewares = huma.Middlewares{a.authorize(r)}
	// A filter with a slip of the pen must not find everything.
	op.RejectUnknownQueryParameters = strings.HasPrefix(r.path, "/api/")
	if r.submits {
		op.Middlewares = append(op.Middlewares, a.trace(r), a.admit)
	}
	huma.Register(a.huma, op, recorded(a, r, h))
}

// operation is what the OpenAPI document says of every route.
func (r route) operation() huma.Operation {
	op := huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Tags: []string{r.tag},
		Description: strings.TrimSpace(r.detail + " Who may call it: " + r.access.String() + "."),
	}
	if r.access.kinds != nil {
		op.Security = []map[string][]string{{"bearer": {}}}
	}
	return op
}

// authorize lets only those through whom the route names; it runs before the body is read.
func (a *API) authorize(r route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := a.authenticate(ctx.Context(), bearer(ctx.Header("Authorization")), r.access); err != nil {
			a.record(ctx.Context(), r, "", err)
			// An error here means that the peer has gone.
			_ = huma.WriteErr(a.huma, ctx, http.StatusInternalServerError, "", err)
			return
		}
		next(ctx)
	}
}

// trace makes a span of a request that is let in.
func (a *API) trace(r route) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if a.deps.Tracing == nil {
			next(ctx)
			return
		}
		traced, end := a.deps.Tracing.Request(ctx.Context(), r.method, r.path, ctx.Header)
		ctx = huma.WithContext(ctx, traced)
		next(ctx)
		end(ctx.Status())
	}
}

// authenticate finds who the token belongs to, and notes it in the request.
func (a *API) authenticate(ctx context.Context, token string, x access) error {
	if x.kinds == nil {
		return nil
	}
	if token == "" {
		return auth.ErrUnauthenticated
	}
	c, err := a.deps.Auth.Authenticate(ctx, token)
	if err != nil {
		return err
	}
	requestFrom(ctx).caller = &c
	if err := c.Allowed(x.scope, x.kinds...); err != nil {
		return err
	}
	if x.admin && !c.Admin {
		return auth.ErrNotAdmin
	}
	return nil
}

// bearer returns the token of an Authorization header, or "".
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
