package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// shape is what a column holds; fixed ones are never assigned.
type shape uint8

const (
	text shape = iota
	number
	instant
	float
	taskError
	fanOut
	fixed shape = 1 << 4 // a flag
)

// columns are the columns that conditions and assignments may name: their names
// go into statements, so no other name ever does.
var columns = map[tasks.Column]shape{
	tasks.ColID: text | fixed, tasks.ColGroup: text | fixed, tasks.ColKind: text | fixed,
	tasks.ColTitle:     text | fixed, // task_words and words follow it
	tasks.ColCreatedBy: text | fixed, tasks.ColPriority: text, tasks.ColStatus: text, tasks.ColPhase: text,
	tasks.ColCreatedAt: instant | fixed, tasks.ColRunAt: instant, tasks.ColEnqueuedAt: instant,
	tasks.ColStartedAt: instant, tasks.ColDeadline: instant, tasks.ColFinishedAt: instant,
	tasks.ColCancelRequested: instant, tasks.ColAttempt: number, tasks.ColFailures: number,
	tasks.ColReassignments: number, tasks.ColServer: text, tasks.ColSession: text, tasks.ColEpoch: number,
	tasks.ColWorker: text, tasks.ColWorkerName: text, tasks.ColRunBy: text, tasks.ColAccepted: number,
	tasks.ColPercent: float, tasks.ColMessage: text, tasks.ColError: taskError, tasks.ColInBytes: number,
	tasks.ColOutBytes: number, tasks.ColDropAt: instant, tasks.ColDroppedAt: instant,
	tasks.ColParent: text | fixed, tasks.ColIndex: number | fixed, tasks.ColCount: number,
	tasks.ColTarget: text, tasks.ColFanOut: fanOut, tasks.ColGen: number, tasks.ColReduceBy: text,
	tasks.ColReduceUntil: instant, tasks.ColReduceN: number,
}

func shapeOf(c tasks.Column) (shape, error) {
	s, ok := columns[c]
	if !ok {
		return 0, fmt.Errorf("sqlite: no column %q to ask for", c)
	}
	return s, nil
}

var operators = map[tasks.Op]string{
	tasks.OpEq: "=", tasks.OpNe: "<>", tasks.OpLt: "<", tasks.OpLte: "<=", tasks.OpGt: ">", tasks.OpGte: ">=",
}

// clause is a piece of SQL with its arguments. Statuses, phases, priorities and
// zero values are written out, so that partial indexes are known to hold; all
// else is a placeholder, so that the statements of one shape share their text.
type clause struct {
	strings.Builder
	args []any
}

func (c *clause) add(s string, args ...any) {
	c.WriteString(s)
	c.args = append(c.args, args...)
}

// where writes " AND cond" for each condition.
func (c *clause) where(w tasks.Where) error {
	for _, cond := range w {
		if err := c.cond(cond); err != nil {
			return err
		}
	}
	return nil
}

func (c *clause) cond(cond tasks.Cond) error {
	s, err := shapeOf(cond.Column)
	if err != nil {
		return err
	}
	col := string(cond.Column)
	switch cond.Op {
	case tasks.OpIn:
		return c.in(col, s, cond.Value)
	case tasks.OpWords:
		q, ok := cond.Value.(string)
		if !ok || cond.Column != tasks.ColTitle {
			return fmt.Errorf("sqlite: words of %q are not kept", cond.Column)
		}
		c.words(q)
		return nil
	}
	op, ok := operators[cond.Op]
	if !ok {
		return fmt.Errorf("sqlite: no operator %d", cond.Op)
	}
	v, err := convert(cond.Column, s, cond.Value)
	if err != nil {
		return err
	}
	if v.null || s == float || s == taskError { // NULL compares as a value
		op = map[string]string{"=": "IS", "<>": "IS NOT"}[op]
		if op == "" {
			return fmt.Errorf("sqlite: %q has no order", cond.Column)
		}
	}
	if s&^fixed == instant && v.zero && op == "<>" {
		op = ">" // the same, and what the indexes say
	}
	c.add(" AND " + col + " " + op + " ")
	c.value(v)
	if cond.Op == tasks.OpEq && !v.zero && notEmpty[cond.Column] {
		c.add(" AND " + col + " <> ''") // implied, and what the index asks for
	}
	return nil
}

// notEmpty are the columns whose partial indexes leave the empty value out.
var notEmpty = map[tasks.Column]bool{
	tasks.ColParent: true, tasks.ColPhase: true, tasks.ColSession: true, tasks.ColTarget: true, tasks.ColWorker: true,
}

func (c *clause) in(col string, s shape, values any) error {
	var list []any
	switch vs := values.(type) {
	case []string:
		list = anys(vs)
	case []tasks.Status:
		list = anys(vs)
	case []tasks.Phase:
		list = anys(vs)
	case []tasks.Priority:
		list = anys(vs)
	case []int:
		list = anys(vs)
	case []int64:
		list = anys(vs)
	default:
		return fmt.Errorf("sqlite: %q in %T", col, values)
	}
	if len(list) > maxIn {
		return fmt.Errorf("sqlite: %d values for %q, at most %d", len(list), col, maxIn)
	}
	if len(list) == 0 {
		c.add(" AND 0")
		return nil
	}
	converted := make([]value, len(list))
	for i, v := range list {
		var err error
		if converted[i], err = convert(tasks.Column(col), s, v); err != nil {
			return err
		}
	}
	// In the order of the indexes' own lists, which is how SQLite knows them again.
	slices.SortStableFunc(converted, func(a, b value) int { return strings.Compare(a.literal, b.literal) })
	c.add(" AND " + col + " IN (")
	for i, v := range converted {
		if i > 0 {
			c.add(", ")
		}
		c.value(v)
	}
	c.add(")")
	return nil
}

// maxIn bounds the values of one OpIn.
const maxIn = 1000

func anys[T any](vs []T) []any {
	list := make([]any, len(vs))
	for i, v := range vs {
		list[i] = v
	}
	return list
}

// set writes the assignments of an UPDATE.
func (c *clause) set(as []tasks.Assign) error {
	for i, a := range as {
		s, err := shapeOf(a.Column)
		if err != nil {
			return err
		}
		if s&fixed != 0 || a.Inc && s != number {
			return fmt.Errorf("sqlite: %q cannot be assigned so", a.Column)
		}
		v, err := convert(a.Column, s, a.Value)
		if err != nil {
			return err
		}
		if i > 0 {
			c.add(", ")
		}
		c.add(string(a.Column) + " = ")
		if a.Inc {
			c.add(string(a.Column) + " + ")
		}
		c.value(v)
	}
	return nil
}

func (c *clause) order(sorts []tasks.Sort) error {
	for i, s := range sorts {
		if _, err := shapeOf(s.Column); err != nil {
			return err
		}
		c.add([]string{" ORDER BY ", ", "}[min(i, 1)] + string(s.Column))
		if s.Desc {
			c.add(" DESC")
		}
	}
	return nil
}

// value is a Go value as SQL: an argument, or a literal.
type value struct {
	arg     any
	literal string
	null    bool
	zero    bool
}

func (c *clause) value(v value) {
	if v.literal != "" {
		c.add(v.literal)
		return
	}
	c.add("?", v.arg)
}

// convert returns v for a column of shape s.
func convert(col tasks.Column, s shape, v any) (value, error) {
	var out value
	is := text
	switch v := v.(type) {
	case tasks.Status:
		out = word(string(v))
	case tasks.Phase:
		out = word(string(v))
	case tasks.Priority:
		out = word(string(v))
	case string:
		if out = (value{arg: v}); v == "" {
			out = word("")
		}
	case int:
		is, out = number, value{arg: int64(v), zero: v == 0}
	case int64:
		is, out = number, value{arg: v, zero: v == 0}
	case time.Time:
		is, out = instant, value{arg: ms(v)}
		if v.IsZero() {
			out = value{literal: "0", zero: true}
		}
	case *float64:
		is, out = float, value{arg: nullable(v, func(f float64) float64 { return f }), null: v == nil}
	case *protocol.TaskError:
		is, out = taskError, value{arg: errorJSON(v), null: v == nil}
	case tasks.FanOut:
		is, out = fanOut, value{arg: fanOutJSON(v)}
	default:
		return value{}, fmt.Errorf("sqlite: %T for %q", v, col)
	}
	if is != s&^fixed {
		return value{}, fmt.Errorf("sqlite: %T for %q", v, col)
	}
	return out, nil
}

// word is a constant of the domain, written out where it is a plain word.
func word(s string) value {
	if len(s) > 16 || strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return value{arg: s}
	}
	return value{literal: "'" + s + "'", zero: s == ""}
}
