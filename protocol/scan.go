package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// scanner checks one JSON value in a single pass and remembers nothing but
// where it stands. encoding/json would need one pass to check, one to find the
// type and two more to decode; outputs of 1 MiB make that worth avoiding.
type scanner struct {
	buf   []byte
	pos   int
	depth int // objects and arrays open
	limit int // most that may be open
}

var (
	errSyntax  = errors.New("not JSON")
	errNesting = errors.New("nested too deeply")
)

// CheckValue says whether raw is one JSON value with at most depth levels of
// objects and arrays. It does not look at UTF-8.
func CheckValue(raw []byte, depth int) error {
	s := scanner{buf: raw, limit: depth}
	s.space()
	if err := s.value(); err != nil {
		return err
	}
	s.space()
	if s.pos != len(raw) {
		return s.syntax()
	}
	return nil
}

func (s *scanner) syntax() error { return fmt.Errorf("%w at byte %d", errSyntax, s.pos) }

// peek returns the next byte, or 0 at the end (which no grammar rule accepts).
func (s *scanner) peek() byte {
	if s.pos < len(s.buf) {
		return s.buf[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || isDigit(c):
		return s.number()
	default:
		return s.syntax()
	}
}

func (s *scanner) open() error {
	if s.depth++; s.depth > s.limit {
		return errNesting
	}
	s.pos++
	s.space()
	return nil
}

func (s *scanner) close() {
	s.depth--
	s.pos++
}

// object passes one object. member, if not nil, is told the position of each
// value and its key, still quoted.
func (s *scanner) object(member func(key []byte, from, to int)) error {
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.close()
		return nil
	}
	for {
		keyFrom := s.pos
		if s.peek() != '"' {
			return s.syntax()
		}
		if err := s.string(); err != nil {
			return err
		}
		key := s.buf[keyFrom:s.pos]
		s.space()
		if s.peek() != ':' {
			return s.syntax()
		}
		s.pos++
		s.space()
		from := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if member != nil {
			member(key, from, s.pos)
		}
		more, err := s.next('}')
		if !more {
			return err
		}
	}
}

func (s *scanner) array() error {
	if err := s.open(); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.close()
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		more, err := s.next(']')
		if !more {
			return err
		}
	}
}

// next passes what follows a member: a comma (more is true) or the end.
func (s *scanner) next(end byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.close()
		return false, nil
	default:
		return false, s.syntax()
	}
}

func (s *scanner) string() error {
	for s.pos++; s.pos < len(s.buf); s.pos++ {
		switch c := s.buf[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.syntax()
		}
	}
	return s.syntax()
}

// escape leaves pos on the escape's last byte.
func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.pos++
			if !isHex(s.peek()) {
				return s.syntax()
			}
		}
		return nil
	default:
		return s.syntax()
	}
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.buf[s.pos:], []byte(w)) {
		return s.syntax()
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.syntax()
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.syntax()
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.syntax()
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > from
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unquote turns a scanned JSON string into its text, any other value into "".
func unquote(quoted []byte) string {
	if len(quoted) < 2 || quoted[0] != '"' {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // the scanner has found it to be a string
	return text
}
