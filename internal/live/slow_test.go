package live

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// heavy is an event that socket buffers cannot hide for long.
func heavy(topic Topic) Event {
	data, _ := json.Marshal(Log{Lines: []tasks.LogView{{Line: strings.Repeat("x", 256<<10)}}})
	return Event{Type: TypeLog, Topics: []Topic{topic}, Data: data}
}

// stall publishes until the only reader of a topic has missed some.
func stall(t *testing.T, s *site, topic Topic) {
	t.Helper()
	c := s.hub.watchers(topic)[0]
	e := heavy(topic)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		s.hub.Publish(e)
		c.box.mu.Lock()
		missed := c.box.topics[topic].missed
		c.box.mu.Unlock()
		if missed {
			return
		}
	}
	t.Fatal("the slow reader never missed an event")
}

func TestSlowReaderMissesAndResyncs(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	group := newID()
	topic := Topic{Group, group}
	slow, quick := s.open("user=slow"), s.open("user=quick")
	slow.subscribe(topic.String())
	stall(t, s, topic)

	// It costs nobody else anything.
	quick.subscribe(topic.String())
	id := newID()
	s.hub.TaskChanged(tasks.Task{ID: id, Group: group})
	if m := quick.next(); m.Type != TypeTask || m.Task.ID != id {
		t.Errorf("the quick reader got %s, want the task", m.Type)
	}

	if m := slow.until(TypeResync); m.Topic != topic.String() {
		t.Errorf("resync of %s, want %s", m.Topic, topic)
	}
	s.hub.TaskChanged(tasks.Task{ID: id, Group: group})
	if m := slow.until(TypeTask); m.Task.ID != id {
		t.Errorf("after the resync got task %s, want %s", m.Task.ID, id)
	}
}

func TestReaderThatReadsNothingIsClosed(t *testing.T) {
	timing := DefaultTiming
	timing.Write = 200 * time.Millisecond
	s := newSite(t, timing, nil)
	topic := Topic{Group, newID()}
	s.open("user=slow").subscribe(topic.String())
	e := heavy(topic)
	for deadline := time.Now().Add(patience); s.hub.Clients() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the reader is still connected")
		}
		s.hub.Publish(e)
	}
	if s.hub.Watched(topic) {
		t.Error("a closed reader still watches")
	}
}

func TestIdleReaderGetsEventsAtOnceAndABusyOneTheNewest(t *testing.T) {
	timing := DefaultTiming
	timing.Interval = 300 * time.Millisecond
	s := newSite(t, timing, nil)
	group, id := newID(), newID()
	p := s.open("user=u")
	p.subscribe("group:" + group)

	const changes = 100
	for i := range changes {
		s.hub.TaskChanged(tasks.Task{ID: id, Group: group, Title: fmt.Sprint(i)})
	}
	var seen []string
	for {
		m := p.next()
		seen = append(seen, m.Task.Title)
		if m.Task.Title == fmt.Sprint(changes-1) {
			break
		}
	}
	if len(seen) > 3 { // at once, what came while that was written, and the rest
		t.Errorf("a busy task was told %d times (%v), want at most 3", len(seen), seen)
	}
}

// TestFlushIsOneWrite: many events of a moment are few system calls, and all arrive in
// order.
func TestFlushIsOneWrite(t *testing.T) {
	timing := DefaultTiming
	timing.Interval = 300 * time.Millisecond
	s := newSite(t, timing, nil)
	group := newID()
	p := s.open("user=u")
	p.subscribe("group:" + group)
	before := s.writes.Load()
	const changes = 100
	for i := range changes {
		s.hub.TaskChanged(tasks.Task{ID: newID(), Group: group, Title: fmt.Sprint(i)})
	}
	for i := range changes {
		if m := p.next(); m.Task == nil || m.Task.Title != fmt.Sprint(i) {
			t.Fatalf("event %d is %+v", i, m)
		}
	}
	if n := s.writes.Load() - before; n > changes/5 {
		t.Errorf("%d events took %d writes", changes, n)
	}
}

func TestUnwatchedEventsCostNoAllocation(t *testing.T) {
	h := NewHub(DefaultTiming, nil)
	task := tasks.Task{ID: newID(), Group: newID(), Parent: newID()}
	if n := testing.AllocsPerRun(100, func() { h.TaskChanged(task); h.TaskProgress(task) }); n != 0 {
		t.Errorf("%.0f allocations for events that nobody watches", n)
	}
}
