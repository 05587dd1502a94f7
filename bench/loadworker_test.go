package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/protocol"
)

// TestTaskWithTheWelcome: a busy server may put a task into the frame of the welcome.
func TestTaskWithTheWelcome(t *testing.T) {
	result := make(chan []byte, 1)
	up := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		_, _, err = ws.ReadMessage() // hello
		frame := append(protocol.Encode(protocol.Welcome{}), "\n"+`{"type":"assign","task":"t1","attempt":1}`...)
		if err == nil {
			err = ws.WriteMessage(websocket.TextMessage, frame)
		}
		if err == nil {
			_, frame, err = ws.ReadMessage()
		}
		if err != nil {
			t.Error(err)
		}
		result <- frame
	}))
	defer srv.Close()
	all := &tally{}
	all.start()
	w := &loadWorker{tally: all}
	if err := w.connect(t.Context(), srv.URL, "token", protocol.Hello{}, 4096); err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if got := <-result; !bytes.Contains(got, []byte(`"type":"result"`)) || !bytes.Contains(got, []byte(`"t1"`)) {
		t.Errorf("answered %s", got)
	}
}
