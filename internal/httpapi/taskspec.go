package httpapi

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
)

// TaskSpec is a task to submit. The tags describe it; tasks.Spec checks it.
type TaskSpec struct {
	Kind             string          `json:"kind" pattern:"^[a-z0-9][a-z0-9._-]{0,63}$" doc:"What a worker has to know, such as factorize"`
	Input            json.RawMessage `json:"input,omitempty" doc:"Any JSON up to 1 MiB; 8 MiB with split"`
	Title            string          `json:"title,omitempty" maxLength:"200"`
	Priority         string          `json:"priority,omitempty" enum:"high,normal,low" doc:"Left out: normal"`
	MaxAttempts      *int            `json:"max_attempts,omitempty" minimum:"1" maximum:"25" doc:"Left out: 3"`
	TimeoutS         *int            `json:"timeout_s,omitempty" minimum:"1" maximum:"86400" doc:"Of one attempt; left out: 300"`
	RunAt            *runAt          `json:"run_at,omitempty" doc:"Not before this time"`
	ResultRetentionS *int            `json:"result_retention_s,omitempty" minimum:"0" doc:"How long input and result stay after the end; left out: the group's"`
	IdempotencyKey   string          `json:"idempotency_key,omitempty" maxLength:"200" doc:"The same key within 24 h answers 200 with the first task"`

	Split         *TaskSplit `json:"split,omitempty" doc:"For kinds that know how to split"`
	Inputs        taskInputs `json:"inputs,omitempty" minItems:"1" maxItems:"10000" nullable:"false" doc:"One part per input, each up to 1 MiB, 8 MiB in all"`
	Broadcast     bool       `json:"broadcast,omitempty" doc:"One part for every connected worker of the group that takes the kind"`
	Reduce        taskReduce `json:"reduce,omitempty" doc:"How the parts' outputs become one; left out: the kind's own for split, else collect"`
	AllowFailures int        `json:"allow_failures,omitempty" minimum:"0" maximum:"10000" doc:"How many parts may fail for good before the parent does"`
	StartWithinS  *int       `json:"start_within_s,omitempty" minimum:"1" maximum:"86400" doc:"How long a part of a broadcast waits for its worker; left out: 600"`
}

// spec is the task as the domain takes it.
func (t TaskSpec) spec() tasks.Spec {
	sp := tasks.Spec{
		Kind: t.Kind, Input: t.Input, Title: t.Title, Priority: tasks.Priority(t.Priority),
		MaxAttempts: given(t.MaxAttempts), TimeoutS: given(t.TimeoutS), StartWithinS: given(t.StartWithinS),
		ResultRetentionS: t.ResultRetentionS, IdempotencyKey: t.IdempotencyKey,
		Inputs: t.Inputs, Broadcast: t.Broadcast,
		Reduce: t.Reduce.name, ReduceKind: t.Reduce.kind, AllowFailures: t.AllowFailures,
	}
	if t.RunAt != nil {
		sp.RunAt = &t.RunAt.Time.Time
	}
	if t.Split != nil {
		sp.Split = &tasks.SplitSpec{Parts: t.Split.Parts.n, Workers: t.Split.Parts.workers}
	}
	return sp
}

// fansOut reports whether the larger limits are for the task.
func (t TaskSpec) fansOut() bool { return t.Split != nil || t.Inputs != nil }

// given turns an explicit zero, which is wrong, into something else than the
// domain's "left out".
func given(n *int) int {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return -1
	}
	return *n
}

// taskInputs are the inputs of a fan-out's parts.
type taskInputs []json.RawMessage

// UnmarshalJSON refuses too many before it decodes them.
func (in *taskInputs) UnmarshalJSON(data []byte) error {
	return decodeList(data, "inputs", tasks.MaxChildren, (*[]json.RawMessage)(in))
}

// runAt is a Time whose error names the field.
type runAt struct{ Time }

// UnmarshalJSON reads any RFC 3339 time.
func (r *runAt) UnmarshalJSON(b []byte) error {
	if err := r.Time.UnmarshalJSON(b); err != nil {
		return fault.InvalidField("run_at", "is not an RFC 3339 time")
	}
	return nil
}

// TaskSplit asks for parts.
type TaskSplit struct {
	Parts splitParts `json:"parts" doc:"1 to 10,000, or workers: as many as are connected"`
}

// UnmarshalJSON refuses unknown fields.
func (s *TaskSplit) UnmarshalJSON(b []byte) error {
	type plain TaskSplit
	if string(b) == "null" {
		return nil
	}
	return under("split", decodeStrict(b, (*plain)(s)))
}

// splitParts is a number or the word "workers".
type splitParts struct {
	n       int
	workers bool
}

// UnmarshalJSON reads either form.
func (p *splitParts) UnmarshalJSON(b []byte) error {
	if string(b) == `"workers"` {
		p.workers = true
		return nil
	}
	if err := json.Unmarshal(b, &p.n); err != nil {
		return fault.InvalidField("parts", `must be 1 to 10000, or "workers"`)
	}
	return nil
}

// Schema describes both forms.
func (splitParts) Schema(huma.Registry) *huma.Schema {
	low, high := 1.0, float64(tasks.MaxChildren)
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeInteger, Minimum: &low, Maximum: &high},
		{Type: huma.TypeString, Enum: []any{"workers"}},
	}}
}

// taskReduce is the name of a reducer, or a kind that reduces on a worker.
type taskReduce struct {
	name string
	kind string
}

// UnmarshalJSON reads either form.
func (r *taskReduce) UnmarshalJSON(b []byte) error {
	wrong := fault.InvalidField("reduce", `must be collect, concat, sum, union, none or {"kind": …}`)
	if bytes.HasPrefix(b, []byte("{")) {
		var on struct {
			Kind string `json:"kind"`
		}
		if err := decodeStrict(b, &on); err != nil || on.Kind == "" {
			return wrong
		}
		r.kind = on.Kind
		return nil
	}
	if err := json.Unmarshal(b, &r.name); err != nil || r.name == "" && string(b) != "null" {
		return wrong
	}
	return nil
}

// Schema describes both forms.
func (taskReduce) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString, Enum: []any{"collect", "concat", "sum", "union", "none"}},
		{
			Type: huma.TypeObject, Required: []string{"kind"}, AdditionalProperties: false,
			Properties: map[string]*huma.Schema{"kind": {Type: huma.TypeString}},
		},
	}}
}

// TaskFilter narrows a group's tasks; what is left out does not.
type TaskFilter struct {
	Status        string    `query:"status" json:"status,omitempty" enum:"scheduled,queued,running,succeeded,failed,cancelled"`
	Kind          string    `query:"kind" json:"kind,omitempty" maxLength:"64"`
	Q             string    `query:"q" json:"q,omitempty" maxLength:"200" doc:"Beginnings of words of the title, or an id"`
	Worker        string    `query:"worker" json:"worker,omitempty" maxLength:"64" doc:"Worker id: what it ran last, parts too"`
	Member        string    `query:"member" json:"member,omitempty" maxLength:"64" doc:"User id of who submitted"`
	CreatedAfter  time.Time `query:"created_after" json:"created_after,omitzero"`
	CreatedBefore time.Time `query:"created_before" json:"created_before,omitzero"`
}

func (f TaskFilter) list(group string) tasks.ListFilter {
	return tasks.ListFilter{
		Group: group, Status: tasks.Status(f.Status), Kind: f.Kind, Q: f.Q, Worker: f.Worker, Member: f.Member,
		CreatedAfter: f.CreatedAfter, CreatedBefore: f.CreatedBefore,
	}
}
