package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

// workerOf opens a session of a worker of somebody's, without a connection.
func (w *workshop) workerOf(owner, name string, mods ...func(*workers.Session)) workers.Session {
	w.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	s := workers.Session{
		ID: newID(), Name: name, Owner: owner, Server: "elsewhere", LastHeard: now, ConnectedAt: now, SDK: "go/1",
		Groups: []string{"g"}, Kinds: []string{"echo"}, Offered: []string{"echo", "mean"}, Slots: 3,
		Labels: map[string]string{"os": "linux"},
	}
	for _, mod := range mods {
		mod(&s)
	}
	s, err := w.store.Sessions().Open(w.Context(), s)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// workerAway makes a worker that was there once.
func (w *workshop) workerAway(owner, name string) workers.Worker {
	w.Helper()
	s := w.workerOf(owner, name)
	_, ok, err := w.store.Sessions().Lose(w.Context(), s.ID, 1, time.Time{})
	if err != nil || !ok {
		w.Fatalf("lose: %v, %v", ok, err)
	}
	of, err := w.store.Sessions().Worker(w.Context(), owner, s.Worker)
	if err != nil {
		w.Fatal(err)
	}
	return of
}

type ownWorker struct {
	ID         string
	Name       string
	State      string
	IdleReason string `json:"idle_reason"`
	Sessions   int
	Slots      int
	Running    int
	Kinds      []string
	Groups     []string
	Labels     map[string]string
	SDK        string
	FirstSeen  time.Time `json:"first_seen"`
	LastSeen   time.Time `json:"last_seen"`
	Settings   settings
}

type settings struct {
	Paused     bool
	SlotsCap   *int `json:"slots_cap"`
	Kinds      []string
	Groups     []string
	QuietHours []window `json:"quiet_hours"`
	TimeZone   string   `json:"time_zone"`
}

type window struct {
	Days []string `json:"days"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

func (s someone) worker(id string) ownWorker {
	s.w.Helper()
	return into[ownWorker](s.get("/api/v1/workers/"+id), http.StatusOK)
}

func TestOwnWorkers(t *testing.T) {
	w := newWorkshop(t)
	ada, bob := w.someone("ada"), w.someone("bob")
	away := w.workerAway(ada.id, "away")
	one := w.workerOf(ada.id, "busy")
	two := w.workerOf(ada.id, "busy", func(s *workers.Session) { s.Slots, s.Groups, s.Offered = 2, []string{"h"}, []string{"crawl"} })
	grace := w.workerOf(ada.id, "shaky")
	if ok, err := w.store.Sessions().Part(t.Context(), grace.ID, 1, time.Now().Add(time.Minute), time.Now(), false); err != nil || !ok {
		t.Fatal(ok, err)
	}
	w.workerOf(bob.id, "busy")

	list := into[struct {
		Items []ownWorker
		Next  *string `json:"next_cursor"`
	}](ada.get("/api/v1/workers?limit=2"), http.StatusOK)
	if len(list.Items) != 2 || list.Next == nil {
		t.Fatalf("first page %+v", list)
	}
	rest := into[struct{ Items []ownWorker }](ada.get("/api/v1/workers?cursor="+*list.Next), http.StatusOK)
	all := map[string]ownWorker{}
	for _, item := range append(list.Items, rest.Items...) {
		all[item.Name] = item
		if one := ada.worker(item.ID); one.LastSeen.Before(item.LastSeen) {
			t.Errorf("%s was seen at %s, and then at %s", item.Name, item.LastSeen, one.LastSeen)
		}
		if item.FirstSeen.IsZero() || item.LastSeen.Before(item.FirstSeen) || item.Labels["os"] != "linux" || item.SDK != "go/1" ||
			item.Settings.QuietHours == nil || item.Settings.TimeZone != "UTC" {
			t.Errorf("%+v", item)
		}
	}
	for name, want := range map[string]ownWorker{
		"away":  {State: "away", Kinds: []string{"echo", "mean"}, Groups: []string{}},
		"busy":  {State: "connected", Sessions: 2, Slots: 5, Kinds: []string{"crawl", "echo", "mean"}, Groups: []string{"g", "h"}},
		"shaky": {State: "grace", Sessions: 1, Slots: 3, Kinds: []string{"echo", "mean"}, Groups: []string{"g"}},
	} {
		got := all[name]
		got = ownWorker{State: got.State, Sessions: got.Sessions, Slots: got.Slots, Kinds: got.Kinds, Groups: got.Groups}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if len(all) != 3 || one.Worker != two.Worker {
		t.Errorf("%d workers", len(all))
	}

	for _, id := range []string{one.Worker, newID(), "nonsense"} {
		bob.get("/api/v1/workers/"+id).want(http.StatusNotFound, "worker_not_found")
		bob.get("/api/v1/workers/"+id+"/history").want(http.StatusNotFound, "worker_not_found")
		bob.do("PATCH", "/api/v1/workers/"+id, map[string]any{"paused": true}).want(http.StatusNotFound, "worker_not_found")
		bob.do("DELETE", "/api/v1/workers/"+id, nil).want(http.StatusNotFound, "worker_not_found")
	}
	limited := ada.with(auth.NewToken{Kind: auth.KindAPI, Groups: []string{ada.group()}})
	limited.get("/api/v1/workers/"+one.Worker).want(http.StatusNotFound, "worker_not_found")
	if got := into[struct{ Items []ownWorker }](limited.get("/api/v1/workers"), http.StatusOK); len(got.Items) > 0 {
		t.Errorf("a token of one group sees %d workers", len(got.Items))
	}
	reads := ada.with(auth.NewToken{Kind: auth.KindAPI, Scopes: []auth.Scope{auth.TasksRead}})
	reads.worker(one.Worker)
	reads.do("PATCH", "/api/v1/workers/"+one.Worker, map[string]any{"paused": true}).want(http.StatusForbidden, "missing_scope")

	for _, id := range []string{one.Worker, grace.Worker} {
		ada.do("DELETE", "/api/v1/workers/"+id, nil).want(http.StatusConflict, "worker_connected")
	}
	ada.do("DELETE", "/api/v1/workers/"+away.ID, nil).want(http.StatusNoContent, "")
	ada.get("/api/v1/workers/"+away.ID).want(http.StatusNotFound, "worker_not_found")
}

func TestWorkerSettings(t *testing.T) {
	w := newWorkshop(t)
	ada, bob := w.someone("ada"), w.someone("bob")
	own, foreign := ada.group(), bob.group()
	id := w.workerAway(ada.id, "box").ID
	patch := func(body any) answer { return ada.do("PATCH", "/api/v1/workers/"+id, body) }
	type o = map[string]any
	night := o{"days": []string{"mon", "tue"}, "from": "22:00", "to": "07:00"}
	with := func(field string, v any) o {
		c := o{"days": night["days"], "from": night["from"], "to": night["to"]}
		c[field] = v
		return o{"quiet_hours": []o{night, c}}
	}
	many := func(n int, of func(int) any) []any {
		all := make([]any, n)
		for i := range all {
			all[i] = of(i)
		}
		return all
	}
	for name, bad := range map[string]struct {
		body  any
		field string
	}{
		"unknown field":      {o{"pause": true}, "body.pause"},
		"paused is a number": {o{"paused": 1}, "body.paused"},
		"cap below 0":        {o{"slots_cap": -1}, "body.slots_cap"},
		"cap above 1024":     {o{"slots_cap": 1025}, "body.slots_cap"},
		"half a slot":        {o{"slots_cap": 1.5}, "body.slots_cap"},
		"kind":               {o{"kinds": []string{"echo", "Echo"}}, "body.kinds[1]"},
		"65 kinds":           {o{"kinds": many(65, func(int) any { return "echo" })}, "body.kinds"},
		"kinds is a text":    {o{"kinds": "echo"}, "body.kinds"},
		"foreign group":      {o{"groups": []string{own, foreign}}, "body.groups[1]"},
		"unknown group":      {o{"groups": []string{newID()}}, "body.groups[0]"},
		"257 groups":         {o{"groups": many(257, func(int) any { return own })}, "body.groups"},
		"15 windows":         {o{"quiet_hours": many(15, func(int) any { return night })}, "body.quiet_hours"},
		"no days":            {with("days", []string{}), "body.quiet_hours[1].days"},
		"unknown day":        {with("days", []string{"mon", "Tue"}), "body.quiet_hours[1].days"},
		"a day twice":        {with("days", []string{"mon", "mon"}), "body.quiet_hours[1].days"},
		"hour 24":            {with("to", "24:00"), "body.quiet_hours[1].to"},
		"minute 60":          {with("from", "10:60"), "body.quiet_hours[1].from"},
		"one digit":          {with("from", "9:00"), "body.quiet_hours[1].from"},
		"seconds":            {with("from", "09:00:00"), "body.quiet_hours[1].from"},
		"no zone":            {o{"time_zone": ""}, "body.time_zone"},
		"the server's zone":  {o{"time_zone": "Local"}, "body.time_zone"},
		"unknown zone":       {o{"time_zone": "Europe/Springfield"}, "body.time_zone"},
		"path as a zone":     {o{"time_zone": "../../etc/passwd"}, "body.time_zone"},
	} {
		if a := patch(bad.body).want(http.StatusUnprocessableEntity, "invalid"); a.field() != bad.field {
			t.Errorf("%s: field %q, want %q", name, a.field(), bad.field)
		}
	}
	if got := ada.worker(id).Settings; !reflect.DeepEqual(got, settings{QuietHours: []window{}, TimeZone: "UTC"}) {
		t.Errorf("after refusals: %+v", got)
	}

	two := 2
	want := settings{
		Paused: true, SlotsCap: &two, Kinds: []string{"echo", "mean"}, Groups: []string{own}, TimeZone: "America/St_Johns",
		QuietHours: []window{{[]string{"sun", "mon"}, "22:00", "07:00"}, {[]string{"sat"}, "00:00", "00:00"}},
	}
	for _, body := range []any{
		o{"paused": true, "slots_cap": 2}, o{"kinds": []string{"mean", "echo", "mean"}}, o{"groups": []string{own, own}},
		o{"quiet_hours": want.QuietHours}, o{"time_zone": "America/St_Johns"}, o{},
	} {
		patch(body).want(http.StatusOK, "")
	}
	if got := ada.worker(id).Settings; !reflect.DeepEqual(got, want) {
		t.Errorf("settings %+v, want %+v", got, want)
	}
	patch(o{"kinds": []string{}, "groups": []string{}}).want(http.StatusOK, "")
	if got := ada.worker(id).Settings; got.Kinds == nil || got.Groups == nil || len(got.Kinds)+len(got.Groups) > 0 {
		t.Errorf("none of them: %+v", got)
	}
	patch(o{"paused": false, "slots_cap": nil, "kinds": nil, "groups": nil, "quiet_hours": nil, "time_zone": "UTC"}).want(http.StatusOK, "")
	if got := ada.worker(id).Settings; !reflect.DeepEqual(got, settings{QuietHours: []window{}, TimeZone: "UTC"}) {
		t.Errorf("taken back: %+v", got)
	}
}

// TestSettingsReachAConnectedWorker: before the PATCH is answered.
func TestSettingsReachAConnectedWorker(t *testing.T) {
	w := newWorkshop(t)
	ada := w.someone("ada")
	group := ada.group()
	ws, a := w.dial(protocol.Path, bearerOf(ada.with(auth.NewToken{Kind: auth.KindWorker}).token), protocol.Subprotocol)
	a.want(http.StatusSwitchingProtocols, "")
	hello := protocol.Hello{Type: protocol.TypeHello, Name: "box", Kinds: []string{"echo", "mean"}, Slots: 4}
	var welcome protocol.Welcome
	if err := errors.Join(ws.WriteJSON(hello), ws.ReadJSON(&welcome)); err != nil {
		t.Fatal(err)
	}
	id := welcome.Worker
	eventually(t, "it takes tasks", func() bool { return len(w.hub.Workers()) == 1 })
	every := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	for _, step := range []struct {
		body  any
		slots int
		idle  string
		free  int
	}{
		{map[string]any{"slots_cap": 3}, 3, "", 3},
		{map[string]any{"paused": true}, 0, "paused", 0},
		{map[string]any{"paused": false, "quiet_hours": []window{{every, "00:00", "00:00"}}}, 0, "quiet_hours", 0},
		{map[string]any{"quiet_hours": nil, "kinds": []string{"mean"}}, 3, "", 0},
		{map[string]any{"kinds": nil, "slots_cap": nil}, 4, "", 4},
	} {
		got := into[ownWorker](ada.do("PATCH", "/api/v1/workers/"+id, step.body), http.StatusOK)
		free := w.hub.TryReserve(tasks.Pair{Group: group, Kind: "echo"}, 9)
		for _, s := range free {
			s.Release()
		}
		if len(free) != step.free || got.Slots != step.slots || got.IdleReason != step.idle || got.State != "connected" {
			t.Errorf("%v: %d free, %+v", step.body, len(free), got)
		}
	}
	if err := ws.WriteJSON(protocol.Bare{Type: protocol.TypeDrain}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it drains", func() bool { return ada.worker(id).IdleReason == "draining" })
}

func TestWorkerHistory(t *testing.T) {
	w := newWorkshop(t)
	ada, bob := w.someone("ada"), w.someone("bob")
	group := ada.group()
	bob.join(group, auth.Member)
	worker := w.workerAway(ada.id, "box")
	run := func(by someone, status protocol.ResultStatus) {
		t.Helper()
		of, err := w.tasks.Get(t.Context(), by.submit(group, `{"kind":"echo","max_attempts":1}`).ID)
		if err != nil {
			t.Fatal(err)
		}
		c, ok, err := w.tasks.Claim(t.Context(), tasks.TicketOf(of), tasks.Owner{
			Server: "server", Session: "session", Epoch: 1, Worker: worker.ID, WorkerName: worker.Name, User: ada.id,
		})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		r := protocol.Result{Status: status, Output: []byte("1")}
		if status == protocol.Failed {
			r.Error = &protocol.TaskError{Code: "no"}
		}
		w.end(c.Task, r)
	}
	run(ada, protocol.Succeeded)
	run(bob, protocol.Succeeded)
	run(bob, protocol.Failed)
	type day struct {
		Day                                 string
		Group                               struct{ ID, Name string }
		Member                              struct{ ID, Username string }
		Tasks, Succeeded, Failed, Cancelled int
		RunS                                *int `json:"run_s"`
	}
	got := into[struct{ Items []day }](ada.get("/api/v1/workers/"+worker.ID+"/history"), http.StatusOK).Items
	byMember := map[string]day{}
	for _, d := range got {
		if d.Day != time.Now().UTC().Format(time.DateOnly) || d.Group.ID != group || d.Group.Name == "" || d.RunS == nil {
			t.Errorf("%+v", d)
		}
		byMember[d.Member.Username] = d
	}
	a, b := byMember["ada"], byMember["bob"]
	if len(got) != 2 || a.Tasks != 1 || a.Succeeded != 1 || b.Tasks != 2 || b.Succeeded != 1 || b.Failed != 1 || b.Member.ID != bob.id {
		t.Errorf("history %+v", got)
	}
	for _, days := range []string{"0", "367", "x"} {
		ada.get("/api/v1/workers/"+worker.ID+"/history?days="+days).want(http.StatusUnprocessableEntity, "invalid")
	}
	ada.get("/api/v1/workers/"+worker.ID+"/history?days=366").want(http.StatusOK, "")
	if got := into[struct{ Items []day }](ada.get("/api/v1/workers/"+w.workerAway(ada.id, "idle").ID+"/history"), http.StatusOK); got.Items == nil {
		t.Error("no history is null")
	}
	// Who has left the group does not learn what it is called from now on.
	ada.post("/api/v1/groups/"+group+"/leave", nil).want(http.StatusNoContent, "")
	left := into[struct{ Items []day }](ada.get("/api/v1/workers/"+worker.ID+"/history"), http.StatusOK).Items
	if len(left) != 2 || left[0].Group.ID != group || left[0].Group.Name != "" {
		t.Errorf("history after leaving: %+v", left)
	}
	// Today's history of a forgotten worker is gone with it.
	ada.do("DELETE", "/api/v1/workers/"+worker.ID, nil).want(http.StatusNoContent, "")
	if rows, err := w.tasks.WorkerHistory(context.Background(), worker.ID, 30); err != nil || len(rows) > 0 {
		t.Errorf("left %v, %v", rows, err)
	}
}
