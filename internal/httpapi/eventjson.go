package httpapi

import (
	"encoding/json"
	"strconv"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// Sync events come by the ten thousand a second, and encoding/json costs as much
// as keeping them. This file reads and writes by hand what nearly all of them are
// and leaves the rest to encoding/json.

// reportReader reads a report from the front of JSON.
type reportReader struct {
	devsync.Report
	rest []byte
	// What the report's fields point to.
	device, at, id string
	files, errors  int64
	speed          float64
}

// readReport reads an object of the fields of a report, each at most once, with
// strings of ASCII without escapes and numbers without exponents. It returns
// false for anything else, right or wrong.
func readReport(data []byte) (*devsync.Report, bool) {
	p := &reportReader{rest: data}
	if !p.skip('{') {
		return nil, false
	}
	for more := true; more; more = p.skip(',') {
		key, ok := p.text()
		if !ok || !p.skip(':') || !p.field(string(key)) {
			return nil, false
		}
	}
	ok := p.skip('}') && p.peek() == 0 && len(p.rest) == 0
	p.rest = nil
	return &p.Report, ok
}

func (p *reportReader) field(key string) bool {
	switch key {
	case "device_id":
		return p.string(&p.DeviceID, &p.device)
	case "timestamp":
		return p.string(&p.Timestamp, &p.at)
	case "event_id":
		return p.string(&p.EventID, &p.id)
	case "total_files_synced":
		return p.count(&p.Files, &p.files)
	case "total_errors":
		return p.count(&p.Errors, &p.errors)
	case "internet_speed":
		number, ok := p.number()
		if !ok || p.Speed != nil {
			return false
		}
		var err error
		p.speed, err = strconv.ParseFloat(string(number), 64)
		p.Speed = &p.speed
		return err == nil
	}
	return false
}

func (p *reportReader) string(field **string, value *string) bool {
	text, ok := p.text()
	if !ok || *field != nil {
		return false
	}
	*value, *field = string(text), value
	return true
}

func (p *reportReader) count(field **int64, value *int64) bool {
	number, ok := p.number()
	if !ok || *field != nil {
		return false
	}
	var err error
	*value, err = strconv.ParseInt(string(number), 10, 64) // refuses a fraction
	*field = value
	return err == nil
}

// peek passes space and returns what follows, 0 at the end.
func (p *reportReader) peek() byte {
	for len(p.rest) > 0 {
		switch c := p.rest[0]; c {
		case ' ', '\t', '\r', '\n':
			p.rest = p.rest[1:]
		default:
			return c
		}
	}
	return 0
}

// skip passes space and c, if it follows.
func (p *reportReader) skip(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// text passes a string and returns what is between its quotes.
func (p *reportReader) text() ([]byte, bool) {
	if !p.skip('"') {
		return nil, false
	}
	for i, c := range p.rest {
		switch {
		case c == '"':
			text := p.rest[:i]
			p.rest = p.rest[i+1:]
			return text, true
		case !plain(c):
			return nil, false
		}
	}
	return nil, false
}

// plain reports whether c stands for itself in a JSON string.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// number passes a number of digits, and a fraction of digits.
func (p *reportReader) number() ([]byte, bool) {
	p.peek()
	whole := digits(p.rest)
	if whole == 0 || whole > 1 && p.rest[0] == '0' {
		return nil, false
	}
	n := whole
	if n < len(p.rest) && p.rest[n] == '.' {
		fraction := digits(p.rest[n+1:])
		if fraction == 0 {
			return nil, false
		}
		n += 1 + fraction
	}
	number := p.rest[:n]
	p.rest = p.rest[n:]
	return number, true
}

// digits returns how many digits b begins with.
func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// appendEvent appends what encoding/json makes of an event.
func appendEvent(b []byte, e *SyncEvent) []byte {
	b = appendString(append(b, `{"device_id":`...), e.DeviceID)
	b = append(b, `,"timestamp":"`...)
	b = e.Timestamp.UTC().AppendFormat(b, timeLayout)
	b = strconv.AppendInt(append(b, `","total_files_synced":`...), e.Files, 10)
	b = strconv.AppendInt(append(b, `,"total_errors":`...), e.Errors, 10)
	b = append(b, `,"internet_speed":`...)
	if e.Speed == 0 || e.Speed >= 1e-6 { // else encoding/json writes an exponent
		b = strconv.AppendFloat(b, e.Speed, 'f', -1, 64)
	} else {
		b = appendJSON(b, e.Speed)
	}
	if e.EventID != "" {
		b = appendString(append(b, `,"event_id":`...), e.EventID)
	}
	b = append(append(b, `,"status":"`...), e.Status...)
	b = append(b, `","received_at":"`...)
	return append(e.ReceivedAt.UTC().AppendFormat(b, timeLayout), `"}`...)
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; !plain(c) || c == '<' || c == '>' || c == '&' {
			return appendJSON(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendJSON appends a value that is always valid JSON.
func appendJSON(b []byte, v any) []byte {
	text, _ := json.Marshal(v)
	return append(b, text...)
}

// appendResults appends what encoding/json makes of results.
func appendResults(b []byte, results []EventResult) []byte {
	b = append(b, `{"results":[`...)
	for i, r := range results {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"status":`...), int64(r.Status), 10)
		if r.Event != nil {
			b = appendEvent(append(b, `,"event":`...), r.Event)
		}
		if r.Problem != nil {
			b = appendJSON(append(b, `,"problem":`...), r.Problem)
		}
		b = append(b, '}')
	}
	return append(b, `]}`...)
}
