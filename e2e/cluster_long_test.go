//go:build long

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// TestCluster of `make test-cluster`: as long as is promised, and with a network of
// their own for servers where that is allowed (root).
const (
	clusterTime = 5 * time.Minute
	namespaces  = true
)

// TestClusterFindsFaults: what TestCluster looks at is wrong on servers that were
// built without the fence, or without refill.
func TestClusterFindsFaults(t *testing.T) {
	for _, tt := range []struct {
		tag, finds string
		fault      func(ctx context.Context, m *many)
	}{
		{"unfenced", "is the newest", func(ctx context.Context, m *many) {
			late := newOutsider(t, m.cluster, "work")
			for range 5 { // a worker that leaves with a task, and then answers it
				w := late.connect(nil)
				a := w.expect("assign")
				w.leave(1000)
				again := late.connect(msg{"slots": 0})
				again.answer(a, msg{"status": "succeeded", "output": msg{"attempt": a["attempt"]}})
				again.leave(1000)
			}
		}},
		{"unfilled", "did not end", func(ctx context.Context, m *many) {
			pause(ctx, 5*time.Second)
			m.flush(ctx)
		}},
	} {
		t.Run(tt.tag, func(t *testing.T) {
			server := filepath.Join(t.TempDir(), "server")
			must(t, kit.BuildPackage(t.Context(), "cmd/server", server, false, tt.tag))
			m := startCluster(t, server, 1)
			var over atomic.Bool
			var load sync.WaitGroup
			load.Go(func() { m.load(t.Context(), over.Load) })
			tt.fault(t.Context(), m)
			over.Store(true)
			load.Wait()
			found := &recorder{TB: t}
			m.t = found
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var looks sync.WaitGroup
			looks.Go(func() { m.verify(ctx) })
			looks.Wait()
			if all := strings.Join(found.errors, "\n"); !strings.Contains(all, tt.finds) {
				t.Errorf("nothing like %q was found: %s", tt.finds, all)
			}
		})
	}
}
