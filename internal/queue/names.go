package queue

import (
	"slices"
	"strings"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Lanes is the number of queues of a pair, one for each priority; arrays of
// Lanes are in the order of tasks.Priorities.
const Lanes = 3

// Lane returns the index of a priority.
func Lane(pr tasks.Priority) int { return slices.Index(tasks.Priorities, pr) }

// Name is what asynq calls the queue of a pair and priority. Groups and targets
// are ids and kinds hold no colon (protocol.ValidKind), so names are unique.
func Name(p tasks.Pair, pr tasks.Priority) string {
	name := p.Group + ":" + p.Kind + ":" + string(pr)
	if p.Target != "" {
		name += ":" + p.Target
	}
	return name
}

// Asynq's keys (its internal/base), hash-tagged by queue. What is ours stands
// beside them under the same tag, so that a cluster keeps it on the same node.
const allQueues = "asynq:queues"

func key(name, suffix string) string    { return "asynq:{" + name + "}:" + suffix }
func ownKey(name, suffix string) string { return "firmlight:{" + name + "}:" + suffix }

// keysOf are asynq's keys in the order its dequeue script takes them.
func keysOf(name string) []string {
	return []string{key(name, "pending"), key(name, "paused"), key(name, "active"), key(name, "lease")}
}

// Script is what one of asynq's scripts does, told by its keys.
type Script uint8

// The scripts that the gate and Push stand in for.
const (
	OtherScript  Script = iota
	Dequeue             // pending, paused, active, lease
	Done                // active, lease, t:id, processed:day, processed
	Forward             // scheduled or retry, pending
	enqueueNow          // t:id, pending
	enqueueLater        // t:id, scheduled
)

// Recognize tells a script of asynq 0.26 by its keys, and the queue it is about.
func Recognize(keys []string) (s Script, name string) {
	if len(keys) < 2 {
		return OtherScript, ""
	}
	kinds := make([]string, len(keys))
	for i, k := range keys {
		rest, ok := strings.CutPrefix(k, "asynq:{")
		n, suffix, found := strings.Cut(rest, "}:")
		if !ok || !found || i > 0 && n != name {
			return OtherScript, ""
		}
		name, kinds[i] = n, suffix
		if head, _, cut := strings.Cut(suffix, ":"); cut {
			kinds[i] = head + ":"
		}
	}
	switch strings.Join(kinds, " ") {
	case "pending paused active lease":
		return Dequeue, name
	case "active lease t: processed: processed":
		return Done, name
	case "scheduled pending", "retry pending":
		return Forward, name
	case "t: pending":
		return enqueueNow, name
	case "t: scheduled":
		return enqueueLater, name
	}
	return OtherScript, ""
}
