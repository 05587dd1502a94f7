package storetest

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/firmlight/firmlight/internal/tasks"
)

// The model is what conditions and assignments mean, said in Go.

// fields finds the field that a column names.
var fields = map[tasks.Column]func(*tasks.Task) any{
	tasks.ColID:              func(t *tasks.Task) any { return &t.ID },
	tasks.ColGroup:           func(t *tasks.Task) any { return &t.Group },
	tasks.ColKind:            func(t *tasks.Task) any { return &t.Kind },
	tasks.ColTitle:           func(t *tasks.Task) any { return &t.Title },
	tasks.ColCreatedBy:       func(t *tasks.Task) any { return &t.CreatedBy },
	tasks.ColPriority:        func(t *tasks.Task) any { return &t.Priority },
	tasks.ColStatus:          func(t *tasks.Task) any { return &t.Status },
	tasks.ColPhase:           func(t *tasks.Task) any { return &t.Phase },
	tasks.ColCreatedAt:       func(t *tasks.Task) any { return &t.CreatedAt },
	tasks.ColRunAt:           func(t *tasks.Task) any { return &t.RunAt },
	tasks.ColEnqueuedAt:      func(t *tasks.Task) any { return &t.EnqueuedAt },
	tasks.ColStartedAt:       func(t *tasks.Task) any { return &t.StartedAt },
	tasks.ColDeadline:        func(t *tasks.Task) any { return &t.Deadline },
	tasks.ColFinishedAt:      func(t *tasks.Task) any { return &t.FinishedAt },
	tasks.ColCancelRequested: func(t *tasks.Task) any { return &t.CancelRequestedAt },
	tasks.ColAttempt:         func(t *tasks.Task) any { return &t.Attempt },
	tasks.ColFailures:        func(t *tasks.Task) any { return &t.Failures },
	tasks.ColReassignments:   func(t *tasks.Task) any { return &t.Reassignments },
	tasks.ColServer:          func(t *tasks.Task) any { return &t.Server },
	tasks.ColSession:         func(t *tasks.Task) any { return &t.Session },
	tasks.ColEpoch:           func(t *tasks.Task) any { return &t.Epoch },
	tasks.ColWorker:          func(t *tasks.Task) any { return &t.Worker },
	tasks.ColWorkerName:      func(t *tasks.Task) any { return &t.WorkerName },
	tasks.ColRunBy:           func(t *tasks.Task) any { return &t.RunBy },
	tasks.ColAccepted:        func(t *tasks.Task) any { return &t.Accepted },
	tasks.ColPercent:         func(t *tasks.Task) any { return &t.Percent },
	tasks.ColMessage:         func(t *tasks.Task) any { return &t.Message },
	tasks.ColError:           func(t *tasks.Task) any { return &t.Error },
	tasks.ColInBytes:         func(t *tasks.Task) any { return &t.InBytes },
	tasks.ColOutBytes:        func(t *tasks.Task) any { return &t.OutBytes },
	tasks.ColDropAt:          func(t *tasks.Task) any { return &t.DropAt },
	tasks.ColDroppedAt:       func(t *tasks.Task) any { return &t.DroppedAt },
	tasks.ColParent:          func(t *tasks.Task) any { return &t.Parent },
	tasks.ColIndex:           func(t *tasks.Task) any { return &t.Index },
	tasks.ColCount:           func(t *tasks.Task) any { return &t.Count },
	tasks.ColTarget:          func(t *tasks.Task) any { return &t.Target },
	tasks.ColFanOut:          func(t *tasks.Task) any { return &t.FanOut },
	tasks.ColGen:             func(t *tasks.Task) any { return &t.Gen },
	tasks.ColReduceBy:        func(t *tasks.Task) any { return &t.ReduceBy },
	tasks.ColReduceUntil:     func(t *tasks.Task) any { return &t.ReduceUntil },
	tasks.ColReduceN:         func(t *tasks.Task) any { return &t.ReduceN },
}

func field(t *tasks.Task, c tasks.Column) any { return fields[c](t) }

// plain returns a field's value for comparing: a string or an int64.
func plain(v any) any {
	r := reflect.ValueOf(v)
	if t, ok := v.(time.Time); ok {
		if t.IsZero() {
			return int64(0)
		}
		return t.UnixMilli()
	}
	switch r.Kind() {
	case reflect.String:
		return r.String()
	case reflect.Int, reflect.Int64:
		return r.Int()
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func compare(a, b any) int {
	a, b = plain(a), plain(b)
	if s, ok := a.(string); ok {
		return cmp.Compare(s, b.(string))
	}
	return cmp.Compare(a.(int64), b.(int64))
}

func value(t *tasks.Task, c tasks.Column) any { return reflect.ValueOf(field(t, c)).Elem().Interface() }

func holds(t tasks.Task, w tasks.Where) bool {
	for _, c := range w {
		if !holdsOne(&t, c) {
			return false
		}
	}
	return true
}

func holdsOne(t *tasks.Task, c tasks.Cond) bool {
	v := value(t, c.Column)
	switch c.Op {
	case tasks.OpEq:
		return compare(v, c.Value) == 0
	case tasks.OpNe:
		return compare(v, c.Value) != 0
	case tasks.OpLt:
		return compare(v, c.Value) < 0
	case tasks.OpLte:
		return compare(v, c.Value) <= 0
	case tasks.OpGt:
		return compare(v, c.Value) > 0
	case tasks.OpGte:
		return compare(v, c.Value) >= 0
	case tasks.OpIn:
		list := reflect.ValueOf(c.Value)
		for i := range list.Len() {
			if compare(v, list.Index(i).Interface()) == 0 {
				return true
			}
		}
		return false
	default:
		return hasWords(t, c.Value.(string))
	}
}

func wordsOf(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

func hasWords(t *tasks.Task, q string) bool {
	title := wordsOf(t.Title)
	for _, w := range wordsOf(q) {
		if !slices.ContainsFunc(title, func(have string) bool { return strings.HasPrefix(have, w) }) {
			return t.ID == q
		}
	}
	return true
}

// changed returns t after the assignments; times are kept to the millisecond.
func changed(t tasks.Task, set []tasks.Assign) tasks.Task {
	for _, a := range set {
		if at, ok := a.Value.(time.Time); ok {
			a.Value = at.Truncate(time.Millisecond)
		}
		to, v := reflect.ValueOf(field(&t, a.Column)).Elem(), reflect.ValueOf(a.Value)
		if a.Inc {
			to.SetInt(to.Int() + v.Int())
		} else {
			to.Set(v.Convert(to.Type()))
		}
	}
	return t
}

// sorted orders ts as a query asks.
func sorted(ts []tasks.Task, by []tasks.Sort) {
	slices.SortFunc(ts, func(a, b tasks.Task) int {
		for _, s := range by {
			c := compare(value(&a, s.Column), value(&b, s.Column))
			if s.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
}
