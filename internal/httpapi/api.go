// Package httpapi is the HTTP face of the server: routes, who may call them,
// the error table, OpenAPI. It decodes, asks the domain, and encodes; rules
// live in the domain packages. docs/http-api.md is its contract.
package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/downloads"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/installation"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/metrics"
	"github.com/firmlight/firmlight/internal/notify"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/tracing"
	"github.com/firmlight/firmlight/internal/workers"
)

// Deps is what the API stands on. All are required unless said otherwise.
type Deps struct {
	Log            *slog.Logger
	Auth           *auth.Service
	Groups         *groups.Service
	Tasks          *tasks.Service
	Sessions       workers.Store // of workers, on every server
	Workers        *workers.Hub
	OwnWorkers     *workers.Service
	Live           *live.Hub
	Devices        *devsync.Service
	WebhookKey     func(group string) string // with which a group's webhooks are signed
	Audit          *audit.Service
	Notify         *notify.Service
	Metrics        *metrics.Metrics
	Tracing        *tracing.Tracer // of submits; nil: off
	Installation   installation.Store
	Cluster        workers.Cluster
	Disconnect     func(ctx context.Context, worker string) error // on every server
	Ready          func(context.Context) error                    // returns NotReady of who does not answer; nil: all do
	Behind         func() time.Duration                           // how far the store's writes, or inserted tasks, are behind; nil: never
	TrustedProxies []netip.Prefix                                 // whose X-Forwarded-For is believed; may be empty
	AllowedOrigins []string                                       // of browsers, besides the server's own; may be empty
	Downloads      downloads.Dir                                  // programs that are handed out; empty: none
	PublicURL      string                                         // as people reach the server; empty: as the request says
	Web            func(notFound http.Handler) http.Handler       // what is not below /api/; nil: nothing is
}

// API is the handler of every request.
type API struct {
	deps    Deps
	mux     *http.ServeMux
	huma    huma.API
	routes  []route // all that were registered
	handler http.Handler

	downloading atomic.Int32 // downloads under way
}

// New registers every route.
func New(deps Deps) *API {
	a := &API{deps: deps, mux: http.NewServeMux()}
	a.huma = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Firmlight", Version: "1",
				Description: "Task processing inside groups of users, and synchronisation events of devices.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An access token, or a worker, device or API token."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat: "application/json",
	})
	a.authRoutes()
	a.meRoutes()
	a.sessionRoutes()
	a.userRoutes()
	a.tokenRoutes()
	a.groupRoutes()
	a.memberRoutes()
	a.invitationRoutes()
	a.linkRoutes()
	a.notificationRoutes()
	a.taskRoutes()
	a.taskActionRoutes()
	a.groupWorkRoutes()
	a.ownWorkerRoutes()
	a.installationRoutes()
	a.queueRoutes()
	a.socketRoutes()
	a.ingestRoutes()
	a.deviceRoutes()
	a.alertRoutes()
	a.auditRoutes()
	a.healthRoutes()
	a.documentRoutes()
	a.downloadRoutes()
	a.mux.HandleFunc("/api/", a.unknown)
	a.mux.HandleFunc("/api", a.unknown)
	if deps.Web != nil {
		a.mux.Handle("/", deps.Web(http.HandlerFunc(a.unknown)))
	} else {
		a.mux.HandleFunc("/", a.unknown)
	}
	a.handler = a.observe(http.HandlerFunc(a.serve))
	return a
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// serve keeps ServeMux from redirecting an unclean API path: it is unknown. As
// ServeMux does, it looks at the path as it was sent: an id of a device may have
// slashes, as %2F.
func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	p := r.URL.EscapedPath()
	if strings.HasPrefix(p, "/api/") && path.Clean(p) != strings.TrimSuffix(p, "/") {
		writeProblem(w, r, errUnknownPath)
		return
	}
	a.mux.ServeHTTP(w, r)
}

var (
	errUnknownPath = fault.New(fault.NotFound, "unknown_path", "There is nothing at this path.")
	methods        = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
)

// unknown answers what no route matched: 405 where another method would.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range methods {
		other := *r
		other.Method = m
		if _, pattern := a.mux.Handler(&other); strings.HasPrefix(pattern, m+" ") {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		writeProblem(w, r, errUnknownPath)
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	p := &Problem{
		Type: "about:blank", Title: http.StatusText(http.StatusMethodNotAllowed), Status: http.StatusMethodNotAllowed,
		Detail: "This path knows other methods only.", Code: "method_not_allowed", RequestID: requestFrom(r.Context()).id,
	}
	p.write(w)
}

// OpenAPI returns the document of every route as indented JSON, always the same
// bytes for the same code.
func OpenAPI() ([]byte, error) {
	return New(Deps{Log: slog.New(slog.DiscardHandler)}).openAPI()
}

func (a *API) openAPI() ([]byte, error) {
	compact, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
