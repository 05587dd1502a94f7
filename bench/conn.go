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

func (r *rig) dial() (*conn, error) { return dial(strings.TrimPrefix(r.URL, "http://")) }

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// post is a request to a path of the API, with the rig's token.
func (r *rig) post(path, body string) post {
	return post{strings.TrimPrefix(r.URL, "http://"), "/api/v1" + path, r.api.Token, body}
}

func (r *rig) request(path, body string) []byte { return r.post(path, body).bytes() }

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

// want returns an error unless a request was answered with one status.
func (a answer) want(status int, err error) error {
	if err == nil && a.status != status {
		err = fmt.Errorf("status %d: %.300s", a.status, a.body)
	}
	return err
}
