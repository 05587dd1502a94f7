package workers

import "sync"

// Bounds of what waits to be written to one worker. A session whose outbox is
// above clogAt is given no more tasks until half of that has left, so that
// inputs cannot fill it; what fills it all the same is a worker that reads too
// slowly.
const (
	outMessages = 4096
	outBytes    = 64 << 20
	clogAt      = 1 << 20
	frameBytes  = 64 << 10 // several messages share a frame up to this size
)

// outbox is the bounded queue before a socket's writer. The writer is a
// goroutine only while there is something to write.
type outbox struct {
	writers *sync.WaitGroup // has one added, under mu, whenever start is true

	mu      sync.Mutex // guards all below; a leaf
	queue   [][]byte
	bytes   int
	writing bool // true from the start, so that nothing leaves before the session is ready
	clogged bool
	closed  bool     // takes no more
	last    *closing // close frame to send after the queue
}

func newOutbox(writers *sync.WaitGroup) *outbox {
	writers.Add(1)
	return &outbox{writers: writers, writing: true}
}

type closing struct {
	code   int
	reason string
}

// pushed is what became of a message.
type pushed uint8

const (
	sent    pushed = iota
	clogs          // taken, and the outbox is clogged now
	refused        // the connection has ended
	full           // the worker reads too slowly
)

// push queues a message; start says that a writer has to be started.
func (o *outbox) push(msg []byte) (result pushed, start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return refused, false
	}
	if len(o.queue) >= outMessages || o.bytes+len(msg) > outBytes {
		return full, false
	}
	o.queue = append(o.queue, msg)
	o.bytes += len(msg)
	if !o.clogged && o.bytes > clogAt {
		o.clogged = true
		result = clogs
	}
	return result, o.start()
}

// finish takes no more messages and has last sent after those queued; without
// last the queue is thrown away. start is as in push.
func (o *outbox) finish(last *closing) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if last == nil {
		o.queue, o.bytes = nil, 0
		return false
	}
	o.last = last
	return o.start()
}

func (o *outbox) start() bool {
	if o.writing {
		return false
	}
	o.writing = true
	o.writers.Add(1)
	return true
}

// isClogged says whether the session should get no more tasks for now.
func (o *outbox) isClogged() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.clogged
}

// next returns the next frame to write. Without one the writer ends: it sends
// last, if there is one. unclogged says that tasks may be given out again.
func (o *outbox) next() (frame []byte, unclogged bool, last *closing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.queue = nil // an idle session keeps no buffer
		o.writing = false
		last, o.last = o.last, nil
		return nil, false, last
	}
	n, size := 1, len(o.queue[0])
	for n < len(o.queue) && size+1+len(o.queue[n]) <= frameBytes {
		size += 1 + len(o.queue[n])
		n++
	}
	frame = o.queue[0]
	if n > 1 {
		frame = make([]byte, 0, size)
		for i, msg := range o.queue[:n] {
			if i > 0 {
				frame = append(frame, '\n')
			}
			frame = append(frame, msg...)
		}
	}
	for i, msg := range o.queue[:n] {
		o.bytes -= len(msg)
		o.queue[i] = nil
	}
	o.queue = o.queue[n:]
	if o.clogged && o.bytes <= clogAt/2 {
		o.clogged = false
		unclogged = true
	}
	return frame, unclogged, nil
}
