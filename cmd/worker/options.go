package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/worker"
	"github.com/firmlight/firmlight/workload"
)

// prefix begins the variable of every flag: --token-file is FIRMLIGHT_TOKEN_FILE.
const prefix = "FIRMLIGHT_"

const description = `Takes tasks from a Firmlight server and does them.

It needs a worker token, which the web client and POST /api/v1/tokens make. Each flag is also a variable: --token-file is FIRMLIGHT_TOKEN_FILE.

The first SIGINT or SIGTERM lets what runs finish; a second one ends at once, and the server gives the tasks to others.`

type options struct {
	Server    string `default:"http://127.0.0.1:8080" help:"URL of the server (http, https, ws or wss)."`
	Token     string `help:"Worker token. The variable or --token-file keep it out of the process list." placeholder:"TOKEN"`
	TokenFile string `help:"File that holds the worker token." placeholder:"FILE"`

	Name   string            `default:"${hostname}" help:"Name of this worker, the same after a restart."`
	Slots  int               `default:"${cpus}" help:"Tasks at a time, 1 to 1024."`
	Label  map[string]string `help:"Label shown with this worker; may be given several times." placeholder:"KEY=VALUE"`
	Groups []string          `help:"Ids of the groups to work for. Default: all of the token." placeholder:"ID"`

	Kinds []string          `default:"all" help:"Built-in kinds to take (${kinds}), or all, or none."`
	Exec  map[string]string `mapsep:"none" help:"Take a kind with a program: input as JSON on stdin, output from stdout, log from stderr. No shell: for one, write 'sh -c \"…\"'. May be given several times." placeholder:"KIND=COMMAND"`

	CrawlDelay        time.Duration `default:"1s" help:"Least time between two requests of crawl to one host; 0 for none."`
	CrawlAllowPrivate bool          `help:"Let crawl reach private, loopback and link-local addresses."`

	LogFormat string           `default:"text" enum:"text,json" help:"Format of the log on stderr: text or json."`
	LogLevel  slog.Level       `default:"info" help:"debug, info, warn or error."`
	Version   kong.VersionFlag `help:"Print the version and exit."`
}

// errShown says that help or the version was asked for and printed.
var errShown = errors.New("help shown")

// parse reads flags and variables and checks what needs no server.
func parse(args, environ []string, stdout io.Writer) (*options, error) {
	var o options
	hostname, _ := os.Hostname() // without one, --name is needed, and Run says so
	shown := false
	parser, err := kong.New(&o,
		kong.Name("worker"),
		kong.Description(description),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { shown = true }),
		kong.Resolvers(variables(environ)),
		kong.Vars{
			"hostname": hostname,
			"cpus":     strconv.Itoa(min(runtime.NumCPU(), protocol.MaxSlots)),
			"kinds":    strings.Join(builtinNames(), ", "),
			"version":  "firmlight worker " + version,
		})
	if err != nil {
		return nil, err
	}
	_, err = parser.Parse(args)
	if shown {
		return nil, errShown
	}
	if err != nil {
		return nil, err
	}
	return &o, o.check()
}

// variables gives kong the environment's values; one set to nothing counts as
// not set.
func variables(environ []string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")) + "="
		for _, v := range environ {
			if value, ok := strings.CutPrefix(v, name); ok && value != "" {
				return value, nil
			}
		}
		return nil, nil
	})
}

func (o *options) check() error {
	if o.TokenFile != "" {
		if o.Token != "" {
			return errors.New("give the token or the file that holds it, not both")
		}
		text, err := os.ReadFile(o.TokenFile)
		if err != nil {
			return fmt.Errorf("token file: %w", err)
		}
		o.Token = strings.TrimSpace(string(text))
	}
	if o.Token == "" {
		return errors.New("no worker token: set FIRMLIGHT_TOKEN or --token-file (the web client makes one under Tokens)")
	}
	if o.Slots < 1 || o.Slots > protocol.MaxSlots {
		return fmt.Errorf("--slots: %d, 1 to %d allowed", o.Slots, protocol.MaxSlots)
	}
	return nil
}

type kindHandler struct {
	kind string
	run  worker.Handler
}

// handlers lists what this worker takes, built-in kinds first.
func (o *options) handlers(environ []string) ([]kindHandler, error) {
	delay := o.CrawlDelay
	if delay <= 0 {
		delay = -1 // none; zero would mean the default
	}
	builtin := workload.Builtin(workload.Options{CrawlDelay: delay, AllowPrivate: o.CrawlAllowPrivate})
	names, err := o.builtinKinds()
	if err != nil {
		return nil, err
	}
	var all []kindHandler
	for _, name := range names {
		if _, replaced := o.Exec[name]; !replaced {
			all = append(all, kindHandler{name, worker.Builtin(builtin[name])})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(o.Exec)) {
		if !protocol.ValidKind(kind) {
			return nil, fmt.Errorf("--exec: %q is not the name of a kind (a-z, 0-9, '.', '_', '-', at most 64)", kind)
		}
		p, err := newProgram(o.Exec[kind], childEnv(environ, o.Token))
		if err != nil {
			return nil, fmt.Errorf("--exec %s: %w", kind, err)
		}
		all = append(all, kindHandler{kind, p.handle})
	}
	if len(all) == 0 {
		return nil, errors.New("nothing to do: --kinds none needs at least one --exec")
	}
	return all, nil
}

func (o *options) builtinKinds() ([]string, error) {
	known := builtinNames()
	if len(o.Kinds) == 1 {
		switch o.Kinds[0] {
		case "all":
			return known, nil
		case "none":
			return nil, nil
		}
	}
	for _, k := range o.Kinds {
		if !slices.Contains(known, k) {
			return nil, fmt.Errorf("--kinds: %q is not built in; there are %s", k, strings.Join(known, ", "))
		}
	}
	return o.Kinds, nil
}

func builtinNames() []string {
	return slices.Sorted(maps.Keys(workload.Builtin(workload.Options{})))
}
