package procgroup

import "sync"

// Tail keeps the end of what is written to it. It may be used by several
// goroutines, and copied only before that.
type Tail struct {
	Keep int // bytes

	mu  sync.Mutex // guards buf
	buf []byte
}

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - t.Keep; over > 0 {
		t.buf = append([]byte(nil), t.buf[over:]...)
	}
	return len(b), nil
}

// String returns what it has kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
