package queue

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// openEmbedded starts a Redis whose only way in is an in-memory pipe.
func openEmbedded() (*Redis, error) {
	m := miniredis.NewMiniRedis()
	first, err := m.Dial() // brings it up
	if err != nil {
		return nil, err
	}
	if err := first.Close(); err != nil {
		return nil, err
	}
	server := m.Server()
	server.SetPreHook(takeNatively(m))
	r := &Redis{mini: m, quit: make(chan struct{}), done: make(chan struct{})}
	r.client = redis.NewClient(&redis.Options{
		Addr: "in-process",
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			server.ServeConn(newReplies(far))
			return near, nil
		},
		DialTimeout: dialTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout,
		PoolSize: poolSize, PoolTimeout: poolTimeout,
		ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	go r.runClock()
	return r, nil
}

// clockTick is how exactly the in-process Redis keeps its times to live.
const clockTick = 250 * time.Millisecond

// runClock lets keys of the in-process Redis expire, which it does only when
// told. Telling it goes through all keys, so a full one is told less often: at
// most a fiftieth of the time is spent on it.
func (r *Redis) runClock() {
	defer close(r.done)
	last := time.Now()
	timer := time.NewTimer(clockTick)
	defer timer.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-timer.C:
		}
		now := time.Now()
		r.mini.FastForward(now.Sub(last))
		last = now
		forgetVersions(r.mini)
		timer.Reset(max(clockTick, 50*time.Since(now)))
	}
}

// maxVersions is how many keys' versions the in-process Redis keeps.
const maxVersions = 1 << 17

// forgetVersions bounds what would grow for ever: miniredis counts the changes
// of every key that ever was, for WATCH, and offers no way to forget those that
// are gone; and each entry of a queue is a key of its own. Nobody here uses
// WATCH. A test fails should the field not be found.
func forgetVersions(m *miniredis.Miniredis) {
	db := reflect.ValueOf(m.DB(0)).Elem()
	m.Lock()
	defer m.Unlock()
	if f := versions(db); f != nil && len(*f) > maxVersions {
		clear(*f)
	}
}

func versions(db reflect.Value) *map[string]uint {
	f := db.FieldByName("keyVersion")
	if !f.IsValid() || f.Type() != reflect.TypeFor[map[string]uint]() {
		return nil
	}
	return (*map[string]uint)(f.Addr().UnsafePointer())
}

// maxReplies is what a client may leave unread before it is cut off.
const maxReplies = 16 << 20

var errSlowReader = errors.New("queue: replies are not read")

// replies is the server's end of a pipe, with a buffer for what it writes. A
// pipe has none: a client that writes a long pipeline before it reads, and a
// server that answers meanwhile, would wait for each other.
type replies struct {
	net.Conn
	mu     sync.Mutex
	more   sync.Cond
	buf    []byte
	closed bool
}

func newReplies(c net.Conn) *replies {
	r := &replies{Conn: c}
	r.more.L = &r.mu
	go r.deliver()
	return r
}

func (r *replies) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	if len(r.buf)+len(p) > maxReplies {
		return 0, errors.Join(errSlowReader, r.Conn.Close())
	}
	r.buf = append(r.buf, p...)
	r.more.Signal()
	return len(p), nil
}

// deliver writes what is buffered until the connection is closed, which the
// server does when its read fails.
func (r *replies) deliver() {
	var out []byte
	for {
		r.mu.Lock()
		for len(r.buf) == 0 && !r.closed {
			r.more.Wait()
		}
		closed := r.closed
		if cap(out) > 8*bufferSize {
			out = nil
		}
		out, r.buf = r.buf, out[:0]
		r.mu.Unlock()
		if closed {
			return
		}
		if _, err := r.Conn.Write(out); err != nil {
			_ = r.Close() // the pipe is broken already
			return
		}
	}
}

// Close ends deliver, too.
func (r *replies) Close() error {
	r.mu.Lock()
	r.closed = true
	r.more.Signal()
	r.mu.Unlock()
	return r.Conn.Close()
}
