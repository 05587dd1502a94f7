package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/firmlight/firmlight/internal/fault"
)

// strict is a body, or an entry of one, that is decoded once and not into a
// tree first as huma's own validation does: bodies of tasks are large. Its
// route has skipSchema. What is wrong with it is told by err, so that one bad
// entry does not spoil its neighbours.
type strict[T any] struct {
	value T
	size  int // bytes
	err   error
}

// decodeBody is called by unmarshal with a whole body.
func (s *strict[T]) decodeBody(data []byte) {
	s.size = len(data)
	switch {
	case !utf8.Valid(data):
		s.err = errUTF8
	case tooNested(data):
		s.err = fault.InvalidField("body", "%s", errNesting)
	default:
		s.err = under("body", decodeStrict(data, &s.value))
	}
}

// UnmarshalJSON is called for an entry of a body.
func (s *strict[T]) UnmarshalJSON(data []byte) error {
	s.size = len(data)
	s.err = decodeStrict(data, &s.value)
	return nil
}

// decodeList decodes the value of a field that has at most so many entries. A
// longer one is refused before: decoded it takes a hundred times its bytes.
func decodeList[T any](data []byte, field string, most int, v *[]T) error {
	if moreItems(data, most) {
		return fault.InvalidField(field, "must have 1 to %d entries", most)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return under(field, decodeFault(err))
	}
	return nil
}

// moreItems reports whether an array has more than so many items. data is valid
// JSON.
func moreItems(data []byte, most int) bool {
	depth, inString, items := 0, false, 1
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			if items++; items > most {
				return true
			}
		}
	}
	return false
}

// Schema is that of T.
func (strict[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// decodeStrict decodes an object and refuses fields that v does not know, also
// where only the case differs. Its errors are faults. Objects within are for
// their own types to check.
func decodeStrict(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return decodeFault(err)
	}
	known := fieldsOf(reflect.TypeOf(v).Elem())
	for name := range fieldsIn(data) {
		if !known[name] {
			return fault.InvalidField(name, "is not a field of this request")
		}
	}
	return nil
}

func decodeFault(err error) error {
	var known *fault.Error
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		return fault.InvalidField(wrong.Field, "a %s does not fit here", wrong.Value)
	case errors.As(err, &syntax):
		return fault.Wrap(err, fault.Malformed, "malformed", "The body is not valid JSON.")
	}
	return fault.InvalidField("", "%s", err)
}

var knownFields sync.Map // of reflect.Type to map[string]bool

// fieldsOf returns the names of a struct's fields in JSON.
func fieldsOf(t reflect.Type) map[string]bool {
	if known, ok := knownFields.Load(t); ok {
		return known.(map[string]bool)
	}
	known := make(map[string]bool)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = true
	}
	knownFields.Store(t, known)
	return known
}

// fieldsIn yields the names of an object's own fields. data is valid JSON.
func fieldsIn(data []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		depth, start, key := 0, -1, false // start of a string at hand, and whether it may be a name
		for i := 0; i < len(data); i++ {
			switch c := data[i]; {
			case start >= 0 && c == '\\':
				i++
			case start >= 0 && c == '"':
				if key && !yield(unquote(data[start:i+1])) {
					return
				}
				start, key = -1, false
			case start >= 0:
			case c == '"':
				start = i
			case c == '{' || c == '[':
				depth++
				key = depth == 1 && c == '{'
			case c == '}' || c == ']':
				depth--
			case c == ',':
				key = depth == 1
			}
		}
	}
}

func unquote(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // a string of valid JSON
	return s
}

// under puts the fields of a fault below a path.
func under(path string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Fields) == 0 {
		return err
	}
	below := *f
	below.Fields = make([]fault.Field, len(f.Fields))
	for i, field := range f.Fields {
		below.Fields[i] = fault.Field{Field: strings.TrimSuffix(path+"."+field.Field, "."), Message: field.Message}
	}
	return &below
}
