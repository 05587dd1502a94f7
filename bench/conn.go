package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerTimeout is how long one request may take.
const answerTimeout = 30 * time.Second

// conn is one HTTP connection that is kept and used by one goroutine. It costs
// the shared machine less than net/http's client: no goroutines, no headers to
// build, one write.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte // of the last answer
}

type answer struct {
	status     int
	retryAfter time.Duration // of a 429
	body       []byte        // good until the next request
}

func (r *rig) dial() (*conn, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// request returns the bytes of a POST with the rig's token.
func (r *rig) request(path, body string) []byte {
	return fmt.Appendf(nil, "POST /api/v1%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, strings.TrimPrefix(r.URL, "http://"), r.api.Token, len(body), body)
}

// do sends a request and reads the answer to its end.
func (c *conn) do(request []byte) (answer, error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return answer{}, err
	}
	if _, err := c.Write(request); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if n := resp.ContentLength; n >= 0 && n <= int64(cap(c.body)) {
		c.body = c.body[:n]
		_, err = io.ReadFull(resp.Body, c.body)
	} else {
		c.body, err = io.ReadAll(resp.Body)
	}
	a := answer{status: resp.StatusCode, body: c.body}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		a.retryAfter = time.Duration(s) * time.Second
	}
	return a, err
}
