package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Client speaks the HTTP API as one user.
type Client struct {
	URL   string
	Token string
	HTTP  *http.Client
}

// Problem is an error answer (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// Task is what the tests read of a task.
type Task struct {
	ID            string `json:"id"`
	Kind          string `json:"kind"`
	Title         string `json:"title"`
	Status        string `json:"status"`
	Attempt       int    `json:"attempt"`
	Reassignments int    `json:"reassignments"`
	Index         *int   `json:"index"`
	Worker        *struct{ ID, Name string }
	Progress      *struct {
		Percent *float64
		Message string
	}
	Error      *struct{ Code, Message string }
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Entry is a line of a timeline.
type Entry struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"`
	Attempt int       `json:"attempt"`
	Worker  string    `json:"worker"`
	Detail  string    `json:"detail"`
}

// Ended reports whether the task is at its end.
func (t Task) Ended() bool {
	return t.Status == "succeeded" || t.Status == "failed" || t.Status == "cancelled"
}

// Do sends a request below /api/v1 and decodes the answer into out (nil: ignore).
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		p := &Problem{Status: resp.StatusCode}
		_ = json.Unmarshal(data, p) // a proxy may answer in another form
		return p
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, out)
}

// Login returns a client of the user.
func Login(ctx context.Context, server, login, password string) (*Client, error) {
	c := &Client{URL: server}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	err := c.Do(ctx, "POST", "/auth/login", map[string]string{"login": login, "password": password}, &got)
	c.Token = got.AccessToken
	return c, err
}

// Register makes a user and returns a client of it.
func Register(ctx context.Context, server, name, password string) (*Client, error) {
	c := &Client{URL: server}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	err := c.Do(ctx, "POST", "/auth/register", map[string]string{
		"username": name, "email": name + "@example.org", "password": password,
	}, &got)
	c.Token = got.AccessToken
	return c, err
}

// Group creates a group and returns its id.
func (c *Client) Group(ctx context.Context, name string) (string, error) {
	var g struct{ ID string }
	err := c.Do(ctx, "POST", "/groups", map[string]string{"name": name}, &g)
	return g.ID, err
}

// NewToken makes a token of a kind ("worker", "api", "device") and returns its secret.
func (c *Client) NewToken(ctx context.Context, kind string) (string, error) {
	var t struct{ Secret string }
	err := c.Do(ctx, "POST", "/tokens", map[string]string{"name": kind, "kind": kind}, &t)
	return t.Secret, err
}

// Submit submits one task.
func (c *Client) Submit(ctx context.Context, group string, spec map[string]any) (Task, error) {
	var t Task
	err := c.Do(ctx, "POST", "/groups/"+group+"/tasks", spec, &t)
	return t, err
}

// Get reads a task.
func (c *Client) Get(ctx context.Context, id string) (Task, error) {
	var t Task
	err := c.Do(ctx, "GET", "/tasks/"+id, nil, &t)
	return t, err
}

// List reads all of a group's tasks, page by page.
func (c *Client) List(ctx context.Context, group string, query url.Values) ([]Task, error) {
	return pages[Task](ctx, c, "/groups/"+group+"/tasks", query)
}

// Children reads all parts of a task.
func (c *Client) Children(ctx context.Context, id string) ([]Task, error) {
	return pages[Task](ctx, c, "/tasks/"+id+"/children", nil)
}

// Timeline reads what happened to a task.
func (c *Client) Timeline(ctx context.Context, id string) ([]Entry, error) {
	var got struct{ Items []Entry }
	err := c.Do(ctx, "GET", "/tasks/"+id+"/timeline", nil, &got)
	return got.Items, err
}

func pages[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	q := url.Values{"limit": {"200"}}
	for k, v := range query {
		q[k] = v
	}
	var all []T
	for {
		var page struct {
			Items      []T     `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}
		if err := c.Do(ctx, "GET", path+"?"+q.Encode(), nil, &page); err != nil {
			return all, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all, nil
		}
		q.Set("cursor", *page.NextCursor)
	}
}

// Output decodes a task's result.
func (c *Client) Output(ctx context.Context, id string, out any) error {
	got := struct {
		Output any `json:"output"`
	}{out}
	return c.Do(ctx, "GET", "/tasks/"+id+"/result", nil, &got)
}

// Alert is an alert of a device.
type Alert struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Device      string     `json:"device_id"`
	Streak      int        `json:"streak"`
	RecoveredAt *time.Time `json:"recovered_at"`
}

// Event is one message of the live feed.
type Event struct {
	Type  string `json:"type"`
	Topic string `json:"topic"`
	Task  *Task  `json:"task"`

	Alert        *Alert `json:"alert"`
	Notification *struct {
		Type   string
		Device *struct{ ID string }
	} `json:"notification"`

	Stats    json.RawMessage `json:"stats"` // of a group, or of the installation
	Progress *struct {
		TaskID  string   `json:"task_id"`
		Percent *float64 `json:"percent"`
		Message string   `json:"message"`
	} `json:"progress"`
}

// Watch subscribes to topics and calls f with each event until ctx ends or f
// returns false.
func (c *Client) Watch(ctx context.Context, topics []string, f func(Event) bool) error {
	d := websocket.Dialer{Subprotocols: []string{"firmlight.live.v1"}}
	ws, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(c.URL, "http")+"/api/v1/live",
		http.Header{"Authorization": {"Bearer " + c.Token}})
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
			return fmt.Errorf("live: %s: %w", resp.Status, err)
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	defer func() { _ = ws.Close() }()
	if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": topics}); err != nil {
		return err
	}
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			var e Event
			if err := json.Unmarshal(line, &e); err != nil {
				return err
			}
			if !f(e) {
				return nil
			}
		}
	}
}

// Wait reads a task until it has ended.
func (c *Client) Wait(ctx context.Context, id string) (Task, error) {
	for {
		t, err := c.Get(ctx, id)
		if err != nil || t.Ended() {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, fmt.Errorf("task %s is still %s: %w", id, t.Status, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
