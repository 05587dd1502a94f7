// Server is the Firmlight coordinator. docs/configuration.md has its options.
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

	"github.com/firmlight/firmlight/internal/app"
	"github.com/firmlight/firmlight/internal/config"
	"github.com/firmlight/firmlight/internal/httpapi"
)

var version = "dev" // set by the build

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run is main without a process around it. Besides the flags it knows the
// commands "backup" and "restore", and "openapi" and "config-reference", which
// print what the docs hold.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && kept[args[0]] != nil {
		return kept[args[0]](ctx, args[1:], stdout, stderr)
	}
	if len(args) == 1 {
		switch args[0] {
		case "openapi":
			return write(stdout, httpapi.OpenAPI)
		case "config-reference":
			return write(stdout, config.Reference)
		case "version", "--version":
			_, err := fmt.Fprintln(stdout, "firmlight server", version)
			return err
		}
	}
	cfg, err := config.Parse(args, environ, stdout)
	if errors.Is(err, config.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	spaceCollections()
	a := app.New(cfg, logger(cfg, stderr))
	if err := a.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.ShutdownTimeout)
	defer cancel()
	return a.Stop(stopping)
}

func write(w io.Writer, make func() ([]byte, error)) error {
	data, err := make()
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

func logger(cfg config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // Validate knows only good ones
	o := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
