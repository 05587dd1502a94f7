package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/client"
)

func TestStatuses(t *testing.T) {
	problem := func(status int) error { return &client.Problem{Status: status} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{fail(exitFailed, "x"), exitFailed},
		{fmt.Errorf("wrapped: %w", usage("x")), exitUsage},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, exitUsage},
		{problem(400), exitUsage}, {problem(413), exitUsage}, {problem(422), exitUsage},
		{problem(401), exitForbidden}, {problem(403), exitForbidden},
		{problem(404), exitNotFound}, {problem(410), exitNotFound},
		{problem(409), exitRefused},
		{problem(429), exitAway}, {problem(500), exitAway}, {problem(503), exitAway},
		{&client.Away{Err: errors.New("x")}, exitAway},
		{context.Canceled, exitInterrupted},
		{errors.New("x"), exitRefused},
		{errors.Join(nil, problem(404), problem(409)), exitNotFound},
	} {
		if got := statusOf(c.err); got != c.want {
			t.Errorf("%v ends with %d, want %d", c.err, got, c.want)
		}
	}
}

func TestTell(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"fields": {
			fmt.Errorf("task 7: %w", &client.Problem{Status: 422, Code: "invalid", Detail: "Some fields are not valid.", Errors: []client.Field{{Field: "body.kind", Message: "is missing"}}}),
			"firmlight: task 7: Some fields are not valid.\n  kind: is missing\n",
		},
		"request id": {
			&client.Problem{Status: 500, Code: "internal", Detail: "internal error", RequestID: "r1"},
			"firmlight: internal error\n  Name this when you ask for help: request r1\n",
		},
		"several":      {errors.Join(errors.New("a"), usage("b").hinting("c")), "firmlight: a\nfirmlight: b\n  c\n"},
		"escape codes": {errors.New("a\x1b[2Jb"), "firmlight: a\uFFFD[2Jb\n"},
		"nothing":      {nil, ""},
	} {
		var out bytes.Buffer
		if tell(&out, c.err); out.String() != c.want {
			t.Errorf("%s: %q, want %q", name, out.String(), c.want)
		}
	}
}

func TestServerURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://Tasks.Example.org/": "https://tasks.example.org", "http://h:1/base/": "http://h:1/base",
		"tasks.example.org": "", "ftp://h": "", "https://u:p@h": "", "https://h?x=1": "", "": "",
	} {
		if got, err := serverURL(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
	}
}

func TestOverNetwork(t *testing.T) {
	for server, want := range map[string]bool{
		"http://127.0.0.1:8080": false, "http://[::1]:1": false, "http://localhost": false, "https://h": false, "http://h": true, "http://10.0.0.1": true,
	} {
		if overNetwork(server) != want {
			t.Errorf("%s: %t", server, !want)
		}
	}
}

// TestHelpNamesTheStatuses: the help says what the constants are.
func TestHelpNamesTheStatuses(t *testing.T) {
	for _, status := range []int{exitDone, exitFailed, exitUsage, exitForbidden, exitNotFound, exitAway, exitRefused, exitInterrupted} {
		if !strings.Contains(description, fmt.Sprintf("\n  %-5d", status)) {
			t.Errorf("status %d is not in the help", status)
		}
	}
}
