package mongo

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/firmlight/firmlight/internal/tasks"
)

var operators = map[tasks.Op]string{
	tasks.OpNe: "$ne", tasks.OpLt: "$lt", tasks.OpLte: "$lte", tasks.OpGt: "$gt", tasks.OpGte: "$gte",
}

// fieldOf returns the name of a column's field.
func fieldOf(c tasks.Column) string {
	if c == tasks.ColID {
		return "_id"
	}
	return string(c)
}

// where adds conditions to a filter. A field stands in a filter once; a second
// condition on it goes under $and.
func where(filter D, w tasks.Where) (D, error) {
	var more []D
	for _, c := range w {
		e, err := cond(c)
		if err != nil {
			return nil, err
		}
		switch {
		case e == nil:
		case len(e) == 1 && !slices.ContainsFunc(filter, func(have E) bool { return have.Key == e[0].Key }):
			filter = append(filter, e[0])
		default:
			more = append(more, e)
		}
	}
	if len(more) > 0 {
		filter = append(filter, is("$and", more))
	}
	return filter, nil
}

// cond translates one condition; nil: it always holds.
func cond(c tasks.Cond) (D, error) {
	field := fieldOf(c.Column)
	switch c.Op {
	case tasks.OpIn:
		return in(c, field)
	case tasks.OpWords:
		q, ok := c.Value.(string)
		if !ok || c.Column != tasks.ColTitle {
			return nil, fmt.Errorf("mongodb: words of %q are not kept", c.Column)
		}
		return words(q), nil
	}
	s, err := c.Column.Check(c.Value)
	if err != nil {
		return nil, err
	}
	if c.Op == tasks.OpEq {
		return D{op(field, "$eq", c.Value)}, nil
	}
	operator, ok := operators[c.Op]
	if !ok {
		return nil, fmt.Errorf("mongodb: no operator %d", c.Op)
	}
	if c.Op != tasks.OpNe && (s == tasks.ShapeFloat || s == tasks.ShapeError || s == tasks.ShapeFanOut) {
		return nil, fmt.Errorf("mongodb: %q has no order", c.Column)
	}
	if c.Op == tasks.OpNe && reflect.ValueOf(c.Value).IsZero() && (s&^tasks.ShapeFixed == tasks.ShapeText || s&^tasks.ShapeFixed == tasks.ShapeInstant) {
		operator = "$gt" // the same, and a range of the index
	}
	return D{op(field, operator, c.Value)}, nil
}

// maxIn bounds the values of one OpIn.
const maxIn = 1000

func in(c tasks.Cond, field string) (D, error) {
	v := reflect.ValueOf(c.Value)
	if v.Kind() != reflect.Slice || v.Len() > maxIn {
		return nil, fmt.Errorf("mongodb: %q in %T, at most %d", c.Column, c.Value, maxIn)
	}
	values := make([]any, v.Len())
	for i := range values {
		values[i] = v.Index(i).Interface()
		if _, err := c.Column.Check(values[i]); err != nil {
			return nil, err
		}
	}
	if len(values) == 1 {
		return D{op(field, "$eq", values[0])}, nil
	}
	_, err := c.Column.Shape() // where there are no values
	return D{op(field, "$in", values)}, err
}

// words holds for a title with a word for each of q that it begins, and for the
// task whose id q is.
func words(q string) D {
	var all []D
	for _, w := range tasks.Words(q) {
		all = append(all, D{op("words", "$regex", "^"+w)}) // letters and digits only
	}
	if all == nil {
		return nil
	}
	return D{is("$or", []D{{is("_id", strings.TrimSpace(q))}, {is("$and", all)}})}
}

// changes translates assignments.
func changes(as []tasks.Assign) (D, error) {
	var set, inc D
	for _, a := range as {
		if err := a.Check(); err != nil {
			return nil, err
		}
		e := is(fieldOf(a.Column), a.Value)
		if a.Inc {
			inc = append(inc, e)
			continue
		}
		if i := slices.IndexFunc(set, func(have E) bool { return have.Key == e.Key }); i >= 0 {
			set[i] = e // the last one counts
			continue
		}
		set = append(set, e)
	}
	var d D
	if set != nil {
		d = append(d, is("$set", set))
	}
	if inc != nil {
		d = append(d, is("$inc", inc))
	}
	return d, nil
}

func order(sorts []tasks.Sort) (D, error) {
	var d D
	for _, s := range sorts {
		if _, err := s.Column.Shape(); err != nil {
			return nil, err
		}
		by := 1
		if s.Desc {
			by = -1
		}
		d = append(d, is(fieldOf(s.Column), by))
	}
	return d, nil
}

func setsStatus(set []tasks.Assign) bool {
	return slices.ContainsFunc(set, func(a tasks.Assign) bool { return a.Column == tasks.ColStatus })
}

// waiting is a filter of those of a pair, and more.
func waiting(more ...E) D {
	return append(D{op("status", "$in", []tasks.Status{tasks.Queued, tasks.Scheduled}), is("phase", "")}, more...)
}

// unfinished holds for tasks that wait or run; parents, which have a phase then,
// are left out.
var unfinished = D{op("status", "$in", tasks.Unfinished), is("phase", "")}
