package app

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/live"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/webhook"
)

// events subscribes to topics and returns what reads the data of the next event of
// a type.
func (a *App) events(t *testing.T, bearer string, topics ...string) (next func(kind string) json.RawMessage) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{live.Subprotocol}}
	ws, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(a.URL(), "http")+"/api/v1/live",
		http.Header{"Authorization": {"Bearer " + bearer}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { ws.Close() })
	var lines []string
	next = func(kind string) json.RawMessage {
		t.Helper()
		for {
			for len(lines) == 0 {
				_, data, err := ws.ReadMessage()
				if err != nil {
					t.Fatalf("waiting for %s: %v", kind, err)
				}
				lines = strings.Split(string(data), "\n")
			}
			var e map[string]json.RawMessage
			if err := json.Unmarshal([]byte(lines[0]), &e); err != nil {
				t.Fatal(err)
			}
			lines = lines[1:]
			if string(e["type"]) == `"`+kind+`"` {
				return e[kind]
			}
		}
	}
	subscribe := map[string]any{"type": "subscribe", "topics": topics}
	if err := errors.Join(ws.WriteJSON(subscribe), ws.SetReadDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	for range topics {
		next("subscribed")
	}
	return next
}

// TestSilentDevice: a device that stops reporting opens one alert, and its next
// report closes it; each is told on the socket, as a notification and by webhook.
func TestSilentDevice(t *testing.T) {
	a := run(t, "FIRMLIGHT_WEBHOOK_ALLOW_PRIVATE=true")
	hooked := make(chan alertNews, 10)
	ada := a.register(t, "ada")
	var group, token struct{ ID, Secret string }
	a.must(t, ada.Access, "POST", "/groups", map[string]string{"name": "laboratory"}, &group)
	a.must(t, ada.Access, "POST", "/tokens", map[string]any{"name": "fleet", "kind": "device", "groups": []string{group.ID}}, &token)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var news alertNews
		if err == nil {
			err = json.Unmarshal(body, &news)
		}
		key := a.webhooks.Key(group.ID)
		if err != nil || r.Header.Get(webhook.SignatureHeader) != webhook.Sign(key, r.Header.Get(webhook.TimestampHeader), body) {
			t.Errorf("%v, %v: %s", err, r.Header, body)
		}
		hooked <- news
	}))
	t.Cleanup(srv.Close)
	a.must(t, ada.Access, "PUT", "/groups/"+group.ID+"/alert-rules", map[string]any{"silent_s": 60, "grace_s": 0, "webhook_url": srv.URL}, nil)
	next := a.events(t, ada.Access, "device:"+group.ID)
	told := func(what, notification string, silent bool) httpapi.Alert {
		t.Helper()
		var alert httpapi.Alert
		if err := json.Unmarshal(next("alert"), &alert); err != nil {
			t.Fatal(err)
		}
		if alert.Type != devsync.AlertSilent || alert.DeviceID != "press" || (alert.RecoveredAt == nil) != silent {
			t.Errorf("%s: %+v", what, alert)
		}
		select {
		case news := <-hooked:
			if news.Type != what || news.Group != group.ID || news.Alert.ID != alert.ID {
				t.Errorf("%s: the webhook got %+v", what, news)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the webhook got nothing", what)
		}
		eventually(t, notification, func() bool {
			var inbox struct {
				Items []struct {
					Type   string
					Device struct{ ID string }
				}
			}
			a.must(t, ada.Access, "GET", "/notifications", nil, &inbox)
			return len(inbox.Items) > 0 && inbox.Items[0].Type == notification && inbox.Items[0].Device.ID == "press"
		})
		var device httpapi.Device
		if a.must(t, ada.Access, "GET", "/devices/press", nil, &device); device.Silent != silent {
			t.Errorf("%s: silent is %v", what, device.Silent)
		}
		return alert
	}
	ago := time.Now().UTC().Truncate(time.Millisecond).Add(-61 * time.Second)
	_, err := a.store.Append(t.Context(), group.ID, []devsync.Event{{Device: "press", At: ago, ReceivedAt: ago, Files: 1}})
	// As the job does, which comes every 30 s.
	if err := errors.Join(err, a.devices.OpenSilent(t.Context()), a.devices.OpenSilent(t.Context())); err != nil {
		t.Fatal(err)
	}
	opened := told("opened", "device_silent", true)
	if !opened.Since.Equal(ago) {
		t.Errorf("silent since %s, want %s", opened.Since, ago)
	}
	a.must(t, token.Secret, "POST", "/sync-events", []any{map[string]any{
		"device_id": "press", "timestamp": time.Now(), "total_files_synced": 1, "total_errors": 0, "internet_speed": 1,
	}}, nil)
	if recovered := told("recovered", "device_recovered", false); recovered.ID != opened.ID {
		t.Errorf("%s recovered, %s was open", recovered.ID, opened.ID)
	}
	var alerts struct{ Items []httpapi.Alert }
	if a.must(t, ada.Access, "GET", "/groups/"+group.ID+"/alerts", nil, &alerts); len(alerts.Items) != 1 {
		t.Errorf("%d alerts of one silence: %+v", len(alerts.Items), alerts.Items)
	}
}
