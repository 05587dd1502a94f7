package sqlite

import "github.com/firmlight/firmlight/internal/tasks"

const (
	freshTasks = 8192 // kept at most
	freshInput = 1024 // bytes; a task with more is read again
)

// fresh has the last tasks that were inserted, as their rows are: who claims one that
// nothing has changed since need not read it again. The writer's goroutine alone uses it, and
// every transition takes the task out, before it is known whether it holds; of a
// transaction that fails are tasks left that no claim finds.
type fresh struct {
	tasks map[string]*tasks.New
	ring  [freshTasks]string // ids in the order of their coming
	next  int                // place in ring
}

// add keeps a task that is to be claimed as it is.
func (f *fresh) add(n *tasks.New) {
	if n.Phase != tasks.NoPhase || n.RunAt.After(n.CreatedAt) || len(n.Input) > freshInput {
		return
	}
	delete(f.tasks, f.ring[f.next])
	f.ring[f.next] = n.ID
	f.next = (f.next + 1) % freshTasks
	kept := *n
	f.tasks[n.ID] = &kept
}

// take returns a task and forgets it; nil where it is not there.
func (f *fresh) take(id string) *tasks.New {
	n := f.tasks[id]
	delete(f.tasks, id)
	return n
}
