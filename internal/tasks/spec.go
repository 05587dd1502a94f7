package tasks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
	"github.com/firmlight/firmlight/workload"
)

// Spec is what a user asks for (docs/http-api.md, Tasks). Zero values take the
// defaults named there.
type Spec struct {
	Kind             string
	Input            json.RawMessage
	Title            string
	Priority         Priority
	MaxAttempts      int
	TimeoutS         int
	RunAt            *time.Time
	ResultRetentionS *int
	IdempotencyKey   string

	Split     *SplitSpec
	Inputs    []json.RawMessage
	Broadcast bool

	Reduce        string
	ReduceKind    string
	AllowFailures int
	StartWithinS  int
}

// SplitSpec asks for N parts, or as many as workers are connected.
type SplitSpec struct {
	Parts   int
	Workers bool
}

// Limits and defaults of a Spec (docs/http-api.md).
const (
	MaxInputBytes       = protocol.MaxPayloadBytes
	MaxParentBytes      = 8 << 20
	MaxChildren         = 10_000
	MaxTitleChars       = 200
	MaxKeyChars         = 200
	MaxRunAtAhead       = 366 * 24 * time.Hour
	MaxRetention        = 366 * 24 * time.Hour
	defaultAttempts     = 3
	maxAttempts         = 25
	defaultTimeout      = 300
	maxTimeout          = 86_400
	defaultReassign     = 5
	defaultStartWithinS = 600
)

var kindPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// check collects what is wrong with a Spec, so that all of it is told at once.
type check struct{ fields []fault.Field }

func (c *check) that(ok bool, field, message string) {
	if !ok {
		c.fields = append(c.fields, fault.Field{Field: field, Message: message})
	}
}

func (c *check) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Code: "invalid", Detail: "Some fields are not valid.", Fields: c.fields}
}

func within(n, low, high int) bool { return n >= low && n <= high }

// validate checks a Spec with its defaults filled in.
func (sp *Spec) validate(kinds map[string]workload.Kind, now time.Time) error {
	sp.Title = norm.NFC.String(sp.Title)
	if sp.Priority == "" {
		sp.Priority = Normal
	}
	if sp.MaxAttempts == 0 {
		sp.MaxAttempts = defaultAttempts
	}
	if sp.TimeoutS == 0 {
		sp.TimeoutS = defaultTimeout
	}
	if sp.StartWithinS == 0 {
		sp.StartWithinS = defaultStartWithinS
	}
	var c check
	c.that(kindPattern.MatchString(sp.Kind), "kind", "must match "+kindPattern.String())
	c.that(utf8.RuneCountInString(sp.Title) <= MaxTitleChars, "title", "must have at most 200 characters")
	c.that(printable(sp.Title), "title", "must not have control characters")
	c.that(sp.Priority == High || sp.Priority == Normal || sp.Priority == Low, "priority", "must be high, normal or low")
	c.that(within(sp.MaxAttempts, 1, maxAttempts), "max_attempts", "must be 1 to 25")
	c.that(within(sp.TimeoutS, 1, maxTimeout), "timeout_s", "must be 1 to 86400")
	c.that(within(sp.StartWithinS, 1, maxTimeout), "start_within_s", "must be 1 to 86400")
	c.that(utf8.RuneCountInString(sp.IdempotencyKey) <= MaxKeyChars && printable(sp.IdempotencyKey),
		"idempotency_key", "must have at most 200 characters, no control characters")
	if sp.RunAt != nil {
		c.that(sp.RunAt.Before(now.Add(MaxRunAtAhead)), "run_at", "must be within the next 366 days")
	}
	if r := sp.ResultRetentionS; r != nil {
		c.that(within(*r, 0, int(MaxRetention/time.Second)), "result_retention_s", "must be 0 to 31622400")
	}
	sp.validateFanOut(&c, kinds)
	if err := c.err(); err != nil {
		return err
	}
	return sp.validateSizes()
}

func (sp *Spec) validateFanOut(c *check, kinds map[string]workload.Kind) {
	modes := 0
	for _, on := range []bool{sp.Split != nil, sp.Inputs != nil, sp.Broadcast} {
		if on {
			modes++
		}
	}
	c.that(modes <= 1, "split", "at most one of split, inputs and broadcast")
	c.that(sp.Inputs == nil || within(len(sp.Inputs), 1, MaxChildren), "inputs", "must have 1 to 10000 entries")
	c.that(sp.Inputs == nil || len(sp.Input) == 0, "input", "must be absent where inputs are given")
	if sp.Split != nil {
		k, known := kinds[sp.Kind]
		c.that(known && k.Split != nil, "split", "the kind "+strconv.Quote(sp.Kind)+" does not know how to split")
		c.that(sp.Split.Workers || within(sp.Split.Parts, 1, MaxChildren), "split.parts", `must be 1 to 10000, or "workers"`)
	}
	if modes == 0 {
		c.that(sp.Reduce == "" && sp.ReduceKind == "", "reduce", "goes with split, inputs or broadcast")
		c.that(sp.AllowFailures == 0, "allow_failures", "goes with split, inputs or broadcast")
		return
	}
	c.that(within(sp.AllowFailures, 0, MaxChildren), "allow_failures", "must be 0 to 10000")
	c.that(sp.Reduce == "" || sp.ReduceKind == "", "reduce", "must be a name or a kind")
	c.that(sp.ReduceKind == "" || kindPattern.MatchString(sp.ReduceKind), "reduce.kind", "must match "+kindPattern.String())
	if sp.Reduce != "" {
		_, known := workload.NewReducer(sp.Reduce)
		c.that(known, "reduce", "must be collect, concat, sum, union, none or {\"kind\": …}")
	}
}

func (sp *Spec) validateSizes() error {
	limit := MaxInputBytes
	if sp.Split != nil {
		limit = MaxParentBytes
	}
	total := len(sp.Input)
	for _, in := range sp.Inputs {
		if len(in) > MaxInputBytes {
			return fault.New(fault.TooLarge, "input_too_large", "Each of inputs may have at most %d bytes.", MaxInputBytes)
		}
		total += len(in)
	}
	if sp.Inputs != nil {
		limit = MaxParentBytes
	}
	if total > limit {
		return fault.New(fault.TooLarge, "input_too_large", "The input may have at most %d bytes.", limit)
	}
	return nil
}

// printable refuses control characters.
func printable(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// build turns a valid Spec into what is inserted.
func (sp *Spec) build(by Submitter, now time.Time) New {
	t := Task{
		ID: newID(), Group: by.Group, Kind: sp.Kind, Title: sp.Title, CreatedBy: by.User, Priority: sp.Priority,
		Status: Queued, CreatedAt: now, RunAt: now,
		MaxAttempts: sp.MaxAttempts, MaxReassignments: defaultReassign,
		Timeout: time.Duration(sp.TimeoutS) * time.Second, ResultRetention: by.Retention,
	}
	if sp.ResultRetentionS != nil {
		d := time.Duration(*sp.ResultRetentionS) * time.Second
		t.ResultRetention = &d
	}
	if sp.RunAt != nil && sp.RunAt.After(now) {
		t.RunAt, t.Status = sp.RunAt.UTC().Truncate(time.Millisecond), Scheduled
	}
	n := New{Task: t, Input: sp.Input}
	if len(n.Input) == 0 {
		n.Input = []byte("null")
	}
	if sp.Inputs != nil {
		n.Input, _ = json.Marshal(sp.Inputs) // raw messages were parsed before
	}
	n.InBytes = int64(len(n.Input))
	if sp.IdempotencyKey != "" {
		n.IdempotencyKey = by.User + "/" + by.Group + "/" + sp.IdempotencyKey
		n.BodyHash = sp.hash()
	}
	return n
}

// hash tells two bodies with the same idempotency key apart.
func (sp *Spec) hash() string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(sp) // a Spec always encodes
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

// newID returns a UUIDv7: ids sort by creation.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
