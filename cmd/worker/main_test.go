//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/config"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/worker"
)

// serve is a server with one connection: it welcomes and hands over to talk.
func serve(t *testing.T, talk func(hello protocol.Hello, send func(protocol.Encoding), receive func(any) protocol.Type)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		send := func(m protocol.Encoding) {
			if err := ws.WriteMessage(websocket.TextMessage, protocol.Encode(m)); err != nil {
				t.Error(err)
			}
		}
		var waiting []protocol.Message
		receive := func(v any) protocol.Type {
			for len(waiting) == 0 {
				_, frame, err := ws.ReadMessage()
				if err != nil {
					return protocol.Type(err.Error())
				}
				for m, err := range protocol.Messages(frame) {
					if err != nil {
						t.Error(err)
					}
					waiting = append(waiting, m)
				}
			}
			m := waiting[0]
			waiting = waiting[1:]
			if err := m.Decode(v); err != nil {
				t.Error(err)
			}
			return m.Type
		}
		var hello protocol.Hello
		receive(&hello)
		send(protocol.Welcome{Session: "s", Resume: "r", TimeoutMS: 60_000})
		talk(hello, send, receive)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRunDoesTasksAndDrains(t *testing.T) {
	ctx, drain := context.WithCancel(t.Context())
	results := map[string]protocol.Result{}
	url := serve(t, func(hello protocol.Hello, send func(protocol.Encoding), receive func(any) protocol.Type) {
		if want := []string{"echo", "mean", "shout"}; !reflect.DeepEqual(hello.Kinds, want) || hello.Name != "me" || hello.Slots != 3 ||
			!reflect.DeepEqual(hello.Labels, map[string]string{"arch": "arm64", "site": "a"}) {
			t.Errorf("hello: %+v", hello)
		}
		for kind, input := range map[string]string{"mean": `{"numbers":[1,2]}`, "shout": `"x"`, "nope": `1`} {
			send(protocol.Assign{Task: kind, Attempt: 1, Kind: kind, Input: json.RawMessage(input)})
		}
		for len(results) < 3 {
			var r protocol.Result
			if got := receive(&r); got == protocol.TypeResult {
				results[r.Task] = r
				send(protocol.Ack{Task: r.Task, Attempt: 1, Accepted: true})
			}
		}
		drain()
		if got := receive(&protocol.Bare{}); got != protocol.TypeDrain {
			t.Errorf("got %s", got)
		}
		if got := receive(&protocol.Bare{}); !strings.Contains(string(got), "1000") {
			t.Errorf("got %s", got)
		}
	})
	var log bytes.Buffer
	err := run(ctx, t.Context(), []string{"--name=me", "--slots=3", "--kinds=echo,mean", "--label=arch=arm64", "--label", "site=a", "--log-format=json",
		"--exec", `shout=sh -c 'cat; printf "%s" "$FIRMLIGHT_TOKEN"'`}, []string{"PATH=" + os.Getenv("PATH"), "FIRMLIGHT_TOKEN=secret", "FIRMLIGHT_SERVER=" + url}, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	if r := results["mean"]; !strings.Contains(string(r.Output), `"mean":1.5`) {
		t.Errorf("mean: %+v", r)
	}
	if r := results["shout"]; string(r.Output) != `"x"` {
		t.Errorf("shout: %s, %+v", r.Output, r.Error)
	}
	if r := results["nope"]; r.Status != protocol.Rejected {
		t.Errorf("nope: %+v", r)
	}
	if strings.Contains(log.String(), "secret") || !json.Valid(bytes.Split(log.Bytes(), []byte("\n"))[0]) {
		t.Errorf("log: %s", log.String())
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	ctx, drain := context.WithCancel(t.Context())
	stopped, stop := context.WithCancel(t.Context())
	url := serve(t, func(_ protocol.Hello, send func(protocol.Encoding), receive func(any) protocol.Type) {
		send(protocol.Assign{Task: "t", Attempt: 1, Kind: "nap", Input: json.RawMessage("1")})
		var started protocol.Log
		if got := receive(&started); got != protocol.TypeLog || started.Lines[0] != "started" {
			t.Errorf("got %s", got)
		}
		drain()
		if got := receive(&protocol.Bare{}); got != protocol.TypeDrain {
			t.Errorf("got %s", got)
		}
		stop()
		if got := receive(&protocol.Bare{}); !strings.Contains(string(got), "1001") {
			t.Errorf("got %s", got)
		}
	})
	err := run(ctx, stopped, []string{"--server", url, "--kinds=none", "--exec", `nap=sh -c 'echo started >&2; exec sleep 1000'`},
		[]string{"PATH=" + os.Getenv("PATH"), "FIRMLIGHT_TOKEN=secret"}, nil, &bytes.Buffer{})
	if !errors.Is(err, worker.ErrStopped) {
		t.Errorf("run: %v", err)
	}
}

func TestWrongTokenIsToldClearly(t *testing.T) {
	url := serve(t, nil)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), t.Context(), []string{"--token-file", file, "--server", url}, nil, nil, &bytes.Buffer{})
	if err == nil || err.Error() != "the server does not accept the token (HTTP 401)" {
		t.Errorf("run: %v", err)
	}
}

func TestOptionErrors(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"no token":       {nil, "no worker token"},
		"two tokens":     {[]string{"--token=x", "--token-file=/dev/null"}, "not both"},
		"no token file":  {[]string{"--token-file=/does/not/exist"}, "token file"},
		"empty file":     {[]string{"--token-file=/dev/null"}, "no worker token"},
		"unknown flag":   {[]string{"--tokn=x"}, "unknown flag"},
		"slots":          {[]string{"--token=x", "--slots=0"}, "--slots"},
		"unknown kind":   {[]string{"--token=x", "--kinds=echo,dance"}, `"dance" is not built in`},
		"nothing to do":  {[]string{"--token=x", "--kinds=none"}, "nothing to do"},
		"bad exec kind":  {[]string{"--token=x", "--exec=A B=cat"}, "not the name of a kind"},
		"bad exec":       {[]string{"--token=x", "--exec=a=no-such-program-42"}, "not found"},
		"exec, no kind":  {[]string{"--token=x", "--exec=cat"}, "--exec"},
		"log format":     {[]string{"--token=x", "--log-format=xml"}, "--log-format"},
		"server, no URL": {[]string{"--token=x", "--server=localhost"}, "not the URL of a server"},
		"argument":       {[]string{"--token=x", "now"}, "unexpected argument"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), t.Context(), tt.args, nil, &bytes.Buffer{}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run: %v", err)
			}
		})
	}
}

// The server refuses variables that it does not know, but the worker's may share
// its environment; and all of them work.
func TestVariables(t *testing.T) {
	environ := []string{
		"FIRMLIGHT_SERVER=wss://s", "FIRMLIGHT_TOKEN=t", "FIRMLIGHT_TOKEN_FILE=", "FIRMLIGHT_NAME=n", "FIRMLIGHT_SLOTS=7",
		"FIRMLIGHT_LABEL=a=b;c=d", "FIRMLIGHT_GROUPS=g,h", "FIRMLIGHT_KINDS=echo,mean", "FIRMLIGHT_EXEC=x=cat -",
		"FIRMLIGHT_CRAWL_DELAY=2s", "FIRMLIGHT_CRAWL_ALLOW_PRIVATE=true", "FIRMLIGHT_LOG_FORMAT=json", "FIRMLIGHT_LOG_LEVEL=debug",
	}
	got, err := parse(nil, environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		Server: "wss://s", Token: "t", Name: "n", Slots: 7, Label: map[string]string{"a": "b", "c": "d"}, Groups: []string{"g", "h"},
		Kinds: []string{"echo", "mean"}, Exec: map[string]string{"x": "cat -"}, CrawlDelay: 2 * time.Second, CrawlAllowPrivate: true,
		LogFormat: "json", LogLevel: slog.LevelDebug,
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v", *got)
	}
	if v := reflect.TypeFor[options](); v.NumField()-1 != len(environ) { // all but the version
		t.Errorf("%d options, %d variables here", v.NumField()-1, len(environ))
	}
	if _, err := config.Parse(nil, environ, nil); err != nil {
		t.Errorf("the server: %v", err)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for flag, want := range map[string]string{"--help": "--token-file=FILE", "--version": "firmlight worker dev\n"} {
		var out bytes.Buffer
		if err := run(t.Context(), t.Context(), []string{flag}, nil, &out, &out); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, %s", flag, err, out.String())
		}
	}
}
