package protocol_test

import (
	"strings"
	"testing"

	"github.com/firmlight/firmlight/protocol"
)

// TestEdges has both sides of the limits of docs/http-api.md that are the
// protocol's too; decode_test.go has the other fields.
func TestEdges(t *testing.T) {
	text := func(n int) string { return strings.Repeat("ä", n) }
	hello := func(change func(*protocol.Hello)) func() error {
		h := protocol.Hello{Name: "a", Kinds: []string{"k"}}
		change(&h)
		return h.Validate
	}
	progress := func(message string) func() error {
		return (&protocol.Progress{Task: "t", Attempt: 1, Message: message}).Validate
	}
	lines := func(line string) func() error {
		return (&protocol.Log{Task: "t", Attempt: 1, Lines: []string{line}}).Validate
	}
	for name, c := range map[string]struct {
		validate func() error
		want     string // beginning of the error, "" if there is none
	}{
		"256 groups":             {hello(func(h *protocol.Hello) { h.Groups = make([]string, 256) }), ""},
		"257 groups":             {hello(func(h *protocol.Hello) { h.Groups = make([]string, 257) }), "bad_field: groups"},
		"64 kinds":               {hello(func(h *protocol.Hello) { h.Kinds = strings.Split(strings.Repeat("k,", 63)+"k", ",") }), ""},
		"65 kinds":               {hello(func(h *protocol.Hello) { h.Kinds = strings.Split(strings.Repeat("k,", 64)+"k", ",") }), "bad_field: kinds"},
		"name of 64":             {hello(func(h *protocol.Hello) { h.Name = text(64) }), ""},
		"name of 65":             {hello(func(h *protocol.Hello) { h.Name = text(65) }), "bad_field: name"},
		"message of 500":         {progress(text(500)), ""},
		"message of 501":         {progress(text(501)), "too_large: message"},
		"message with an escape": {progress("a\x1b[2J"), "bad_field: message"},
		"line of 4 KiB":          {lines(strings.Repeat("x", 4096)), ""},
		"line of more":           {lines(strings.Repeat("x", 4097)), "too_large: lines[0]"},
		"line with an escape":    {lines("\x1b[31mred"), ""}, // a log is as the program wrote it
	} {
		t.Run(name, func(t *testing.T) {
			err := c.validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
