package httpapi

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// request is what the server knows of the request in hand; it travels in the
// context. It is written by one goroutine, that of the request.
type request struct {
	id     string
	addr   netip.Addr // of the client, behind trusted proxies
	base   *slog.Logger
	caller *auth.Caller // nil: nobody
	http   *http.Request
	note   note // for the audit log
	warned bool // of what is away: the items of a batch fail for the same reason
}

type requestKey struct{}

// requestFrom never returns nil, so that code may run without a request.
func requestFrom(ctx context.Context) *request {
	if rq, ok := ctx.Value(requestKey{}).(*request); ok {
		return rq
	}
	return &request{base: slog.New(slog.DiscardHandler)}
}

// log is the logger of the request, made when something is to be said: most are
// answered without a word.
func (rq *request) log() *slog.Logger { return rq.base.With("request_id", rq.id) }

// caller returns who makes the request; the zero Caller on a public route.
func caller(ctx context.Context) auth.Caller {
	if c := requestFrom(ctx).caller; c != nil {
		return *c
	}
	return auth.Caller{}
}

// client is from where the request comes.
func (rq *request) client() auth.Client {
	return auth.Client{Address: rq.addr, UserAgent: rq.http.UserAgent()}
}

const requestIDHeader = "X-Request-Id"

// observe gives each request its id, logs it, and turns a panic into a problem.
// Answers below 400 are logged at level debug: devices report by the thousand.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rq := &request{id: requestID(r), addr: a.clientAddr(r), base: a.deps.Log}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, rq))
		rq.http = r
		w.Header().Set(requestIDHeader, rq.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			if cause := recover(); cause != nil {
				if cause == http.ErrAbortHandler { //nolint:errorlint // the value net/http itself compares with
					panic(cause)
				}
				rq.log().ErrorContext(r.Context(), "panic", "error", cause, "stack", string(debug.Stack()))
				if sw.status == 0 {
					writeProblem(sw, r, fault.New(fault.Internal, "internal", "internal error"))
				}
			}
			took := time.Since(start)
			a.deps.Metrics.Request(r.Pattern, r.Method, sw.status, took)
			a.logAccess(rq, r, sw, took)
		}()
		next.ServeHTTP(sw, r)
	})
}

func (a *API) logAccess(rq *request, r *http.Request, w *statusWriter, took time.Duration) {
	level := slog.LevelDebug
	switch {
	case w.status >= 500 && r.Context().Err() == nil: // else the client went away
		level = slog.LevelError
	case w.status >= 400:
		level = slog.LevelInfo
	}
	if !rq.base.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", logPath(r)),
		slog.Int("status", w.status), slog.Int64("took_us", took.Microseconds()),
		slog.String("address", rq.addr.String()),
	}
	if rq.caller != nil {
		attrs = append(attrs, slog.String("user_id", rq.caller.UserID))
	}
	rq.log().LogAttrs(r.Context(), level, "request", attrs...)
}

// secretPaths are followed by a secret: the code of an invite link.
var secretPaths = []string{"/api/v1/invite-links/", "/invite/"}

// logPath is the path without the secret that it may have.
func logPath(r *http.Request) string {
	for _, p := range secretPaths {
		if rest, ok := strings.CutPrefix(r.URL.Path, p); ok {
			_, after, more := strings.Cut(rest, "/")
			if more {
				after = "/" + after
			}
			return p + "{code}" + after
		}
	}
	return r.URL.Path
}

// requestID keeps the id of a proxy before us where it is a harmless one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	ok := len(id) >= 8 && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
	if !ok {
		id = uuid.Must(uuid.NewV7()).String()
	}
	return id
}

// clientAddr returns the client's address. X-Forwarded-For is read from its
// end, as far as each hop is a trusted proxy: what stands before is hearsay.
func (a *API) clientAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(a.deps.TrustedProxies) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (a *API) trusted(addr netip.Addr) bool {
	for _, p := range a.deps.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// statusWriter remembers the status for the access log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack hands the connection to a WebSocket.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
