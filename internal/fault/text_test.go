package fault

import (
	"errors"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		bad            bool
	}{
		{name: "kept", in: "lab 3", want: "lab 3"},
		{name: "trimmed", in: "  lab ", want: "lab"},
		{name: "composed", in: "Cafe\u0301", want: "Café"},
		{name: "counted after composing", in: strings.Repeat("e\u0301", 10), want: strings.Repeat("é", 10)},
		{name: "too long", in: strings.Repeat("é", 11), bad: true},
		{name: "too short", in: " a ", bad: true},
		{name: "newline", in: "a\nb", bad: true},
		{name: "nul", in: "a\x00b", bad: true},
		{name: "not UTF-8", in: "ab\xff", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Text("name", c.in, 2, 10)
			if (err != nil) != c.bad || got != c.want {
				t.Fatalf("Text(%q) = %q, %v", c.in, got, err)
			}
			var f *Error
			if c.bad && (!errors.As(err, &f) || f.Kind != Invalid || f.Fields[0].Field != "name") {
				t.Errorf("err = %#v", err)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	if err := Join(nil, nil); err != nil {
		t.Errorf("nothing wrong gave %v", err)
	}
	var f *Error
	if err := Join(InvalidField("a", "x"), nil, InvalidField("b", "y")); !errors.As(err, &f) || len(f.Fields) != 2 {
		t.Errorf("two fields gave %#v", f)
	}
	other := New(Conflict, "taken", "Taken.")
	if err := Join(InvalidField("a", "x"), other); !errors.Is(err, other) {
		t.Errorf("got %v, want the other fault", err)
	}
}
