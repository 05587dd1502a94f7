package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/tasks"
	"github.com/firmlight/firmlight/internal/workers"
	"github.com/firmlight/firmlight/protocol"
)

const adminAPI = "/api/v1/admin"

// root is an administrator who logged in.
func (w *workshop) root() someone {
	w.Helper()
	reg := auth.Registration{Username: "root", Email: "root@example.org", Password: "correct horse"}
	if _, err := w.auth.PrepareAdmin(w.Context(), &reg); err != nil {
		w.Fatal(err)
	}
	p, err := w.auth.Login(w.Context(), reg.Username, reg.Password, localhost)
	if err != nil {
		w.Fatal(err)
	}
	return someone{w, p.User.ID, p.AccessToken}
}

// connect opens a worker's session of the user's and reads its welcome.
func (s someone) connect(hello string) (*websocket.Conn, protocol.Welcome) {
	s.w.Helper()
	ws, a := s.w.dial(protocol.Path, bearerOf(s.with(auth.NewToken{Kind: auth.KindWorker}).token), protocol.Subprotocol)
	a.want(http.StatusSwitchingProtocols, "")
	if err := ws.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
		s.w.Fatal(err)
	}
	var welcome protocol.Welcome
	if err := ws.ReadJSON(&welcome); err != nil {
		s.w.Fatal(err)
	}
	return ws, welcome
}

func TestOnlyAdministratorsWhoLoggedIn(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	for _, path := range []string{"/overview", "/groups", "/workers", "/queues"} {
		ada.get(adminAPI+path).want(http.StatusForbidden, "not_admin")
		root.with(auth.NewToken{Kind: auth.KindAPI}).get(adminAPI+path).want(http.StatusForbidden, "wrong_token_kind")
		root.get(adminAPI+path).want(http.StatusOK, "")
	}
}

func TestOverview(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	g := ada.group()
	started := time.Now().UTC().Truncate(time.Millisecond)
	if err := w.store.Beat(t.Context(), workers.Server{ID: newID(), Address: "http://here", Started: started, BeatAt: started}); err != nil {
		t.Fatal(err)
	}
	ada.connect(`{"type":"hello","name":"box","kinds":["echo"],"slots":3}`)
	for range 3 {
		ada.submit(g, `{"kind":"echo"}`)
	}
	ada.submit(g, map[string]any{"kind": "echo", "run_at": time.Now().Add(time.Hour)})
	ada.submit(g, `{"kind":"other","inputs":[1,2]}`)
	running := w.claim(ada.submit(g, `{"kind":"echo"}`).ID)
	eventually(t, "parts wait", func() bool {
		return into[httpapi.Overview](root.get(adminAPI+"/overview"), http.StatusOK).Tasks.Queued == 5
	})
	if err := w.tasks.Lost(t.Context(), running.Session, tasks.Loss{ByServer: true}); err != nil {
		t.Fatal(err)
	}
	w.claim(running.ID)
	o := into[httpapi.Overview](root.get(adminAPI+"/overview"), http.StatusOK)
	if o.Users != 2 || o.Groups != 1 || o.Workers != (httpapi.OverviewWorkers{Connected: 1, Slots: 3, Running: 1}) ||
		o.Tasks != (httpapi.OverviewTasks{Scheduled: 1, Queued: 5, Running: 1}) || o.Failovers != 1 {
		t.Errorf("got %+v", o)
	}
	if len(o.Servers) != 1 || o.Servers[0].Address != "http://here" || !o.Servers[0].LastBeatAt.Equal(started) {
		t.Errorf("servers %+v", o.Servers)
	}
	if len(o.Queues) != 2 || o.Queues[0].Kind != "echo" || o.Queues[0].Waiting != 3 || o.Queues[0].Scheduled != 1 ||
		o.Queues[0].Group.Name != "laboratory" || o.Queues[0].OldestAt == nil || o.Queues[1].Waiting != 2 {
		t.Errorf("queues %+v", o.Queues)
	}
}

func TestAdminLists(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	first, second := ada.group(), ada.group()
	ada.submit(second, `{"kind":"echo"}`)
	type groupList struct {
		Items      []httpapi.AdminGroup
		NextCursor *string `json:"next_cursor"`
	}
	page := into[groupList](root.get(adminAPI+"/groups?limit=1&q=LAB"), http.StatusOK)
	if len(page.Items) != 1 || page.Items[0].ID != first || page.NextCursor == nil {
		t.Fatalf("first page %+v", page)
	}
	page = into[groupList](root.get(adminAPI+"/groups?limit=1&q=LAB&cursor="+*page.NextCursor), http.StatusOK)
	if g := page.Items[0]; len(page.Items) != 1 || g.ID != second || page.NextCursor != nil || g.Members != 1 ||
		g.Queued != 1 || g.Owner.Username != "ada" || g.Owner.ID != ada.id {
		t.Errorf("second page %+v", page)
	}
	if page = into[groupList](root.get(adminAPI+"/groups?q=aboratory"), http.StatusOK); len(page.Items) != 0 {
		t.Errorf("not a prefix: %+v", page)
	}

	_, box := ada.connect(`{"type":"hello","name":"box","kinds":["echo"],"slots":3}`)
	ada.connect(`{"type":"hello","name":"Box-2","kinds":["echo"],"slots":1}`)
	ada.connect(`{"type":"hello","name":"box","kinds":["mean"],"slots":2}`)
	type workerList struct {
		Items      []httpapi.AdminWorker
		NextCursor *string `json:"next_cursor"`
	}
	list := into[workerList](root.get(adminAPI+"/workers?q=BOX&limit=1"), http.StatusOK)
	if got := list.Items[0]; got.ID != box.Worker || got.Sessions != 2 || got.Slots != 5 || got.Owner.Username != "ada" || list.NextCursor == nil {
		t.Errorf("workers %+v", list)
	}
	list = into[workerList](root.get(adminAPI+"/workers?q=BOX&limit=1&cursor="+*list.NextCursor), http.StatusOK)
	if len(list.Items) != 1 || list.Items[0].Name != "Box-2" || list.NextCursor != nil {
		t.Errorf("next page %+v", list)
	}
	for _, path := range []string{"/groups?cursor=%25", "/workers?cursor=%25", "/queues?cursor=%25", "/groups?limit=0"} {
		root.get(adminAPI+path).want(http.StatusUnprocessableEntity, "invalid")
	}
}

func TestDisconnect(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	g := ada.group()
	ws, box := ada.connect(`{"type":"hello","name":"box","kinds":["echo"],"slots":3}`)
	other, _ := ada.connect(`{"type":"hello","name":"other","kinds":["echo"],"slots":3}`)
	id := ada.submit(g, `{"kind":"echo"}`).ID
	task, err := w.tasks.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.tasks.Claim(t.Context(), tasks.TicketOf(task), tasks.Owner{
		Server: "server", Session: box.Session, Epoch: 1, Worker: box.Worker, WorkerName: "box", User: ada.id,
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	root.post(adminAPI+"/workers/"+newID()+"/disconnect", nil).want(http.StatusNotFound, "worker_not_found")
	path := adminAPI + "/workers/" + box.Worker + "/disconnect"
	root.post(path, nil).want(http.StatusNoContent, "")
	if code := closeCode(t, ws); code != protocol.CloseDisconnected {
		t.Errorf("closed with %d", code)
	}
	eventually(t, "its task is queued again", func() bool {
		task, err = w.tasks.Get(t.Context(), id)
		return err == nil && task.Status == tasks.Queued
	})
	if task.Reassignments != 0 {
		t.Errorf("counted against the task: %+v", task)
	}
	root.post(path, nil).want(http.StatusNoContent, "") // it is away already
	if err := other.WriteMessage(websocket.TextMessage, []byte(`{"type":"nonsense"}`)); err != nil {
		t.Fatal(err)
	}
	if _, msg, err := other.ReadMessage(); err != nil {
		t.Errorf("the other worker got %s, %v", msg, err)
	}
}
