package protocol_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/asyncapitest"
	"github.com/firmlight/firmlight/protocol"
)

// docs/asyncapi.yaml has each type of message, in the right direction, with the
// fields of its struct; required are those that are always written.
func TestAsyncAPIHasTheMessages(t *testing.T) {
	doc := asyncapitest.Load(t)
	var fromWorker, fromServer []string
	for _, name := range asyncapitest.Constants(t, "protocol/messages.go", "Type") {
		kind := protocol.Type(name)
		if kind.FromWorker() {
			fromWorker = append(fromWorker, name)
		}
		if kind.FromServer() {
			fromServer = append(fromServer, name)
		}
		v := newOf(kind)
		if b, ok := v.(*protocol.Bare); ok {
			b.Type = kind
		}
		schema := []string{"components", "messages", "worker." + name, "payload"}
		if got, want := doc.Keys(append(schema, "properties")...), asyncapitest.FieldsOf(v); !slices.Equal(got, want) {
			t.Errorf("%s: fields %v, want %v", name, got, want)
		}
		var written map[string]any
		if err := json.Unmarshal(protocol.Encode(v), &written); err != nil {
			t.Fatal(err)
		}
		if got, want := doc.Strings(append(schema, "required")...), slices.Sorted(maps.Keys(written)); !slices.Equal(got, want) {
			t.Errorf("%s: required %v, want %v", name, got, want)
		}
	}
	if got := doc.Messages("worker", "fromWorker"); !slices.Equal(got, fromWorker) {
		t.Errorf("from workers %v, want %v", got, fromWorker)
	}
	if got := doc.Messages("worker", "toWorker"); !slices.Equal(got, fromServer) {
		t.Errorf("to workers %v, want %v", got, fromServer)
	}
	if got, want := doc.Keys("components", "schemas", "error", "properties"), asyncapitest.FieldsOf(&protocol.TaskError{}); !slices.Equal(got, want) {
		t.Errorf("error: %v, want %v", got, want)
	}
	if got, want := doc.Keys("components", "schemas", "attempt", "properties"), asyncapitest.FieldsOf(&protocol.AttemptRef{}); !slices.Equal(got, want) {
		t.Errorf("attempt: %v, want %v", got, want)
	}
}

func TestAsyncAPIHasTheLimits(t *testing.T) {
	doc := asyncapitest.Load(t)
	for path, want := range map[string]int{
		"channels worker x-max-message-bytes":                                                       protocol.MaxMessageBytes,
		"components messages worker.hello payload properties name maxLength":                        protocol.MaxNameChars,
		"components messages worker.hello payload properties kinds maxItems":                        protocol.MaxKinds,
		"components messages worker.hello payload properties labels maxProperties":                  protocol.MaxLabels,
		"components messages worker.hello payload properties labels propertyNames maxLength":        protocol.MaxNameChars,
		"components messages worker.hello payload properties labels additionalProperties maxLength": protocol.MaxLabelChars,
		"components messages worker.hello payload properties sdk maxLength":                         protocol.MaxLabelChars,
		"components messages worker.hello payload properties running maxItems":                      protocol.MaxRunning,
		"components messages worker.progress payload properties message maxLength":                  protocol.MaxProgressChars,
		"components messages worker.log payload properties lines items maxLength":                   protocol.MaxLogLine,
		"components schemas task maxLength":                                                         protocol.MaxIDBytes,
		"components schemas slots maximum":                                                          protocol.MaxSlots,
		"components schemas groups maxItems":                                                        protocol.MaxGroups,
	} {
		if got := doc.Number(strings.Fields(path)...); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string][]string{
		"worker.result payload properties status enum": asyncapitest.Constants(t, "protocol/messages.go", "ResultStatus"),
		"worker.log payload properties stream enum":    {protocol.StreamLog, protocol.StreamStderr, protocol.StreamStdout},
		"worker.ack payload properties reason enum":    {protocol.AlreadyFinished, protocol.NotOwner, protocol.StaleAttempt, protocol.UnknownTask},
		"worker.cancel payload properties reason enum": {protocol.CancelReassigned, protocol.CancelRequested, protocol.CancelTimeout},
		"worker.error payload properties code enum":    {protocol.CodeBadField, protocol.CodeRate, protocol.CodeTooLarge, protocol.CodeUnknownType},
	} {
		if got := doc.Strings(append([]string{"components", "messages"}, strings.Fields(path)...)...); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

func TestAsyncAPIHasTheCloseCodes(t *testing.T) {
	doc := asyncapitest.Load(t)
	var want []string
	for _, code := range []int{
		protocol.CloseNormal, protocol.CloseGoingAway, protocol.CloseTooLarge, protocol.CloseMalformed, protocol.CloseUnauthorized,
		protocol.CloseGroup, protocol.CloseResumed, protocol.CloseTooMany, protocol.CloseInternal, protocol.CloseDisconnected,
		protocol.CloseSilent, protocol.CloseSlow,
	} {
		want = append(want, strconv.Itoa(code))
		if again := doc.At("channels", "worker", "x-close-codes", strconv.Itoa(code), "reconnect"); (again != false) != protocol.Reconnects(code) {
			t.Errorf("%d: reconnect %v", code, again)
		}
	}
	if got := doc.Keys("channels", "worker", "x-close-codes"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The golden transcripts are valid messages, and those that the server refuses
// are not.
func TestAsyncAPITakesTheTranscripts(t *testing.T) {
	doc := asyncapitest.Load(t)
	for name, lines := range transcripts(t) {
		for i, l := range lines {
			m := one(t, l.text)
			if newOf(m.Type) == nil {
				continue
			}
			err := doc.Check(fmt.Sprint("worker.", m.Type), m.Raw)
			if valid := !refused(t, name, lines, i); valid != (err == nil) {
				t.Errorf("%s: %.200s: valid: %v, %v", name, l.text, valid, err)
			}
		}
	}
}

// refused says that a line of errors.txt is followed by its refusal, for a field.
func refused(t *testing.T, name string, lines []line, i int) bool {
	if name != "errors.txt" || !lines[i].fromWorker || i+1 == len(lines) {
		return false
	}
	m := one(t, lines[i+1].text)
	var answer protocol.Error
	if m.Type != protocol.TypeError || m.Decode(&answer) != nil {
		return false
	}
	return answer.Code == protocol.CodeBadField || answer.Code == protocol.CodeTooLarge
}
