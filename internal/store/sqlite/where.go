package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

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

// text writes strings one after the other; joined first they would be copied twice.
func (c *clause) text(parts ...string) {
	for _, s := range parts {
		c.WriteString(s)
	}
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
	col := string(cond.Column)
	switch cond.Op {
	case tasks.OpIn:
		return c.in(cond.Column, cond.Value)
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
	s, err := cond.Column.Check(cond.Value)
	if err != nil {
		return err
	}
	v, err := convert(cond.Value)
	if err != nil {
		return err
	}
	if v.null || s == tasks.ShapeFloat || s == tasks.ShapeError { // NULL compares as a value
		op = map[string]string{"=": "IS", "<>": "IS NOT"}[op]
		if op == "" {
			return fmt.Errorf("sqlite: %q has no order", cond.Column)
		}
	}
	if s&^tasks.ShapeFixed == tasks.ShapeInstant && v.zero && op == "<>" {
		op = ">" // the same, and what the indexes say
	}
	c.text(" AND ", col, " ", op, " ")
	c.value(v)
	if cond.Op == tasks.OpEq && !v.zero && notEmpty[cond.Column] {
		c.text(" AND ", col, " <> ''") // implied, and what the index asks for
	}
	return nil
}

// notEmpty are the columns whose partial indexes leave the empty value out.
var notEmpty = map[tasks.Column]bool{
	tasks.ColParent: true, tasks.ColPhase: true, tasks.ColSession: true, tasks.ColTarget: true, tasks.ColWorker: true,
}

func (c *clause) in(col tasks.Column, values any) error {
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
		_, err := col.Shape()
		return err
	}
	converted := make([]value, len(list))
	for i, v := range list {
		_, err := col.Check(v)
		if err == nil {
			converted[i], err = convert(v)
		}
		if err != nil {
			return err
		}
	}
	// In the order of the indexes' own lists, which is how SQLite knows them again.
	slices.SortStableFunc(converted, func(a, b value) int { return strings.Compare(a.literal, b.literal) })
	c.text(" AND ", string(col), " IN (")
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
		if err := a.Check(); err != nil {
			return err
		}
		v, err := convert(a.Value)
		if err != nil {
			return err
		}
		if i > 0 {
			c.add(", ")
		}
		c.text(string(a.Column), " = ")
		if a.Inc {
			c.text(string(a.Column), " + ")
		}
		c.value(v)
	}
	return nil
}

func (c *clause) order(sorts []tasks.Sort) error {
	for i, s := range sorts {
		if _, err := s.Column.Shape(); err != nil {
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
	quoted  bool // the literal is a string
	null    bool
	zero    bool
}

func (c *clause) value(v value) {
	switch {
	case v.quoted:
		c.text("'", v.literal, "'")
	case v.literal != "":
		c.text(v.literal)
	default:
		c.add("?", v.arg)
	}
}

// convert returns what some column holds as SQL.
func convert(v any) (value, error) {
	switch v := v.(type) {
	case tasks.Status:
		return word(string(v)), nil
	case tasks.Phase:
		return word(string(v)), nil
	case tasks.Priority:
		return word(string(v)), nil
	case string:
		if v == "" {
			return word(""), nil
		}
		return value{arg: v}, nil
	case int:
		return value{arg: int64(v), zero: v == 0}, nil
	case int64:
		return value{arg: v, zero: v == 0}, nil
	case time.Time:
		if v.IsZero() {
			return value{literal: "0", zero: true}, nil
		}
		return value{arg: ms(v)}, nil
	case *float64:
		return value{arg: nullable(v, func(f float64) float64 { return f }), null: v == nil}, nil
	case *protocol.TaskError:
		return value{arg: errorJSON(v), null: v == nil}, nil
	case tasks.FanOut:
		return value{arg: fanOutJSON(v)}, nil
	}
	return value{}, fmt.Errorf("sqlite: no column holds %T", v)
}

// word is a constant of the domain, written out where it is a plain word.
func word(s string) value {
	if len(s) > 16 || strings.ContainsFunc(s, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return value{arg: s}
	}
	return value{literal: s, quoted: true, zero: s == ""}
}
