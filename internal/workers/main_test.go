package workers

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/firmlight/firmlight/protocol"
)

// swarmVariable makes the test binary a swarm of idle workers: "<url> <number>".
// They have a process of their own, so that the server's memory can be measured.
const swarmVariable = "FIRMLIGHT_TEST_SWARM"

func TestMain(m *testing.M) {
	if order := os.Getenv(swarmVariable); order != "" {
		if err := swarm(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// swarm connects workers, says "ready", and leaves when its input ends.
func swarm(order string) error {
	var url string
	var n int
	if _, err := fmt.Sscan(order, &url, &n); err != nil {
		return err
	}
	dialer := websocket.Dialer{Subprotocols: []string{protocol.Subprotocol}}
	for range n {
		ws, response, err := dialer.Dial(url, nil)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		defer ws.Close()
		hello := `{"type":"hello","name":"pc","kinds":["mean","factorize","crawl"],"slots":4}`
		if err := ws.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
			return err
		}
		if _, frame, err := ws.ReadMessage(); err != nil || !strings.Contains(string(frame), "welcome") {
			return fmt.Errorf("%s, %w", frame, err)
		}
	}
	if _, err := fmt.Fprintln(os.Stdout, "ready"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
