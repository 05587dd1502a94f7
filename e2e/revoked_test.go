package e2e

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestTokenRevokedBeforeHello: a token that dies between the upgrade and hello
// opens no session.
func TestTokenRevokedBeforeHello(t *testing.T) {
	c := start(t)
	login := *c.Client // tokens are a person's to manage, not an API token's
	var in struct {
		AccessToken string `json:"access_token"`
	}
	must(t, login.Do(t.Context(), "POST", "/auth/login", map[string]string{"login": "ada", "password": "a long password"}, &in))
	login.Token = in.AccessToken
	var token struct{ ID, Secret string }
	must(t, login.Do(t.Context(), "POST", "/tokens", map[string]string{"name": "brief", "kind": "worker"}, &token))

	d := websocket.Dialer{Subprotocols: []string{"firmlight.worker.v1"}}
	ws, resp, err := d.Dial("ws"+strings.TrimPrefix(c.Server.URL, "http")+"/api/v1/worker",
		http.Header{"Authorization": {"Bearer " + token.Secret}})
	must(t, err)
	defer resp.Body.Close()
	defer ws.Close()
	must(t, login.Do(t.Context(), "DELETE", "/tokens/"+token.ID, nil, nil))
	must(t, ws.WriteJSON(map[string]any{"type": "hello", "name": "late", "kinds": []string{"echo"}, "slots": 1}))
	must(t, ws.SetReadDeadline(time.Now().Add(10*time.Second)))
	for {
		_, frame, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			if closed.Code != 4401 {
				t.Fatalf("closed with %d", closed.Code)
			}
			return
		}
		must(t, err)
		if !strings.Contains(string(frame), `"welcome"`) && !strings.Contains(string(frame), `"ping"`) {
			t.Fatalf("got %s", frame)
		}
	}
}
