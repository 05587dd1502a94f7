package dispatch

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/queue"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// scriptsOf are the SHA-1 of the scripts of asynq 0.26 that the gate stands in
// for. Another release with other scripts fails here: read them, then see what
// queue.Take, queue.Finish and queue.Push must do.
var scriptsOf = map[queue.Script]string{
	queue.Dequeue: "a8153319360adc71cdc370107f8ab9786f204765",
	queue.Done:    "1241eaa1c73409baaf1fea0c08d203a4911bda15",
	queue.Forward: "522b1a6ae66fe79ea2f24a9af58798ab71879035",
}

// spy notes the scripts that asynq runs, and lets them run.
type spy struct {
	redis.UniversalClient
	mu   sync.Mutex
	seen map[queue.Script]call
	all  chan struct{} // closed when each has been seen
}

type call struct {
	sha  string
	args []any
}

func (s *spy) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if script, _ := queue.Recognize(keys); scriptsOf[script] != "" {
		s.mu.Lock()
		if _, ok := s.seen[script]; !ok {
			if s.seen[script] = (call{sha, args}); len(s.seen) == len(scriptsOf) {
				close(s.all)
			}
		}
		s.mu.Unlock()
	}
	return s.UniversalClient.EvalSha(ctx, sha, keys, args...)
}

func TestAsynqRunsTheScriptsWeKnow(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		s := &spy{UniversalClient: b.redis.Client(), seen: map[queue.Script]call{}, all: make(chan struct{})}
		server := asynq.NewServerFromRedisClient(s, asynq.Config{
			Queues: map[string]int{queue.Name(echo, tasks.High): 1}, Logger: quietLogger{discard},
			TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: time.Millisecond,
		})
		if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return nil })); err != nil {
			t.Fatal(err)
		}
		b.submit("t", echo, tasks.High)
		select {
		case <-s.all:
		case <-time.After(patience):
			t.Error("a script was not recognized by its keys")
		}
		server.Shutdown()
		for script, sha := range scriptsOf {
			if s.seen[script].sha != sha {
				t.Errorf("script %d is now %q", script, s.seen[script].sha)
			}
		}
		if args := s.seen[queue.Dequeue].args; len(args) != 2 {
			t.Errorf("dequeue has other arguments: %v", args)
		} else if _, ok := args[0].(int64); !ok || args[1] != "asynq:{"+queue.Name(echo, tasks.High)+"}:t:" {
			t.Errorf("dequeue has other arguments: %v", args)
		}
		if args := s.seen[queue.Done].args; len(args) != 3 {
			t.Errorf("done has other arguments: %v", args)
		} else if _, ok := args[0].(string); !ok {
			t.Errorf("done has other arguments: %v", args)
		}
	})
}
