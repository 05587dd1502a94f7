package config

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const reference = "../../docs/configuration.md"

func TestReferenceIsCurrent(t *testing.T) {
	want, err := Reference()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(reference, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(reference); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/configuration.md is not what the struct says (%v): go test ./internal/config -update", err)
	}
}

func TestDefaults(t *testing.T) {
	c, err := Parse(nil, []string{"HOME=/x", "FIRMLIGHT_LISTEN="}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.DataDir != "./data" || c.AccessTokenTTL != 15*time.Minute ||
		c.RefreshTokenTTL != 30*24*time.Hour || c.WorkerPing != 2500*time.Millisecond || c.WorkerTimeout != 7*time.Second ||
		c.WorkerGrace != 3*time.Second || c.MetadataRetention != 30*24*time.Hour || c.Registration != "open" {
		t.Errorf("defaults %+v", c)
	}
}

func TestFlagsWinOverVariables(t *testing.T) {
	env := []string{
		"FIRMLIGHT_LISTEN=:1", "FIRMLIGHT_DATA_DIR=/env", "FIRMLIGHT_TRUSTED_PROXIES=10.0.0.0/8,::1/128",
		"FIRMLIGHT_TOKEN=of the worker", "FIRMLIGHT_SERVER=http://x",
	}
	c, err := Parse([]string{"--listen", ":2", "--worker-grace=5s"}, env, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":2" || c.DataDir != "/env" || c.WorkerGrace != 5*time.Second || len(c.TrustedProxies) != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestVariablesOfOthers(t *testing.T) {
	const theirs = "OTEL_EXPORTER_OTLP_ENDPOINT=http://theirs:4318"
	for want, given := range map[string][2][]string{
		"":                   {nil, {"OTEL_EXPORTER_OTLP_ENDPOINT="}},
		"http://theirs:4318": {nil, {theirs, "OTEL_SERVICE_NAME=x", "FIRMLIGHT_OTLP_ENDPOINT="}},
		"http://ours:4318":   {nil, {theirs, "FIRMLIGHT_OTLP_ENDPOINT=http://ours:4318"}},
		"http://flag:4318":   {{"--otlp-endpoint=http://flag:4318"}, {theirs}},
	} {
		if c, err := Parse(given[0], given[1], io.Discard); err != nil || c.OTLPEndpoint != want {
			t.Errorf("%v: %q, %v, want %q", given, c.OTLPEndpoint, err, want)
		}
	}
}

func TestWrongOnesAreNamed(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  []string
		want []string
	}{
		{"unknown flag", []string{"--listne=:1"}, nil, []string{"-listne"}},
		{"unknown variables", nil, []string{"FIRMLIGHT_LISTNE=:1", "FIRMLIGHT_HELP=1"}, []string{"FIRMLIGHT_LISTNE", "FIRMLIGHT_HELP"}},
		{"argument", []string{"serve"}, nil, []string{"serve"}},
		{"enum", []string{"--registration=maybe"}, nil, []string{"registration"}},
		{"enum of a variable", nil, []string{"FIRMLIGHT_LOG_LEVEL=loud"}, []string{"log-level"}},
		{"duration", nil, []string{"FIRMLIGHT_WORKER_PING=soon"}, []string{"worker-ping"}},
		{"prefix", []string{"--trusted-proxies=10.0.0.1"}, nil, []string{"trusted-proxies"}},
		{"mongodb", nil, []string{"FIRMLIGHT_MONGODB_URI=http://x"}, []string{"FIRMLIGHT_MONGODB_URI", "mongodb+srv"}},
		{"traces", []string{"--trace-ratio=1.1"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}, []string{"--trace-ratio", "--otlp-endpoint"}},
		{"no ratio", []string{"--trace-ratio=NaN"}, nil, []string{"--trace-ratio"}},
		{"half an admin", []string{"--admin-username=ada"}, nil, []string{"--admin-email", "--admin-password"}},
		{
			"all at once",
			[]string{"--listen=8080", "--public-url=x", "--allowed-origins=https://a/b", "--redis-url=http://r", "--secret=short",
				"--access-token-ttl=1s", "--worker-timeout=3s", "--argon2-parallelism=4", "--argon2-memory-kib=31"},
			nil,
			[]string{"--listen", "--public-url", "--allowed-origins", "--redis-url", "--secret", "--access-token-ttl",
				"--worker-timeout", "--argon2-memory-kib"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.args, c.env, io.Discard)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %s", err, want)
				}
			}
		})
	}
}

func TestSecretsAreNotQuoted(t *testing.T) {
	_, err := Parse([]string{"--admin-username=ada", "--admin-password=hunter2", "--secret=hunter2",
		"--redis-url=http://u:hunter2@r"}, nil, io.Discard)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	if _, err := Parse([]string{"--help"}, nil, &out); !errors.Is(err, ErrHelp) {
		t.Errorf("error %v, want ErrHelp", err)
	}
	if !strings.Contains(out.String(), "--data-dir") {
		t.Errorf("help is %q", out.String())
	}
}
