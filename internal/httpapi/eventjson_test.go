package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/firmlight/firmlight/internal/fault"
	devsync "github.com/firmlight/firmlight/internal/sync"
)

const plainReport = `{"device_id":"d-1","timestamp":"2026-01-31T08:30:00Z","total_files_synced":12,"total_errors":0,"internet_speed":10.5,"event_id":"e"}`

func TestReadReport(t *testing.T) {
	for object, quick := range map[string]bool{
		plainReport:                         true,
		" {\n\"device_id\" : \"d\"\t}\r\n ": true,
		`{"total_errors":9223372036854775807,"internet_speed":0.001}`: true,
		`{}`:                                         false,
		`{"device_id":"d"`:                           false,
		`{"device_id":"d",}`:                         false,
		`{"device_id":"d"} {}`:                       false,
		`{"device_id":"d"},`:                         false,
		`{"device_id":"d","device_id":"e"}`:          false,
		`{"device_id":"d\n"}`:                        false,
		"{\"device_id\":\"d\n\"}":                    false,
		`{"device_id":"ä"}`:                          false,
		`{"device_id":"d}`:                           false,
		`{"device_id":null}`:                         false,
		`{"device_id":1}`:                            false,
		`{"Device_id":"d"}`:                          false,
		`{"event":"d"}`:                              false,
		`{"total_errors":1.0}`:                       false,
		`{"total_errors":01}`:                        false,
		`{"total_errors":-1}`:                        false,
		`{"total_errors":9223372036854775808}`:       false,
		`{"total_errors":1,"total_errors":1}`:        false,
		`{"internet_speed":1.}`:                      false,
		`{"internet_speed":.5}`:                      false,
		`{"internet_speed":1e3}`:                     false,
		`{"internet_speed":1,"internet_speed":2}`:    false,
		`{"internet_speed":"1"}`:                     false,
		`{"internet_speed":}`:                        false,
		`{"total_files_synced":` + plainReport + `}`: false,
		`[` + plainReport + `]`:                      false,
		``:                                           false,
	} {
		r, ok := readReport([]byte(object))
		if ok != quick {
			t.Errorf("%s: read %v, want %v", object, ok, quick)
		}
		if ok {
			sameReport(t, object, r)
		}
	}
}

// sameReport compares with what encoding/json reads.
func sameReport(t interface{ Errorf(string, ...any) }, object string, r *devsync.Report) {
	want := &devsync.Report{}
	if err := decodeStrict([]byte(object), want); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%s: read as %+v, encoding/json says %+v, %v", object, r, want, err)
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add([]byte(plainReport))
	f.Add([]byte(`{"total_files_synced": 1.5, "internet_speed" :007}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, ok := readReport(data); ok {
			sameReport(t, string(data), r)
		}
	})
}

func TestAppendResults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Custom(func(t *rapid.T) Time {
			return Time{time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "at")).In(time.FixedZone("", 3600))}
		})
		event := rapid.Custom(func(t *rapid.T) *SyncEvent {
			return &SyncEvent{
				DeviceID: rapid.String().Draw(t, "device"), EventID: rapid.String().Draw(t, "id"), Timestamp: at.Draw(t, "timestamp"),
				Files: rapid.Int64Min(0).Draw(t, "files"), Errors: rapid.Int64Min(0).Draw(t, "errors"),
				Speed: rapid.Float64Range(0, devsync.MaxSpeed).Draw(t, "speed"), Status: devsync.Partial, ReceivedAt: at.Draw(t, "received"),
			}
		})
		results := []EventResult{}
		for range rapid.IntRange(0, 3).Draw(t, "results") {
			if rapid.Bool().Draw(t, "kept") {
				results = append(results, EventResult{Status: http.StatusCreated, Event: event.Draw(t, "event")})
			} else {
				results = append(results, EventResult{Status: http.StatusConflict, Problem: &Problem{Code: "x", Errors: []fault.Field{{Field: "<f>"}}}})
			}
		}
		want, err := json.Marshal(EventResults{results})
		if got := appendResults(nil, results); err != nil || string(got) != string(want) {
			t.Errorf("got  %s\nwant %s, %v", got, want, err)
		}
	})
}
