// Package config is every option of the server: one struct, each field a flag
// and a FIRMLIGHT_* variable. docs/configuration.md is made from it.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is the server's configuration. The tags are its documentation.
type Config struct {
	Listen         string         `default:"127.0.0.1:8080" help:"Address and port of the API and the web client."`
	PublicURL      string         `help:"URL under which people reach the server, such as https://tasks.example.org; needed behind a proxy that ends TLS. Default: as each request says."`
	TrustedProxies []netip.Prefix `help:"Networks (CIDR) whose X-Forwarded-For is believed, separated by commas."`
	AllowedOrigins []string       `help:"Origins of web pages that may use the API besides the server's own, separated by commas."`

	DataDir     string `default:"./data" help:"Directory of the embedded database and the server's secret."`
	DownloadDir string `help:"Directory of the programs that members download at /download/, as make dist fills it. Default: downloads in the data directory."`
	RedisURL    string `help:"redis:// or rediss:// URL. Default: a Redis inside the process, for one server only."`
	MongodbURI  string `help:"mongodb:// or mongodb+srv:// URI with a database in its path, instead of the embedded database: for several servers, which then share --redis-url and --secret, too."`
	Secret      string `help:"At least 32 characters that sign tokens, the same on every server. Default: made once and kept in the data directory."`

	AdminUsername   string        `help:"First administrator, made at start while there is none. Default: a one-time setup link in the log."`
	AdminEmail      string        `help:"Email address of the first administrator."`
	AdminPassword   string        `help:"Password of the first administrator."`
	Registration    string        `default:"open" enum:"open,invite,closed" help:"Who may make an account: open (anybody), invite (with an invite link), closed (nobody)."`
	AccessTokenTTL  time.Duration `default:"15m" help:"Lifetime of an access token."`
	RefreshTokenTTL time.Duration `default:"720h" help:"How long a login lasts without being used."`

	Argon2MemoryKiB   uint32 `name:"argon2-memory-kib" default:"19456" help:"Memory of one password hash, in KiB."`
	Argon2Iterations  uint32 `default:"2" help:"Passes of one password hash."`
	Argon2Parallelism uint8  `default:"1" help:"Threads of one password hash."`

	DeviceRate          float64       `default:"0" help:"Events per second that one device may report to this server; 0: no bound."`
	EventRetention      time.Duration `default:"2160h" help:"How long sync events of devices stay, by their own time; sums stay for good."`
	WebhookAllowPrivate bool          `help:"Deliver webhooks to private, loopback and link-local addresses too."`

	MetadataRetention time.Duration `default:"720h" help:"How long an ended task's metadata stays; statistics by day stay for good."`
	AuditRetention    time.Duration `default:"8760h" help:"How long the entries of the audit log stay; at least 24h."`

	WorkerPing    time.Duration `default:"2500ms" help:"Between two pings to a worker."`
	WorkerTimeout time.Duration `default:"7s" help:"Silence after which a worker's connection counts as lost."`
	WorkerGrace   time.Duration `default:"3s" help:"How long a lost worker may take to come back before its tasks go elsewhere."`

	MetricsListen   string        `help:"Address and port of a private listener with metrics (Prometheus, /metrics) and profiles (pprof), open to whoever reaches it. Default: none."`
	OTLPEndpoint    string        `name:"otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"URL of an OpenTelemetry collector that gets traces of tasks by OTLP over HTTP, such as http://collector:4318. Default: no traces."`
	TraceRatio      float64       `default:"1" help:"Share of the submits, 0 to 1, that begin a trace; one with a sampled traceparent is always traced."`
	ShutdownTimeout time.Duration `default:"30s" help:"How long a stop waits for workers to finish."`
	LogLevel        string        `default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error; debug has every request."`
	LogFormat       string        `default:"text" enum:"text,json" help:"text or json."`
}

// Limits that other parts rely on.
const (
	minSecret    = 32
	minArgon2KiB = 8 // for each thread (RFC 9106, section 3.1)
	minAdminPass = 8
	maxAdminPass = 128
)

var usernamePattern = regexp.MustCompile(`^[a-z0-9_-]{3,32}$`)

// Validate reports everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(when bool, flag, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf("--%s (%s): "+format, append([]any{flag, variable(flag)}, args...)...))
		}
	}
	_, _, err := net.SplitHostPort(c.Listen)
	bad(err != nil, "listen", "%q is not an address and port", c.Listen)
	bad(c.PublicURL != "" && !isURL(c.PublicURL, "http", "https"), "public-url", "%q is not an http or https URL", c.PublicURL)
	for _, o := range c.AllowedOrigins {
		u, err := url.Parse(o)
		bad(err != nil || !isURL(o, "http", "https") || u.Path != "", "allowed-origins", "%q is not an origin such as https://example.org", o)
	}
	bad(c.DataDir == "", "data-dir", "must not be empty")
	bad(c.RedisURL != "" && !isURL(c.RedisURL, "redis", "rediss"), "redis-url", "is not a redis or rediss URL")
	// Several hosts are no URL to Go: the store reads the rest.
	mongo := strings.HasPrefix(c.MongodbURI, "mongodb://") || strings.HasPrefix(c.MongodbURI, "mongodb+srv://")
	bad(c.MongodbURI != "" && !mongo, "mongodb-uri", "is not a mongodb or mongodb+srv URI")
	bad(c.Secret != "" && len(c.Secret) < minSecret, "secret", "must have at least %d characters", minSecret)
	errs = append(errs, c.validateAdmin()...)
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"access-token-ttl", c.AccessTokenTTL, time.Minute}, {"refresh-token-ttl", c.RefreshTokenTTL, time.Hour},
		{"metadata-retention", c.MetadataRetention, time.Hour}, {"audit-retention", c.AuditRetention, 24 * time.Hour},
		{"worker-ping", c.WorkerPing, 10 * time.Millisecond},
		{"worker-grace", c.WorkerGrace, 0}, {"event-retention", c.EventRetention, 24 * time.Hour}, {"shutdown-timeout", c.ShutdownTimeout, 0},
	} {
		bad(d.value < d.least, d.flag, "must be at least %s", d.least)
	}
	bad(c.WorkerTimeout < 2*c.WorkerPing, "worker-timeout", "must be at least twice --worker-ping, so that one lost ping does not count")
	bad(c.OTLPEndpoint != "" && !isURL(c.OTLPEndpoint, "http", "https"), "otlp-endpoint", "is not an http or https URL")
	bad(!(c.TraceRatio >= 0 && c.TraceRatio <= 1), "trace-ratio", "must be 0 to 1")
	bad(c.DeviceRate < 0, "device-rate", "must not be negative")
	bad(c.Argon2Iterations < 1, "argon2-iterations", "must be at least 1")
	bad(c.Argon2Parallelism < 1, "argon2-parallelism", "must be at least 1")
	least := minArgon2KiB * uint32(max(1, c.Argon2Parallelism))
	bad(c.Argon2MemoryKiB < least, "argon2-memory-kib", "must be at least %d", least)
	return errors.Join(errs...)
}

// validateAdmin never quotes the password.
func (c Config) validateAdmin() []error {
	if c.AdminUsername == "" && c.AdminEmail == "" && c.AdminPassword == "" {
		return nil
	}
	var errs []error
	if !usernamePattern.MatchString(c.AdminUsername) {
		errs = append(errs, errors.New("--admin-username: must be 3 to 32 of a-z, 0-9, _ and -"))
	}
	if _, err := mail.ParseAddress(c.AdminEmail); err != nil {
		errs = append(errs, errors.New("--admin-email: is not an email address"))
	}
	if n := len([]rune(c.AdminPassword)); n < minAdminPass || n > maxAdminPass {
		errs = append(errs, fmt.Errorf("--admin-password: must have %d to %d characters", minAdminPass, maxAdminPass))
	}
	return errs
}

func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Host != ""
}
