package live

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/asyncapitest"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/protocol"
)

// docs/asyncapi.yaml has each type of message, in the right direction, and the
// close codes.
func TestAsyncAPIHasTheMessages(t *testing.T) {
	doc := asyncapitest.Load(t)
	requests := []string{string(TypeSubscribe), string(TypeUnsubscribe)}
	if got := doc.Messages("live", "fromClient"); !slices.Equal(got, requests) {
		t.Errorf("from clients %v, want %v", got, requests)
	}
	want := slices.DeleteFunc(asyncapitest.Constants(t, "internal/live/event.go", "Type"), func(name string) bool {
		return slices.Contains(requests, name)
	})
	if got := doc.Messages("live", "toClient"); !slices.Equal(got, want) {
		t.Errorf("to clients %v, want %v", got, want)
	}
	var codes []string
	for _, code := range []int{protocol.CloseGoingAway, protocol.CloseMalformed, protocol.CloseUnauthorized, protocol.CloseTooMany} {
		codes = append(codes, strconv.Itoa(code))
	}
	if got := doc.Keys("channels", "live", "x-close-codes"); !slices.Equal(got, codes) {
		t.Errorf("close codes %v, want %v", got, codes)
	}
	if n := doc.Number("channels", "live", "x-max-message-bytes"); n != maxRequestBytes {
		t.Errorf("x-max-message-bytes: %d, want %d", n, maxRequestBytes)
	}
	if n := doc.Number("components", "schemas", "topics", "maxItems"); n != maxTopics {
		t.Errorf("topics: %d, want %d", n, maxTopics)
	}
}

// What a client gets is valid, and has no fields that the document has not.
func TestAsyncAPITakesWhatIsSent(t *testing.T) {
	doc := asyncapitest.Load(t)
	s := newSite(t, DefaultTiming, nil)
	group, id, denied := newID(), newID(), newID()
	s.refuse(Topic{Group, denied}, fault.New(fault.NotFound, "not_found", "There is no such group."))
	p := s.open("user=u")
	seen := map[string]bool{}
	read := func() {
		t.Helper()
		_ = p.ws.SetReadDeadline(time.Now().Add(patience))
		_, text, err := p.ws.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		kind := m["type"].(string)
		seen[kind] = true
		if err := doc.Check("live."+kind, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		schema := []string{"components", "messages", "live." + kind, "payload", "properties"}
		known(t, doc, m, schema...)
		if data, ok := m[kind].(map[string]any); ok && doc.Keys(append(schema, kind, "properties")...) != nil {
			known(t, doc, data, append(schema, kind, "properties")...)
		}
	}
	ask := func(kind Type, topics ...string) {
		t.Helper()
		r := request{kind, topics}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Check("live."+string(kind), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		p.send(r)
		for range topics {
			read()
		}
	}
	ask(TypeSubscribe, "group:"+group, "device:"+group, "task:"+id, "group:"+denied)
	half := 50.0
	task := tasks.Task{ID: id, Group: group, Kind: "mean", Priority: tasks.Normal, Status: tasks.Running, Attempt: 1, Percent: &half, Message: "half"}
	for _, event := range []struct {
		happens func()
		reaches int // topics
	}{
		{func() {
			s.hub.TaskLogged(task, []tasks.LogLine{{Seq: 1, Attempt: 1, Stream: protocol.StreamLog, Line: "l"}})
		}, 1},
		{func() { s.hub.WorkersChanged([]string{group}, []string{"mean"}) }, 1},
		{func() { s.hub.TaskProgress(task) }, 2},
		{func() { s.hub.TaskChanged(task) }, 2},
		{func() { s.hub.GroupChanged(group) }, 1},
		{func() { s.hub.DevicesPending(group) }, 1},
		{s.hub.resync, 3},
	} {
		event.happens()
		for range event.reaches {
			read()
		}
	}
	ask(TypeUnsubscribe, "group:"+group)
	for _, kind := range []Type{TypeSubscribed, TypeUnsubscribed, TypeError, TypeResync, TypeTask, TypeProgress, TypeLog, TypeWorker, TypeGroup, TypePending} {
		if !seen[string(kind)] {
			t.Errorf("no %s came", kind)
		}
	}
}

func known(t *testing.T, doc *asyncapitest.Document, m map[string]any, properties ...string) {
	t.Helper()
	names := doc.Keys(properties...)
	for name := range maps.Keys(m) {
		if !slices.Contains(names, name) {
			t.Errorf("%v: there is no %s", properties, name)
		}
	}
}
