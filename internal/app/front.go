package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/firmlight/firmlight/internal/config"
)

// Times of one HTTP connection. A body of 32 MiB has bodyTime; the answer too.
const (
	headerTime = 10 * time.Second
	bodyTime   = 2 * time.Minute
	idleTime   = 2 * time.Minute
	maxHeader  = 64 << 10
)

// front is the listeners and what serves on them.
type front struct {
	public  net.Listener
	private net.Listener // metrics and profiles, for the operator only; nil: none
	log     *slog.Logger
	servers []*http.Server
	wg      sync.WaitGroup
}

func listen(ctx context.Context, cfg config.Config, log *slog.Logger) (*front, error) {
	f := &front{log: log}
	var lc net.ListenConfig
	var err error
	if f.public, err = lc.Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if cfg.MetricsListen != "" {
		if f.private, err = lc.Listen(ctx, "tcp", cfg.MetricsListen); err != nil {
			return nil, errors.Join(fmt.Errorf("listen for metrics: %w", err), f.public.Close())
		}
	}
	return f, nil
}

// serve answers requests until shutdown; metrics without asking who.
func (f *front) serve(api, metrics http.Handler) {
	f.run(f.public, api)
	if f.private != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", metrics)
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		f.run(f.private, mux)
	}
}

func (f *front) run(l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, WriteTimeout: bodyTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug),
	}
	f.servers = append(f.servers, s)
	f.wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("http server ended", "error", err)
		}
	})
}

// shutdown takes no new connections and lets requests under way end. WebSockets
// are not its: their hubs close them.
func (f *front) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, headerTime)
	defer cancel()
	var errs []error
	for _, s := range f.servers {
		err := s.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // whoever still reads has had its time
		}
		errs = append(errs, err)
	}
	f.wg.Wait()
	return errors.Join(errs...)
}

// close is for a start that failed before anything served.
func (f *front) close(context.Context) error {
	var errs []error
	for _, l := range []net.Listener{f.public, f.private} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
