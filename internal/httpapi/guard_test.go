package httpapi

import (
	"testing"
	"time"
)

// BenchmarkGuardReadReport is a sync event as a device sends it.
func BenchmarkGuardReadReport(b *testing.B) {
	text := []byte(`{"device_id":"device-000123","timestamp":"2026-01-01T00:00:00.000Z","total_files_synced":12,"total_errors":0,"internet_speed":10.5}`)
	for b.Loop() {
		if _, ok := readReport(text); !ok {
			b.Fatal("not read by hand")
		}
	}
}

// BenchmarkGuardWriteEvents is the answer to a batch of 100.
func BenchmarkGuardWriteEvents(b *testing.B) {
	at := Time{time.UnixMilli(1_700_000_000_000).UTC()}
	results := make([]EventResult, 100)
	for i := range results {
		results[i] = EventResult{Status: 201, Event: &SyncEvent{
			DeviceID: "device-000123", Timestamp: at, Files: 12, Speed: 10.5, Status: "success", ReceivedAt: at,
		}}
	}
	buffer := make([]byte, 0, 64<<10)
	for b.Loop() {
		buffer = appendResults(buffer[:0], results)
	}
}
