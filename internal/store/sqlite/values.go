package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// ms returns t as stored: Unix milliseconds, 0 for the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is the inverse of ms.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// The types below are places to scan into that need no reflection.
type (
	timeCol     time.Time
	intCol      int
	int64Col    int64
	durationCol time.Duration
	boolCol     bool
	// jsonCol decodes a JSON column into the value it points to; empty is left.
	jsonCol struct{ into any }
)

func integer(src any) (int64, error) {
	v, ok := src.(int64)
	if !ok {
		return 0, fmt.Errorf("an integer was stored as %T", src)
	}
	return v, nil
}

func (c *timeCol) Scan(src any) error {
	v, err := integer(src)
	*c = timeCol(at(v))
	return err
}

func (c *intCol) Scan(src any) error {
	v, err := integer(src)
	*c = intCol(v)
	return err
}

func (c *int64Col) Scan(src any) error {
	v, err := integer(src)
	*c = int64Col(v)
	return err
}

func (c *durationCol) Scan(src any) error {
	v, err := integer(src)
	*c = durationCol(time.Duration(v) * time.Millisecond)
	return err
}

func (c *boolCol) Scan(src any) error {
	v, err := integer(src)
	*c = v != 0
	return err
}

func (c jsonCol) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		return json.Unmarshal([]byte(v), c.into)
	default:
		return fmt.Errorf("JSON was stored as %T", src)
	}
}

// toJSON encodes what has no values that cannot be encoded.
func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and their slices and maps only
	}
	return string(b)
}

func fanOutJSON(f tasks.FanOut) string {
	if f.Mode == "" && f.StartWithin == 0 && f.Parts == 0 && len(f.Workers) == 0 &&
		f.Reduce == "" && f.ReduceKind == "" && f.AllowFailures == 0 {
		return ""
	}
	return toJSON(f)
}

// nullable returns NULL for nil, else what f makes of the value.
func nullable[T, S any](p *T, f func(T) S) any {
	if p == nil {
		return nil
	}
	return f(*p)
}

func errorJSON(e *protocol.TaskError) any {
	return nullable(e, func(e protocol.TaskError) string { return toJSON(e) })
}
