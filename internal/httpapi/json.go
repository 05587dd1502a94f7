package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// maxNesting limits arrays and objects within each other (docs/http-api.md).
const maxNesting = 64

var errNesting = fmt.Errorf("is nested deeper than %d levels", maxNesting)

// jsonFormat reads and writes JSON bodies: huma's, with our limits and without
// Go's type names in messages.
var jsonFormat = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}

func unmarshal(data []byte, v any) error {
	if body, ok := v.(interface{ decodeBody([]byte) }); ok {
		body.decodeBody(data)
		return nil
	}
	if tooNested(data) {
		return errNesting
	}
	err := json.Unmarshal(data, v)
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Errorf("%s: a %s does not fit here", wrongType.Field, wrongType.Value)
	}
	return err
}

// tooNested counts brackets outside strings; whether it is JSON at all is for
// the decoder to say.
func tooNested(data []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Time is written as RFC 3339 in UTC with exactly three decimals.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the one form the API uses.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time; it is kept in UTC to the millisecond.
func (t *Time) UnmarshalJSON(b []byte) error {
	if err := t.Time.UnmarshalJSON(b); err != nil {
		return errors.New("is not an RFC 3339 time")
	}
	t.Time = t.Time.UTC().Truncate(time.Millisecond)
	return nil
}

// Schema tells huma and the OpenAPI document what a Time looks like.
func (Time) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	s.PrecomputeMessages()
	return s
}

// timeOf returns nil, written as null, for the zero time.
func timeOf(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// Optional is a field of a PATCH: left out, null, or a value.
type Optional[T any] struct {
	Set   bool // it was in the body
	Value *T   // nil: null
}

// UnmarshalJSON is called only for a field that is in the body.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	return json.Unmarshal(b, &o.Value)
}

// Schema is that of T, or null.
func (Optional[T]) Schema(r huma.Registry) *huma.Schema {
	var t T
	s := *huma.SchemaFromType(r, reflect.TypeOf(t))
	s.Nullable = true
	return &s
}
