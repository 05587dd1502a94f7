package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/asyncapitest"
	"github.com/firmlight/firmlight/internal/notify"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/tasks"
)

// What live events show is what docs/asyncapi.yaml says; what it takes from
// openapi.json has no other fields.
func TestAsyncAPITakesWhatEventsShow(t *testing.T) {
	doc := asyncapitest.Load(t)
	now, id := time.Now(), "01936f00-0000-7000-8000-000000000001"
	type shown struct {
		kind string
		data any
	}
	events := map[string]shown{
		"device":               {"device", ShowDevice(devsync.Device{Group: id, State: devsync.Active, FirstSeen: now})},
		"alert":                {"alert", ShowAlert(devsync.Alert{ID: id, Type: devsync.AlertSilent, OpenedAt: now, RecoveredAt: now})},
		"statistics":           {"stats", showStats("24h", tasks.GroupStats{})},
		"overview":             {"stats", Overview{Servers: []Server{{ID: id, StartedAt: Time{now}}}, Minutes: []Minute{}, Queues: []Queue{}}},
		"notifications read":   {"notification", notify.Change{}},
		"task with everything": {"task", tasks.Task{ID: id, Priority: tasks.Normal, Status: tasks.Running, Parent: id, FinishedAt: now, Percent: new(float64)}.View()},
	}
	for _, kind := range notify.Types {
		events[string(kind)] = shown{"notification", notify.Change{NotificationView: &notify.NotificationView{Type: kind}, Unread: 3}}
	}
	for name, tt := range events {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			event := fmt.Sprintf(`{"type":%q,"topic":"me",%q:%s}`, tt.kind, tt.kind, data)
			if err := doc.Check("live."+tt.kind, []byte(event)); err != nil {
				t.Errorf("%s: %v", event, err)
			}
			wrong := fmt.Sprintf(`{"type":%q,"topic":"me",%q:7}`, tt.kind, tt.kind)
			if doc.Check("live."+tt.kind, []byte(wrong)) == nil {
				t.Errorf("%s is valid", wrong)
			}
		})
	}
}

func TestAsyncAPIHasTheFieldsOfANotification(t *testing.T) {
	doc := asyncapitest.Load(t)
	want := asyncapitest.FieldsOf(&notify.Change{})
	got := doc.Keys("components", "messages", "live.notification", "payload", "properties", "notification", "properties")
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
