package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

type tokensCmd struct {
	List   tokensListCmd   `cmd:"" default:"withargs" help:"List your tokens."`
	Create tokensCreateCmd `cmd:"" help:"Make a token and print its secret, this once."`
	Revoke tokensRevokeCmd `cmd:"" help:"Revoke tokens; what they have connected is closed."`
}

type token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	Groups     []string   `json:"groups"`
	Scopes     []string   `json:"scopes"`
	DeviceID   string     `json:"device_id"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

type tokensListCmd struct{ listing }

func (c *tokensListCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	return list(e, c.listing, client.Items[json.RawMessage](e.ctx, api, "/tokens", nil), []column[token]{
		{"id", func(t token) any { return t.ID }},
		{"name", func(t token) any { return t.Name }},
		{"kind", func(t token) any { return t.Kind }},
		{"groups", func(t token) any { return t.Groups }},
		{"scopes", func(t token) any { return t.Scopes }},
		{"device", func(t token) any { return t.DeviceID }},
		{"expires", func(t token) any { return t.ExpiresAt }},
		{"used", func(t token) any { return t.LastUsedAt }},
	})
}

type tokensCreateCmd struct {
	Kind    string   `arg:"" enum:"worker,device,api" help:"worker, device or api."`
	Name    string   `arg:"" help:"What it is called in lists."`
	Group   []string `short:"g" placeholder:"NAME|ID" help:"Group that it is limited to; may be given several times. A device token needs one."`
	Scope   []string `placeholder:"SCOPE" help:"Of an api token, such as tasks:read; may be given several times."`
	Device  string   `placeholder:"ID" help:"Device that a device token is bound to."`
	Expires string   `placeholder:"TIME" help:"RFC 3339, or from now, such as 720h. Default: never."`
}

func (c *tokensCreateCmd) Run(e *env) error {
	body := map[string]any{"kind": c.Kind, "name": c.Name}
	if c.Expires != "" {
		at, err := moment("--expires", c.Expires, 1)
		if err != nil {
			return err
		}
		body["expires_at"] = at
	}
	if len(c.Scope) > 0 {
		body["scopes"] = c.Scope
	}
	if c.Device != "" {
		body["device_id"] = c.Device
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	var groups []string
	for _, name := range c.Group {
		id, err := inGroup{name}.find(e, api)
		if err != nil {
			return err
		}
		groups = append(groups, id)
	}
	if groups != nil {
		body["groups"] = groups
	}
	var made json.RawMessage
	if err := api.Do(e.ctx, http.MethodPost, "/tokens", body, &made); err != nil {
		return err
	}
	var secret struct{ Secret string }
	if err := json.Unmarshal(made, &secret); err != nil {
		return err
	}
	e.note("This is the only time that the secret is shown.")
	return e.say(made, "%s", secret.Secret)
}

type tokensRevokeCmd struct {
	IDs []string `arg:"" name:"id" help:"Ids of tokens."`
	Yes bool     `short:"y" help:"Do not ask."`
}

func (c *tokensRevokeCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	if err := e.confirm(c.Yes, "Revoke %d tokens? What uses them stops working.", len(c.IDs)); err != nil {
		return err
	}
	var errs []error
	for _, id := range c.IDs {
		err := api.Do(e.ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), nil, nil)
		if err == nil {
			err = e.say(map[string]string{"id": id}, "%s revoked", id)
		} else if len(c.IDs) > 1 {
			err = fmt.Errorf("%s: %w", id, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
