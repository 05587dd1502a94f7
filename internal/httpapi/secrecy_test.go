package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/live"
)

// elsewhere runs f among other people, with other things.
func (w *world) elsewhere(f func()) {
	people, tokens, things := w.people, w.tokens, w.things
	w.people, w.tokens, w.things = map[string]citizen{}, map[string]string{}, map[string]string{}
	f()
	w.people, w.tokens, w.things = people, tokens, things
}

// told is all that an answer tells, but which ids were asked for.
func (a answer) told(asked ...string) string {
	head := a.header.Clone()
	id := head.Get("X-Request-Id")
	head.Del("X-Request-Id")
	head.Del("Date")
	text := fmt.Sprintln(a.status, head, strings.ReplaceAll(string(a.body), id, "REQUEST"))
	for _, id := range asked {
		text = strings.ReplaceAll(text, id, "ID")
	}
	return text
}

// TestSecrecy asks every route for what exists and is not the caller's, and for
// what does not exist: the answers have to be the same, to the byte. (An invite
// link's code is no id: who knows it may use it. Downloads are everybody's.)
func TestSecrecy(t *testing.T) {
	w := newWorld(t)
	lines := parseRights(t)
	for _, op := range operations(t) {
		params := op.params()
		if len(params) == 0 || strings.Contains(op.path, "{code}") || strings.HasPrefix(op.path, "/download/") {
			continue
		}
		t.Run(op.id, func(t *testing.T) {
			w.T = t
			body := w.body(op)
			own, foreign := w.ids(op), []string(nil)
			w.elsewhere(func() { foreign = w.ids(op) })
			// same asks twice, the second time for nothing in the place of the i-th id.
			same := func(who, token string, ids []string, i int) {
				t.Helper()
				unknown := slices.Clone(ids)
				unknown[i] = newID()
				exists := w.send(op.method, op.with(ids), token, body)
				not := w.send(op.method, op.with(unknown), token, body)
				if a, b := exists.told(ids[i]), not.told(unknown[i]); a != b || exists.status < 400 {
					t.Errorf("%s is told of %s\n%s and of nothing\n%s", who, params[i], a, b)
				}
			}
			status := lines[op.id].status
			askers := map[string]string{"limited": w.token("owner", "limited", auth.Scopes...)}
			for _, role := range roles {
				askers[role] = w.person(role).token
			}
			for who, token := range askers {
				if who == "root" && strings.Contains(op.path, "/admin/") {
					continue // sees everything
				}
				if status[who] == http.StatusNotFound {
					same(who, token, own, 0)
				}
				for i := range params { // foreign from the i-th on
					same(who, token, append(slices.Clone(own[:i]), foreign[i:]...), i)
				}
			}
		})
	}
}

// referrals are where an id stands elsewhere than in the path: %s in the query
// or body.
var referrals = []struct{ op, thing, query, body string }{
	{"list-tasks", "member", "?member=%s", ""},
	{"list-tasks", "member", "?worker=%s", ""},
	{"cancel-tasks", "member", "", `{"filter":{"member":%q}}`},
	{"cancel-tasks", "member", "", `{"filter":{"worker":%q}}`},
	{"retry-tasks", "member", "", `{"filter":{"member":%q}}`},
	{"create-token", "groups/{id}", "", `{"name":"a","kind":"api","groups":[%q]}`},
	{"create-token", "groups/{id}", "", `{"name":"a","kind":"worker","groups":[%q]}`},
	{"create-token", "groups/{id}", "", `{"name":"a","kind":"device","groups":[%q]}`},
	{"read-notifications", "notifications/{id}", "", `{"ids":[%q]}`},
	{"set-notification-settings", "groups/{id}", "", `{"off":[{"group":%q,"types":["joined"]}]}`},
}

// TestSecrecyOfReferrals names foreign and unknown things in queries and bodies.
func TestSecrecyOfReferrals(t *testing.T) {
	w := newWorld(t)
	ops := map[string]operation{}
	for _, op := range operations(t) {
		ops[op.id] = op
	}
	for _, r := range referrals {
		for _, role := range []string{"member", "owner"} {
			ask := func(id string) string {
				path := w.address(ops[r.op])
				if r.query != "" {
					path += fmt.Sprintf(r.query, id)
				}
				var body string
				if r.body != "" {
					body = fmt.Sprintf(r.body, id)
				}
				return w.sendText(ops[r.op].method, path, w.person(role).token, jsonType, body).told(id)
			}
			var foreign string
			w.elsewhere(func() { foreign = w.thing(r.thing) })
			if a, b := ask(foreign), ask(newID()); a != b {
				t.Errorf("%s of %s %s%s is told\n%s and for nothing\n%s", role, r.op, r.query, r.body, a, b)
			}
		}
	}
}

// TestSecrecyOfCursors takes a cursor out of a list that is not the caller's.
func TestSecrecyOfCursors(t *testing.T) {
	w := newWorld(t)
	list := func() string { return "/api/v1/groups/" + w.thing("groups/{id}") + "/tasks?limit=1" }
	w.newTask(`{"kind":"echo"}`)
	var cursor string
	w.elsewhere(func() {
		w.newTask(`{"kind":"echo"}`)
		w.newTask(`{"kind":"echo"}`)
		cursor = *into[seenList](w.person("owner").get(list()), http.StatusOK).NextCursor
	})
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	must(w, key, err)
	key[len(key)-1] ^= 1 // of nothing, at the same place
	unknown := base64.RawURLEncoding.EncodeToString(key)
	a := w.person("owner").get(list() + "&cursor=" + cursor)
	b := w.person("owner").get(list() + "&cursor=" + unknown)
	if a.told(cursor) != b.told(unknown) || a.status != http.StatusOK {
		t.Errorf("a foreign cursor tells\n%s one of nothing\n%s", a.told(cursor), b.told(unknown))
	}
}

// TestSecrecyOfTopics subscribes to what is not the caller's, and to nothing.
func TestSecrecyOfTopics(t *testing.T) {
	w := newWorld(t)
	own := map[string]string{"group": w.thing("groups/{id}"), "task": w.thing("tasks/{id}"), "device": w.thing("groups/{id}")}
	foreign := map[string]string{}
	w.elsewhere(func() {
		for kind, thing := range map[string]string{"group": "groups/{id}", "task": "tasks/{id}", "device": "groups/{id}"} {
			foreign[kind] = w.thing(thing)
		}
	})
	for name, tt := range map[string]struct {
		token string
		ids   map[string]string
	}{
		"owner":    {w.person("owner").token, foreign},
		"root":     {w.person("root").token, foreign},
		"stranger": {w.person("stranger").token, own},
		"limited":  {w.token("owner", "limited", auth.Scopes...), own},
	} {
		ws, a := w.dial("/api/v1/live", bearerOf(tt.token), live.Subprotocol)
		a.want(http.StatusSwitchingProtocols, "")
		told := func(kind, id string) string {
			if err := ws.WriteJSON(map[string]any{"type": "subscribe", "topics": []string{kind + ":" + id}}); err != nil {
				t.Fatal(err)
			}
			_, data, err := ws.ReadMessage()
			return strings.ReplaceAll(string(must(w, data, err)), id, "ID")
		}
		for kind, id := range tt.ids {
			a, b := told(kind, id), told(kind, newID())
			if a != b || !strings.Contains(a, `"error"`) {
				t.Errorf("%s is told of %s\n%s and of nothing\n%s", name, kind, a, b)
			}
		}
	}
}

// TestDeletedAccountKeepsNoNotifications: what a user was told goes with them.
func TestDeletedAccountKeepsNoNotifications(t *testing.T) {
	w := newWorld(t)
	w.thing("notifications/{id}")
	member := w.person("member")
	count := func() int {
		_, all, err := w.store.Notifications().Count(t.Context(), member.id)
		return must(w, all, err)
	}
	if count() == 0 {
		t.Fatal("there was none")
	}
	member.do(http.MethodDelete, "/api/v1/me", map[string]any{"password": password}).want(http.StatusNoContent, "")
	if n := count(); n != 0 {
		t.Errorf("%d are left", n)
	}
}
