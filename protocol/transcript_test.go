package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/protocol"
)

// line is one message of a golden transcript.
type line struct {
	fromWorker bool
	continues  bool // the frame of the line above
	text       string
}

func transcripts(t testing.TB) map[string][]line {
	t.Helper()
	paths, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatalf("transcripts: %v, %v", paths, err)
	}
	all := map[string][]line{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = parseTranscript(t, path, string(content))
	}
	return all
}

func parseTranscript(t testing.TB, path, content string) []line {
	t.Helper()
	var lines []line
	fromWorker := false
	for text := range strings.SplitSeq(content, "\n") {
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		mark, message, ok := strings.Cut(text, " ")
		switch {
		case ok && mark == ">":
			fromWorker = true
		case ok && mark == "<":
			fromWorker = false
		case ok && mark == "+" && len(lines) > 0:
		default:
			t.Fatalf("%s: cannot read %q", path, text)
		}
		lines = append(lines, line{fromWorker, mark == "+", message})
	}
	return lines
}

// newOf returns a pointer to the struct of a type, nil for an unknown one.
func newOf(t protocol.Type) protocol.Encoding {
	switch t {
	case protocol.TypeHello:
		return &protocol.Hello{}
	case protocol.TypeWelcome:
		return &protocol.Welcome{}
	case protocol.TypeAssign:
		return &protocol.Assign{}
	case protocol.TypeProgress:
		return &protocol.Progress{}
	case protocol.TypeLog:
		return &protocol.Log{}
	case protocol.TypeCheckpoint:
		return &protocol.Checkpoint{}
	case protocol.TypeResult:
		return &protocol.Result{}
	case protocol.TypeAck:
		return &protocol.Ack{}
	case protocol.TypeCancel:
		return &protocol.Cancel{}
	case protocol.TypeSlots:
		return &protocol.Slots{}
	case protocol.TypeGroups:
		return &protocol.Groups{}
	case protocol.TypeError:
		return &protocol.Error{}
	case protocol.TypePing, protocol.TypePong, protocol.TypeDrain:
		return &protocol.Bare{}
	}
	return nil
}

func one(t *testing.T, frame string) protocol.Message {
	t.Helper()
	var found []protocol.Message
	for m, err := range protocol.Messages([]byte(frame)) {
		if err != nil {
			t.Fatalf("%.200s: %v", frame, err)
		}
		found = append(found, m)
	}
	if len(found) != 1 {
		t.Fatalf("%.200s: %d messages", frame, len(found))
	}
	return found[0]
}

func parsed(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return v
}

func TestTranscriptsSurviveDecodeAndEncode(t *testing.T) {
	for name, lines := range transcripts(t) {
		for _, l := range lines {
			if name == "errors.txt" || name == "unknown_fields.txt" {
				continue // not meant to come back as they were
			}
			m := one(t, l.text)
			if l.fromWorker != m.Type.FromWorker() && m.Type != protocol.TypeDrain {
				t.Errorf("%s: %s goes the wrong way", name, m.Type)
			}
			v := newOf(m.Type)
			if err := m.Decode(v); err != nil {
				t.Errorf("%s: %s: %v", name, l.text, err)
			}
			if got := protocol.Encode(v); !reflect.DeepEqual(parsed(t, got), parsed(t, []byte(l.text))) {
				t.Errorf("%s:\n got %s\nwant %s", name, got, l.text)
			}
		}
	}
}

// In errors.txt a refused message is followed by the very answer it deserves.
func TestTranscriptErrors(t *testing.T) {
	lines := transcripts(t)["errors.txt"][2:]
	for i := 0; i+1 < len(lines); i += 2 {
		var want protocol.Error
		if err := one(t, lines[i+1].text).Decode(&want); err != nil {
			t.Fatal(err)
		}
		m := one(t, lines[i].text)
		v := newOf(m.Type)
		switch want.Code {
		case protocol.CodeUnknownType:
			if v != nil || m.Type.FromWorker() {
				t.Errorf("%s is known", m.Type)
			}
		case protocol.CodeRate: // does not depend on the message
		default:
			var field *protocol.FieldError
			if err := m.Decode(v); !errors.As(err, &field) || field.Reply() != want {
				t.Errorf("%.100s: got %v, want %v", lines[i].text, err, want)
			}
		}
	}
}

func TestTranscriptUnknownFieldsAreIgnored(t *testing.T) {
	for _, l := range transcripts(t)["unknown_fields.txt"] {
		m := one(t, l.text)
		if err := m.Decode(newOf(m.Type)); err != nil {
			t.Errorf("%s: %v", l.text, err)
		}
	}
}

// All messages of one side in one frame come out again one by one, in order.
func TestTranscriptFrames(t *testing.T) {
	for name, lines := range transcripts(t) {
		var frame []byte
		for _, l := range lines {
			frame = append(append(frame, l.text...), '\n')
		}
		i := 0
		for m, err := range protocol.Messages(frame) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(m.Raw, []byte(lines[i].text)) {
				t.Fatalf("%s: message %d is %s", name, i, m.Raw)
			}
			i++
		}
		if i != len(lines) {
			t.Errorf("%s: %d of %d messages", name, i, len(lines))
		}
	}
}
