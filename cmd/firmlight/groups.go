package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

type groupsCmd struct {
	List   groupsListCmd   `cmd:"" default:"withargs" help:"List your groups."`
	Create groupsCreateCmd `cmd:"" help:"Make a group of your own."`
}

type group struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Role        string    `json:"role"`
	Members     int       `json:"members"`
	CreatedAt   time.Time `json:"created_at"`
}

type groupsListCmd struct{ listing }

func (c *groupsListCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	return list(e, c.listing, client.Items[json.RawMessage](e.ctx, api, "/groups", nil), []column[group]{
		{"id", func(g group) any { return g.ID }},
		{"name", func(g group) any { return g.Name }},
		{"role", func(g group) any { return g.Role }},
		{"members", func(g group) any { return g.Members }},
		{"created", func(g group) any { return g.CreatedAt }},
		{"description", func(g group) any { return g.Description }},
	})
}

type groupsCreateCmd struct {
	Name        string `arg:"" help:"3 to 50 characters."`
	Description string `help:"At most 300 characters."`
}

func (c *groupsCreateCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	var made json.RawMessage
	if err := api.Do(e.ctx, http.MethodPost, "/groups", map[string]string{"name": c.Name, "description": c.Description}, &made); err != nil {
		return err
	}
	var g group
	if err := json.Unmarshal(made, &g); err != nil {
		return err
	}
	return e.say(made, "%s", g.ID)
}

// inGroup is the flag of commands that are about one group.
type inGroup struct {
	Group string `short:"g" placeholder:"NAME|ID" help:"Group. Default: FIRMLIGHT_GROUP, or your only one."`
}

// open returns a client and the id of the group.
func (g inGroup) open(e *env) (api *client.Client, group string, err error) {
	if api, err = e.client(); err != nil {
		return nil, "", err
	}
	group, err = g.find(e, api)
	return api, group, err
}

// find returns the id of the group.
func (g inGroup) find(e *env, api *client.Client) (string, error) {
	wanted := g.Group
	if wanted == "" {
		wanted = e.getenv("FIRMLIGHT_GROUP")
	}
	all, err := client.All[group](e.ctx, api, "/groups", nil)
	if err != nil {
		return "", err
	}
	var found []group
	for _, one := range all {
		if one.ID == wanted {
			return one.ID, nil
		}
		if wanted == "" || strings.EqualFold(one.Name, wanted) {
			found = append(found, one)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].ID, nil
	case len(found) > 1 && wanted == "":
		return "", usage("you are in %d groups: say which with --group", len(found)).hinting("%s", naming(found))
	case len(found) > 1:
		return "", usage("%d groups have this name: give the id", len(found)).hinting("%s", naming(found))
	case wanted == "":
		return "", fail(exitNotFound, "you are in no group").hinting("firmlight groups create NAME")
	}
	return "", fail(exitNotFound, "you are in no group %q", wanted)
}

// naming lists groups for a hint.
func naming(groups []group) string {
	const most = 20
	var lines []string
	for _, g := range groups[:min(len(groups), most)] {
		lines = append(lines, g.ID+"  "+printable(g.Name))
	}
	return strings.Join(lines, "\n  ")
}
