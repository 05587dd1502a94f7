package app

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/httpapi"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

// TestOpenPagesHear: what people change is told to the pages that show it.
func TestOpenPagesHear(t *testing.T) {
	a := run(t, "FIRMLIGHT_ADMIN_USERNAME=root", "FIRMLIGHT_ADMIN_EMAIL=root@example.org", "FIRMLIGHT_ADMIN_PASSWORD="+password)
	root, ada := a.login(t, "root"), a.register(t, "ada")
	var group, token struct{ ID, Secret string }
	a.must(t, ada.Access, "POST", "/groups", map[string]string{"name": "laboratory"}, &group)
	a.must(t, ada.Access, "POST", "/tokens", map[string]any{"name": "fleet", "kind": "device", "groups": []string{group.ID}}, &token)
	a.must(t, ada.Access, "PUT", "/groups/"+group.ID+"/alert-rules", map[string]any{"approval": true}, nil)
	page, admin := a.events(t, ada.Access, "group:"+group.ID, "device:"+group.ID), a.events(t, root.Access, "admin")
	read := func(data json.RawMessage, into any) {
		t.Helper()
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	a.must(t, token.Secret, "POST", "/sync-events", []any{map[string]any{
		"device_id": "press", "timestamp": time.Now(), "total_files_synced": 1, "total_errors": 0, "internet_speed": 1,
	}}, nil)
	if hidden := page("pending"); string(hidden) != "{}" {
		t.Errorf("of a device that waits for approval everybody hears %s", hidden)
	}
	a.must(t, ada.Access, "PATCH", "/devices/press", map[string]any{"state": "active", "name": "by the door"}, nil)
	var d httpapi.Device
	if read(page("device"), &d); d.Name != "by the door" || d.State != devsync.Active {
		t.Errorf("%+v", d)
	}
	a.must(t, ada.Access, "PATCH", "/groups/"+group.ID, map[string]string{"name": "workshop"}, nil)
	page("group")
	a.must(t, ada.Access, "PATCH", "/me", map[string]string{"email": "a@example.org"}, nil)
	var e httpapi.AuditEntry
	for e.Action != "update-me" {
		read(admin("audit"), &e)
	}
	if e.Actor == nil || e.Actor.Username != "ada" || e.Outcome != "ok" {
		t.Errorf("%+v", e)
	}
}
