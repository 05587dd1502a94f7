package sqlite

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/firmlight/firmlight/internal/groups"
)

// maxKnownGroups bounds the cache; one more and it begins anew.
const maxKnownGroups = 10_000

// groupCache has the groups and memberships that were read since anything of them was
// written: every request on a group asks for them, a submit twice. One process has the
// database, so its writer knows of each change (writesGroups).
type groupCache struct {
	// version counts the transactions that wrote groups: up after the commit, before
	// their callers hear of it. What was read before the commit is not kept after it.
	version atomic.Int64

	mu    sync.RWMutex // guards what follows
	of    int64        // the version that known is of
	known map[groupOfUser]groups.Mine
}

type groupOfUser struct{ group, user string } // user empty: the group alone

// writesGroups reports whether a statement may change what the cache has.
func writesGroups(q string) bool {
	return !strings.HasPrefix(q, "SELECT") && (strings.Contains(q, "user_groups") || strings.Contains(q, "memberships"))
}

func (c *groupCache) get(k groupOfUser) (groups.Mine, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.of != c.version.Load() {
		return groups.Mine{}, false
	}
	m, ok := c.known[k]
	return m, ok
}

// put keeps what was read after the version was v.
func (c *groupCache) put(k groupOfUser, m groups.Mine, v int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v != c.version.Load() {
		return
	}
	if c.of != v || c.known == nil || len(c.known) >= maxKnownGroups {
		c.of, c.known = v, make(map[groupOfUser]groups.Mine)
	}
	c.known[k] = m
}

// read returns what the cache has, or else what read finds.
func (c *groupCache) read(k groupOfUser, read func() (groups.Mine, error)) (groups.Mine, error) {
	if m, ok := c.get(k); ok {
		return m, nil
	}
	v := c.version.Load()
	m, err := read()
	if err == nil {
		c.put(k, m, v)
	}
	return m, err
}
