package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxResult bounds a reduced result, in bytes of JSON (docs/http-api.md).
const maxResult = 8 << 20

// reducers are the generic reduces of docs/http-api.md by name.
var reducers = map[string]func() Reducer{
	"collect": func() Reducer { return &collect{} },
	"concat":  func() Reducer { return &concat{} },
	"sum":     func() Reducer { return &sum{} },
	"union":   func() Reducer { return &union{} },
	"none":    func() Reducer { return none{} },
}

// Reducers returns the names of the generic reducers, sorted.
func Reducers() []string { return slices.Sorted(maps.Keys(reducers)) }

// NewReducer returns a fresh generic reducer by name; false if there is none.
// The output of a part that failed for good is given to Add as null.
func NewReducer(name string) (Reducer, bool) {
	fresh, ok := reducers[name]
	if !ok {
		return nil, false
	}
	return fresh(), true
}

// badOutput is the error for parts' outputs that cannot be combined.
func badOutput(format string, args ...any) error {
	return &Error{Code: codeBadOutput, Message: fmt.Sprintf(format, args...)}
}

// tooLarge is the error for a result of more than maxResult bytes, else nil.
func tooLarge(size int) error {
	if size <= maxResult {
		return nil
	}
	return &Error{Code: codeTooLarge, Message: fmt.Sprintf("the reduced result is larger than %d bytes", maxResult)}
}

// isNull tells the output of a part that failed for good.
func isNull(output json.RawMessage) bool {
	text := bytes.TrimSpace(output)
	return len(text) == 0 || string(text) == "null"
}

// buffer collects a result up to maxResult bytes.
type buffer struct{ bytes.Buffer }

func (b *buffer) join(separator string, data []byte) error {
	if b.Len() == 0 {
		separator = ""
	}
	// Two bytes are for the brackets or quotes around.
	if err := tooLarge(b.Len() + len(separator) + len(data) + 2); err != nil {
		return err
	}
	b.WriteString(separator)
	b.Write(data)
	return nil
}

// around returns what was joined between two delimiters.
func (b *buffer) around(open, end string) json.RawMessage {
	return slices.Concat([]byte(open), b.Bytes(), []byte(end))
}

// collect is the array of all outputs by index, null where a part failed.
type collect struct{ items buffer }

func (c *collect) Add(output json.RawMessage) error {
	if isNull(output) {
		output = json.RawMessage("null")
	}
	if !json.Valid(output) {
		return badOutput("collect: an output is not JSON")
	}
	return c.items.join(",", output)
}

func (c *collect) Result() (json.RawMessage, error) { return c.items.around("[", "]"), nil }

// concat joins arrays to one array, or strings to one string.
type concat struct {
	open   byte // '[' or '"' after the first output
	joined buffer
}

func (c *concat) Add(output json.RawMessage) error {
	if isNull(output) {
		return nil
	}
	text := bytes.TrimSpace(output)
	if c.open == 0 {
		c.open = text[0]
	}
	if text[0] != c.open || c.open != '[' && c.open != '"' || !json.Valid(text) {
		return badOutput("concat: the outputs must be all arrays or all strings")
	}
	inner := bytes.TrimSpace(text[1 : len(text)-1])
	switch {
	case c.open == '"':
		return c.joined.join("", text[1:len(text)-1])
	case len(inner) == 0:
		return nil
	}
	return c.joined.join(",", inner)
}

func (c *concat) Result() (json.RawMessage, error) {
	if c.open == '"' {
		return c.joined.around(`"`, `"`), nil
	}
	return c.joined.around("[", "]"), nil
}

// sum adds numbers, or objects of numbers field by field, exactly.
type sum struct {
	number *exactSum            // outputs are numbers
	fields map[string]*exactSum // outputs are objects
	size   int                  // bytes of names
}

func (s *sum) Add(output json.RawMessage) error {
	if isNull(output) {
		return nil
	}
	var number float64
	if json.Unmarshal(output, &number) == nil && s.fields == nil {
		if s.number == nil {
			s.number = &exactSum{}
		}
		s.number.add(number)
		return nil
	}
	var object map[string]*float64
	if json.Unmarshal(output, &object) != nil || s.number != nil {
		return badOutput("sum: the outputs must be all numbers or all objects of numbers")
	}
	if s.fields == nil {
		s.fields = make(map[string]*exactSum)
	}
	for name, value := range object {
		if value == nil {
			return badOutput("sum: field %q is no number", name)
		}
		if s.fields[name] == nil {
			s.fields[name] = &exactSum{}
			s.size += len(name) + len(`"":0,`)
			if err := tooLarge(s.size); err != nil {
				return err
			}
		}
		s.fields[name].add(*value)
	}
	return nil
}

func (s *sum) Result() (json.RawMessage, error) {
	if s.fields == nil {
		if s.number == nil {
			return json.RawMessage("0"), nil
		}
		return s.encode(s.number.rounded())
	}
	totals := make(map[string]float64, len(s.fields))
	for name, field := range s.fields {
		totals[name] = field.rounded()
	}
	return s.encode(totals)
}

func (s *sum) encode(result any) (json.RawMessage, error) {
	data, err := json.Marshal(result)
	if err != nil {
		return nil, badOutput("sum: a sum is larger than any number")
	}
	if err := tooLarge(len(data)); err != nil {
		return nil, err
	}
	return data, nil
}

// union is the set of all elements of arrays, or the merged fields of objects;
// what came first stays.
type union struct {
	seen   map[string]bool
	object bool // the outputs are objects
	joined buffer
}

func (u *union) Add(output json.RawMessage) error {
	if isNull(output) {
		return nil
	}
	object := bytes.TrimSpace(output)[0] == '{'
	if u.seen == nil {
		u.seen, u.object = make(map[string]bool), object
	}
	if object != u.object {
		return badOutput("union: the outputs must be all arrays or all objects")
	}
	if object {
		return u.addObject(output)
	}
	return u.addArray(output)
}

func (u *union) addArray(output json.RawMessage) error {
	var items []json.RawMessage
	if json.Unmarshal(output, &items) != nil {
		return badOutput("union: the outputs must be all arrays or all objects")
	}
	for _, item := range items {
		if err := u.addOnce(canonical(item), nil, item); err != nil {
			return err
		}
	}
	return nil
}

func (u *union) addObject(output json.RawMessage) error {
	var items map[string]json.RawMessage
	if json.Unmarshal(output, &items) != nil {
		return badOutput("union: the outputs must be all arrays or all objects")
	}
	for _, name := range slices.Sorted(maps.Keys(items)) {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		if err := u.addOnce(name, append(key, ':'), items[name]); err != nil {
			return err
		}
	}
	return nil
}

// addOnce appends prefix and item unless the same key was there before.
func (u *union) addOnce(key string, prefix, item []byte) error {
	if u.seen[key] {
		return nil
	}
	u.seen[key] = true
	return u.joined.join(",", slices.Concat(prefix, item))
}

func (u *union) Result() (json.RawMessage, error) {
	if u.object {
		return u.joined.around("{", "}"), nil
	}
	return u.joined.around("[", "]"), nil
}

// none gives null whatever the outputs were.
type none struct{}

func (none) Add(json.RawMessage) error        { return nil }
func (none) Result() (json.RawMessage, error) { return json.RawMessage("null"), nil }

// canonical writes valid JSON so that equal values have equal text: fields
// sorted, no blanks, 1.0 and 1e0 as 1. Integers of any size stay exact.
func canonical(value json.RawMessage) string {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return string(value)
	}
	data, err := json.Marshal(canonicalNumbers(v))
	if err != nil {
		return string(value)
	}
	return string(data)
}

func canonicalNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = canonicalNumbers(v[name])
		}
	case []any:
		for i := range v {
			v[i] = canonicalNumbers(v[i])
		}
	case json.Number:
		return canonicalNumber(v.String())
	}
	return v
}

func canonicalNumber(text string) json.Number {
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			text = "0"
		}
		return json.Number(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return json.Number(text)
	case f == math.Trunc(f):
		return json.Number(strconv.FormatFloat(f+0, 'f', -1, 64))
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
}
