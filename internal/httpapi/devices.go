package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

func (a *API) deviceRoutes() {
	const tag, old, path, group = "Devices", "/api/sync-event", "/api/v1/devices", "/api/v1/groups/{id}"
	read := user(auth.DevicesRead)
	handle(a, route{
		method: http.MethodGet, path: old + "/device/{id}/sync-history", id: "sync-history", tag: tag,
		summary: "A device's events, newest first by its clock", access: read,
	}, a.syncHistory)
	handle(a, route{
		method: http.MethodGet, path: old + "/devices/repeated-failures", id: "repeated-failures", tag: tag,
		summary: "Devices that fail again and again, the worst first", access: read,
	}, a.repeatedFailures)
	handle(a, route{
		method: http.MethodGet, path: path, id: "list-devices", tag: tag, summary: "The devices of your groups; a search looks at 10,000 for an answer", access: read,
	}, a.listDevices)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}", id: "get-device", tag: tag, summary: "A device", access: read,
	}, a.getDevice)
	handle(a, route{
		method: http.MethodPatch, path: path + "/{id}", id: "update-device", tag: tag,
		summary: "Name a device, let it in, or take it out of use", access: session,
	}, a.updateDevice)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}/stats", id: "device-stats", tag: tag,
		summary: "Sums of a device by hour or day", access: read,
	}, a.deviceStats)
	handle(a, route{
		method: http.MethodGet, path: group + "/device-stats", id: "fleet-stats", tag: tag,
		summary: "Sums of a group's devices by hour or day", access: read,
	}, a.fleetStats)
	handle(a, route{
		method: http.MethodGet, path: path + "/{id}/export", id: "export-device", tag: tag,
		summary: "A device's events as CSV", access: read,
	}, a.exportDevice)
	handle(a, route{
		method: http.MethodGet, path: group + "/sync-events/export", id: "export-events", tag: tag,
		summary: "A group's events as CSV", access: read,
	}, a.exportEvents)
}

// Device is a device as members of its group see it.
type Device struct {
	DeviceID       string        `json:"device_id"`
	Group          string        `json:"group" format:"uuid"`
	Name           string        `json:"name"`
	Tags           []string      `json:"tags" nullable:"false"`
	State          devsync.State `json:"state" enum:"active,pending,retired"`
	FirstSeenAt    *Time         `json:"first_seen_at" doc:"By the server's clock, as last_seen_at"`
	LastSeenAt     *Time         `json:"last_seen_at" nullable:"true"`
	NewestAt       *Time         `json:"newest_at" nullable:"true" doc:"Of all its events, by its own clock, as the next two"`
	LastSuccessAt  *Time         `json:"last_success_at" nullable:"true"`
	LastFailureAt  *Time         `json:"last_failure_at" nullable:"true"`
	Streak         int           `json:"streak" doc:"Failed syncs after the last one without errors"`
	Status         string        `json:"status" enum:"ok,failed" doc:"Of the newest event"`
	Totals         DeviceTotals  `json:"totals"`
	UsualIntervalS *float64      `json:"usual_interval_s" doc:"Between two of its events; null until there are two"`
	Silent         bool          `json:"silent" doc:"An alert for its silence is open"`
	Failing        bool          `json:"failing" doc:"An alert for its failures is open"`
}

// DeviceTotals count events.
type DeviceTotals struct {
	Events  int64 `json:"events"`
	Failed  int64 `json:"failed" doc:"With errors, partial ones included"`
	Partial int64 `json:"partial" doc:"With errors, and files nevertheless"`
	Files   int64 `json:"files"`
	Errors  int64 `json:"errors"`
}

// ShowDevice returns a device as JSON shows it.
func ShowDevice(d devsync.Device) Device {
	v := Device{
		DeviceID: d.ID, Group: d.Group, Name: d.Name, Tags: append([]string{}, d.Tags...), State: d.State,
		FirstSeenAt: timeOf(d.FirstSeen), LastSeenAt: timeOf(d.LastSeen), NewestAt: timeOf(d.Newest.At),
		LastSuccessAt: timeOf(d.LastSuccess.At), LastFailureAt: timeOf(d.LastFailure.At), Streak: d.Streak,
		Status: string(devsync.OK), Totals: DeviceTotals(d.Totals), Silent: d.Silent, Failing: d.Failing,
	}
	if d.Newest != d.LastSuccess {
		v.Status = string(devsync.Failed)
	}
	if d.Interval > 0 {
		s := d.Interval.Seconds()
		v.UsualIntervalS = &s
	}
	return v
}

// DeviceRequest names a device, and its group where several know it.
type DeviceRequest struct {
	ID    string `path:"id" maxLength:"512"`
	Group string `query:"group" maxLength:"64" doc:"Needed where several of your groups know a device of this id"`
}

// TimeRange is a range of device time; embed it in a request struct.
type TimeRange struct {
	From time.Time `query:"from" doc:"Device time, included"`
	To   time.Time `query:"to" doc:"Device time, excluded"`
}

type historyRequest struct {
	DeviceRequest
	Page
	TimeRange
	Status devsync.Status `query:"status" enum:"ok,partial,failed"`
}

type eventList struct{ Body List[SyncEvent] }

func (a *API) syncHistory(ctx context.Context, in *historyRequest) (*eventList, error) {
	before, err := in.mark()
	if err != nil {
		return nil, err
	}
	rows, err := a.deps.Devices.History(ctx, caller(ctx), devsync.EventQuery{
		Group: in.Group, Device: in.ID, From: in.From, To: in.To, Status: in.Status, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	return &eventList{Body: listOf(rows, in.Limit, func(e devsync.Event) string {
		return strconv.FormatInt(e.At.UnixMilli(), 10) + " " + e.ID
	}, showEvent)}, nil
}

// mark reads the cursor of a list of events.
func (p Page) mark() (m devsync.Mark, err error) {
	key, err := p.after()
	if err != nil || key == "" {
		return m, err
	}
	ms, id, ok := strings.Cut(key, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || !ok {
		return m, fault.InvalidField("query.cursor", "is not a cursor of this list")
	}
	return devsync.Mark{At: time.UnixMilli(n).UTC(), Event: id}, nil
}

type failuresRequest struct {
	Group     string `query:"group" maxLength:"64" doc:"Default: all of your groups"`
	Threshold int    `query:"threshold" minimum:"0" maximum:"1000000" default:"3"`
	Mode      string `query:"mode" enum:"total,consecutive" default:"total" doc:"total: more than threshold failures in the window; consecutive: at least threshold in a row, the last of them in the window"`
	Window    string `query:"window" maxLength:"8" default:"24h" doc:"Such as 24h or 7d, at most 90d; back from now, by device time"`
	Limit     int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// FailingDevice is a device that fails again and again.
type FailingDevice struct {
	DeviceID       string `json:"device_id"`
	Name           string `json:"name"`
	Group          string `json:"group" format:"uuid"`
	Failures       int    `json:"failures" doc:"In the window"`
	Streak         int    `json:"streak" doc:"In a row, up to its newest event"`
	FirstFailureAt *Time  `json:"first_failure_at" nullable:"true" doc:"In the window"`
	LastFailureAt  *Time  `json:"last_failure_at" nullable:"true" doc:"In the window"`
	LastSuccessAt  *Time  `json:"last_success_at" nullable:"true" doc:"null: it never had one"`
}

type failuresAnswer struct{ Body List[FailingDevice] }

const maxWindow = 90 * 24 * time.Hour

func (a *API) repeatedFailures(ctx context.Context, in *failuresRequest) (*failuresAnswer, error) {
	window, err := parseWindow(in.Window)
	if err != nil {
		return nil, err
	}
	q := devsync.FailingQuery{From: time.Now().Add(-window), Limit: in.Limit}
	if in.Mode == "consecutive" {
		q.Streak = max(1, in.Threshold)
	} else {
		q.Total = in.Threshold + 1
	}
	rows, err := a.deps.Devices.Failing(ctx, caller(ctx), in.Group, q)
	if err != nil {
		return nil, err
	}
	return &failuresAnswer{Body: listOf(rows, in.Limit, func(devsync.Failing) string { return "" }, func(f devsync.Failing) FailingDevice {
		return FailingDevice{
			DeviceID: f.Device, Name: f.Name, Group: f.Group, Failures: f.Failures, Streak: f.Streak,
			FirstFailureAt: timeOf(f.FirstFailure), LastFailureAt: timeOf(f.LastFailure), LastSuccessAt: timeOf(f.LastSuccess),
		}
	})}, nil
}

// parseWindow reads a number of hours or days.
func parseWindow(s string) (time.Duration, error) {
	unit := time.Hour
	digits, ok := strings.CutSuffix(s, "h")
	if !ok {
		unit = 24 * time.Hour
		digits, ok = strings.CutSuffix(s, "d")
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if w := time.Duration(n) * unit; ok && err == nil && n > 0 && w <= maxWindow {
		return w, nil
	}
	return 0, fault.InvalidField("query.window", "must be hours or days such as 24h or 7d, at most %d days", maxWindow/(24*time.Hour))
}

type devicesRequest struct {
	Page
	Group  string          `query:"group" maxLength:"64" doc:"Default: all of your groups"`
	State  []devsync.State `query:"state" enum:"active,pending,retired" doc:"Default: active"`
	Q      string          `query:"q" maxLength:"128" doc:"Any part of the id, the name or a tag, in any case"`
	Tag    string          `query:"tag" maxLength:"32" doc:"A whole tag, in any case"`
	Status devsync.Health  `query:"status" enum:"ok,failed,failing,silent" doc:"ok, failed: of the newest event; failing, silent: an alert is open"`
}

type deviceList struct{ Body List[Device] }

func (a *API) listDevices(ctx context.Context, in *devicesRequest) (*deviceList, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	id, group, _ := strings.Cut(after, "\x00")
	rows, next, err := a.deps.Devices.List(ctx, caller(ctx), in.Group, devsync.DeviceQuery{
		Group: group, States: in.State, Search: in.Q, Tag: in.Tag, Health: in.Status, After: id, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &deviceList{Body: List[Device]{Items: make([]Device, len(rows))}}
	for i, d := range rows {
		out.Body.Items[i] = ShowDevice(d)
	}
	if next != (devsync.Place{}) {
		out.Body.NextCursor = cursorOf(next.Device + "\x00" + next.Group)
	}
	return out, nil
}

type deviceAnswer struct{ Body Device }

func (a *API) getDevice(ctx context.Context, in *DeviceRequest) (*deviceAnswer, error) {
	d, err := a.deps.Devices.Find(ctx, caller(ctx), in.Group, in.ID)
	return &deviceAnswer{Body: ShowDevice(d)}, err
}

type updateDeviceRequest struct {
	DeviceRequest
	Body struct {
		Name  *string        `json:"name,omitempty" doc:"At most 64 characters"`
		Tags  *[]string      `json:"tags,omitempty" doc:"At most 16 of at most 32 characters"`
		State *devsync.State `json:"state,omitempty" enum:"active,retired"`
	}
}

func (a *API) updateDevice(ctx context.Context, in *updateDeviceRequest) (*deviceAnswer, error) {
	d, err := a.deps.Devices.Update(ctx, caller(ctx), in.Group, in.ID, devsync.Change{
		Name: in.Body.Name, Tags: in.Body.Tags, State: in.Body.State,
	})
	if err == nil {
		noteTarget(ctx, "device", d.ID)
		noteGroup(ctx, d.Group)
	}
	return &deviceAnswer{Body: ShowDevice(d)}, err
}

// By asks for sums by hour or day; embed it in a request struct.
type By struct {
	TimeRange
	By string `query:"by" enum:"hour,day" default:"day"`
}

// DeviceSum is what the events of an hour or day add up to.
type DeviceSum struct {
	At Time `json:"at" doc:"Its start, in device time"`
	DeviceTotals
	Speed struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"speed" doc:"Three digits, at most 12.5 % off"`
}

type sumsAnswer struct {
	Body struct {
		Items []DeviceSum `json:"items" nullable:"false"`
	}
}

type deviceStatsRequest struct {
	DeviceRequest
	By
}

func (a *API) deviceStats(ctx context.Context, in *deviceStatsRequest) (*sumsAnswer, error) {
	return a.sums(ctx, devsync.SumQuery{Group: in.Group, Device: in.ID}, in.By)
}

type fleetStatsRequest struct {
	IDRequest
	By
}

func (a *API) fleetStats(ctx context.Context, in *fleetStatsRequest) (*sumsAnswer, error) {
	return a.sums(ctx, devsync.SumQuery{Group: in.ID}, in.By)
}

func (a *API) sums(ctx context.Context, q devsync.SumQuery, by By) (*sumsAnswer, error) {
	q.From, q.To = by.From, by.To
	rows, err := a.deps.Devices.Sums(ctx, caller(ctx), q, by.By == "day")
	if err != nil {
		return nil, err
	}
	out := &sumsAnswer{}
	out.Body.Items = make([]DeviceSum, len(rows))
	for i, s := range rows {
		out.Body.Items[i] = DeviceSum{At: Time{s.At}, DeviceTotals: DeviceTotals(s.Totals)}
		out.Body.Items[i].Speed.P50, out.Body.Items[i].Speed.P95 = s.Speeds.Quantile(0.5), s.Speeds.Quantile(0.95)
	}
	return out, nil
}

type exportDeviceRequest struct {
	DeviceRequest
	TimeRange
}

func (a *API) exportDevice(ctx context.Context, in *exportDeviceRequest) (*huma.StreamResponse, error) {
	return a.exportEventsOf(ctx, devsync.EventQuery{Group: in.Group, Device: in.ID, From: in.From, To: in.To})
}

type exportEventsRequest struct {
	IDRequest
	TimeRange
}

func (a *API) exportEvents(ctx context.Context, in *exportEventsRequest) (*huma.StreamResponse, error) {
	return a.exportEventsOf(ctx, devsync.EventQuery{Group: in.ID, From: in.From, To: in.To})
}

// exportEventsOf streams events as CSV; what may not be read is refused before it
// begins.
func (a *API) exportEventsOf(ctx context.Context, q devsync.EventQuery) (*huma.StreamResponse, error) {
	pages, err := a.deps.Devices.Export(ctx, caller(ctx), q)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		export(r, w, "sync-events", "csv", pages, writeCSV(w, eventColumns, eventCells))
	}}, nil
}

var eventColumns = []string{"device_id", "timestamp", "total_files_synced", "total_errors", "internet_speed", "event_id", "status", "received_at"}

func eventCells(e devsync.Event) []string {
	return []string{
		e.Device, e.At.Format(timeLayout), strconv.FormatInt(e.Files, 10), strconv.FormatInt(e.Errors, 10),
		strconv.FormatFloat(e.Speed, 'g', -1, 64), e.ID, string(e.Status()), e.ReceivedAt.Format(timeLayout),
	}
}

// silence is a number of seconds, or "learned".
type silence time.Duration

const learned = `"learned"`

func (s silence) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte(learned), nil
	}
	return json.Marshal(int64(time.Duration(s) / time.Second))
}

func (s *silence) UnmarshalJSON(b []byte) error {
	var n int64
	if string(b) == learned || string(b) == "null" {
		*s = 0
		return nil
	}
	if err := json.Unmarshal(b, &n); err != nil || n < 1 || n > maxSeconds {
		return fmt.Errorf("must be a number of seconds, or %s", learned)
	}
	*s = silence(time.Duration(n) * time.Second)
	return nil
}

// Schema is a number of seconds, or learned.
func (silence) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeInteger}, {Type: huma.TypeString, Enum: []any{"learned"}}}}
}
