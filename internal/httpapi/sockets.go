package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// socketRoutes are the two upgrades. The hubs own their connections from then
// on, and close them when they stop.
func (a *API) socketRoutes() {
	// Both check tokens themselves: workers' are told 401 from 403, browsers put
	// theirs elsewhere.
	upgrade := map[int]content{http.StatusSwitchingProtocols: nil}
	a.raw(route{
		method: http.MethodGet, path: protocol.Path, id: "connect-worker", tag: "Workers", summary: "Connect a worker (WebSocket)",
		detail: "Subprotocol " + protocol.Subprotocol + ".", access: access{kinds: []auth.Kind{auth.KindWorker}}, asksItself: true, answers: upgrade,
	}, a.serveWorker)
	a.raw(route{
		method: http.MethodGet, path: "/api/v1/live", id: "watch-live", tag: "Live", summary: "Events as they happen (WebSocket)",
		detail: "Subprotocol " + live.Subprotocol + "; browsers send their token as a second one, bearer.<token>.",
		access: user(auth.TasksRead), asksItself: true, answers: upgrade,
	}, a.serveLive)
}

var (
	errNoUpgrade   = fault.New(fault.Malformed, "websocket_only", "This path speaks WebSocket version 13 only.")
	errNotAdmin    = fault.New(fault.Forbidden, "not_admin", "Only an administrator may do this.")
	errSubprotocol = fault.New(fault.Malformed, "subprotocol", "The WebSocket handshake does not offer the subprotocol of this path.")
)

// checkUpgrade refuses what is no handshake, before anything is read of it.
func checkUpgrade(r *http.Request, offered bool) error {
	switch {
	case !websocket.IsWebSocketUpgrade(r), r.Header.Get("Sec-Websocket-Version") != "13", r.Header.Get("Sec-Websocket-Key") == "":
		return errNoUpgrade
	case !offered:
		return errSubprotocol
	}
	return nil
}

func (a *API) serveWorker(w http.ResponseWriter, r *http.Request) error {
	if err := checkUpgrade(r, workers.Offers(r)); errors.Is(err, errSubprotocol) {
		return fault.New(fault.Malformed, errSubprotocol.Code, "This server speaks the worker protocol %s, which this worker does not offer. One that does is at %s%s.",
			protocol.Subprotocol, a.publicURL(r), downloadPath)
	} else if err != nil {
		return err
	}
	token := bearer(r.Header.Get("Authorization"))
	if token == "" {
		return auth.ErrUnauthenticated
	}
	who, err := a.deps.Auth.WorkerIdentity(r.Context(), token)
	if err != nil {
		return err
	}
	conn, err := workers.Accept(w, r)
	if err != nil {
		return nil // Accept has answered
	}
	// The handler returns, so that net/http frees what it keeps for a request.
	//nolint:gosec // the hub ends the connection, not the request
	go a.deps.Workers.Serve(context.Background(), conn, workers.Identity{
		User: who.User, Username: who.Username, Token: who.TokenID, Groups: who.Groups, Limit: who.Limit, ExpiresAt: who.ExpiresAt,
		Alive: func(ctx context.Context) error {
			_, err := a.deps.Auth.WorkerIdentity(ctx, token)
			return err
		},
	})
	return nil
}

var liveUpgrader = websocket.Upgrader{
	HandshakeTimeout: 10 * time.Second,
	ReadBufferSize:   1 << 10,
	WriteBufferSize:  4 << 10,
	WriteBufferPool:  &sync.Pool{},
	Subprotocols:     []string{live.Subprotocol},               // the only one echoed
	CheckOrigin:      func(*http.Request) bool { return true }, // checked before
}

func (a *API) serveLive(w http.ResponseWriter, r *http.Request) error {
	offered := websocket.Subprotocols(r)
	if err := checkUpgrade(r, slices.Contains(offered, live.Subprotocol)); err != nil {
		return err
	}
	if !a.originAllowed(r) {
		return errOrigin
	}
	token := bearer(r.Header.Get("Authorization"))
	for _, p := range offered {
		if t, ok := strings.CutPrefix(p, "bearer."); ok && token == "" {
			token = t
		}
	}
	if err := a.authenticate(r.Context(), token, user(auth.TasksRead)); err != nil {
		return err
	}
	c := caller(r.Context())
	ws, err := liveUpgrader.Upgrade(live.Cork(w), r, nil)
	if err != nil {
		return nil // Upgrade has answered
	}
	//nolint:gosec // the hub ends the connection, not the request
	go a.deps.Live.Serve(context.Background(), ws, a.watcher(c, token))
	return nil
}

// watcher asks for the token anew each time: what it may do changes.
func (a *API) watcher(c auth.Caller, token string) live.Watcher {
	return live.Watcher{
		User: c.UserID, Token: c.SessionID + c.TokenID, // one of them is empty
		ExpiresAt: c.ExpiresAt,
		Alive: func(ctx context.Context) error {
			_, err := a.deps.Auth.Recheck(ctx, token)
			return err
		},
		May: func(ctx context.Context, t live.Topic) error {
			authenticate := a.deps.Auth.Authenticate
			if t.Kind == live.Admin { // asked when that has changed, perhaps on another server
				authenticate = a.deps.Auth.Recheck
			}
			c, err := authenticate(ctx, token)
			if err != nil {
				return err
			}
			return a.mayWatch(ctx, c, t)
		},
	}
}

// mayWatch holds a topic to the rule of the routes that show the same.
func (a *API) mayWatch(ctx context.Context, c auth.Caller, t live.Topic) error {
	scope, kinds := auth.TasksRead, user("").kinds
	switch t.Kind {
	case live.Device:
		scope = auth.DevicesRead
	case live.Me, live.Admin:
		kinds = session.kinds
	}
	if err := c.Allowed(scope, kinds...); err != nil {
		return err
	}
	var err error
	switch t.Kind {
	case live.Group, live.Device:
		_, err = a.deps.Groups.Authorize(ctx, c, t.ID, auth.View)
	case live.Task:
		_, _, err = a.task(ctx, c, t.ID, auth.View)
	case live.Admin:
		if !c.Admin {
			err = errNotAdmin
		}
	}
	return err
}
