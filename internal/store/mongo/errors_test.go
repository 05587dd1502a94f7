package mongo

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/fault"
)

// TestAway: who cannot reach the database is told to come back; who left is not.
func TestAway(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	_, err := Open(t.Context(), "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=50", log)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
	for uri, want := range map[string]string{"mongodb://127.0.0.1:1": "must name a database", "http://x": "scheme"} {
		if _, err := Open(t.Context(), uri, log); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openTest(t).Get(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	closed, err := open(t.Context(), server.Database(), log, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(closed.Close(), closed.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Get(t.Context(), "x"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("closed: %v", err)
	}
}
