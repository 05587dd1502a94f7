package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

// serve runs a server that answers requests in turn.
func serve(t *testing.T, answers ...http.HandlerFunc) *client.Client {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n > len(answers) {
			t.Errorf("request %d: %s %s", n, r.Method, r.URL)
			return
		}
		answers[n-1](w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		if n < len(answers) {
			t.Errorf("%d requests, want %d", n, len(answers))
		}
	})
	return &client.Client{URL: s.URL + "/", Token: "old"}
}

func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestRenewal(t *testing.T) {
	expired := answer(401, `{"code":"unauthenticated","detail":"No."}`)
	c := serve(t, expired, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer new" {
			t.Errorf("asked again with %q", got)
		}
		fmt.Fprint(w, `{"a":1}`)
	}, expired, expired)
	c.Renew = func(_ context.Context, old string) (string, error) { return map[string]string{"old": "new"}[old], nil }
	var got struct{ A int }
	if err := c.Do(t.Context(), "GET", "/x", nil, &got); err != nil || got.A != 1 || c.Token != "new" {
		t.Fatalf("%v %+v", err, got)
	}
	var p *client.Problem
	if err := c.Do(t.Context(), "GET", "/x", nil, nil); !errors.As(err, &p) || p.Status != 401 {
		t.Errorf("refused twice: %v", err)
	}
}

func TestPatience(t *testing.T) {
	later := answer(429, `{"code":"busy","detail":"Later."}`, "Retry-After", "1")
	c := serve(t, later, answer(200, `{}`), later, later)
	c.Patience = 1990 * time.Millisecond // one wait fits in, two do not
	began := time.Now()
	if err := c.Do(t.Context(), "GET", "/x", nil, nil); err != nil || time.Since(began) < time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	var p *client.Problem
	if err := c.Do(t.Context(), "GET", "/x", nil, nil); !errors.As(err, &p) || p.Code != "busy" {
		t.Errorf("busy for longer: %v", err)
	}
}

func TestErrors(t *testing.T) {
	c := serve(t,
		answer(422, `{"code":"invalid","detail":"Bad.","errors":[{"field":"body.kind","message":"is missing"}]}`),
		answer(502, `<html>proxy</html>`),
		answer(200, `<html>another server</html>`))
	var p *client.Problem
	if err := c.Do(t.Context(), "POST", "/x", 1, nil); !errors.As(err, &p) || p.Errors[0].Field != "body.kind" || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("a problem: %v", err)
	}
	if err := c.Do(t.Context(), "GET", "/x", nil, nil); !errors.As(err, &p) || p.Status != 502 || p.Code != "http_502" {
		t.Errorf("a proxy's: %v", err)
	}
	var away *client.Away
	if err := c.Do(t.Context(), "GET", "/x", nil, &p); !errors.As(err, &away) {
		t.Errorf("no JSON: %v", err)
	}
	c.URL = "http://127.0.0.1:1"
	if err := c.Do(t.Context(), "GET", "/x", nil, nil); !errors.As(err, &away) || !strings.Contains(err.Error(), c.URL) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, "GET", "/x", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestItems(t *testing.T) {
	page := func(items string, next any) http.HandlerFunc {
		cursor, _ := json.Marshal(next)
		return answer(200, fmt.Sprintf(`{"items":%s,"next_cursor":%s}`, items, cursor))
	}
	c := serve(t, page(`[1,2]`, "x"), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "x" {
			t.Errorf("the second page is %s", r.URL)
		}
		page(`[3]`, nil)(w, r)
	}, page(`[1,2]`, "x"), page(`[1]`, "x"), answer(500, `{"code":"internal"}`))
	if got, err := client.All[int](t.Context(), c, "/x", nil); err != nil || !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v %v", got, err)
	}
	for range client.Items[int](t.Context(), c, "/x", nil) {
		break // and no second page is asked for
	}
	if got, err := client.All[int](t.Context(), c, "/x", nil); err == nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
}
