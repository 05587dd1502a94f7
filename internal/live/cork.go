package live

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

// Cork returns w so that the connection of an upgrade gathers the frames of a flush
// into one write: the system call is most of what a frame costs.
func Cork(w http.ResponseWriter) http.ResponseWriter { return corkedWriter{w} }

type corkedWriter struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (w corkedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &corked{Conn: conn}, rw, nil
}

// corked is a connection that gathers what is written between cork and uncork.
type corked struct {
	net.Conn

	mu     sync.Mutex    // held while writing, so that all stays in order
	gather *bufio.Writer // nil: written at once
}

var gatherers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

// Write implements net.Conn.
func (c *corked) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gather != nil {
		return c.gather.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gather = gatherers.Get().(*bufio.Writer)
	c.gather.Reset(c.Conn)
}

func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.gather.Flush()
	c.gather.Reset(nil)
	gatherers.Put(c.gather)
	c.gather = nil
	return err
}
