package tasks

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/firmlight/firmlight/protocol"
)

// parents moves fan-out parents on: whoever changes one kicks it, and a few
// goroutines work through what was kicked, each parent by one at a time.
type parents struct {
	s *Service

	mu    sync.Mutex // guards todo and busy
	todo  map[string]bool
	busy  map[string]bool
	ready chan struct{} // holds one when todo may be non-empty
}

// parentWorkers is how many parents one server splits or reduces at a time.
const parentWorkers = 4

func newParents(s *Service) *parents {
	return &parents{s: s, todo: map[string]bool{}, busy: map[string]bool{}, ready: make(chan struct{}, parentWorkers)}
}

// kick asks for a look at a parent; it never blocks.
func (p *parents) kick(id string) {
	p.mu.Lock()
	p.todo[id] = true
	p.mu.Unlock()
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// take returns a kicked parent that nobody works on.
func (p *parents) take() (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.todo {
		if !p.busy[id] {
			delete(p.todo, id)
			p.busy[id] = true
			return id, true
		}
	}
	return "", false
}

func (p *parents) done(id string) {
	p.mu.Lock()
	delete(p.busy, id)
	again := p.todo[id]
	p.mu.Unlock()
	if again {
		p.kick(id)
	}
}

func (p *parents) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range parentWorkers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-p.ready:
				}
				for id, ok := p.take(); ok && ctx.Err() == nil; id, ok = p.take() {
					if err := p.move(ctx, id); err != nil && ctx.Err() == nil {
						p.s.Logger.WarnContext(ctx, "parent not moved on, will be tried again", "task_id", id, "error", err)
					}
					p.done(id)
				}
			}
		})
	}
	wg.Wait()
}

// move survives a split or reduce that panics: the parent fails, the server lives.
func (p *parents) move(ctx context.Context, id string) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		p.s.Logger.ErrorContext(ctx, "panic in split or reduce", "task_id", id, "error", cause, "stack", string(debug.Stack()))
		t, getErr := p.s.Store.Get(ctx, id)
		if err = getErr; err == nil {
			err = p.s.failParent(ctx, t, protocol.TaskError{
				Code: CodePanic, Message: "The server failed to split or reduce the task.",
			})
		}
	}()
	return p.s.moveParent(ctx, id)
}

// started marks a parent running with its first child.
func (p *parents) started(ctx context.Context, child Task) {
	after, ok, err := p.s.Store.Apply(ctx, started(child.Parent, child.StartedAt))
	if err == nil && ok {
		p.s.Events.TaskChanged(after)
	}
}
