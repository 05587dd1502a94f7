package main

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"time"

	"github.com/firmlight/firmlight/internal/conformance"
)

type conformanceCmd struct {
	List     bool          `help:"Name the cases with the rules they check, and end."`
	Case     []string      `placeholder:"NAME" help:"Only these cases; a name may end in *, as in close-*. May be given several times."`
	JUnit    string        `name:"junit" placeholder:"FILE" help:"Write the results, of an interrupted run those so far, into a file as build servers read them (JUnit XML)."`
	Timeout  time.Duration `default:"45s" help:"Longest time of one case."`
	Parallel int           `default:"8" help:"Cases at a time, each with a worker of its own."`
	Listen   string        `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Where the coordinator listens for workers."`
	Program  []string      `arg:"" optional:"" passthrough:"" name:"program" help:"The worker and its arguments, after --. Without one the worker is started by hand, and again whenever it has ended."`
}

// Help says what a worker has to know.
func (conformanceCmd) Help() string {
	return `A coordinator of its own lets the worker connect and plays one case after the other with it; no server and no login are needed. The worker serves the kinds echo and sleep. It finds what it needs in FIRMLIGHT_SERVER, FIRMLIGHT_TOKEN, FIRMLIGHT_NAME and FIRMLIGHT_SLOTS, is started anew for each case, and asked to leave with SIGTERM.

  firmlight conformance -- ./my-worker --some-flag`
}

func (c *conformanceCmd) Run(e *env) error {
	cases, err := conformance.Select(c.Case...)
	if err != nil {
		return usage("%v", err)
	}
	if c.List {
		return conformance.WriteList(e.out, cases)
	}
	if c.Timeout <= 0 || c.Parallel < 1 {
		return usage("--timeout and --parallel must be more than nothing")
	}
	listener, err := (&net.ListenConfig{}).Listen(e.ctx, "tcp", c.Listen)
	if err != nil {
		return usage("%v", err)
	}
	suite := conformance.Suite{Listener: listener, Cases: cases, Timeout: c.Timeout, Parallel: c.Parallel}
	if len(c.Program) > 0 && c.Program[0] == "--" {
		c.Program = c.Program[1:]
	}
	if len(c.Program) > 0 {
		suite.Start = conformance.Command(c.Program)
	} else {
		suite.Token = rand.Text()
		suite.Cases = conformance.WithoutProgram(cases)
		e.note("Start the worker with these variables, and again whenever it has ended:\n  FIRMLIGHT_SERVER=http://%s\n  FIRMLIGHT_TOKEN=%s",
			listener.Addr(), suite.Token)
	}
	if _, ok := terminal(e.err); ok {
		suite.Tell = func(r conformance.Result) { e.note("%s: %s", r.Case.Name, verdict(r)) }
	}
	results, err := suite.Run(e.ctx)
	switch {
	case err == nil:
		return c.report(e, results)
	case e.ctx.Err() != nil && len(results) > 0:
		e.note("Interrupted; of %d cases these were played:", len(suite.Cases))
		var failed *failure
		if reported := c.report(e, results); !errors.As(reported, &failed) {
			err = errors.Join(err, reported)
		}
	}
	return err
}

func verdict(r conformance.Result) string {
	if r.Passed() {
		return "ok"
	}
	return r.Failure
}

// report prints the results, writes the file and says with its error whether all
// passed.
func (c *conformanceCmd) report(e *env, results []conformance.Result) error {
	type row struct {
		Case    string  `json:"case"`
		Rule    string  `json:"rule"`
		Passed  bool    `json:"passed"`
		Seconds float64 `json:"seconds"`
		Failure string  `json:"failure,omitempty"`
	}
	rows := make([]row, len(results))
	failures := 0
	for i, r := range results {
		rows[i] = row{r.Case.Name, r.Case.Rule, r.Passed(), r.Took.Seconds(), r.Failure}
		if !r.Passed() {
			failures++
		}
	}
	var err error
	if e.JSON {
		err = e.printJSON(rows)
	} else {
		err = conformance.WriteTable(e.out, results)
	}
	if err == nil && c.JUnit != "" {
		err = writeJUnit(c.JUnit, results)
	}
	if err == nil && failures > 0 {
		err = fail(exitFailed, "%d of %d cases failed", failures, len(results))
	}
	return err
}

func writeJUnit(name string, results []conformance.Result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(conformance.WriteJUnit(f, results), f.Close())
}
