// Worker is the program that members of a group run: it takes tasks of the
// built-in kinds, and of kinds that are programs of their own (--exec).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/firmlight/firmlight/worker"
)

var version = "dev" // set by the build

func main() {
	// The first signal drains: what runs is finished. The second stops at once
	// and takes the programs that were started with it; a third is not caught.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, drain := context.WithCancel(context.Background())
	stopped, stop := context.WithCancel(context.Background())
	go func() {
		<-signals
		drain()
		<-signals
		signal.Stop(signals)
		stop()
	}()
	if err := run(ctx, stopped, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// run is main without a process around it. The end of ctx drains, that of
// stopped ends everything at once.
func run(ctx, stopped context.Context, args, environ []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, environ, stdout)
	if errors.Is(err, errShown) {
		return nil
	}
	if err != nil {
		return err
	}
	log := opts.logger(stderr)
	handlers, err := opts.handlers(environ)
	if err != nil {
		return err
	}
	w := worker.New(worker.Options{
		Server: opts.Server, Token: opts.Token, Name: opts.Name, Slots: opts.Slots,
		Groups: opts.Groups, Labels: opts.Label, Logger: log,
	})
	kinds := make([]string, 0, len(handlers))
	for _, h := range handlers {
		w.Handle(h.kind, h.run)
		kinds = append(kinds, h.kind)
	}
	log.InfoContext(ctx, "worker starting", "version", version, "server", opts.Server, "name", opts.Name, "slots", opts.Slots, "kinds", kinds)
	defer context.AfterFunc(stopped, w.Stop)()
	return w.Run(ctx)
}

func (o *options) logger(w io.Writer) *slog.Logger {
	ho := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, ho))
	}
	return slog.New(slog.NewTextHandler(w, ho))
}
