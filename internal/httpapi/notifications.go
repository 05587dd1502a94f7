package httpapi

import (
	"context"
	"net/http"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/notify"
)

const ownNotices = "what somebody reads, and wants to, concerns nobody else"

func (a *API) notificationRoutes() {
	const tag, path = "Notifications", "/api/v1/notifications"
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-notifications", tag: tag,
		summary: "What happened to your groups, tasks and workers; what changed last comes first", access: session,
	}, a.listNotifications)
	handle(a, route{
		method: http.MethodPost, path: path + "/read", id: "read-notifications", tag: tag,
		summary: "Mark some, or all, as read", access: session, unaudited: ownNotices,
	}, a.readNotifications)
	handle(a, route{
		method: http.MethodDelete, path: path + "/{id}", id: "delete-notification", tag: tag,
		summary: "Delete one", access: session, unaudited: ownNotices,
	}, a.deleteNotification)
	handle(a, route{
		method: http.MethodGet, path: path + "/settings", id: "get-notification-settings", tag: tag,
		summary: "What you do not want to hear of", access: session,
	}, a.getNotificationSettings)
	handle(a, route{
		method: http.MethodPut, path: path + "/settings", id: "set-notification-settings", tag: tag,
		summary: "Say what you do not want to hear of, in one group or in all", access: session, unaudited: ownNotices,
	}, a.setNotificationSettings)
}

type listNotificationsRequest struct {
	Page
	Unread bool `query:"unread" doc:"Only those not read"`
}

type notificationList struct {
	Body struct {
		List[notify.NotificationView]
		Unread int `json:"unread" doc:"How many you have not read, on every page"`
	}
}

func (a *API) listNotifications(ctx context.Context, in *listNotificationsRequest) (*notificationList, error) {
	key, err := in.after()
	if err != nil {
		return nil, err
	}
	after, ok := notify.ParsePlace(key)
	if !ok {
		return nil, errCursor
	}
	user := caller(ctx).UserID
	rows, err := a.deps.Notify.List(ctx, user, in.Unread, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &notificationList{}
	out.Body.List = listOf(rows, in.Limit, func(n notify.Notification) string { return n.Place().String() }, notify.Notification.View)
	out.Body.Unread, err = a.deps.Notify.Unread(ctx, user)
	return out, err
}

type readNotificationsRequest struct {
	Body struct {
		IDs []string `json:"ids,omitempty" minItems:"1" maxItems:"200" nullable:"false" doc:"Those; what is not there is passed over"`
		All bool     `json:"all,omitempty" doc:"All that you have, instead of ids"`
	}
}

type unreadAnswer struct {
	Body struct {
		Unread int `json:"unread" doc:"How many are left"`
	}
}

func (a *API) readNotifications(ctx context.Context, in *readNotificationsRequest) (*unreadAnswer, error) {
	if in.Body.All == (in.Body.IDs != nil) {
		return nil, fault.InvalidField("body", "must have either ids, or all: true")
	}
	out := &unreadAnswer{}
	var err error
	out.Body.Unread, err = a.deps.Notify.Read(ctx, caller(ctx).UserID, in.Body.IDs)
	return out, err
}

func (a *API) deleteNotification(ctx context.Context, in *IDRequest) (*struct{}, error) {
	return nil, a.deps.Notify.Delete(ctx, caller(ctx).UserID, in.ID)
}

// NotificationSettings is what a user does not want to hear of.
type NotificationSettings struct {
	Off []NotificationsOff `json:"off" maxItems:"256" nullable:"false"`
}

// NotificationsOff is types that are off in one group.
type NotificationsOff struct {
	Group *string       `json:"group" doc:"null: every group, and what has none"`
	Types []notify.Type `json:"types" minItems:"1" maxItems:"12" nullable:"false" enum:"invited,joined,left,kicked,role_changed,group_deleted,task_finished,task_failed,worker_lost,device_failing,device_silent,device_recovered"`
}

type notificationSettings struct{ Body NotificationSettings }

func (a *API) getNotificationSettings(ctx context.Context, _ *struct{}) (*notificationSettings, error) {
	set, err := a.deps.Notify.UserSettings(ctx, caller(ctx).UserID)
	if err != nil {
		return nil, err
	}
	out := &notificationSettings{Body: NotificationSettings{Off: []NotificationsOff{}}}
	for _, o := range set {
		off := NotificationsOff{Types: o.Types}
		if o.Group != "" {
			off.Group = &o.Group
		}
		out.Body.Off = append(out.Body.Off, off)
	}
	return out, nil
}

func (a *API) setNotificationSettings(ctx context.Context, in *notificationSettings) (*notificationSettings, error) {
	set := make(notify.Settings, len(in.Body.Off))
	for i, o := range in.Body.Off {
		set[i].Types = o.Types
		if o.Group != nil {
			set[i].Group = *o.Group
		}
	}
	if err := a.deps.Notify.SetSettings(ctx, caller(ctx).UserID, set); err != nil {
		return nil, err
	}
	return in, nil
}
