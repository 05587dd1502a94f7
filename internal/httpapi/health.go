package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// readyTimeout is how long the store and Redis have for an answer.
const readyTimeout = 2 * time.Second

// healthRoutes are for operators. Those for load balancers need no token and tell
// nothing; metrics tell of the whole installation.
func (a *API) healthRoutes() {
	const tag = "Operations"
	handle(a, route{
		method: http.MethodGet, path: "/healthz", id: "alive", tag: tag, summary: "The process is alive", access: public,
	}, a.alive)
	handle(a, route{
		method: http.MethodGet, path: "/readyz", id: "ready", tag: tag,
		summary: "The store and Redis answer; 503 where not", access: public,
	}, a.ready)
	handle(a, route{
		method: http.MethodGet, path: "/metrics", id: "get-metrics", tag: tag,
		summary: "Metrics of this server, for Prometheus", access: adminOr(auth.Metrics),
	}, a.getMetrics)
}

func (a *API) getMetrics(context.Context, *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		a.deps.Metrics.Handler().ServeHTTP(w, r)
	}}, nil
}

type healthAnswer struct {
	Body struct {
		Status string `json:"status" enum:"ok"`
	}
}

func (a *API) alive(context.Context, *struct{}) (*healthAnswer, error) {
	answer := &healthAnswer{}
	answer.Body.Status = "ok"
	return answer, nil
}

// NotReady is the answer of /readyz where somebody does not answer.
func NotReady(who string, cause error) error {
	return fault.Away(cause, "not_ready", "%s does not answer.", who)
}

func (a *API) ready(ctx context.Context, _ *struct{}) (*healthAnswer, error) {
	if a.deps.Ready == nil {
		return a.alive(ctx, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.deps.Ready(ctx); err != nil {
		return nil, err
	}
	return a.alive(ctx, nil)
}
