// Testworker is a worker for the fault tests, written on the public SDK: its
// kind "work" takes {"ms": n} and answers with the attempt that did it, so that a
// test can tell whose result was accepted. Its kind "panic" panics.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/firmlight/firmlight/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	slots, err := strconv.Atoi(os.Getenv("SLOTS"))
	if err != nil {
		return fmt.Errorf("SLOTS: %w", err)
	}
	w := worker.New(worker.Options{
		Server: os.Getenv("FIRMLIGHT_SERVER"), Token: os.Getenv("FIRMLIGHT_TOKEN"),
		Name: os.Getenv("NAME"), Slots: slots,
	})
	w.Handle("work", work)
	w.Handle("panic", func(context.Context, *worker.Task) (any, error) { panic("ouch") })
	return w.Run(ctx)
}

func work(ctx context.Context, task *worker.Task) (any, error) {
	var in struct {
		MS int `json:"ms"`
	}
	if err := task.Decode(&in); err != nil {
		return nil, err
	}
	if err := note(task); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(in.MS) * time.Millisecond):
		return map[string]any{"attempt": task.Attempt, "pid": os.Getpid(), "trace": task.Trace}, nil
	}
}

// note writes a line about an attempt that begins here into the file LEDGER, if
// there is one, which workers share.
func note(task *worker.Task) error {
	name := os.Getenv("LEDGER")
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s/%d %d\n", task.ID, task.Attempt, os.Getpid())
	return errors.Join(err, f.Close())
}
