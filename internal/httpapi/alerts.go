package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

func (a *API) alertRoutes() {
	const tag, group = "Devices", "/api/v1/groups/{id}"
	read := user(auth.DevicesRead)
	handle(a, route{
		method: http.MethodGet, path: group + "/alert-rules", id: "get-alert-rules", tag: tag,
		summary: "When the group is told of its devices", access: read,
	}, a.getRules)
	handle(a, route{
		method: http.MethodPut, path: group + "/alert-rules", id: "set-alert-rules", tag: tag,
		summary: "Change when the group is told of its devices", access: session,
	}, a.setRules)
	handle(a, route{
		method: http.MethodGet, path: group + "/alerts", id: "list-alerts", tag: tag,
		summary: "Alerts of the group's devices, newest first", access: read,
	}, a.listAlerts)
}

// AlertRules say when a group is told of its devices.
type AlertRules struct {
	Failures   *int     `json:"failures,omitempty" minimum:"1" maximum:"100" doc:"In a row; default 3"`
	SilentS    *silence `json:"silent_s,omitempty" doc:"Without a report; learned (the default): four times the device's usual interval"`
	GraceS     *int64   `json:"grace_s,omitempty" minimum:"0" maximum:"86400" doc:"On top of either; default 300"`
	Approval   *bool    `json:"approval,omitempty" doc:"New devices wait until an admin lets them in; default no"`
	WebhookURL *string  `json:"webhook_url,omitempty" maxLength:"2048" doc:"Gets a signed POST for each alert and recovery; empty: none"`
}

// ShownRules are rules with what their admins need for the webhook.
type ShownRules struct {
	AlertRules
	WebhookSecret string `json:"webhook_secret,omitempty" doc:"Key of the signatures; for admins of the group only"`
}

type rulesAnswer struct{ Body ShownRules }

func showRules(r devsync.Rules) *rulesAnswer {
	silent, grace := silence(r.Silence), int64(r.Grace/time.Second)
	return &rulesAnswer{Body: ShownRules{AlertRules: AlertRules{
		Failures: &r.Failures, SilentS: &silent, GraceS: &grace, Approval: &r.Approval, WebhookURL: &r.WebhookURL,
	}}}
}

func (a *API) getRules(ctx context.Context, in *IDRequest) (*rulesAnswer, error) {
	c := caller(ctx)
	r, err := a.deps.Devices.Rules(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	out := showRules(r)
	if _, err := a.deps.Groups.Authorize(ctx, c, in.ID, auth.ManageSettings); err == nil && c.Kind == auth.KindSession {
		out.Body.WebhookSecret = a.deps.WebhookKey(in.ID)
	}
	return out, nil
}

type setRulesRequest struct {
	IDRequest
	Body AlertRules
}

func (a *API) setRules(ctx context.Context, in *setRulesRequest) (*rulesAnswer, error) {
	r, b := devsync.DefaultRules, in.Body
	if b.Failures != nil {
		r.Failures = *b.Failures
	}
	if b.SilentS != nil {
		r.Silence = time.Duration(*b.SilentS)
	}
	if b.GraceS != nil {
		r.Grace = time.Duration(*b.GraceS) * time.Second
	}
	if b.Approval != nil {
		r.Approval = *b.Approval
	}
	if b.WebhookURL != nil {
		r.WebhookURL = *b.WebhookURL
	}
	return showRules(r), a.deps.Devices.SetRules(ctx, caller(ctx), in.ID, r)
}

// Alert is one streak of failures, or one silence, of a device.
type Alert struct {
	ID          string            `json:"id" format:"uuid"`
	Type        devsync.AlertType `json:"type" enum:"failing,silent"`
	DeviceID    string            `json:"device_id"`
	Name        string            `json:"name" doc:"Of the device"`
	Since       Time              `json:"since" doc:"First failure of the streak, by device time; last report before a silence"`
	Streak      int               `json:"streak" doc:"The longest seen"`
	OpenedAt    Time              `json:"opened_at"`
	RecoveredAt *Time             `json:"recovered_at" nullable:"true" doc:"null: not yet"`
}

// ShowAlert returns an alert as JSON shows it.
func ShowAlert(v devsync.Alert) Alert {
	return Alert{
		ID: v.ID, Type: v.Type, DeviceID: v.Device, Name: v.Name, Since: Time{v.Since}, Streak: v.Streak,
		OpenedAt: Time{v.OpenedAt}, RecoveredAt: timeOf(v.RecoveredAt),
	}
}

type alertsRequest struct {
	IDRequest
	Page
	Open bool `query:"open" doc:"Only those without a recovery"`
}

type alertList struct{ Body List[Alert] }

func (a *API) listAlerts(ctx context.Context, in *alertsRequest) (*alertList, error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Devices.Alerts(ctx, caller(ctx), devsync.AlertQuery{
		Group: in.ID, Open: in.Open, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return &alertList{Body: listOf(rows, in.Limit, func(v devsync.Alert) string { return v.ID }, ShowAlert)}, nil
}
