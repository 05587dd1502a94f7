package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/client"
)

type submitCmd struct {
	inGroup
	Kind  string `arg:"" help:"Kind of the task, such as factorize."`
	Input string `arg:"" optional:"" help:"Input as JSON; - reads it from standard input."`
	File  string `short:"f" placeholder:"FILE" help:"Read the input from a file."`

	Split         string `placeholder:"N|workers" help:"Cut the task into so many parts, or one for each connected worker."`
	Inputs        string `placeholder:"FILE" help:"A part for each line (JSON) of a file; - for standard input."`
	Broadcast     bool   `help:"A part for every connected worker that takes the kind."`
	Reduce        string `placeholder:"HOW" help:"How the parts' outputs become one: collect, concat, sum, union, none, or kind:NAME to do it on a worker. Default: the kind's own."`
	AllowFailures int    `placeholder:"N" help:"How many parts may fail for good."`

	Title       string        `help:"What it is called in lists."`
	Priority    string        `enum:"high,normal,low" default:"normal" help:"high, normal or low."`
	MaxAttempts int           `placeholder:"N" help:"Attempts before it fails for good. Default: 3."`
	Timeout     time.Duration `placeholder:"TIME" help:"Of one attempt, such as 90s. Default: 5m."`
	RunAt       string        `placeholder:"TIME" help:"Not before: RFC 3339, or from now, such as 2h."`
	Retention   time.Duration `placeholder:"TIME" default:"-1s" hidden:"" help:"How long input and output stay."`
	Key         string        `help:"The same key within 24 hours means the first task again."`

	Wait bool `short:"w" help:"Wait for the end with progress bars, and print the output."`
}

// maxInput is more than any task takes, in bytes; the server has the exact limits.
const maxInput = 32 << 20

func (c *submitCmd) Run(e *env) error {
	spec, err := c.spec(e)
	if err != nil {
		return err
	}
	api, group, err := c.open(e)
	if err != nil {
		return err
	}
	var made json.RawMessage
	if err := api.Do(e.ctx, http.MethodPost, "/groups/"+group+"/tasks", spec, &made); err != nil {
		return err
	}
	var t client.Task
	if err := json.Unmarshal(made, &t); err != nil {
		return err
	}
	if !c.Wait {
		return e.say(made, "%s", t.ID)
	}
	ended, err := e.follow(api, []string{t.ID}, false)
	if err != nil {
		return err
	}
	if err := howItEnded(ended[0]); err != nil {
		return err
	}
	return printResult(e, api, t.ID)
}

// spec is the body of the request.
func (c *submitCmd) spec(e *env) (map[string]any, error) {
	spec := map[string]any{"kind": c.Kind, "priority": c.Priority}
	set := func(name string, value any, given bool) {
		if given {
			spec[name] = value
		}
	}
	set("title", c.Title, c.Title != "")
	set("max_attempts", c.MaxAttempts, c.MaxAttempts != 0)
	set("timeout_s", int(c.Timeout/time.Second), c.Timeout != 0)
	set("result_retention_s", int(c.Retention/time.Second), c.Retention >= 0)
	set("idempotency_key", c.Key, c.Key != "")
	set("broadcast", true, c.Broadcast)
	set("allow_failures", c.AllowFailures, c.AllowFailures != 0)
	if c.RunAt != "" {
		at, err := moment("--run-at", c.RunAt, 1)
		if err != nil {
			return nil, err
		}
		spec["run_at"] = at
	}
	if c.Split != "" {
		parts := any(c.Split)
		if n, err := strconv.Atoi(c.Split); err == nil {
			parts = n
		}
		spec["split"] = map[string]any{"parts": parts}
	}
	if c.Reduce != "" {
		spec["reduce"] = c.Reduce
		if kind, ok := strings.CutPrefix(c.Reduce, "kind:"); ok {
			spec["reduce"] = map[string]string{"kind": kind}
		}
	}
	return spec, c.addInput(e, spec)
}

// addInput reads the input, or those of the parts.
func (c *submitCmd) addInput(e *env, spec map[string]any) error {
	given := 0
	for _, from := range []string{c.Input, c.File, c.Inputs} {
		if from != "" {
			given++
		}
	}
	if given > 1 {
		return usage("give the input once: as an argument, with --file or with --inputs")
	}
	switch {
	case c.Inputs != "":
		var inputs []json.RawMessage
		err := lines(e, c.Inputs, maxInput, func(number int, line []byte) error {
			if err := checkJSON(line); err != nil {
				return usage("line %d of %s is not JSON: %v", number, called(c.Inputs), err)
			}
			inputs = append(inputs, bytes.Clone(line))
			return nil
		})
		if err == nil && len(inputs) == 0 {
			err = usage("%s has no lines", called(c.Inputs))
		}
		spec["inputs"] = inputs
		return err
	case c.File != "" || c.Input == "-":
		name := cmp.Or(c.File, "-")
		data, err := readAll(e, name)
		if err != nil {
			return err
		}
		return setInput(spec, data, called(name))
	case c.Input != "":
		return setInput(spec, []byte(c.Input), "the input")
	}
	return nil
}

func setInput(spec map[string]any, data []byte, what string) error {
	if err := checkJSON(data); err != nil {
		return usage("%s is not JSON: %v", what, err)
	}
	spec["input"] = json.RawMessage(data)
	return nil
}

type resultCmd struct {
	Task string `arg:"" help:"Id of the task."`
}

func (c *resultCmd) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	return printResult(e, api, c.Task)
}

// printResult prints a task's output, which is JSON for scripts and people alike.
func printResult(e *env, api *client.Client, id string) error {
	var result struct {
		Output json.RawMessage `json:"output"`
	}
	if err := api.Do(e.ctx, http.MethodGet, taskPath(id)+"/result", nil, &result); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.out, "%s\n", result.Output)
	return err
}
