package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// relay passes connections on to one address. While it is cut it passes nothing
// and closes nothing, like a network that drops every packet; healed, it goes on
// with what waits, as TCP does when packets come through again.
type relay struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu     sync.Mutex    // guards the rest
	passes chan struct{} // closed while bytes pass
	conns  map[net.Conn]bool
	closed bool
}

// startRelay listens on a free port of host until the test's end.
func startRelay(t testing.TB, host, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must(t, err)
	r := &relay{listener: l, to: to, passes: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(r.passes)
	r.wg.Go(r.serve)
	t.Cleanup(r.close)
	return r
}

// Addr is where it listens.
func (r *relay) Addr() string { return r.listener.Addr().String() }

// in returns a URL with this relay in place of where it leads.
func (r *relay) in(url string) string { return strings.Replace(url, r.to, r.Addr(), 1) }

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passes = make(chan struct{})
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.passes)
}

func (r *relay) gate() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passes
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		c.Close()
	}
	select {
	case <-r.passes:
	default: // the test ended while it was cut
		close(r.passes)
	}
	r.mu.Unlock()
	r.listener.Close()
	r.wg.Wait()
}

func (r *relay) serve() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.connect(c) })
	}
}

// keep has c closed with the relay; false when that is over.
func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	return !r.closed
}

func (r *relay) drop(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *relay) connect(client net.Conn) {
	defer r.drop(client)
	if !r.keep(client) {
		return
	}
	<-r.gate()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer r.drop(server)
	if !r.keep(server) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { r.pass(client, server) })
	r.pass(server, client)
	back.Wait()
}

// pass ends with either side; both directions end together.
func (r *relay) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		<-r.gate()
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			return
		}
	}
}

// TestRelay: what is sent through a relay that is cut arrives when it is healed,
// and neither end hears of it before.
func TestRelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	r := startRelay(t, "127.0.0.1", l.Addr().String())
	client, err := net.Dial("tcp", r.Addr())
	must(t, err)
	server, err := l.Accept()
	must(t, err)
	defer server.Close()
	r.cut()
	_, err = client.Write([]byte("while cut"))
	must(t, err)
	must(t, client.(*net.TCPConn).CloseWrite())
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(server)
		got <- string(all)
	}()
	select {
	case all := <-got:
		t.Fatalf("%q came through a cut", all)
	default:
	}
	r.heal()
	if all := <-got; all != "while cut" {
		t.Errorf("%q after the cut", all)
	}
}
