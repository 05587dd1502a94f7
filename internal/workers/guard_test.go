package workers

import (
	"sync"
	"testing"

	"github.com/firmlight/firmlight/protocol"
)

// BenchmarkGuardWriter is what a session's writer does for 64 assigns that wait:
// they share a frame.
func BenchmarkGuardWriter(b *testing.B) {
	var writers sync.WaitGroup
	msg := protocol.Encode(protocol.Assign{Task: "0190", Attempt: 1, Kind: "noop", Group: "0191", Input: []byte(`{"n":1}`)})
	o := newOutbox(&writers)
	for b.Loop() {
		for range 64 {
			if result, _ := o.push(msg); result != sent {
				b.Fatal(result)
			}
		}
		if frame, _, _ := o.next(); len(frame) != 64*(len(msg)+1)-1 {
			b.Fatalf("a frame of %d bytes", len(frame))
		}
	}
}
