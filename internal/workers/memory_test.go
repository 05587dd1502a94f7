package workers_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// BenchmarkIdleSessions measures what an idle session over a real socket keeps
// of this process's memory: heap after a collection, and stacks.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 1000
	for b.Loop() {
		b.ReportMetric(idleMemory(b, n)/n, "B/session")
	}
}

// An idle session may take 25 KiB (docs/architecture.md, Scale: 10,000 of them).
func TestIdleSessionsAreSmall(t *testing.T) {
	const n, limit = 200, 25 << 10
	if per := idleMemory(t, n) / n; per > limit {
		t.Errorf("%.0f bytes for a session, limit %d", per, limit)
	}
}

func idleMemory(t testing.TB, n int) float64 {
	_, url := serveReal(t)
	before := memory()
	swarm := exec.Command(os.Args[0])
	swarm.Env = append(os.Environ(), fmt.Sprintf("FIRMLIGHT_TEST_SWARM=%s %d", url, n))
	swarm.Stderr = os.Stderr
	in, err := swarm.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := swarm.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := swarm.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("swarm says %q, %v", line, err)
	}
	used := memory() - before
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := swarm.Wait(); err != nil {
		t.Error(err)
	}
	return used
}

func memory() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
