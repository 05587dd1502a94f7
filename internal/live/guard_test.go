package live

import (
	"encoding/json"
	"testing"
)

// BenchmarkGuardFanOut is an event of a task that a hundred connections watch, each of
// which takes it.
func BenchmarkGuardFanOut(b *testing.B) {
	h := NewHub(DefaultTiming, nil)
	topic := Topic{Kind: Group, ID: newID()}
	for range 100 {
		c := &client{box: newOutbox(maxWaiting, maxReplies)}
		c.box.open(topic)
		h.topics[topic] = append(h.topics[topic], c)
	}
	e := Event{Type: TypeTask, Topics: []Topic{topic}, Key: "task", Data: json.RawMessage(`{"id":"task","status":"running"}`)}
	for b.Loop() {
		h.deliver(e)
		for _, c := range h.topics[topic] {
			c.taken = c.box.take(c.taken[:0])
		}
	}
}
