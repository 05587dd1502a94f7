package httpapi

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

// device is a device's own token.
var device = access{kinds: []auth.Kind{auth.KindDevice}}

// Limits of what devices send (docs/http-api.md).
const (
	maxEvents     = 5000
	maxEventBytes = 64 << 10 // one event
	eventPortion  = 500      // events that are committed together
	eventSize     = 256      // bytes of most events' results
)

func (a *API) ingestRoutes() {
	const tag, reason, packed = "Devices", "the event itself says who and when", "The body may be packed (Content-Encoding: gzip)."
	event := content{jsonType: SyncEvent{}}
	a.raw(route{
		method: http.MethodPost, path: "/api/sync-event", id: "sync-event", tag: tag, summary: "Report a sync of a device",
		detail: packed, access: device, unaudited: reason, takes: content{jsonType: devsync.Report{}},
		answers: map[int]content{http.StatusCreated: event, http.StatusOK: event},
	}, a.syncEvent)
	a.raw(route{
		method: http.MethodPost, path: "/api/v1/sync-events", id: "sync-events", tag: tag,
		summary: "Report many syncs of devices, as an array or one per line",
		detail:  packed, access: device, unaudited: reason,
		takes:   content{jsonType: []devsync.Report{}, "application/x-ndjson": devsync.Report{}},
		answers: map[int]content{http.StatusMultiStatus: {jsonType: EventResults{}}},
	}, a.syncEvents)
}

const jsonType = "application/json"

// SyncEvent is an event as it is kept.
type SyncEvent struct {
	DeviceID   string         `json:"device_id"`
	Timestamp  Time           `json:"timestamp" doc:"By the device's clock"`
	Files      int64          `json:"total_files_synced"`
	Errors     int64          `json:"total_errors"`
	Speed      float64        `json:"internet_speed"`
	EventID    string         `json:"event_id,omitempty"`
	Status     devsync.Status `json:"status" enum:"ok,partial,failed"`
	ReceivedAt Time           `json:"received_at"`
}

func showEvent(e devsync.Event) SyncEvent {
	return SyncEvent{
		DeviceID: e.Device, Timestamp: Time{e.At}, Files: e.Files, Errors: e.Errors, Speed: e.Speed, EventID: e.ID,
		Status: e.Status(), ReceivedAt: Time{e.ReceivedAt},
	}
}

func eventStatus(s devsync.Stored) int {
	if s.Repeat {
		return http.StatusOK
	}
	return http.StatusCreated
}

// syncEvent is on a path of its own, as devices in the field have it. It stands
// outside huma, whose validation costs more than the event.
func (a *API) syncEvent(w http.ResponseWriter, r *http.Request) error {
	body, err := a.eventBody(w, r, bodyDefault)
	if err != nil {
		return err
	}
	defer body.Close()
	if mediaType(r) != jsonType {
		return errMediaType
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return bodyError(err)
	}
	c := caller(r.Context())
	e, err := a.checkEvent(c, data)
	if err != nil {
		a.deps.Metrics.EventRefused()
		return under("body", err)
	}
	stored, err := a.deps.Devices.Append(r.Context(), c, e)
	if err != nil {
		return err
	}
	view := showEvent(stored[0].Event)
	writeJSON(w, eventStatus(stored[0]), appendEvent(make([]byte, 0, eventSize), &view))
	return nil
}

// checkEvent decodes and checks one event.
func (a *API) checkEvent(c auth.Caller, data []byte) (devsync.Event, error) {
	r, err := decodeReport(data)
	if err != nil {
		return devsync.Event{}, err
	}
	return a.deps.Devices.Check(c, r)
}

func decodeReport(data []byte) (*devsync.Report, error) {
	if r, ok := readReport(data); ok {
		return r, nil
	}
	if !utf8.Valid(data) {
		return nil, errUTF8
	}
	if tooNested(data) {
		return nil, fault.InvalidField("", "%s", errNesting)
	}
	r := &devsync.Report{}
	return r, decodeStrict(data, r)
}

// EventResult is what became of one event of several.
type EventResult struct {
	Status  int        `json:"status" doc:"As if it had been sent alone: 201, 200, or an error's"`
	Event   *SyncEvent `json:"event,omitempty"`
	Problem *Problem   `json:"problem,omitempty"`
}

// EventResults has one result for each event of a request, in its order.
type EventResults struct {
	Results []EventResult `json:"results" nullable:"false"`
}

// syncEvents takes a JSON array or NDJSON. It is read event by event, and kept
// portion by portion.
func (a *API) syncEvents(w http.ResponseWriter, r *http.Request) error {
	body, err := a.eventBody(w, r, bodyBatch)
	if err != nil {
		return err
	}
	defer body.Close()
	var next func() ([]byte, error)
	switch mediaType(r) {
	case jsonType:
		next = arrayItems(body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		next = lines(body)
	default:
		return errMediaType
	}
	in := &eventStream{api: a, r: r, results: []EventResult{}}
	if err := in.read(next); err != nil {
		return err
	}
	if in.wait > 0 {
		(&Problem{retryAfter: in.wait}).setHeaders(w.Header().Set)
	}
	writeJSON(w, http.StatusMultiStatus, appendResults(make([]byte, 0, len(in.results)*eventSize), in.results))
	return nil
}

var (
	errLongEvent  = fault.New(fault.TooLarge, "too_large", "The event is larger than %d bytes.", maxEventBytes)
	errManyEvents = fault.New(fault.Invalid, "too_many_events", "There are more than %d events; the first %d were taken.", maxEvents, maxEvents)
)

// eventStream is the events of one request on their way.
type eventStream struct {
	api     *API
	r       *http.Request
	results []EventResult
	events  []devsync.Event // that wait for their commit
	places  []int           // of theirs among the results
	wait    time.Duration   // the longest that a device is asked for
}

// read takes what next returns, to the end or as far as it can be read: what came
// before is kept. The error is that of the whole request.
func (in *eventStream) read(next func() ([]byte, error)) error {
	for {
		data, err := next()
		switch {
		case errors.Is(err, io.EOF):
			in.flush()
			return nil
		case err != nil && !errors.Is(err, errLongEvent):
			if len(in.results) == 0 {
				return bodyError(err)
			}
			in.refuse(bodyError(err))
			in.flush()
			return nil
		case len(in.results) == maxEvents:
			in.flush()
			return errManyEvents
		case err != nil:
			in.refuse(err)
		case !in.take(data):
			return nil
		}
	}
}

// take checks one event and reports whether more may follow.
func (in *eventStream) take(data []byte) bool {
	e, err := in.api.checkEvent(caller(in.r.Context()), data)
	if err != nil {
		in.refuse(err)
		return true
	}
	in.places = append(in.places, len(in.results))
	in.events = append(in.events, e)
	in.results = append(in.results, EventResult{})
	return len(in.events) < eventPortion || in.flush()
}

func (in *eventStream) refuse(err error) {
	in.api.deps.Metrics.EventRefused()
	in.results = append(in.results, in.refusal(under("body["+strconv.Itoa(len(in.results))+"]", err)))
}

func (in *eventStream) refusal(err error) EventResult {
	p := problemOf(in.r.Context(), err)
	in.wait = max(in.wait, p.retryAfter)
	return EventResult{Status: p.Status, Problem: p}
}

// flush commits what waits, unless the token was revoked while it was read. It
// reports whether all went well.
func (in *eventStream) flush() bool {
	if len(in.events) == 0 {
		return true
	}
	ctx := in.r.Context()
	var stored []devsync.Stored
	err := in.api.authenticate(ctx, bearer(in.r.Header.Get("Authorization")), device)
	if err == nil {
		stored, err = in.api.deps.Devices.Append(ctx, caller(ctx), in.events...)
	}
	var refusal EventResult
	if err != nil {
		refusal = in.refusal(err)
	}
	views := make([]SyncEvent, len(stored))
	for i, place := range in.places {
		in.results[place] = refusal
		if i < len(stored) {
			views[i] = showEvent(stored[i].Event)
			in.results[place] = EventResult{Status: eventStatus(stored[i]), Event: &views[i]}
		}
	}
	// Not to be used again: after an error the store may still be reading them.
	in.events, in.places = nil, nil
	return err == nil
}

// writeJSON answers where no typed handler does.
func writeJSON(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(data) // an error: the peer has gone
}
