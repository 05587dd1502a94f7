package app

import (
	"context"
	"time"

	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/notify"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/internal/webhook"
)

// wireDevices builds what takes in sync events and tells of devices.
func (a *App) wireDevices(secret []byte) {
	a.webhooks = webhook.New(webhook.Options{
		Redis: a.redis.Client(), Secret: secret, AllowPrivate: a.cfg.WebhookAllowPrivate, Log: a.log,
	})
	a.fleet = live.NewDevices(a.live, a.showDevice, a.log)
	a.devices = devsync.NewService(devsync.Options{
		Store: a.metrics.Events(a.store), Groups: a.groups, Roles: a.store, DeviceRate: a.cfg.DeviceRate, Now: time.Now,
		Changed: a.fleet.Changed, Tellers: []devsync.Teller{teller{a}},
	})
}

// showDevice returns a device for those who watch its group; nil for one that
// waits for approval.
func (a *App) showDevice(ctx context.Context, group, id string) (any, error) {
	d, err := a.store.Device(ctx, group, id)
	if err != nil || d.State == devsync.Pending {
		return nil, err
	}
	return httpapi.ShowDevice(d), nil
}

// teller tells of alerts: pages, people, and last, since it may fail, the webhook.
type teller struct{ *App }

// alertNews is what a webhook gets.
type alertNews struct {
	Type  string        `json:"type"` // opened or recovered
	Group string        `json:"group"`
	Alert httpapi.Alert `json:"alert"`
}

// Tell implements devsync.Teller.
func (a teller) Tell(ctx context.Context, n devsync.News, r devsync.Rules) error {
	what, kind, at := "opened", notify.DeviceFailing, n.OpenedAt
	switch {
	case n.Recovered:
		what, kind, at = "recovered", notify.DeviceRecovered, n.RecoveredAt
	case n.Alert.Type == devsync.AlertSilent:
		kind = notify.DeviceSilent
	}
	if !n.Recovered {
		n.RecoveredAt = time.Time{} // it may have recovered since: that is news of its own
	}
	if r.WebhookURL != "" {
		news := alertNews{Type: what, Group: n.Group, Alert: httpapi.ShowAlert(n.Alert)}
		if err := a.webhooks.Send(ctx, n.ID+"-"+what, n.Group, r.WebhookURL, news); err != nil {
			return err
		}
	}
	a.live.DeviceAlert(n.Group, n.ID, httpapi.ShowAlert(n.Alert))
	a.notify.DeviceAlert(kind, n.Group, n.Device, n.Name, at)
	return nil
}
