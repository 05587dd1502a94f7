package main

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

type workersCmd struct {
	inGroup
	listing
	Mine bool `help:"Your own, also those that are away."`
}

type worker struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	State      string    `json:"state"`
	IdleReason string    `json:"idle_reason"`
	Draining   bool      `json:"draining"`
	Slots      int       `json:"slots"`
	Running    int       `json:"running"`
	Kinds      []string  `json:"kinds"`
	SDK        string    `json:"sdk"`
	LastSeen   time.Time `json:"last_seen"`
}

func (c *workersCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	path := "/workers"
	columns := []column[worker]{
		{"id", func(w worker) any { return w.ID }},
		{"name", func(w worker) any { return w.Name }},
		{"state", func(w worker) any { return w.State }},
		{"idle", idleOf},
		{"slots", func(w worker) any { return w.Slots }},
		{"running", func(w worker) any { return w.Running }},
		{"sdk", func(w worker) any { return w.SDK }},
	}
	if c.Mine {
		columns = append(columns, column[worker]{"last seen", func(w worker) any { return w.LastSeen }})
	} else {
		group, err := c.find(e, api)
		if err != nil {
			return err
		}
		path = "/groups/" + group + "/workers"
	}
	columns = append(columns, column[worker]{"kinds", func(w worker) any { return w.Kinds }})
	return list(e, c.listing, client.Items[json.RawMessage](e.ctx, api, path, nil), columns)
}

// idleOf says why a worker gets nothing new, where it does not.
func idleOf(w worker) any {
	if w.Draining {
		return "draining"
	}
	return w.IdleReason
}

type devicesCmd struct {
	listing
	Group string `short:"g" placeholder:"NAME|ID" help:"Only of this group."`
	State string `enum:"active,pending,retired," default:"" help:"active, pending or retired."`
	Query string `short:"q" placeholder:"WORDS" help:"Beginning of the id or the name."`
	Limit int    `short:"n" default:"50" help:"At most so many; 0: all."`
}

type device struct {
	ID         string     `json:"device_id"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	Status     string     `json:"status"`
	Streak     int        `json:"streak"`
	Silent     bool       `json:"silent"`
	Failing    bool       `json:"failing"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	Totals     struct{ Events, Failed int64 }
}

func (c *devicesCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	q := url.Values{}
	if c.Group != "" {
		id, err := inGroup{c.Group}.find(e, api)
		if err != nil {
			return err
		}
		q.Set("group", id)
	}
	for name, value := range map[string]string{"state": c.State, "q": c.Query} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return list(e, c.listing, first(c.Limit, e, api, "/devices", q), []column[device]{
		{"device", func(d device) any { return d.ID }},
		{"name", func(d device) any { return d.Name }},
		{"state", func(d device) any { return d.State }},
		{"status", func(d device) any { return d.Status }},
		{"streak", func(d device) any { return d.Streak }},
		{"alert", alertOf},
		{"events", func(d device) any { return d.Totals.Events }},
		{"failed", func(d device) any { return d.Totals.Failed }},
		{"last seen", func(d device) any { return d.LastSeenAt }},
	})
}

// alertOf names what is wrong with a device.
func alertOf(d device) any {
	var alerts []string
	if d.Failing {
		alerts = append(alerts, "failing")
	}
	if d.Silent {
		alerts = append(alerts, "silent")
	}
	return alerts
}
