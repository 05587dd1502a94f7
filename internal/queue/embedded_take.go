package queue

import (
	"strconv"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// takeNatively answers takeScript on the in-process Redis without Lua, which
// there costs ten times as much as all the rest of a task's way through it; the
// script runs for nearly every task. It is not one step as a script is: what
// may come in between (an enqueue, FLUSHALL) meets a queue that is whole before
// and after, and a crash in between loses the Redis with it.
func takeNatively(m *miniredis.Miniredis) server.Hook {
	sha := takeScript.Hash()
	return func(c *server.Peer, cmd string, args ...string) bool {
		// sha, 4, pending, paused, active, lease, lease's end, prefix, how many
		if cmd != "EVALSHA" || len(args) != 9 || args[0] != sha {
			return false
		}
		until, err := strconv.ParseFloat(args[6], 64)
		if err != nil {
			return false
		}
		want, err := strconv.Atoi(args[8])
		if err != nil {
			return false
		}
		pending, paused, active, leases, prefix := args[2], args[3], args[4], args[5], args[7]
		if m.Exists(paused) {
			c.WriteLen(2)
			c.WriteInt(1)
			c.WriteInt(0)
			return true
		}
		var out []string
		for len(out) < 2*want {
			id, err := m.Pop(pending)
			if err != nil {
				break // empty
			}
			msg := m.HGet(prefix+id, "msg")
			if msg == "" {
				continue // without its entry
			}
			m.HSet(prefix+id, "state", "active")
			m.HDel(prefix+id, "pending_since")
			_, _ = m.ZAdd(leases, until, id) // errors: a key of another type,
			_, _ = m.Lpush(active, id)       // which asynq's keys never are
			out = append(out, id, msg)
		}
		left, _ := m.List(pending) // an error means that there is none
		c.WriteLen(2 + len(out))
		c.WriteInt(0)
		c.WriteInt(len(left))
		for _, s := range out {
			c.WriteBulk(s)
		}
		return true
	}
}
