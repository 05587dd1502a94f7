package kit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

// Client speaks the HTTP API as one user.
type Client struct{ client.Client }

// NewClient returns a client with a token, which may be empty.
func NewClient(server, token string) *Client {
	return &Client{client.Client{URL: server, Token: token}}
}

// Problem is an error answer (RFC 9457).
type Problem = client.Problem

// Task is what the tests read of a task.
type Task = client.Task

// Entry is a line of a timeline.
type Entry struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"`
	Attempt int       `json:"attempt"`
	Worker  string    `json:"worker"`
	Detail  string    `json:"detail"`
}

// Login returns a client of the user.
func Login(ctx context.Context, server, login, password string) (*Client, error) {
	c := NewClient(server, "")
	var got struct {
		AccessToken string `json:"access_token"`
	}
	err := c.Do(ctx, "POST", "/auth/login", map[string]string{"login": login, "password": password}, &got)
	c.Token = got.AccessToken
	return c, err
}

// Register makes a user and returns a client of it.
func Register(ctx context.Context, server, name, password string) (*Client, error) {
	c := NewClient(server, "")
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
	return client.All[Task](ctx, &c.Client, "/groups/"+group+"/tasks", query)
}

// Children reads all parts of a task.
func (c *Client) Children(ctx context.Context, id string) ([]Task, error) {
	return client.All[Task](ctx, &c.Client, "/tasks/"+id+"/children", nil)
}

// Timeline reads what happened to a task.
func (c *Client) Timeline(ctx context.Context, id string) ([]Entry, error) {
	var got struct{ Items []Entry }
	err := c.Do(ctx, "GET", "/tasks/"+id+"/timeline", nil, &got)
	return got.Items, err
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

	Stats    json.RawMessage  `json:"stats"` // of a group, or of the installation
	Progress *client.Progress `json:"progress"`
}

// Watch subscribes to topics and calls f with each event until ctx ends or f
// returns false.
func (c *Client) Watch(ctx context.Context, topics []string, f func(Event) bool) error {
	return client.Watch(ctx, &c.Client, topics, f)
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
