// Package client speaks the HTTP API (docs/http-api.md) as one user: for the
// command line, the end-to-end tests and the load generators.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Base is the path that begins every other.
const Base = "/api/v1"

// maxAnswer bounds what is read of an answer, in bytes: the largest are results
// of 8 MiB and lists of what 5,000 events became.
const maxAnswer = 64 << 20

// Client is not safe to change while it is used.
type Client struct {
	URL   string // of the server
	Token string // sent as Bearer; empty: none
	Agent string // User-Agent; empty: Go's
	HTTP  *http.Client

	// Renew returns a token in place of one that the server no longer takes; nil:
	// there is none. It is asked once for each request.
	Renew func(ctx context.Context, old string) (string, error)
	// Patience is how long a request is repeated in all while the server answers
	// 429 or 503 and says when to come back; 0: not at all.
	Patience time.Duration
}

// Problem is an error answer (RFC 9457).
type Problem struct {
	Status    int     `json:"status"`
	Code      string  `json:"code"`
	Detail    string  `json:"detail"`
	Errors    []Field `json:"errors"`
	RequestID string  `json:"request_id"`

	retryAfter time.Duration
}

// Field is one that is wrong.
type Field struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
	for _, f := range p.Errors {
		text += " " + f.Field + ": " + f.Message + "."
	}
	return text
}

// Away says that no answer came from the server.
type Away struct {
	URL string
	Err error
}

func (a *Away) Error() string { return a.URL + " does not answer: " + a.Err.Error() }

func (a *Away) Unwrap() error { return a.Err }

// Do sends in as JSON (nil: no body) to a path below /api/v1 and decodes the
// answer into out (nil: it is not looked at). Its errors are a *Problem, an *Away,
// that of Renew, or that of ctx.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return c.Send(ctx, method, Base+path, "application/json", body, out)
}

// Send sends a body of any type (nil: none) to any path, as Do.
func (c *Client) Send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	token, renewed, began := c.Token, false, time.Now()
	for {
		err := c.once(ctx, method, path, contentType, token, body, out)
		var p *Problem
		if !errors.As(err, &p) {
			return err
		}
		switch {
		case p.Status == http.StatusUnauthorized && c.Renew != nil && !renewed:
			if token, err = c.Renew(ctx, token); err != nil {
				return err
			}
			c.Token, renewed = token, true
		case p.retryAfter > 0 && time.Since(began)+p.retryAfter <= c.Patience:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(p.retryAfter):
			}
		default:
			return err
		}
	}
}

// once sends one request.
func (c *Client) once(ctx context.Context, method, path, contentType, token string, body []byte, out any) error {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, r)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	if c.Agent != "" {
		req.Header.Set("User-Agent", c.Agent)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http().Do(req)
	if err != nil {
		return c.away(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.away(ctx, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return problem(resp, data)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return &Away{c.URL, fmt.Errorf("what answers there is no Firmlight server: %w", err)}
	}
	return nil
}

func (c *Client) http() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

// away is err, unless ctx has ended.
func (c *Client) away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // the method and the address are no news
	}
	return &Away{c.URL, err}
}

// problem reads an error answer, also that of a proxy, which has another form.
func problem(resp *http.Response, data []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(data, p) != nil || p.Code == "" {
		p = &Problem{Code: "http_" + strconv.Itoa(resp.StatusCode), Detail: http.StatusText(resp.StatusCode) + "."}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.retryAfter = time.Duration(s) * time.Second
	}
	return p
}

// Items reads a list from its first page to its last, as they are needed; an
// error is the last that comes.
func Items[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := url.Values{"limit": {"200"}}
		for k, v := range query {
			q[k] = v
		}
		for {
			var page struct {
				Items      []T     `json:"items"`
				NextCursor *string `json:"next_cursor"`
			}
			if err := c.Do(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == nil {
				return
			}
			q.Set("cursor", *page.NextCursor)
		}
	}
}

// All reads a whole list; where that fails, what came before is returned too.
func All[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	var all []T
	for item, err := range Items[T](ctx, c, path, query) {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}
