//go:build long

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/firmlight/firmlight/e2e/kit"
)

// fleetMemory bounds what the server may ever use for 10,000 devices and a million
// events that are taken in, counted, listed and exported. Runs of it peaked at 195
// to 210 MB (docs/scale-100k.md), most of it the page caches of five connections,
// which end at 168 MB; half as much again is for the garbage collector on a busy
// machine. Holding a million events, or their export, would take more.
const fleetMemory = 300 << 20

// TestFleetOfTenThousand is TestFleet at the size that is promised, against a
// server without the race detector, which has memory of its own.
func TestFleetOfTenThousand(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	must(t, kit.BuildPackage(t.Context(), "cmd/server", server, false))
	c := startBinary(t, server)
	playFleet(t, c, 10_000)
	now, most, err := kit.Memory(c.PID())
	must(t, err)
	t.Logf("the server uses %d MB, at its most %d MB", now/1e6, most/1e6)
	if most > fleetMemory {
		t.Errorf("the server used %d MB, at most %d are expected", most/1e6, fleetMemory/1_000_000)
	}
}
