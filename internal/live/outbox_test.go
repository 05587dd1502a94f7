package live

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"
)

// wire makes frames that can be told apart, and names them again.
type wire map[*websocket.PreparedMessage]string

func (w wire) frame(name string) *websocket.PreparedMessage {
	f := prepare([]byte(name))
	w[f] = name
	return f
}

// took returns the names of what take gives; a frame the outbox made itself is
// "made".
func (w wire) took(o *outbox) []string {
	var names []string
	for _, f := range o.take() {
		name, known := w[f]
		if !known {
			name = "made"
		}
		names = append(names, name)
	}
	return names
}

// open opens a topic and takes the answer.
func (w wire) open(t *testing.T, o *outbox, topic Topic) {
	t.Helper()
	if !o.open(topic) || !o.has(topic) {
		t.Fatalf("%s does not open", topic)
	}
	if got := fmt.Sprint(w.took(o)); got != "[made]" {
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
			o, w := newOutbox(10, 10), wire{}
			w.open(t, o, topic)
			for i, s := range tt.push {
				o.push(topic, s, w.frame(fmt.Sprint(i)))
			}
			if got := fmt.Sprint(w.took(o)); got != tt.want {
				t.Errorf("took %s, want %s", got, tt.want)
			}
			if again := o.take(); len(again) != 0 {
				t.Errorf("taken again: %d", len(again))
			}
		})
	}
}

func TestFullOutboxDropsItsBusiestTopicUntilTaken(t *testing.T) {
	busy, quiet, late := Topic{Group, "busy"}, Topic{Group, "quiet"}, Topic{Group, "late"}
	o, w := newOutbox(4, 10), wire{}
	for _, topic := range []Topic{busy, quiet, late} {
		w.open(t, o, topic)
	}
	for i := range 3 {
		o.push(busy, slot{TypeLog, ""}, w.frame(fmt.Sprint("busy", i)))
	}
	o.push(quiet, slot{TypeLog, ""}, w.frame("quiet"))
	o.push(late, slot{TypeLog, ""}, w.frame("late")) // over the bound: busy goes
	o.push(busy, slot{TypeLog, ""}, w.frame("lost")) // nothing more of busy
	got := map[string]int{}
	for _, name := range w.took(o) {
		got[name]++
	}
	if len(got) != 3 || got["quiet"] != 1 || got["late"] != 1 || got["made"] != 1 {
		t.Errorf("took %v, want quiet, late and one resync", got)
	}
	o.push(busy, slot{TypeLog, ""}, w.frame("after"))
	if got := fmt.Sprint(w.took(o)); got != "[after]" {
		t.Errorf("after the resync took %s, want [after]", got)
	}
}

func TestOutboxBoundHoldsForOneTopicToo(t *testing.T) {
	topic := Topic{Task, "t"}
	o, w := newOutbox(2, 10), wire{}
	w.open(t, o, topic)
	for range 5 {
		o.push(topic, slot{TypeLog, ""}, w.frame("log"))
	}
	if got := fmt.Sprint(w.took(o)); got != "[made]" {
		t.Errorf("took %s, want one resync", got)
	}
}

func TestClosedTopicTakesNothing(t *testing.T) {
	topic := Topic{Task, "t"}
	o, w := newOutbox(2, 10), wire{}
	o.push(topic, slot{TypeLog, ""}, w.frame("before"))
	w.open(t, o, topic)
	o.push(topic, slot{TypeLog, ""}, w.frame("while"))
	if !o.close(topic) || o.close(topic) {
		t.Fatal("a topic closes once")
	}
	o.push(topic, slot{TypeLog, ""}, w.frame("after"))
	if got := w.took(o); got != nil {
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
	if n := len(o.take()); n != 2 {
		t.Errorf("took %d replies, want 2", n)
	}
}
