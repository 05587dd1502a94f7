package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/firmlight/firmlight/internal/client"
)

// options are the flags of every command.
type options struct {
	Server  string `placeholder:"URL" help:"Server to talk to. Default: FIRMLIGHT_SERVER, or the one logged in to last."`
	Token   string `placeholder:"TOKEN" help:"Token to use instead of a login. Default: FIRMLIGHT_TOKEN, which keeps it out of the process list."`
	JSON    bool   `name:"json" help:"Print JSON, as the API has it."`
	NoColor bool   `name:"no-color" help:"No colours on a terminal either. Default: whether NO_COLOR is set."`
}

// env is what a command has around it.
type env struct {
	options
	ctx      context.Context
	getenv   func(string) string
	in       io.Reader
	out, err io.Writer
}

// Times of a request.
const (
	requestTime = 2 * time.Minute  // for an answer
	patience    = 30 * time.Second // with a server that says "later"
)

// open reads the logins and returns the server that the command is about.
func (e *env) open() (logins profiles, server string, err error) {
	if logins, err = openProfiles(); err != nil {
		return logins, "", err
	}
	server, err = serverURL(cmp.Or(e.Server, e.getenv("FIRMLIGHT_SERVER"), logins.current()))
	return logins, server, err
}

// anybody is a client without a token.
func (e *env) anybody(server string) *client.Client {
	return &client.Client{
		URL: server, Agent: "firmlight/" + version, Patience: patience,
		HTTP: &http.Client{Timeout: requestTime},
	}
}

// client is that of whoever is logged in, or of a token that was given.
func (e *env) client() (*client.Client, error) {
	logins, server, err := e.open()
	if err != nil {
		return nil, err
	}
	c := e.anybody(server)
	if c.Token = cmp.Or(e.Token, e.getenv("FIRMLIGHT_TOKEN")); c.Token != "" {
		return c, nil
	}
	login, ok, err := logins.get(server)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notLoggedIn(server)
	}
	c.Token = login.AccessToken
	c.Renew = func(ctx context.Context, old string) (string, error) { return e.renew(ctx, logins, server, old) }
	return c, nil
}

func notLoggedIn(server string) error {
	return fail(exitForbidden, "not logged in to %s", server).
		hinting("firmlight login --server %s", server)
}

// renew exchanges the refresh token, unless another command has done so. Two that
// do it within seconds get the same pair from the server.
func (e *env) renew(ctx context.Context, logins profiles, server, old string) (string, error) {
	login, ok, err := logins.get(server)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", notLoggedIn(server)
	}
	if login.AccessToken != old {
		return login.AccessToken, nil
	}
	var pair pair
	err = e.anybody(server).Do(ctx, http.MethodPost, "/auth/refresh", map[string]string{"refresh_token": login.RefreshToken}, &pair)
	var refused *client.Problem
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return "", fail(exitForbidden, "the login to %s has ended", server).hinting("firmlight login --server %s", server)
	}
	if err != nil {
		return "", err
	}
	login.AccessToken, login.RefreshToken = pair.AccessToken, pair.RefreshToken
	return pair.AccessToken, logins.put(login)
}

// file returns the descriptor of a stream; ok is false for what is no terminal.
func terminal(stream any) (fd int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// colour says whether a stream gets colours.
func (e *env) colour(stream any) bool {
	_, ok := terminal(stream)
	return ok && !e.NoColor && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
}

// note tells a person what is going on; scripts with --json do not read it.
func (e *env) note(format string, args ...any) {
	fmt.Fprintln(e.err, printable(fmt.Sprintf(format, args...)))
}

// ask returns a line that was typed at a terminal.
func (e *env) ask(prompt string) (string, error) {
	if _, ok := terminal(e.in); !ok {
		return "", io.EOF
	}
	fmt.Fprint(e.err, prompt)
	return e.interruptible(func() (string, error) {
		line, err := bufio.NewReader(e.in).ReadString('\n')
		return strings.TrimSpace(line), err
	})
}

// askSecret is ask without an echo.
func (e *env) askSecret(prompt string) (string, error) {
	fd, ok := terminal(e.in)
	if !ok {
		return "", io.EOF
	}
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	// An interrupt must not leave the terminal without an echo.
	defer func() { _ = term.Restore(fd, state) }()
	fmt.Fprint(e.err, prompt)
	defer fmt.Fprintln(e.err)
	return e.interruptible(func() (string, error) {
		secret, err := term.ReadPassword(fd)
		return string(secret), err
	})
}

// interruptible returns when read does or the command is interrupted; what still
// reads then ends with the process.
func (e *env) interruptible(read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-e.ctx.Done():
		return "", e.ctx.Err()
	case a := <-got:
		return a.text, a.err
	}
}

// confirm lets something go on that cannot be undone.
func (e *env) confirm(yes bool, format string, args ...any) error {
	if yes {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	answer, err := e.ask(what + " [y/N] ")
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, io.EOF):
		return usage("%s Say so with --yes: nobody can be asked here", what)
	case err != nil:
		return err
	case !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes"):
		return fail(exitRefused, "nothing was done")
	}
	return nil
}
