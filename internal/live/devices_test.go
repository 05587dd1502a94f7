package live

import (
	"context"
	"errors"
	"log/slog"
	"testing"
)

func TestDevicesThatReportedAreShown(t *testing.T) {
	s := newSite(t, DefaultTiming, nil)
	asked := make(chan string, 10)
	devices := NewDevices(s.hub, func(_ context.Context, _, id string) (any, error) {
		asked <- id
		switch id {
		case "broken":
			return nil, errors.New("store away")
		case "pending":
			return nil, nil // not to be shown
		}
		return map[string]string{"device_id": id}, nil
	}, slog.New(slog.DiscardHandler))
	if err := devices.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer devices.Stop(t.Context())
	group := Topic{Device, newID()}
	p := s.open("user=u")
	p.subscribe(group.String())
	devices.Changed(newID(), "unwatched")
	for _, id := range []string{"broken", "pending", "printer"} {
		devices.Changed(group.ID, id, id)
		if got := <-asked; got != id {
			t.Errorf("asked for %s, want %s", got, id)
		}
	}
	if m := p.next(); m.Type != TypePending || m.Topic != group.String() {
		t.Errorf("got %+v, want word of the pending one", m)
	}
	if m := p.next(); m.Type != TypeDevice || m.Topic != group.String() || string(m.Device) != `{"device_id":"printer"}` {
		t.Errorf("got %+v, want the printer alone", m)
	}
}
