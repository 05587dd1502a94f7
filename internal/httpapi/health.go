package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/fault"
)

// readyTimeout is how long the store and Redis have for an answer.
const readyTimeout = 2 * time.Second

// healthRoutes are for load balancers: they need no token and tell nothing.
func (a *API) healthRoutes() {
	const tag = "Operations"
	handle(a, route{
		method: http.MethodGet, path: "/healthz", id: "alive", tag: tag, summary: "The process is alive", access: public,
	}, a.alive)
	handle(a, route{
		method: http.MethodGet, path: "/readyz", id: "ready", tag: tag,
		summary: "The store and Redis answer; 503 where not", access: public,
	}, a.ready)
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

func (a *API) ready(ctx context.Context, _ *struct{}) (*healthAnswer, error) {
	if a.deps.Ready == nil {
		return a.alive(ctx, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.deps.Ready(ctx); err != nil {
		f := fault.Wrap(err, fault.Unavailable, "not_ready", "The store or Redis does not answer.")
		f.RetryAfter = time.Second
		return nil, f
	}
	return a.alive(ctx, nil)
}
