package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// pair is the answer of a login or a refresh.
type pair struct {
	User         struct{ ID, Username string }
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

type loginCmd struct {
	User          string `short:"u" placeholder:"NAME" help:"Username or email address. Default: asked for."`
	PasswordStdin bool   `help:"Read the password from standard input, for scripts."`
}

// maxPassword is more than any password has, in bytes.
const maxPassword = 4 << 10

func (c *loginCmd) Run(e *env) error {
	logins, server, err := e.open()
	if err != nil {
		return err
	}
	if overNetwork(server) {
		e.note("Careful: %s is not encrypted, whoever is on the way can read the password.", server)
	}
	name, password, err := c.credentials(e, server)
	if err != nil {
		return err
	}
	var pair pair
	if err := e.anybody(server).Do(e.ctx, http.MethodPost, "/auth/login",
		map[string]string{"login": name, "password": password}, &pair); err != nil {
		return err
	}
	err = logins.put(profile{URL: server, Username: pair.User.Username, AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken})
	if err == nil {
		err = logins.setCurrent(server)
	}
	if err != nil {
		return err
	}
	return e.say(map[string]string{"server": server, "username": pair.User.Username},
		"Logged in to %s as %s.", server, pair.User.Username)
}

// credentials asks for what the flags do not say.
func (c *loginCmd) credentials(e *env, server string) (name, password string, err error) {
	nobody := usage("there is no terminal to ask for the name and the password").
		hinting("firmlight login --user NAME --password-stdin < FILE")
	if name = c.User; name == "" {
		name, err = e.ask("Username or email at " + server + ": ")
	}
	switch {
	case errors.Is(err, io.EOF):
		return "", "", nobody
	case err != nil:
		return "", "", err
	case c.PasswordStdin:
		data, err := io.ReadAll(io.LimitReader(e.in, maxPassword))
		return name, strings.TrimRight(string(data), "\r\n"), err
	}
	password, err = e.askSecret("Password: ")
	if errors.Is(err, io.EOF) {
		err = nobody
	}
	return name, password, err
}

// overNetwork reports whether what is sent there can be read on the way.
func overNetwork(server string) bool {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

type logoutCmd struct{}

func (logoutCmd) Run(e *env) error {
	logins, server, err := e.open()
	if err != nil {
		return err
	}
	login, ok, err := logins.get(server)
	if err != nil {
		return err
	}
	if !ok {
		return notLoggedIn(server)
	}
	// Forgotten first: that must not fail because the server is away.
	if err := logins.forget(server); err != nil {
		return err
	}
	c := e.anybody(server)
	c.Token = login.AccessToken
	err = c.Do(e.ctx, http.MethodPost, "/auth/logout", map[string]string{"refresh_token": login.RefreshToken}, nil)
	if status := statusOf(err); status == exitAway || status == exitInterrupted {
		return errors.Join(err, fail(status, "The login is forgotten here; the server does not know, and keeps the session until it expires."))
	}
	// Any other refusal says that the session had ended before.
	return e.say(map[string]string{"server": server}, "Logged out of %s.", server)
}

type whoamiCmd struct{}

func (whoamiCmd) Run(e *env) error {
	c, err := e.client()
	if err != nil {
		return err
	}
	var me struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		Server   string `json:"server"`
	}
	if err := c.Do(e.ctx, http.MethodGet, "/me", nil, &me); err != nil {
		return err
	}
	me.Server = c.URL
	if err := e.say(me, "%s at %s", me.Username, me.Server); err != nil || e.JSON {
		return err
	}
	return e.otherLogins(c.URL)
}

// otherLogins names the servers that --server can mean, too.
func (e *env) otherLogins(server string) error {
	logins, err := openProfiles()
	if err != nil {
		return err
	}
	all, err := logins.all()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, l := range all {
		if l.URL != server {
			fmt.Fprintln(e.out, "also logged in:", l.Username, "at", l.URL)
		}
	}
	return nil
}
