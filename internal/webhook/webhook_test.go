package webhook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/firmlight/firmlight/internal/queue"
)

// call is one request that the receiver got.
type call struct {
	header http.Header
	body   []byte
}

// receiver answers with the status there was when it was called, and hands on
// what it got.
func receiver(t *testing.T, status *atomic.Int32) (url string, calls <-chan call) {
	got := make(chan call, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s := int(status.Load()) // before got: who reads it sets the status of the next call
		got <- call{r.Header, body}
		if s >= 300 && s < 400 {
			http.Redirect(w, r, "/elsewhere", s)
		} else {
			w.WriteHeader(s)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func startSender(t *testing.T, private bool) *Sender {
	t.Helper()
	r, err := queue.Open(t.Context(), "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Redis: r.Client(), Secret: []byte("a secret of the server"), AllowPrivate: private, Log: slog.New(slog.DiscardHandler)})
	s.pause = func(int, error, *asynq.Task) time.Duration { return 0 }
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func wait(t *testing.T, calls <-chan call) call {
	t.Helper()
	select {
	case c := <-calls:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was delivered")
		return call{}
	}
}

func TestDelivery(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusNoContent)
	url, calls := receiver(t, &status)
	s := startSender(t, true)
	if err := s.Send(t.Context(), "alert-1", "group", url, map[string]string{"type": "opened"}); err != nil {
		t.Fatal(err)
	}
	c := wait(t, calls)
	var body map[string]string
	if err := json.Unmarshal(c.body, &body); err != nil || body["type"] != "opened" {
		t.Errorf("body %s, %v", c.body, err)
	}
	if got, want := c.header.Get(SignatureHeader), Sign(s.Key("group"), c.header.Get(TimestampHeader), c.body); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if s.Key("group") == s.Key("another") {
		t.Error("two groups have one key")
	}
	if id := c.header.Get(DeliveryHeader); id != "alert-1" {
		t.Errorf("delivery %q", id)
	}
}

func TestSign(t *testing.T) {
	// echo -n '1700000000.{}' | openssl dgst -sha256 -hmac key
	const want = "sha256=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
	if got := Sign("key", "1700000000", []byte("{}")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestRetry: anything but 2xx, a redirect included, is tried again.
func TestRetry(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusInternalServerError)
	url, calls := receiver(t, &status)
	s := startSender(t, true)
	if err := s.Send(t.Context(), "alert-1", "group", url, "x"); err != nil {
		t.Fatal(err)
	}
	first := wait(t, calls)
	status.Store(http.StatusFound)
	wait(t, calls)
	status.Store(http.StatusOK)
	if last := wait(t, calls); last.header.Get(DeliveryHeader) != first.header.Get(DeliveryHeader) {
		t.Error("another attempt has another id")
	}
}

// TestPrivate: a group's admin must not reach into the server's network.
func TestPrivate(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusOK)
	url, calls := receiver(t, &status)
	s := startSender(t, false)
	err := s.post(t.Context(), "alert-1", delivery{Group: "group", URL: url, Body: []byte("{}")})
	if err == nil {
		t.Error("a private address was reached")
	}
	select {
	case <-calls:
		t.Error("a private address was called")
	default:
	}
}
