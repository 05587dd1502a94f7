package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
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
		s.err = fault.New(fault.Malformed, "malformed", "The body is not valid UTF-8.")
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

// Schema is that of T.
func (strict[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// decodeStrict decodes one JSON value and refuses fields that v does not know.
// Its errors are faults.
func decodeStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errTrailing
		}
	}
	return decodeFault(err)
}

var errTrailing = errors.New("more than one JSON value")

func decodeFault(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		return fault.InvalidField(wrong.Field, "a %s does not fit here", wrong.Value)
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errTrailing):
		return fault.Wrap(err, fault.Malformed, "malformed", "The body is not valid JSON.")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fault.InvalidField(strings.Trim(name, `"`), "is not a field of this request")
	}
	return fault.InvalidField("", "%s", err)
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
