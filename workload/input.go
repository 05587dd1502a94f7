package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Codes of Error (docs/workloads.md).
const (
	codeBadInput  = "bad_input"        // the input is not one of this kind
	codeBadOutput = "bad_output"       // a part's output cannot be reduced
	codeTooLarge  = "result_too_large" // a reduced result above maxResult
)

// badInput is the error for an input that no attempt can ever run.
func badInput(field, format string, args ...any) error {
	return &Error{Code: codeBadInput, Message: field + ": " + fmt.Sprintf(format, args...)}
}

// object is a JSON object whose fields are still to be read. Names are exact and
// values are taken literally (1.0 is no integer), so that Go and Python agree.
type object map[string]json.RawMessage

// fields reads an input that is an object with no fields but the known ones.
func fields(input json.RawMessage, known ...string) (object, error) {
	var in object
	if err := json.Unmarshal(input, &in); err != nil || in == nil {
		return nil, badInput("input", "must be a JSON object")
	}
	for name := range in {
		if !slices.Contains(known, name) {
			return nil, badInput(strconv.Quote(name), "unknown field")
		}
	}
	return in, nil
}

func (o object) has(name string) bool { return o[name] != nil }

// integer reads a whole number from least to most; a missing one is an error.
func (o object) integer(name string, least, most int64) (int64, error) {
	v, err := strconv.ParseInt(string(o[name]), 10, 64)
	if err != nil || v < least || v > most {
		return 0, badInput(name, "must be an integer from %d to %d", least, most)
	}
	return v, nil
}

// boolean reads true or false; missing is the fallback.
func (o object) boolean(name string, fallback bool) (bool, error) {
	switch string(o[name]) {
	case "":
		return fallback, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, badInput(name, "must be true or false")
}

// text reads a string; a missing one is an error.
func (o object) text(name string) (string, error) {
	var s *string
	if err := json.Unmarshal(o[name], &s); err != nil || s == nil {
		return "", badInput(name, "must be a string")
	}
	return *s, nil
}

// shares divides total into n shares that differ by at most one, larger first.
func shares(total uint64, n int) []uint64 {
	count := uint64(max(n, 1))
	out := make([]uint64, count)
	for i := range out {
		out[i] = total / count
		if uint64(i) < total%count {
			out[i]++
		}
	}
	return out
}
