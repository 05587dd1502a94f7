package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// delivery is what a webhook got.
type delivery struct {
	header http.Header
	body   []byte
	Type   string
	Group  string
	Alert  kit.Alert
}

// webhook is a program that is told of alerts; it fails the first time.
func webhook(t *testing.T) (url string, got <-chan delivery) {
	t.Helper()
	all := make(chan delivery, 100)
	var failed atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := delivery{header: r.Header}
		var err error
		if d.body, err = io.ReadAll(r.Body); err == nil {
			err = json.Unmarshal(d.body, &d)
		}
		if err != nil {
			t.Error(err)
		}
		if failed.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		all <- d
	}))
	t.Cleanup(srv.Close)
	return srv.URL, all
}

// printers are the devices of the cluster's group.
type printers struct {
	*cluster
	admin, device *kit.Client
	secret        string // of the group's webhook
	at            time.Time
}

// printers has alerts of the cluster's group sent to a webhook.
func (c *cluster) printers(webhook string) *printers {
	c.t.Helper()
	p := &printers{cluster: c, at: time.Now().Add(-time.Hour)}
	var err error
	p.admin, err = kit.Login(c.t.Context(), c.Server.URL, "ada", "a long password")
	must(c.t, err)
	var token struct{ Secret string }
	must(c.t, p.admin.Do(c.t.Context(), "POST", "/tokens", map[string]any{"name": "fleet", "kind": "device", "groups": []string{c.group}}, &token))
	p.device = kit.NewClient(c.Server.URL, token.Secret)
	rules := "/groups/" + c.group + "/alert-rules"
	must(c.t, p.admin.Do(c.t.Context(), "PUT", rules, map[string]any{"failures": 3, "webhook_url": webhook}, nil))
	var shown struct {
		Secret string `json:"webhook_secret"`
	}
	must(c.t, p.admin.Do(c.t.Context(), "GET", rules, nil, &shown))
	p.secret = shown.Secret
	return p
}

// reports sends syncs of a device, each with so many errors.
func (p *printers) reports(errors ...int) {
	p.t.Helper()
	for _, n := range errors {
		p.at = p.at.Add(time.Second)
		must(p.t, p.device.Do(p.t.Context(), "POST", "/sync-events", []any{map[string]any{
			"device_id": "press", "timestamp": p.at, "total_files_synced": 0, "total_errors": n, "internet_speed": 1,
		}}, nil))
	}
}

// TestAlertIsTold: a streak of failures opens one alert, its end closes it; each is
// told to those who watch, to the admin, and to the webhook until it is taken.
func TestAlertIsTold(t *testing.T) {
	url, deliveries := webhook(t)
	p := start(t, "FIRMLIGHT_WEBHOOK_ALLOW_PRIVATE=true").printers(url)
	events := make(chan kit.Event, 100)
	watched := make(chan error, 1)
	go func() {
		watched <- p.admin.Watch(t.Context(), []string{"device:" + p.group, "me"}, func(e kit.Event) bool {
			events <- e
			return true
		})
	}()
	var skipped []kit.Event // alerts and notifications come in any order
	next := func(kind string) kit.Event {
		t.Helper()
		if i := slices.IndexFunc(skipped, func(e kit.Event) bool { return e.Type == kind }); i >= 0 {
			e := skipped[i]
			skipped = slices.Delete(skipped, i, i+1)
			return e
		}
		patience := time.After(20 * time.Second)
		for {
			select {
			case e := <-events:
				if e.Type == kind {
					return e
				}
				skipped = append(skipped, e)
			case err := <-watched:
				t.Fatal("no longer watched: ", err)
			case <-patience:
				t.Fatal("not told: ", kind)
			}
		}
	}
	next("subscribed")
	next("subscribed")
	told := func(recovered bool, streak int, notification string) string {
		t.Helper()
		a := next("alert")
		if a.Topic != "device:"+p.group || a.Alert.Type != "failing" || a.Alert.Device != "press" || a.Alert.Streak != streak || (a.Alert.RecoveredAt != nil) != recovered {
			t.Errorf("alert on %s: %+v", a.Topic, a.Alert)
		}
		n := next("notification")
		if n.Topic != "me" || n.Notification.Type != notification || n.Notification.Device == nil || n.Notification.Device.ID != "press" {
			t.Errorf("notification on %s: %+v, want %s", n.Topic, n.Notification, notification)
		}
		return a.Alert.ID
	}
	p.reports(1, 0, 1, 1) // no streak of three yet
	p.reports(2)
	first := told(false, 3, "device_failing")
	p.reports(1, 1) // the same streak goes on
	p.reports(0)
	if again := told(true, 5, "device_recovered"); again != first {
		t.Errorf("%s recovered, %s was open", again, first)
	}
	p.reports(1, 1, 1)
	second := told(false, 3, "device_failing")
	var kept struct{ Items []kit.Alert }
	must(t, p.admin.Do(t.Context(), "GET", "/groups/"+p.group+"/alerts", nil, &kept))
	if len(kept.Items) != 2 || kept.Items[0].ID != second || kept.Items[1].ID != first || kept.Items[1].Streak != 5 {
		t.Errorf("alerts %+v", kept.Items)
	}
	p.wantDeliveries(deliveries, map[string]int{first + "-opened": 2, first + "-recovered": 1, second + "-opened": 1})
}

// wantDeliveries reads as many deliveries as there are to come: times by alert and
// type.
func (p *printers) wantDeliveries(got <-chan delivery, want map[string]int) {
	p.t.Helper()
	left, times := 0, map[string]int{}
	for _, n := range want {
		left += n
	}
	patience := time.After(time.Minute)
	for ; left > 0; left-- {
		select {
		case <-patience:
			p.t.Fatalf("delivered %v, want %v", times, want)
		case d := <-got:
			times[d.Alert.ID+"-"+d.Type]++
			h := hmac.New(sha256.New, []byte(p.secret))
			fmt.Fprintf(h, "%s.%s", d.header.Get("X-Firmlight-Timestamp"), d.body)
			if signature := "sha256=" + hex.EncodeToString(h.Sum(nil)); d.header.Get("X-Firmlight-Signature") != signature {
				p.t.Errorf("signature %s, want %s", d.header.Get("X-Firmlight-Signature"), signature)
			}
			if d.Group != p.group || d.Alert.Device != "press" || (d.Alert.RecoveredAt != nil) != (d.Type == "recovered") {
				p.t.Errorf("delivered %s", d.body)
			}
		}
	}
	if fmt.Sprint(times) != fmt.Sprint(want) {
		p.t.Errorf("delivered %v, want %v", times, want)
	}
}

// TestPrivateWebhook: unless the operator allows it, a webhook does not reach into
// the server's own network.
func TestPrivateWebhook(t *testing.T) {
	url, deliveries := webhook(t)
	p := start(t).printers(url)
	p.reports(1, 1, 1)
	eventually(t, 20*time.Second, "the webhook is given up", func() bool {
		return strings.Contains(p.Server.Output(), "webhook given up: private addresses are not allowed")
	})
	select {
	case d := <-deliveries:
		t.Errorf("delivered %s", d.body)
	default:
	}
}
