package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/protocol"
)

const notificationsPath = "/api/v1/notifications"

// seenNotification is a notification as clients see it.
type seenNotification struct {
	ID            string
	Type          string
	Group, Worker *struct{ ID, Name string }
	Actor, User   *struct{ ID, Username string }
	Task          *struct{ ID, Kind, Title string }
	Role          string
	Count         int
	Read          bool
	Unread        *int // over live only
}

type seenNotifications struct {
	Items      []seenNotification
	NextCursor *string `json:"next_cursor"`
	Unread     int
}

func (s someone) notifications(query string) seenNotifications {
	s.w.Helper()
	return into[seenNotifications](s.get(notificationsPath+query), http.StatusOK)
}

// types lists the types of a user's, what happened last first.
func (s someone) types() string {
	s.w.Helper()
	var ts []string
	for _, n := range s.notifications("").Items {
		ts = append(ts, n.Type)
	}
	return strings.Join(ts, " ")
}

// inbox is a socket that watches the topic me.
type inbox struct {
	t  *testing.T
	ws *websocket.Conn
}

func (s someone) inbox() inbox {
	s.w.Helper()
	ws, a := s.w.dial("/api/v1/live", bearerOf(s.token), live.Subprotocol)
	a.want(http.StatusSwitchingProtocols, "")
	if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": []string{"me"}}); err != nil {
		s.w.Fatal(err)
	}
	if n := readNote(s.w.T, ws); n.Type != "subscribed" {
		s.w.Fatalf("got %+v", n)
	}
	return inbox{s.w.T, ws}
}

// next reads the next notification.
func (in inbox) next() seenNotification {
	in.t.Helper()
	_, data, err := in.ws.ReadMessage()
	if err != nil {
		in.t.Fatal(err)
	}
	var m struct {
		Type, Topic  string
		Notification seenNotification
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Type != "notification" || m.Topic != "me" || m.Notification.Unread == nil {
		in.t.Fatalf("%v: %s", err, data)
	}
	return m.Notification
}

// TestNotificationsOfPeople follows a group from an invitation to its end: each
// hears of what others do, at once where a page is open, and later in the list.
func TestNotificationsOfPeople(t *testing.T) {
	w := newWorkshop(t)
	ada, ben, cora := w.someone("ada"), w.someone("ben"), w.someone("cora")
	group := ada.group()
	ben.join(group, auth.Admin)
	toAda, toBen, toCora := ada.inbox(), ben.inbox(), cora.inbox()
	path := "/api/v1/groups/" + group

	ada.post(path+"/invitations", map[string]string{"username": "cora"}).want(http.StatusCreated, "")
	n := toCora.next()
	if n.Type != "invited" || n.Actor.Username != "ada" || n.Actor.ID != ada.id || n.Group.ID != group || n.Group.Name != "laboratory" ||
		n.User != nil || n.Task != nil || n.Worker != nil || n.Count != 1 || n.Read || *n.Unread != 1 {
		t.Errorf("invited: %+v", n)
	}
	invitations := into[struct{ Items []struct{ ID string } }](cora.get("/api/v1/invitations"), http.StatusOK)
	cora.post("/api/v1/invitations/"+invitations.Items[0].ID+"/accept", nil).want(http.StatusNoContent, "")
	for _, in := range []inbox{toAda, toBen} {
		if n := in.next(); n.Type != "joined" || n.Actor.Username != "cora" || n.User != nil || n.Role != "member" {
			t.Errorf("joined: %+v", n)
		}
	}
	ada.do(http.MethodPatch, path+"/members/"+cora.id, map[string]string{"role": "viewer"}).want(http.StatusOK, "")
	if n := toCora.next(); n.Type != "role_changed" || n.Role != "viewer" || n.Actor.Username != "ada" || *n.Unread != 2 {
		t.Errorf("role changed: %+v", n)
	}
	ben.do(http.MethodDelete, path+"/members/"+cora.id, nil).want(http.StatusNoContent, "")
	if n := toAda.next(); n.Type != "kicked" || n.Actor.Username != "ben" || n.User == nil || n.User.Username != "cora" {
		t.Errorf("kicked, as the owner hears: %+v", n)
	}
	if n := toCora.next(); n.Type != "kicked" || n.Actor.Username != "ben" || n.User != nil {
		t.Errorf("kicked: %+v", n)
	}
	dan := w.someone("dan")
	dan.join(group, auth.Member)
	dan.post(path+"/leave", nil).want(http.StatusNoContent, "")
	for _, in := range []inbox{toAda, toBen} {
		if n := in.next(); n.Type != "left" || n.Actor.Username != "dan" {
			t.Errorf("left: %+v", n)
		}
	}
	ada.do(http.MethodDelete, path, nil).want(http.StatusNoContent, "")
	if n := toBen.next(); n.Type != "group_deleted" || n.Group.Name != "laboratory" || n.Actor.Username != "ada" {
		t.Errorf("group deleted: %+v", n)
	}

	for who, want := range map[someone]string{
		ada: "left kicked joined", ben: "group_deleted left joined", cora: "kicked role_changed invited", dan: "",
	} {
		if got := who.types(); got != want {
			t.Errorf("%q are told, want %q", got, want)
		}
	}
	if n := ben.notifications("?limit=1"); n.Items[0].Group.Name != "laboratory" || n.Unread != 3 || n.NextCursor == nil {
		t.Errorf("after the group's end: %+v", n)
	}
}

func TestNotificationsOfTasks(t *testing.T) {
	w := newWorkshop(t)
	ada, ben := w.someone("ada"), w.someone("ben")
	group := ada.group()
	ben.join(group, auth.Member)
	in := ben.inbox()
	var first seenNotification
	for i := range 3 {
		task := ben.submit(group, fmt.Sprintf(`{"kind":"k","title":"number %d"}`, i))
		w.succeed(task.ID, `1`)
		n := in.next()
		if n.Type != "task_finished" || n.Count != i+1 || n.Task.ID != task.ID || n.Task.Title != task.Title || n.Task.Kind != "k" ||
			n.Group.Name != "laboratory" || n.Actor != nil || *n.Unread != 1 {
			t.Errorf("finished: %+v", n)
		}
		if i == 0 {
			first = n
		} else if n.ID != first.ID {
			t.Error("unread ones of a group are not one")
		}
	}
	cancelled := ben.submit(group, `{"kind":"k"}`)
	ben.post("/api/v1/tasks/"+cancelled.ID+"/cancel", nil).want(http.StatusOK, "")
	failed := ben.submit(group, `{"kind":"k","max_attempts":1}`)
	w.end(w.claim(failed.ID), protocol.Result{Status: protocol.Failed, Error: &protocol.TaskError{Code: "broken", Message: "Broken."}})
	if n := in.next(); n.Type != "task_failed" || n.Task.ID != failed.ID || n.Count != 1 || *n.Unread != 2 {
		t.Errorf("failed: %+v", n)
	}
	parent := ben.submit(group, `{"kind":"k","inputs":[1,2],"reduce":"none"}`)
	eventually(t, "two parts", func() bool { return into[seen](ben.get("/api/v1/tasks/"+parent.ID), http.StatusOK).Phase == "open" })
	for _, part := range into[seenList](ben.get("/api/v1/tasks/"+parent.ID+"/children"), http.StatusOK).Items {
		w.succeed(part.ID, `1`)
	}
	if n := in.next(); n.Type != "task_finished" || n.Task.ID != parent.ID || n.Count != 4 || n.ID != first.ID {
		t.Errorf("a parent with two parts: %+v", n)
	}
	if got := ben.types(); got != "task_finished task_failed" {
		t.Errorf("the list: %s", got)
	}
	if got := ada.types(); got != "" {
		t.Errorf("who did not submit them is told of %s", got)
	}
}

func TestNotificationOfALostWorker(t *testing.T) {
	w := newWorkshop(t)
	ada := w.someone("ada")
	ada.group()
	in, token := ada.inbox(), ada.with(auth.NewToken{Kind: auth.KindWorker}).token
	connect := func() (*websocket.Conn, protocol.Welcome) {
		ws, _ := w.dial(protocol.Path, bearerOf(token), protocol.Subprotocol)
		if err := ws.WriteJSON(protocol.Hello{Type: protocol.TypeHello, Name: "bench", Kinds: []string{"k"}, Slots: 1}); err != nil {
			t.Fatal(err)
		}
		var welcome protocol.Welcome
		if err := ws.ReadJSON(&welcome); err != nil {
			t.Fatal(err)
		}
		return ws, welcome
	}
	leaving, _ := connect()
	if err := leaving.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		t.Fatal(err)
	}
	if code := closeCode(t, leaving); code != websocket.CloseNormalClosure {
		t.Errorf("closed with %d", code)
	}
	for i := range 3 { // it flaps
		ws, welcome := connect()
		if err := ws.NetConn().Close(); err != nil {
			t.Fatal(err)
		}
		n := in.next()
		if n.Type != "worker_lost" || n.Count != i+1 || n.Worker.ID != welcome.Worker || n.Worker.Name != "bench" || n.Group != nil || *n.Unread != 1 {
			t.Errorf("lost: %+v", n)
		}
	}
}

func TestReadingNotifications(t *testing.T) {
	w := newWorkshop(t)
	ada, eve := w.someone("ada"), w.someone("eve")
	at := time.Now().UTC().Truncate(time.Millisecond)
	var ids []string // what happened last first
	for i := range 5 {
		n := notify.Notification{
			ID: newID(), To: ada.id, Type: notify.Invited, Count: 1,
			CreatedAt: at.Add(-time.Duration(i) * time.Minute), UpdatedAt: at.Add(-time.Duration(i) * time.Minute),
		}
		ids = append(ids, n.ID)
		if _, err := w.store.Notifications().Add(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(query string) (got []string) {
		for cursor := ""; ; {
			page := ada.notifications("?limit=2" + query + cursor)
			for _, n := range page.Items {
				got = append(got, n.ID)
			}
			if page.NextCursor == nil {
				return got
			}
			cursor = "&cursor=" + *page.NextCursor
		}
	}
	tab := ada.inbox()
	if got := walk(""); !slices.Equal(got, ids) {
		t.Errorf("pages %v, want %v", got, ids)
	}
	type left struct{ Unread int }
	read := func(body any) int { return into[left](ada.post(notificationsPath+"/read", body), http.StatusOK).Unread }
	if n := read(map[string]any{"ids": []string{ids[1], newID()}}); n != 4 {
		t.Errorf("%d are unread, want 4", n)
	}
	if n := tab.next(); n.ID != "" || n.Type != "" || *n.Unread != 4 {
		t.Errorf("another tab is told %+v", n)
	}
	if got := walk("&unread=true"); !slices.Equal(got, slices.Delete(slices.Clone(ids), 1, 2)) {
		t.Errorf("unread %v", got)
	}
	if n := ada.notifications("").Items[1]; !n.Read {
		t.Errorf("not marked: %+v", n)
	}
	eve.do(http.MethodDelete, notificationsPath+"/"+ids[0], nil).want(http.StatusNotFound, "notification_not_found")
	if n := into[left](eve.post(notificationsPath+"/read", map[string]any{"ids": ids}), http.StatusOK); n.Unread != 0 {
		t.Errorf("%+v", n)
	}
	ada.do(http.MethodDelete, notificationsPath+"/"+ids[0], nil).want(http.StatusNoContent, "")
	ada.do(http.MethodDelete, notificationsPath+"/"+ids[0], nil).want(http.StatusNotFound, "notification_not_found")
	if n := tab.next(); n.ID != "" || *n.Unread != 3 {
		t.Errorf("another tab is told %+v", n)
	}
	if n := read(map[string]any{"all": true}); n != 0 {
		t.Errorf("%d are unread", n)
	}
	if page := ada.notifications(""); page.Unread != 0 || len(page.Items) != 4 {
		t.Errorf("left %+v", page)
	}

	for name, body := range map[string]string{
		"nothing": `{}`, "both": `{"ids":["x"],"all":true}`, "not all": `{"all":false}`, "no ids": `{"ids":[]}`,
		"too many": `{"ids":["` + strings.Repeat(`x","`, 200) + `x"]}`,
	} {
		if a := ada.post(notificationsPath+"/read", body); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	ada.get(notificationsPath+"?cursor=bm9uc2Vuc2U").want(http.StatusUnprocessableEntity, "invalid")
}

func TestNotificationSettings(t *testing.T) {
	w := newWorkshop(t)
	ada, eve := w.someone("ada"), w.someone("eve")
	mine, theirs := ada.group(), eve.group()
	const path = notificationsPath + "/settings"
	type settings struct {
		Off []struct {
			Group *string
			Types []string
		}
	}
	if got := into[settings](ada.get(path), http.StatusOK); got.Off == nil || len(got.Off) != 0 {
		t.Errorf("at first: %+v", got)
	}
	put := func(body string) answer { return ada.do(http.MethodPut, path, body) }
	all, err := json.Marshal(map[string]any{"off": []any{map[string]any{"group": nil, "types": notify.Types}}})
	if err != nil {
		t.Fatal(err)
	}
	ada.do(http.MethodPut, path, string(all)).want(http.StatusOK, "")
	off := fmt.Sprintf(`{"off":[{"group":null,"types":["worker_lost"]},{"group":%q,"types":["joined","task_finished"]}]}`, mine)
	for _, a := range []answer{put(off), ada.get(path)} {
		got := into[settings](a, http.StatusOK)
		if len(got.Off) != 2 || got.Off[0].Group != nil || *got.Off[1].Group != mine || !slices.Equal(got.Off[1].Types, []string{"joined", "task_finished"}) {
			t.Errorf("%s: %s", a.what, a.body)
		}
	}
	many := strings.Repeat(`{"group":null,"types":["left"]},`, 256) + `{"group":null,"types":["left"]}`
	for body, field := range map[string]string{
		fmt.Sprintf(`{"off":[{"group":%q,"types":["left"]}]}`, theirs): "body.off[0].group",
		`{"off":[{"group":null,"types":["news"]}]}`:                    "body.off[0].types[0]",
		`{"off":[{"group":null,"types":[]}]}`:                          "body.off[0].types",
		`{"off":[{"types":["left"]}]}`:                                 "body.off[0]",
		`{}`:                                                           "body",
		`{"off":[` + many + `]}`:                                       "body.off",
	} {
		if a := put(body).want(http.StatusUnprocessableEntity, "invalid"); a.field() != field {
			t.Errorf("%.80s: %s is wrong, want %s", body, a.field(), field)
		}
	}

	in := ada.inbox()
	w.succeed(ada.submit(mine, `{"kind":"k"}`).ID, `1`) // off here
	w.succeed(ada.submit(ada.group(), `{"kind":"k","title":"told"}`).ID, `1`)
	if n := in.next(); n.Type != "task_finished" || n.Task.Title != "told" {
		t.Errorf("told of %+v", n)
	}
	if got := ada.types(); got != "task_finished" {
		t.Errorf("the list: %s", got)
	}
}

func TestNotificationsGoWithTheAccount(t *testing.T) {
	w := newWorkshop(t)
	ada, ben := w.someone("ada"), w.someone("ben")
	in := ben.inbox()
	ada.post("/api/v1/groups/"+ada.group()+"/invitations", map[string]string{"username": "ben"}).want(http.StatusCreated, "")
	in.next()
	ben.do(http.MethodPut, notificationsPath+"/settings", `{"off":[{"group":null,"types":["left"]}]}`).want(http.StatusOK, "")
	ben.do(http.MethodDelete, "/api/v1/me", map[string]string{"password": "correct horse"}).want(http.StatusNoContent, "")
	if unread, all, err := w.store.Notifications().Count(t.Context(), ben.id); unread != 0 || all != 0 || err != nil {
		t.Errorf("%d of %d unread are left, %v", unread, all, err)
	}
	if set, err := w.store.Notifications().Settings(t.Context(), ben.id); len(set) != 0 || err != nil {
		t.Errorf("settings are left: %+v, %v", set, err)
	}
}
