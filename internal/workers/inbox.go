package workers

import (
	"context"
	"sync"

	"github.com/firmlight/firmlight/internal/background"
)

// Bounds of what was received and waits for the store. When it is full the
// reader waits, and with it the worker; that is no silence of the worker's.
const (
	inMessages = 512
	inBytes    = 1 << 20
	batchMax   = 64
)

// item is one received message with what has to be done for it. Items of one
// task (or of none) are done in order, those of several tasks at a time.
type item struct {
	task string
	size int
	do   func(context.Context)
}

// inbox is the queue between a socket's reader and its processor, which is a
// goroutine only while there is something to do.
type inbox struct {
	processors *sync.WaitGroup // has one added, under mu, whenever start is true

	mu      sync.Mutex // guards all below; a leaf
	items   []item
	bytes   int
	busy    bool
	closed  bool // takes no more; what it has is still done
	waiting bool // the reader waits for room
	room    chan struct{}
	idle    chan struct{} // closed by take when closed and nothing is left
}

func newInbox(processors *sync.WaitGroup) *inbox {
	return &inbox{processors: processors, room: make(chan struct{}, 1), idle: make(chan struct{})}
}

// push queues an item; start says that a processor has to be started.
func (in *inbox) push(it item) (start bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.items = append(in.items, it)
	in.bytes += it.size
	if in.busy {
		return false
	}
	in.busy = true
	in.processors.Add(1)
	return true
}

// wait returns when there is room, or over is closed.
func (in *inbox) wait(over <-chan struct{}) {
	for {
		in.mu.Lock()
		in.waiting = !in.closed && (len(in.items) >= inMessages || in.bytes >= inBytes)
		waiting := in.waiting
		in.mu.Unlock()
		if !waiting {
			return
		}
		select {
		case <-in.room:
		case <-over:
			return
		}
	}
}

// stuck reports whether the reader waits for room.
func (in *inbox) stuck() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.waiting
}

// take returns the next items to do together; none ends the processor.
func (in *inbox) take() []item {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.items) == 0 {
		in.items = nil
		in.busy = false
		in.rest()
		return nil
	}
	n := min(len(in.items), batchMax)
	batch := in.items[:n:n]
	in.items = in.items[n:]
	for _, it := range batch {
		in.bytes -= it.size
	}
	if in.waiting {
		select {
		case in.room <- struct{}{}:
		default:
		}
	}
	return batch
}

// close takes no more; idle is closed once all is done.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.rest()
}

func (in *inbox) rest() {
	if in.closed && !in.busy {
		select {
		case <-in.idle:
		default:
			close(in.idle)
		}
	}
}

// run does a batch: each task's items in order, the tasks concurrently, so that
// their writes share a commit of the store.
func run(ctx context.Context, c *background.Crew, batch []item) {
	lanes := make(map[string][]item, len(batch))
	for _, it := range batch {
		lanes[it.task] = append(lanes[it.task], it)
	}
	var wg sync.WaitGroup
	for _, lane := range lanes {
		work := func() {
			for _, it := range lane {
				it.do(ctx)
			}
		}
		if len(lanes) == 1 {
			work()
			break
		}
		wg.Add(1)
		c.Go(func() {
			defer wg.Done()
			work()
		})
	}
	wg.Wait()
}
