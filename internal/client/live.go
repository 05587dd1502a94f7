package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Silence is how long a live connection may bring nothing, not even a ping,
// before it counts as lost. The server pings about every 20 s.
const silence = time.Minute

// Watch subscribes to topics of the live socket and calls f with each message,
// decoded as E, until f returns false or ctx ends (nil), or the connection does.
// Reading of what happened before it began is f's, on "subscribed" and "resync".
func Watch[E any](ctx context.Context, c *Client, topics []string, f func(E) bool) error {
	ws, err := c.dial(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	defer func() { _ = ws.Close() }()
	alive := func() { _ = ws.SetReadDeadline(time.Now().Add(silence)) } // an error: the next read has it
	ping := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { alive(); return ping(data) })
	if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": topics}); err != nil {
		return c.away(ctx, err)
	}
	for {
		alive()
		_, data, err := ws.ReadMessage()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return &Away{c.URL, err}
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			var e E
			if err := json.Unmarshal(line, &e); err != nil {
				return err
			}
			if !f(e) {
				return nil
			}
		}
	}
}

// dial opens the socket, with a new token where the old one has expired.
func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{"firmlight.live.v1"}, HandshakeTimeout: 10 * time.Second, Proxy: http.ProxyFromEnvironment}
	for renewed := false; ; renewed = true {
		//nolint:bodyclose // gorilla has read the body of a refusal, and closed it
		ws, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(strings.TrimSuffix(c.URL, "/"), "http")+Base+"/live",
			http.Header{"Authorization": {"Bearer " + c.Token}})
		if err == nil {
			return ws, nil
		}
		if !errors.Is(err, websocket.ErrBadHandshake) {
			return nil, c.away(ctx, err)
		}
		data, _ := io.ReadAll(resp.Body) // gorilla keeps the first KiB of it
		if resp.StatusCode != http.StatusUnauthorized || c.Renew == nil || renewed {
			return nil, problem(resp, data)
		}
		if c.Token, err = c.Renew(ctx, c.Token); err != nil {
			return nil, err
		}
	}
}
