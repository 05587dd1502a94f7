package live

import (
	"net"
	"testing"
)

// TestCork: what is written between cork and uncork is one write, in order; before and
// after nothing is kept.
func TestCork(t *testing.T) {
	near, far := net.Pipe() // a read gets what one write wrote
	defer near.Close()
	defer far.Close()
	c := &corked{Conn: near}
	read := make(chan string)
	go func() {
		defer close(read)
		for b := make([]byte, 64); ; {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			read <- string(b[:n])
		}
	}()
	write := func(text string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time with a buffer that was used
		write("before")
		if got := <-read; got != "before" {
			t.Errorf("read %q", got)
		}
		c.cork()
		write("one ")
		write("two ")
		write("three")
		if err := c.uncork(); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got != "one two three" {
			t.Errorf("read %q", got)
		}
	}
	near.Close()
	c.cork()
	write("lost")
	if c.uncork() == nil {
		t.Error("a closed connection took what was kept")
	}
}
