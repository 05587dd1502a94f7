// Firmlight is the command line: what people do with a server from a terminal or
// a script. docs/command-line.md has its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

var version = "dev" // set by the build

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	tell(os.Stderr, err)
	os.Exit(statusOf(err))
}

// commands is the grammar. Flags of all commands come first.
type commands struct {
	options

	Login       loginCmd       `cmd:"" help:"Log in to a server and keep that on this computer."`
	Logout      logoutCmd      `cmd:"" help:"End the login to a server and forget it."`
	Whoami      whoamiCmd      `cmd:"" help:"Say who is logged in where."`
	Groups      groupsCmd      `cmd:"" help:"Your groups."`
	Tokens      tokensCmd      `cmd:"" help:"Tokens for workers, devices and programs."`
	Submit      submitCmd      `cmd:"" help:"Submit a task, or many."`
	Watch       watchCmd       `cmd:"" help:"Watch tasks until they have ended."`
	Tasks       tasksCmd       `cmd:"" help:"List a group's tasks."`
	Task        taskCmd        `cmd:"" help:"Show a task, its parts and what happened to it."`
	Logs        logsCmd        `cmd:"" help:"Print what a task wrote."`
	Result      resultCmd      `cmd:"" help:"Print a task's output."`
	Cancel      cancelCmd      `cmd:"" help:"Cancel tasks."`
	Retry       retryCmd       `cmd:"" help:"Queue failed or cancelled tasks again."`
	Workers     workersCmd     `cmd:"" help:"List a group's workers, or your own."`
	Devices     devicesCmd     `cmd:"" help:"List the devices of your groups."`
	Events      eventsCmd      `cmd:"" help:"Sync events of devices."`
	Conformance conformanceCmd `cmd:"" help:"Check a worker against the worker protocol."`
	Completion  completionCmd  `cmd:"" help:"Print what makes a shell complete this program's words."`
	Version     versionCmd     `cmd:"" help:"Print the version."`

	Complete completeCmd `cmd:"" hidden:"" name:"__complete"`
}

const description = `The command line of Firmlight.

Begin with "firmlight login --server URL". Everything is also there for scripts: --json on each command, and an exit status:

  0    done
  1    a task that was waited for failed or was cancelled; a worker failed a case of conformance
  2    what was given is wrong: flags, input, a file
  3    not logged in, or not allowed
  4    there is no such thing, or not any more
  5    the server is away, or too busy
  6    refused as things are, such as retrying a task that runs
  130  interrupted; a task that was waited for goes on`

// run is main without a process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	var c commands
	helped := false
	parser, err := kong.New(&c, kong.Name("firmlight"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}))
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	line, err := parser.Parse(args)
	if helped {
		return nil
	}
	var wrong *kong.ParseError
	if errors.As(err, &wrong) {
		return usage("%s", wrong.Error()).hinting("%s --help", commandOf(wrong.Context))
	}
	if err != nil {
		return err
	}
	e := &env{ctx: ctx, getenv: getenv, in: stdin, out: stdout, err: stderr, options: c.options}
	return line.Run(e, parser.Model)
}

// commandOf is the command whose help somebody needs.
func commandOf(c *kong.Context) string {
	if c == nil || c.Selected() == nil {
		return "firmlight"
	}
	return c.Selected().FullPath()
}

type versionCmd struct{}

func (versionCmd) Run(e *env) error {
	if e.JSON {
		return e.printJSON(map[string]string{"version": version})
	}
	_, err := fmt.Fprintln(e.out, "firmlight", version)
	return err
}
