package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// Devices is the conformance suite of devsync.Store; open returns an empty one.
func Devices(t *testing.T, open func(t *testing.T) devsync.Store) {
	for name, test := range map[string]func(*testing.T, devsync.Store){
		"any order gives the same":       devicesAnyOrder,
		"one of two at the same moment":  devicesRace,
		"repeats in one call":            devicesRepeats,
		"registry":                       devicesRegistry,
		"approval":                       devicesApproval,
		"pages while events arrive":      devicesPages,
		"failures":                       devicesFailing,
		"sums outlive the events":        devicesRetention,
		"alerts of failures":             devicesFailAlerts,
		"alerts of silence":              devicesSilentAlerts,
		"rules":                          devicesRules,
		"a group's devices are deleted":  devicesDelete,
		"export goes through all events": devicesExport,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Slow is implemented by the test double of a store for which Stores.Slow holds.
type Slow interface{ Slow() bool }

// someOf is Stores.some.
func someOf(s any, n int) int {
	slow, ok := s.(Slow)
	return Stores{Slow: ok && slow.Slow()}.some(n)
}

// noon is a time on the hour.
var noon = clock.Truncate(time.Hour)

// sync makes an event so many minutes after noon.
func syncEvent(device string, minute int, errs int64) devsync.Event {
	return devsync.Event{
		Device: device, At: noon.Add(time.Duration(minute) * time.Minute), ReceivedAt: clock, Files: 2, Errors: errs, Speed: 10,
	}
}

func appendAll(t *testing.T, s devsync.Store, group string, events ...devsync.Event) []devsync.Stored {
	t.Helper()
	out, err := s.Append(context.Background(), group, events)
	must(t, err)
	if len(out) != len(events) {
		t.Fatalf("%d answers for %d events", len(out), len(events))
	}
	return out
}

// fleet is what was sent to a store, for a naive look at it.
type fleet struct {
	group string
	sent  map[string][]devsync.Event // what must be kept, by device
}

// add keeps an event unless it is a repeat, and returns the first of it.
func (f *fleet) add(e devsync.Event) devsync.Stored {
	for _, old := range f.sent[e.Device] {
		if e.ID == old.ID && (e.ID != "" || e.At.Equal(old.At)) {
			return devsync.Stored{Event: old, Repeat: true}
		}
	}
	f.sent[e.Device] = append(f.sent[e.Device], e)
	return devsync.Stored{Event: e}
}

// newestFirst returns a device's events as history shows them.
func (f *fleet) newestFirst(device string) []devsync.Event {
	return slices.SortedFunc(slices.Values(f.sent[device]), func(a, b devsync.Event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
	})
}

// streak counts the failures before the first success, from the newest back.
func (f *fleet) streak(device string) int {
	n := 0
	for _, e := range f.newestFirst(device) {
		if !e.Failed() {
			break
		}
		n++
	}
	return n
}

func (f *fleet) totals(device string) (t devsync.Totals) {
	for _, e := range f.sent[device] {
		t.Add(e)
	}
	return t
}

// check compares all that the store says of the fleet.
func (f *fleet) check(tb rapid.TB, s devsync.Store) {
	ctx := context.Background()
	for device := range f.sent {
		d, err := s.Device(ctx, f.group, device)
		if err != nil {
			tb.Fatal(err)
		}
		if d.Streak != f.streak(device) || d.Totals != f.totals(device) {
			tb.Fatalf("%s: streak %d, totals %+v; want %d, %+v\n%+v", device, d.Streak, d.Totals, f.streak(device), f.totals(device), f.newestFirst(device))
		}
		got, err := s.EventsOf(ctx, devsync.EventQuery{Group: f.group, Device: device, Limit: 1000})
		if err != nil {
			tb.Fatal(err)
		}
		if want := f.newestFirst(device); !reflect.DeepEqual(got, want) {
			tb.Fatalf("%s: history %+v, want %+v", device, got, want)
		}
		if newest := f.newestFirst(device)[0]; d.Newest != newest.Mark() {
			tb.Fatalf("%s: newest %+v, want %+v", device, d.Newest, newest.Mark())
		}
	}
	f.checkSums(tb, s)
}

func (f *fleet) checkSums(tb rapid.TB, s devsync.Store) {
	all := make(map[time.Time]*devsync.Sum)
	for device, events := range f.sent {
		own := make(map[time.Time]*devsync.Sum)
		for _, e := range events {
			for _, sums := range []map[time.Time]*devsync.Sum{all, own} {
				hour := e.At.Truncate(time.Hour)
				if sums[hour] == nil {
					sums[hour] = &devsync.Sum{At: hour}
				}
				sums[hour].Add(e)
			}
		}
		f.sameSums(tb, s, device, own)
	}
	f.sameSums(tb, s, "", all)
}

func (f *fleet) sameSums(tb rapid.TB, s devsync.Store, device string, want map[time.Time]*devsync.Sum) {
	got, err := s.Sums(context.Background(), devsync.SumQuery{Group: f.group, Device: device})
	if err != nil {
		tb.Fatal(err)
	}
	var sums []devsync.Sum
	for _, hour := range slices.SortedFunc(maps.Keys(want), time.Time.Compare) {
		sums = append(sums, *want[hour])
	}
	if !reflect.DeepEqual(got, sums) {
		tb.Fatalf("sums of %q: %+v, want %+v", device, got, sums)
	}
}

// devicesAnyOrder: late events, repeats and any order of arrival give what the
// same events in order would.
func devicesAnyOrder(t *testing.T, s devsync.Store) {
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		f := &fleet{group: fmt.Sprint("group ", n), sent: make(map[string][]devsync.Event)}
		event := rapid.Custom(func(rt *rapid.T) devsync.Event {
			e := syncEvent(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"), rapid.IntRange(0, 150).Draw(rt, "minute"), 0)
			if rapid.Bool().Draw(rt, "failed") {
				e.Errors, e.Files = 3, rapid.Int64Range(0, 1).Draw(rt, "files")
			}
			e.ID = rapid.SampledFrom([]string{"", "", "x", "y", "z"}).Draw(rt, "id")
			return e
		})
		for _, call := range rapid.SliceOfN(rapid.SliceOfN(event, 1, 20), 1, 6).Draw(rt, "calls") {
			got, err := s.Append(context.Background(), f.group, call)
			if err != nil {
				rt.Fatal(err)
			}
			for i, e := range call {
				if want := f.add(e); got[i] != want {
					rt.Fatalf("answer %+v, want %+v", got[i], want)
				}
			}
			f.check(rt, s)
		}
	})
}

// devicesRace: of the same event many times at once, one is kept.
func devicesRace(t *testing.T, s devsync.Store) {
	const callers = 8
	for round := range 20 {
		e := syncEvent("d", round, int64(round%2))
		if round%3 == 0 {
			e.ID = fmt.Sprint(round)
		}
		var wg sync.WaitGroup
		out := make([]devsync.Stored, callers)
		for i := range callers {
			wg.Go(func() {
				own := e
				own.Files = int64(i)
				got, err := s.Append(context.Background(), "g", []devsync.Event{own})
				if err != nil {
					t.Error(err)
					return
				}
				out[i] = got[0]
			})
		}
		wg.Wait()
		firsts := 0
		for _, o := range out {
			if !o.Repeat {
				firsts++
			}
			if o.Event != out[0].Event {
				t.Errorf("answered with %+v and %+v", o.Event, out[0].Event)
			}
		}
		if firsts != 1 {
			t.Fatalf("%d of %d were the first", firsts, callers)
		}
	}
	if d, err := s.Device(context.Background(), "g", "d"); err != nil || d.Totals.Events != 20 {
		t.Errorf("%+v, %v", d.Totals, err)
	}
}

func devicesRepeats(t *testing.T, s devsync.Store) {
	f := &fleet{group: "g", sent: make(map[string][]devsync.Event)}
	var events []devsync.Event
	for i := range someOf(s, 700) { // more than one statement, and than one portion
		events = append(events, syncEvent(fmt.Sprint("d", i%7), i/14, int64(i%3))) // each device and time twice
	}
	for i, got := range appendAll(t, s, "g", events...) {
		if want := f.add(events[i]); got != want {
			t.Fatalf("event %d: %+v, want %+v", i, got, want)
		}
	}
	f.check(t, s)
	other := appendAll(t, s, "another group", events[0])
	if other[0].Repeat {
		t.Error("a repeat over groups")
	}
}

func devicesRegistry(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	_, err := s.Device(ctx, "g", "a")
	wantErr(t, "unknown device", err, devsync.ErrNoDevice)
	first := syncEvent("a", 0, 1)
	appendAll(t, s, "g", first)
	later := syncEvent("a", 10, 0)
	later.ReceivedAt = clock.Add(time.Minute)
	appendAll(t, s, "g", later, syncEvent("b", 0, 0), syncEvent("ab", 0, 0))
	appendAll(t, s, "h", syncEvent("a", 0, 0))
	want := devsync.Device{
		Group: "g", ID: "a", Tags: []string{}, State: devsync.Active, FirstSeen: clock, LastSeen: later.ReceivedAt,
		Totals: devsync.Totals{Events: 2, Failed: 1, Partial: 1, Files: 4, Errors: 1},
		Newest: later.Mark(), LastSuccess: later.Mark(), LastFailure: first.Mark(), Interval: 10 * time.Minute,
	}
	if got, err := s.Device(ctx, "g", "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Device = %+v, %v\nwant %+v", got, err, want)
	}
	name, tags, retired := "printer", []string{"hall", "2"}, devsync.Retired
	must(t, s.UpdateDevice(ctx, "g", "b", devsync.Change{Name: &name, Tags: &tags, State: &retired}, clock))
	if d, err := s.Device(ctx, "g", "b"); err != nil || d.Name != name || !slices.Equal(d.Tags, tags) || d.State != retired || d.Totals.Events != 1 {
		t.Errorf("after the change: %+v, %v", d, err)
	}
	appendAll(t, s, "g", syncEvent("b", 5, 1)) // a change is not lost with the next event
	if d, err := s.Device(ctx, "g", "b"); err != nil || d.Name != name || d.State != retired || d.Totals.Events != 2 {
		t.Errorf("after another event: %+v, %v", d, err)
	}
	wantErr(t, "change of an unknown device", s.UpdateDevice(ctx, "g", "nobody", devsync.Change{Name: &name}, clock), devsync.ErrNoDevice)
	devicesListed(t, s)
	groups, err := s.GroupsOfDevice(ctx, "a", []string{"h", "g", "x"})
	if err != nil || !slices.Equal(groups, []string{"g", "h"}) {
		t.Errorf("GroupsOfDevice = %v, %v", groups, err)
	}
}

// devicesListed asks for lists of the devices of devicesRegistry.
func devicesListed(t *testing.T, s devsync.Store) {
	t.Helper()
	ctx := context.Background()
	names := func(q devsync.DeviceQuery) (ids []string) {
		t.Helper()
		q.Group, q.Limit = "g", cmp.Or(q.Limit, 10)
		q.Look = cmp.Or(q.Look, 10)
		ds, looked, err := s.Devices(ctx, q)
		must(t, err)
		if looked != "" {
			defer func() { ids = append(ids, "… "+looked) }()
		}
		for _, d := range ds {
			ids = append(ids, d.ID)
		}
		return ids
	}
	for _, c := range []struct {
		q    devsync.DeviceQuery
		want []string
	}{
		{devsync.DeviceQuery{}, []string{"a", "ab", "b"}},
		{devsync.DeviceQuery{Limit: 2}, []string{"a", "ab"}},
		{devsync.DeviceQuery{After: "ab"}, []string{"b"}},
		{devsync.DeviceQuery{After: "ab", Too: true}, []string{"ab", "b"}},
		{devsync.DeviceQuery{Search: "B"}, []string{"ab", "b"}},
		{devsync.DeviceQuery{Search: "b", Limit: 1}, []string{"ab"}},
		{devsync.DeviceQuery{Search: "b", After: "ab"}, []string{"b"}},
		{devsync.DeviceQuery{Search: "inte"}, []string{"b"}},
		{devsync.DeviceQuery{Search: "ALL"}, []string{"b"}},
		{devsync.DeviceQuery{Search: "A%"}, nil},
		{devsync.DeviceQuery{Search: "b", Look: 1}, []string{"… a"}},
		{devsync.DeviceQuery{Search: "b", Look: 2}, []string{"ab", "… ab"}},
		{devsync.DeviceQuery{Search: "b", Look: 3}, []string{"ab", "b", "… b"}},
		{devsync.DeviceQuery{Search: "b", Look: 4}, []string{"ab", "b"}},
		{devsync.DeviceQuery{Look: 1}, []string{"a", "ab", "b"}},
		{devsync.DeviceQuery{Tag: "Hall"}, []string{"b"}},
		{devsync.DeviceQuery{Tag: "hal"}, nil},
		{devsync.DeviceQuery{Tag: "2", Search: "a"}, []string{"b"}},
		{devsync.DeviceQuery{Health: devsync.Broken}, []string{"b"}},
		{devsync.DeviceQuery{Health: devsync.Fine}, []string{"a", "ab"}},
		{devsync.DeviceQuery{Health: devsync.Repeated}, nil},
		{devsync.DeviceQuery{Health: devsync.Quiet}, nil},
		{devsync.DeviceQuery{States: []devsync.State{devsync.Retired, devsync.Active}, After: "a"}, []string{"ab", "b"}},
		{devsync.DeviceQuery{States: []devsync.State{devsync.Retired}}, []string{"b"}},
	} {
		if got := names(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, got, c.want)
		}
	}
}

func devicesApproval(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	appendAll(t, s, "g", syncEvent("old", 0, 0))
	rules := devsync.DefaultRules
	rules.Approval = true
	must(t, s.SetRules(ctx, "g", rules))
	for minute := range 5 {
		appendAll(t, s, "g", syncEvent("new", minute, 1))
	}
	d, err := s.Device(ctx, "g", "new")
	if err != nil || d.State != devsync.Pending || d.Streak != 5 || d.Failing {
		t.Errorf("a new device: %+v, %v", d, err)
	}
	if d, err := s.Device(ctx, "g", "old"); err != nil || d.State != devsync.Active {
		t.Errorf("an older one: %+v, %v", d, err)
	}
	active := devsync.Active
	must(t, s.UpdateDevice(ctx, "g", "new", devsync.Change{State: &active}, clock))
	if d, err := s.Device(ctx, "g", "new"); err != nil || d.State != active || !d.Failing {
		t.Errorf("let in: %+v, %v", d, err)
	}
	found, _, err := s.Devices(ctx, devsync.DeviceQuery{Group: "g", Health: devsync.Repeated, Limit: 10, Look: 10})
	if err != nil || len(found) != 1 || found[0].ID != "new" {
		t.Errorf("those that keep failing: %+v, %v", found, err)
	}
}

// devicesPages: each event is on one page, whatever arrives meanwhile.
func devicesPages(t *testing.T, s devsync.Store) {
	for minute := range 50 {
		appendAll(t, s, "g", syncEvent("d", 2*minute, int64(minute%2)))
	}
	q := devsync.EventQuery{Group: "g", Device: "d", From: noon.Add(10 * time.Minute), To: noon.Add(90 * time.Minute), Limit: 7}
	var seen []time.Time
	for page, err := s.EventsOf(context.Background(), q); ; page, err = s.EventsOf(context.Background(), q) {
		must(t, err)
		for _, e := range page {
			if e.At.Sub(noon)%(2*time.Minute) == 0 {
				seen = append(seen, e.At)
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.Before = page[len(page)-1].Mark()
		appendAll(t, s, "g", syncEvent("d", 2*rand.IntN(50)+1, 0), syncEvent("d", 100+len(seen), 0))
	}
	var want []time.Time
	for minute := 88; minute >= 10; minute -= 2 {
		want = append(want, noon.Add(time.Duration(minute)*time.Minute))
	}
	if !slices.EqualFunc(seen, want, time.Time.Equal) {
		t.Errorf("saw %v, want %v", seen, want)
	}
	for status, want := range map[devsync.Status]int{devsync.Partial: 25, devsync.Failed: 0} {
		got, err := s.EventsOf(context.Background(), devsync.EventQuery{Group: "g", Device: "d", Status: status, Limit: 200})
		if err != nil || len(got) != want {
			t.Errorf("%d events are %s, want %d, %v", len(got), status, want, err)
		}
	}
}

func devicesFailing(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	for device, pattern := range map[string]string{"four": "xxxx.", "last": "..xxx", "mixed": "x.x.x", "fine": "....."} {
		for i, c := range pattern {
			e := syncEvent(device, i*60, 0)
			if c == 'x' {
				e.Errors = 1
			}
			appendAll(t, s, "g", e)
		}
	}
	appendAll(t, s, "h", syncEvent("four", 0, 1))
	retired := devsync.Retired
	for i := range 5 {
		appendAll(t, s, "g", syncEvent("gone", i, 1))
	}
	must(t, s.UpdateDevice(ctx, "g", "gone", devsync.Change{State: &retired}, clock))
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		q    devsync.FailingQuery
		want []devsync.Failing
	}{
		"total": {devsync.FailingQuery{Groups: []string{"g", "h"}, Total: 3}, []devsync.Failing{
			{Group: "g", Device: "four", Failures: 4, FirstFailure: hour(0), LastFailure: hour(3), LastSuccess: hour(4)},
			{Group: "g", Device: "last", Failures: 3, Streak: 3, FirstFailure: hour(2), LastFailure: hour(4), LastSuccess: hour(1)},
			{Group: "g", Device: "mixed", Failures: 3, Streak: 1, FirstFailure: hour(0), LastFailure: hour(4), LastSuccess: hour(3)},
		}},
		"total in a window": {devsync.FailingQuery{Groups: []string{"g"}, From: hour(3), Total: 2}, []devsync.Failing{
			{Group: "g", Device: "last", Failures: 2, Streak: 3, FirstFailure: hour(3), LastFailure: hour(4), LastSuccess: hour(1)},
		}},
		"in a row": {devsync.FailingQuery{Groups: []string{"g"}, Streak: 2}, []devsync.Failing{
			{Group: "g", Device: "last", Failures: 3, Streak: 3, FirstFailure: hour(2), LastFailure: hour(4), LastSuccess: hour(1)},
		}},
		"in a row, long ago": {devsync.FailingQuery{Groups: []string{"g"}, From: hour(5), Streak: 1}, nil},
		"another group":      {devsync.FailingQuery{Groups: []string{"h"}, Total: 1}, []devsync.Failing{{Group: "h", Device: "four", Failures: 1, Streak: 1, FirstFailure: hour(0), LastFailure: hour(0)}}},
	} {
		c.q.Limit = 10
		if got, err := s.Failing(ctx, c.q); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

func devicesRetention(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	f := &fleet{group: "g", sent: make(map[string][]devsync.Event)}
	n := someOf(s, 1200)
	var events []devsync.Event
	for i := range n {
		e := syncEvent(fmt.Sprint("d", i%3), i, int64(i%4))
		e.Speed = float64(i)
		f.add(e)
		events = append(events, e)
	}
	appendAll(t, s, "g", events...)
	f.checkSums(t, s)
	limit := noon.Add(time.Duration(n/2+n/12)*time.Minute + time.Second)
	drop := func() {
		t.Helper()
		for more := true; more; {
			var err error
			more, err = s.DropEvents(ctx, limit)
			must(t, err)
		}
	}
	drop()
	f.checkSums(t, s)
	left, err := s.EventsOf(ctx, devsync.EventQuery{Group: "g", Device: "d1", Limit: 1000})
	if want := (n - (n/2 + n/12) - 1) / 3; err != nil || len(left) != want || left[len(left)-1].At.Before(limit) {
		t.Errorf("%d events are left, want %d, %v", len(left), want, err)
	}
	late := syncEvent("d1", 1, 0) // into hours that were dropped
	late.At = late.At.Add(time.Second)
	f.add(late)
	appendAll(t, s, "g", late)
	f.checkSums(t, s)
	drop()
	f.checkSums(t, s)
	for device := range f.sent {
		if d, err := s.Device(ctx, "g", device); err != nil || d.Totals != f.totals(device) {
			t.Errorf("totals %+v, want %+v, %v", d.Totals, f.totals(device), err)
		}
	}
}

func devicesRules(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	if r, err := s.RulesOf(ctx, "g"); err != nil || r != devsync.DefaultRules {
		t.Errorf("rules of a group that set none: %+v, %v", r, err)
	}
	want := devsync.Rules{Failures: 1, Silence: time.Hour, Grace: time.Second, Approval: true, WebhookURL: "https://example.org/x"}
	must(t, s.SetRules(ctx, "g", want))
	if r, err := s.RulesOf(ctx, "g"); err != nil || r != want {
		t.Errorf("rules: %+v, %v, want %+v", r, err, want)
	}
	want.Approval = false
	must(t, s.SetRules(ctx, "g", want))
	appendAll(t, s, "g", syncEvent("a", 0, 1)) // at once, though others were used before
	wantNews(t, s, "one failure is enough", "opened failing a")
}

func devicesDelete(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	for i := range someOf(s, 500) {
		appendAll(t, s, "g", syncEvent(fmt.Sprint("d", i%2), i, 1))
	}
	appendAll(t, s, "h", syncEvent("d0", 0, 1))
	for more := true; more; {
		var err error
		more, err = s.DeleteDevices(ctx, "g")
		must(t, err)
	}
	_, err := s.Device(ctx, "g", "d0")
	wantErr(t, "a deleted device", err, devsync.ErrNoDevice)
	if sums, err := s.Sums(ctx, devsync.SumQuery{Group: "g"}); err != nil || len(sums) != 0 {
		t.Errorf("sums: %+v, %v", sums, err)
	}
	wantNews(t, s, "of deleted devices")
	if d, err := s.Device(ctx, "h", "d0"); err != nil || d.Totals.Events != 1 {
		t.Errorf("another group's: %+v, %v", d, err)
	}
	if out := appendAll(t, s, "g", syncEvent("d0", 0, 1)); out[0].Repeat {
		t.Error("an event of a deleted device is remembered")
	}
	if d, err := s.Device(ctx, "g", "d0"); err != nil || d.Totals.Events != 1 || d.Streak != 1 {
		t.Errorf("a device that comes again: %+v, %v", d, err)
	}
}

func devicesExport(t *testing.T, s devsync.Store) {
	var want []devsync.Event
	for _, device := range []string{"a", "b", "c"} {
		for minute := range 11 {
			e := syncEvent(device, minute/2, 0) // two of each time
			e.ID = fmt.Sprintf("%02d", minute)
			appendAll(t, s, "g", e)
			if minute >= 4 {
				want = append(want, e)
			}
		}
	}
	q := devsync.ExportQuery{Group: "g", From: noon.Add(2 * time.Minute), Limit: 4}
	var got []devsync.Event
	for {
		page, err := s.GroupEvents(context.Background(), q)
		must(t, err)
		if got = append(got, page...); len(page) < q.Limit {
			break
		}
		last := page[len(page)-1]
		q.AfterDevice, q.After = last.Device, last.Mark()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d events %+v\nwant %d", len(got), got, len(want))
	}
}
