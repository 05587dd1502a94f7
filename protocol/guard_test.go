package protocol_test

import (
	"testing"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// BenchmarkGuardDecode is a frame of 64 results.
func BenchmarkGuardDecode(b *testing.B) {
	var frame []byte
	for range 64 {
		frame = protocol.AppendFrame(frame, protocol.Result{
			Task: "0190a5c2-7d1e-7000-8000-000000000001", Attempt: 1, Status: protocol.Succeeded, Output: []byte(`{"ok":true}`),
		})
	}
	for b.Loop() {
		n := 0
		for m, err := range protocol.Messages(frame) {
			var r protocol.Result
			if err != nil || m.Decode(&r) != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 64 {
			b.Fatalf("%d messages", n)
		}
	}
}

// BenchmarkGuardEncode is an assign.
func BenchmarkGuardEncode(b *testing.B) {
	m := protocol.Assign{
		Task: "0190a5c2-7d1e-7000-8000-000000000001", Attempt: 1, Kind: "noop", Group: "0190a5c2-7d1e-7000-8000-000000000002",
		Input: []byte(`{"n":1}`), TimeoutMS: 60000, Deadline: protocol.Time{Time: time.UnixMilli(1_700_000_000_000).UTC()},
	}
	for b.Loop() {
		if len(protocol.Encode(m)) == 0 {
			b.Fatal("nothing")
		}
	}
}
