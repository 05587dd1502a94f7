package live

import (
	"fmt"
	"slices"
	"testing"
)

// took returns the messages that take gives; one that the outbox made itself is
// "made".
func took(o *outbox) []string {
	var names []string
	for _, m := range o.take(nil) {
		name := string(m)
		if m[0] == '{' {
			name = "made"
		}
		names = append(names, name)
	}
	return names
}

// open opens a topic and takes the answer.
func open(t *testing.T, o *outbox, topic Topic) {
	t.Helper()
	if !o.open(topic) || !o.has(topic) {
		t.Fatalf("%s does not open", topic)
	}
	if got := fmt.Sprint(took(o)); got != "[made]" {
		t.Fatalf("took %s, want the answer", got)
	}
}

func TestOutboxKeepsTheNewestOfEachThing(t *testing.T) {
	topic := Topic{Group, "g"}
	tests := []struct {
		name string
		push []slot // each event is named by its place
		want string
	}{
		{"newer task replaces older", []slot{{TypeTask, "a"}, {TypeTask, "a"}}, "[1]"},
		{"other tasks stay", []slot{{TypeTask, "a"}, {TypeTask, "b"}, {TypeTask, "a"}}, "[1 2]"},
		{"newer progress replaces older", []slot{{TypeProgress, "a"}, {TypeProgress, "a"}}, "[1]"},
		{"progress follows its task", []slot{{TypeTask, "a"}, {TypeProgress, "a"}}, "[0 1]"},
		{"a task stands for its progress", []slot{{TypeTask, "a"}, {TypeProgress, "a"}, {TypeTask, "a"}}, "[2]"},
		{"no key, no replacing", []slot{{TypeLog, ""}, {TypeLog, ""}}, "[0 1]"},
		{"a worker is not a task", []slot{{TypeProgress, "a"}, {TypeWorker, "a"}}, "[0 1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutbox(10, 10)
			open(t, o, topic)
			for i, s := range tt.push {
				o.push(topic, s, fmt.Append(nil, i))
			}
			if got := fmt.Sprint(took(o)); got != tt.want {
				t.Errorf("took %s, want %s", got, tt.want)
			}
			if again := o.take(nil); len(again) != 0 {
				t.Errorf("taken again: %d", len(again))
			}
		})
	}
}

func TestFullOutboxDropsItsBusiestTopicUntilTaken(t *testing.T) {
	busy, quiet, late := Topic{Group, "busy"}, Topic{Group, "quiet"}, Topic{Group, "late"}
	o := newOutbox(4, 10)
	for _, topic := range []Topic{busy, quiet, late} {
		open(t, o, topic)
	}
	for i := range 3 {
		o.push(busy, slot{TypeLog, ""}, fmt.Append(nil, "busy", i))
	}
	o.push(quiet, slot{TypeLog, ""}, []byte("quiet"))
	o.push(late, slot{TypeLog, ""}, []byte("late")) // over the bound: busy goes
	o.push(busy, slot{TypeLog, ""}, []byte("lost")) // nothing more of busy
	got := map[string]int{}
	for _, name := range took(o) {
		got[name]++
	}
	if len(got) != 3 || got["quiet"] != 1 || got["late"] != 1 || got["made"] != 1 {
		t.Errorf("took %v, want quiet, late and one resync", got)
	}
	o.push(busy, slot{TypeLog, ""}, []byte("after"))
	if got := fmt.Sprint(took(o)); got != "[after]" {
		t.Errorf("after the resync took %s, want [after]", got)
	}
}

func TestOutboxBoundHoldsForOneTopicToo(t *testing.T) {
	topic := Topic{Task, "t"}
	o := newOutbox(2, 10)
	open(t, o, topic)
	for range 5 {
		o.push(topic, slot{TypeLog, ""}, []byte("log"))
	}
	if got := fmt.Sprint(took(o)); got != "[made]" {
		t.Errorf("took %s, want one resync", got)
	}
}

func TestClosedTopicTakesNothing(t *testing.T) {
	topic := Topic{Task, "t"}
	o := newOutbox(2, 10)
	o.push(topic, slot{TypeLog, ""}, []byte("before"))
	open(t, o, topic)
	o.push(topic, slot{TypeLog, ""}, []byte("while"))
	if !o.close(topic) || o.close(topic) {
		t.Fatal("a topic closes once")
	}
	o.push(topic, slot{TypeLog, ""}, []byte("after"))
	if got := took(o); got != nil {
		t.Errorf("took %v, want nothing", got)
	}
	if o.events != 0 {
		t.Errorf("%d events counted in an empty outbox", o.events)
	}
}

func TestRepliesAreBounded(t *testing.T) {
	o := newOutbox(1, 2)
	for i, want := range []bool{true, true, false} {
		if got := o.reply(reply{Type: TypeSubscribed}); got != want {
			t.Errorf("reply %d: %v, want %v", i, got, want)
		}
	}
	if n := len(o.take(nil)); n != 2 {
		t.Errorf("took %d replies, want 2", n)
	}
}

// TestSupersededEventsTakeNoRoom: a client that does not read keeps the newest event of
// each thing, in the order they came, and little else.
func TestSupersededEventsTakeNoRoom(t *testing.T) {
	topic := Topic{Group, "g"}
	o := newOutbox(10, 10)
	open(t, o, topic)
	o.push(topic, slot{TypeLog, ""}, []byte("first"))
	for i := range 10_000 {
		o.push(topic, slot{TypeTask, fmt.Sprint(i % 3)}, fmt.Append(nil, i))
		if n := len(o.topics[topic].entries); n > 2*o.events+mostGaps+1 {
			t.Fatalf("%d entries for %d events", n, o.events)
		}
	}
	if got, want := took(o), []string{"first", "9997", "9998", "9999"}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	if o.events != 0 {
		t.Errorf("%d events counted in an empty outbox", o.events)
	}
}
