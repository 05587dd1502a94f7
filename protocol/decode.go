package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// ErrMalformed is the cause of every error about a frame that is not JSON
// objects separated by newlines, not UTF-8, or nested deeper than MaxNesting.
// The server closes with CloseMalformed.
var ErrMalformed = errors.New("malformed frame")

// Message is one object of a frame, checked but not yet decoded into its type.
// It shares the frame's memory.
type Message struct {
	Type Type            // empty if the object has none, or one that is no string
	Raw  json.RawMessage // the whole object

	payloadFrom, payloadTo int  // the large member in Raw; both 0 without one
	folds                  bool // some name may be taken for another one; see exactNames
}

// Messages yields the messages of one frame in order. An error wraps
// ErrMalformed and is the last thing yielded; what came before it is good. A
// type that is not known is no error here: see Type.FromWorker, FromServer.
func Messages(frame []byte) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if !utf8.Valid(frame) {
			yield(Message{}, fmt.Errorf("%w: not UTF-8", ErrMalformed))
			return
		}
		s := scanner{buf: frame, limit: MaxNesting}
		s.space()
		for {
			m, err := s.message()
			if err != nil {
				yield(Message{}, fmt.Errorf("%w: %w", ErrMalformed, err))
				return
			}
			if !yield(m, nil) {
				return
			}
			gap := s.pos
			s.space()
			if s.pos == len(frame) {
				return
			}
			if bytes.IndexByte(frame[gap:s.pos], '\n') < 0 {
				yield(Message{}, fmt.Errorf("%w: objects are separated by newlines", ErrMalformed))
				return
			}
		}
	}
}

func (s *scanner) message() (Message, error) {
	if s.peek() != '{' {
		return Message{}, fmt.Errorf("no JSON object at byte %d", s.pos)
	}
	var m Message
	start := s.pos
	err := s.object(func(key []byte, from, to int) {
		m.folds = m.folds || mayFold(key)
		switch unquote(key) {
		case "type":
			m.Type = Type(unquote(s.buf[from:to]))
		case "input", "output", "data":
			m.payloadFrom, m.payloadTo = from-start, to-start
		}
	})
	m.Raw = s.buf[start:s.pos:s.pos]
	return m, err
}

// mayFold says whether encoding/json might take a quoted name for another one:
// it does not mind case, but here "Slots" is an unknown field. All names of
// version 1 are lower case.
func mayFold(key []byte) bool {
	return bytes.ContainsFunc(key, func(r rune) bool { return r >= utf8.RuneSelf || 'A' <= r && r <= 'Z' || r == '\\' })
}

// exactNames returns a copy of an object in which the names that are not lower
// case letters are none of the protocol's.
func exactNames(raw json.RawMessage) json.RawMessage {
	s := scanner{buf: bytes.Clone(raw), limit: MaxNesting}
	_ = s.object(func(key []byte, _, _ int) {
		if name := unquote(key); mayFold([]byte(name)) {
			for i := range key[1 : len(key)-1] {
				key[1+i] = '-'
			}
		}
	}) // raw has been scanned before
	return s.buf
}

// payloadHolder is a message with one member that may be large.
type payloadHolder interface{ payload() *json.RawMessage }

func (a *Assign) payload() *json.RawMessage     { return &a.Input }
func (c *Checkpoint) payload() *json.RawMessage { return &c.Data }
func (r *Result) payload() *json.RawMessage     { return &r.Output }

// cutFrom is the size in bytes from which a payload is kept away from
// encoding/json, which would read it twice more and copy it.
const cutFrom = 512

// Decode reads the message into v, a pointer to the struct of its type, and
// validates it. Errors are *FieldError. A payload (input, output, data) may share
// the frame's memory.
func (m Message) Decode(v any) error {
	if m.folds {
		m.Raw = exactNames(m.Raw)
	}
	raw := m.Raw
	holder, cut := v.(payloadHolder)
	cut = cut && m.payloadTo-m.payloadFrom >= cutFrom
	if cut {
		raw = make([]byte, 0, len(m.Raw)-(m.payloadTo-m.payloadFrom)+len("null"))
		raw = append(raw, m.Raw[:m.payloadFrom]...)
		raw = append(raw, "null"...)
		raw = append(raw, m.Raw[m.payloadTo:]...)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return badField("%s: %s is not valid here", wrong.Field, wrong.Value)
		}
		return badField("%s: %v", m.Type, err)
	}
	if cut {
		*holder.payload() = m.Raw[m.payloadFrom:m.payloadTo:m.payloadTo]
	}
	if r, ok := v.(*Result); ok && r.Error != nil {
		r.Error.clip()
	}
	if c, ok := v.(interface{ Validate() error }); ok {
		return c.Validate()
	}
	return nil
}
