package worker

import (
	"context"

	"github.com/firmlight/firmlight/workload"
)

// Builtin makes a handler of a built-in kind:
//
//	for name, kind := range workload.Builtin(workload.Options{}) {
//		w.Handle(name, worker.Builtin(kind))
//	}
func Builtin(kind workload.Kind) Handler {
	return func(ctx context.Context, task *Task) (any, error) {
		return kind.Run(ctx, task.Input, task)
	}
}
