package config

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix begins every variable's name.
const Prefix = "FIRMLIGHT_"

// foreign are the variables of the worker and the command line, which may share
// an environment.
var foreign = []string{
	"FIRMLIGHT_SERVER", "FIRMLIGHT_TOKEN", "FIRMLIGHT_TOKEN_FILE", "FIRMLIGHT_NAME", "FIRMLIGHT_SLOTS", "FIRMLIGHT_LABEL",
	"FIRMLIGHT_GROUP", "FIRMLIGHT_GROUPS", "FIRMLIGHT_KINDS", "FIRMLIGHT_EXEC", "FIRMLIGHT_CRAWL_DELAY", "FIRMLIGHT_CRAWL_ALLOW_PRIVATE",
}

// ErrHelp is returned after help was asked for and printed.
var ErrHelp = errors.New("help was asked for")

// Parse reads flags and variables; a flag wins. What is wrong is in one error, a
// line each. environ is as os.Environ gives it; help goes to stdout.
func Parse(args, environ []string, stdout io.Writer) (Config, error) {
	var c Config
	options := optionsOf(&c)
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are for the caller to print
	for _, o := range options {
		flags.Var(o, o.name, o.help)
	}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return Config{}, errors.Join(ErrHelp, printHelp(stdout, options))
	}
	if err != nil {
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			err = fmt.Errorf("unknown flag --%s; --help lists all", name)
		}
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err = errors.Join(err, readVariables(options, given, environ)); err == nil {
		err = c.Validate()
	}
	return c, err
}

// readVariables sets what no flag has given. One set to nothing counts as not set;
// one that is none of ours is an error.
func readVariables(options []*option, given map[string]bool, environ []string) error {
	var errs []error
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		i := slices.IndexFunc(options, func(o *option) bool { return slices.Contains(o.variables(), name) })
		switch {
		case i >= 0 && value != "" && !given[options[i].name]:
			given[options[i].name] = true // ours come before OTEL_*
			if err := options[i].Set(value); err != nil {
				errs = append(errs, fmt.Errorf("%s (--%s): %w", name, options[i].name, err))
			}
		case i < 0 && strings.HasPrefix(name, Prefix) && !slices.Contains(foreign, name):
			errs = append(errs, fmt.Errorf("unknown variable %s", name))
		}
	}
	return errors.Join(errs...)
}

func variable(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// option is one field of Config, a flag.Value. The libraries that read structs
// look for methods by name, at the price of docs/decisions/007-size.md.
type option struct {
	name, def, enum, help string
	env                   string // another variable, which not only we read; or ""
	field                 reflect.Value
}

var wordEnd = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// optionsOf sets every field of c to its default and returns what sets them.
func optionsOf(c *Config) []*option {
	v := reflect.ValueOf(c).Elem()
	options := make([]*option, v.NumField())
	for i := range options {
		f := v.Type().Field(i)
		o := &option{
			name: cmp.Or(f.Tag.Get("name"), strings.ToLower(wordEnd.ReplaceAllString(f.Name, "$1-$2"))),
			def:  f.Tag.Get("default"), enum: f.Tag.Get("enum"), help: f.Tag.Get("help"), env: f.Tag.Get("env"), field: v.Field(i),
		}
		if o.def != "" {
			if err := o.Set(o.def); err != nil {
				panic("config: default of " + o.name + ": " + err.Error())
			}
		}
		options[i] = o
	}
	return options
}

// variables are the names of the option's variables, ours first.
func (o *option) variables() []string {
	if o.env == "" {
		return []string{variable(o.name)}
	}
	return []string{variable(o.name), o.env}
}

// String is the default.
func (o *option) String() string { return o.def }

// IsBoolFlag has flag take --name for --name=true.
func (o *option) IsBoolFlag() bool { return o.field.Kind() == reflect.Bool }

// Set sets the field; a list grows by what stands between commas.
func (o *option) Set(text string) (err error) {
	if o.enum != "" && !slices.Contains(strings.Split(o.enum, ","), text) {
		return errors.New("must be one of " + o.enum)
	}
	switch p := o.field.Addr().Interface().(type) {
	case *string:
		*p = text
	case *bool:
		*p, err = strconv.ParseBool(text)
	case *float64:
		*p, err = strconv.ParseFloat(text, 64)
	case *uint8, *uint32:
		var n uint64
		n, err = strconv.ParseUint(text, 10, o.field.Type().Bits())
		o.field.SetUint(n)
	case *time.Duration:
		*p, err = time.ParseDuration(text)
	case *[]string:
		*p, err = appendList(*p, text, func(s string) (string, error) { return s, nil })
	case *[]netip.Prefix:
		*p, err = appendList(*p, text, netip.ParsePrefix)
	default:
		panic("config: no option can be a " + o.field.Type().String())
	}
	return err
}

func appendList[T any](list []T, text string, parse func(string) (T, error)) ([]T, error) {
	for part := range strings.SplitSeq(text, ",") {
		v, err := parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func printHelp(w io.Writer, options []*option) error {
	var b strings.Builder
	b.WriteString("The Firmlight server. Each flag is also a variable: --data-dir is " + Prefix + "DATA_DIR.\n" +
		"Commands: backup FILE, restore FILE (each with --help), version.\n\n")
	for _, o := range options {
		b.WriteString("  --" + o.name)
		if o.def != "" {
			b.WriteString("=" + o.def)
		}
		b.WriteString("\n        " + o.help + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Reference returns docs/configuration.md.
func Reference() ([]byte, error) {
	var b strings.Builder
	b.WriteString("# Configuration of the server\n\n" +
		"Made from `internal/config`; change it there. Every option is a flag and a variable, the flag wins; an unknown one of " +
		"either kind stops the start. Durations are written as `90s`, `15m` or `24h`.\n\n" +
		"| flag | variable | default | what it is |\n|---|---|---|---|\n")
	for _, o := range optionsOf(&Config{}) {
		def := "–"
		if o.def != "" {
			def = "`" + o.def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s |\n", o.name, strings.Join(o.variables(), "`, `"), def, strings.ReplaceAll(o.help, "|", `\|`))
	}
	return []byte(b.String()), nil
}
