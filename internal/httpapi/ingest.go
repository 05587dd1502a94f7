package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

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
	eventPortion  = 500      // events that are committed while the next are read
)

func (a *API) ingestRoutes() {
	const reason = "the event itself says who and when"
	a.raw(route{
		method: http.MethodPost, path: "/api/sync-event", id: "sync-event", access: device, unaudited: reason,
	}, a.syncEvent)
	a.raw(route{
		method: http.MethodPost, path: "/api/v1/sync-events", id: "sync-events", access: device, unaudited: reason,
	}, a.syncEvents)
}

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
	if kind := mediaType(r); kind != "" && kind != "application/json" {
		return errMediaType
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return bodyError(err)
	}
	c := caller(r.Context())
	e, err := a.checkEvent(c, data)
	if err != nil {
		return under("body", err)
	}
	stored, err := a.deps.Devices.Append(r.Context(), c, e)
	if err != nil {
		return err
	}
	return writeJSON(w, eventStatus(stored[0]), showEvent(stored[0].Event))
}

// checkEvent decodes and checks one event.
func (a *API) checkEvent(c auth.Caller, data []byte) (devsync.Event, error) {
	if tooNested(data) {
		return devsync.Event{}, fault.InvalidField("", "%s", errNesting)
	}
	var r devsync.Report
	if err := decodeStrict(data, &r); err != nil {
		return devsync.Event{}, err
	}
	return a.deps.Devices.Check(c, &r)
}

var (
	errMediaType = fault.New(fault.UnsupportedType, "unsupported_media_type", "The body must be application/json, or application/x-ndjson where several events are taken.")
	errEncoding  = fault.New(fault.UnsupportedType, "unsupported_encoding", "The body may be encoded as gzip only.")
	errGzip      = fault.New(fault.Malformed, "malformed", "The body is not valid gzip.")
	errTruncated = fault.New(fault.Malformed, "malformed", "The body ends too early.")
)

// eventBody is the body, unpacked; at most limit bytes are sent, and read.
func (a *API) eventBody(w http.ResponseWriter, r *http.Request, limit int64) (io.ReadCloser, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // an error: the peer has gone
	packed := http.MaxBytesReader(w, r.Body, limit)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return packed, nil
	case "gzip":
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			return nil, bodyError(err)
		}
		return http.MaxBytesReader(w, unpacked, limit), nil
	}
	return nil, errEncoding
}

// bodyError is the fault of a body that cannot be read to its end.
func bodyError(err error) error {
	var known *fault.Error
	var syntax *json.SyntaxError
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &known), errors.As(err, &limit):
		return err
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return errGzip
	case errors.As(err, &syntax):
		return fault.Wrap(err, fault.Malformed, "malformed", "The body is not valid JSON.")
	}
	return errTruncated
}

func mediaType(r *http.Request) string {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind
}

// EventResult is what became of one event of several.
type EventResult struct {
	Status  int        `json:"status" doc:"As if it had been sent alone: 201, 200, or an error's"`
	Event   *SyncEvent `json:"event,omitempty"`
	Problem *Problem   `json:"problem,omitempty"`
}

// syncEvents takes a JSON array or NDJSON. It is read event by event; a portion is
// committed while the next is read.
func (a *API) syncEvents(w http.ResponseWriter, r *http.Request) error {
	body, err := a.eventBody(w, r, bodyBatch)
	if err != nil {
		return err
	}
	defer body.Close()
	var next func() ([]byte, error)
	switch mediaType(r) {
	case "application/json", "":
		next = arrayItems(body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		next = lines(body)
	default:
		return errMediaType
	}
	in := &eventStream{api: a, r: r}
	for {
		data, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongEvent) {
			if len(in.results) == 0 {
				return bodyError(err)
			}
			in.refuse(bodyError(err)) // what came before is kept
			break
		}
		if len(in.results) == maxEvents {
			in.flush()
			return errManyEvents
		}
		if err != nil {
			in.refuse(err)
		} else if !in.take(data) {
			break
		}
	}
	in.flush()
	return writeJSON(w, http.StatusMultiStatus, struct {
		Results []EventResult `json:"results"`
	}{append([]EventResult{}, in.results...)})
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
}

// take checks one event and reports whether more may follow: the token may have
// been revoked meanwhile.
func (in *eventStream) take(data []byte) bool {
	e, err := in.api.checkEvent(caller(in.r.Context()), data)
	if err != nil {
		in.refuse(err)
		return true
	}
	in.places = append(in.places, len(in.results))
	in.events = append(in.events, e)
	in.results = append(in.results, EventResult{})
	if len(in.events) < eventPortion {
		return true
	}
	in.flush()
	if err := in.api.authenticate(in.r.Context(), bearer(in.r.Header.Get("Authorization")), device); err != nil {
		in.refuse(err)
		return false
	}
	return true
}

func (in *eventStream) refuse(err error) {
	p := problemOf(in.r.Context(), under("body["+strconv.Itoa(len(in.results))+"]", err))
	in.results = append(in.results, EventResult{Status: p.Status, Problem: p})
}

// flush commits what waits.
func (in *eventStream) flush() {
	if len(in.events) == 0 {
		return
	}
	ctx := in.r.Context()
	stored, err := in.api.deps.Devices.Append(ctx, caller(ctx), in.events...)
	for i, place := range in.places {
		if i < len(stored) {
			view := showEvent(stored[i].Event)
			in.results[place] = EventResult{Status: eventStatus(stored[i]), Event: &view}
			continue
		}
		p := problemOf(ctx, err)
		in.results[place] = EventResult{Status: p.Status, Problem: p}
	}
	in.events, in.places = in.events[:0], in.places[:0]
}

// arrayItems returns the items of a JSON array one by one, io.EOF after the last.
func arrayItems(body io.Reader) func() ([]byte, error) {
	dec := json.NewDecoder(body)
	begun := false
	return func() ([]byte, error) {
		if !begun {
			if t, err := dec.Token(); err != nil || t != json.Delim('[') {
				return nil, errNoArray
			}
			begun = true
		}
		if !dec.More() {
			if _, err := dec.Token(); err != nil {
				return nil, errTruncated
			}
			return nil, io.EOF
		}
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return nil, err
		}
		if len(item) > maxEventBytes {
			return nil, errLongEvent
		}
		return item, nil
	}
}

var errNoArray = fault.New(fault.Malformed, "malformed", "The body is not a JSON array.")

// lines returns the lines of NDJSON that are not blank one by one, io.EOF after
// the last, and errLongEvent in place of one that is too long.
func lines(body io.Reader) func() ([]byte, error) {
	r := bufio.NewReaderSize(body, maxEventBytes)
	return func() ([]byte, error) {
		for {
			line, err := r.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = r.ReadSlice('\n')
				}
				if err == nil || errors.Is(err, io.EOF) {
					err = errLongEvent
				}
				return nil, err
			}
			if line = bytes.TrimSpace(line); len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
				return line, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// writeJSON answers where no typed handler does.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // an error: the peer has gone
	return nil
}
