package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/live"
	"github.com/firmlight/firmlight/internal/notify"
	devsync "github.com/firmlight/firmlight/internal/sync"
	"github.com/firmlight/firmlight/protocol"
)

// roles are the people of the matrix; inGroup those of the group.
var (
	roles   = []string{"stranger", "viewer", "member", "peer", "admin", "owner", "root"}
	inGroup = map[string]auth.Role{"viewer": auth.Viewer, "member": auth.Member, "peer": auth.Member, "admin": auth.Admin}
)

// things makes what a path or body names, by the part of the path that does
// ("groups/{id}"), by an operation id where that operation needs another one,
// or by any name that bodies ask for. Each returns the id.
var things = map[string]func(w *world) string{
	"groups/{id}": func(w *world) string {
		g := w.person("owner").group()
		for name, role := range inGroup {
			w.person(name).join(g, role)
		}
		return g
	},
	"tasks/{id}": func(w *world) string { return w.newTask(`{"kind":"echo"}`) },
	"tokens/{id}": func(w *world) string {
		t, _, err := w.auth.CreateToken(w.Context(), auth.Caller{UserID: w.person("member").id}, auth.NewToken{Name: "a", Kind: auth.KindAPI})
		return must(w, t, err).ID
	},
	"invitations/{id}": func(w *world) string {
		owner := w.person("owner")
		i, err := w.groups.Invite(w.Context(), auth.Caller{UserID: owner.id}, owner.group(), w.person("stranger").name)
		return must(w, i, err).ID
	},
	"workers/{id}": func(w *world) string { return w.workerAway(w.person("member").id, w.newName("box")).ID },
	"retry-task": func(w *world) string {
		id := w.newTask(`{"kind":"echo"}`)
		w.person("member").post("/api/v1/tasks/"+id+"/cancel", nil).want(http.StatusOK, "")
		return id
	},
	"get-result":  ended,
	"drop-result": ended,
	"list-children": func(w *world) string {
		return w.newTask(`{"kind":"echo","inputs":[1,2]}`)
	},
	"sessions/{id}": func(w *world) string {
		p := w.login(w.auth, w.person("member").name)
		list := into[struct{ Items []struct{ ID string } }](someone{w.workshop, "", p.AccessToken}.get("/api/v1/me/sessions"), http.StatusOK)
		return list.Items[0].ID
	},
	"users/{id}": func(w *world) string { return w.newPerson("guest").id },
	"members/{user}": func(w *world) string {
		guest := w.newPerson("guest")
		guest.join(w.thing("groups/{id}"), auth.Member)
		return guest.id
	},
	"invitations/{invitation}": func(w *world) string {
		i, err := w.groups.Invite(w.Context(), auth.Caller{UserID: w.person("owner").id}, w.thing("groups/{id}"), w.newPerson("guest").name)
		return must(w, i, err).ID
	},
	"invite-links/{link}": func(w *world) string { return w.newLink().ID },
	"invite-links/{code}": func(w *world) string { return w.newLink().Code },
	"notifications/{id}": func(w *world) string {
		at := time.Now().UTC().Truncate(time.Millisecond)
		n := notify.Notification{ID: newID(), To: w.person("member").id, Type: notify.Invited, Count: 1, CreatedAt: at, UpdatedAt: at}
		kept, err := w.store.Notifications().Add(w.Context(), n)
		return must(w, kept, err)[0].ID
	},
	"device/{id}":      newDevice,
	"devices/{id}":     newDevice,
	"download/{file}":  func(*world) string { return workerFile },
	"python/{project}": func(*world) string { return "firmlight" },
	"member":           func(w *world) string { return w.person("member").id },
	"guest":            func(w *world) string { return w.newPerson("guest").name },
}

func ended(w *world) string {
	id := w.newTask(`{"kind":"echo"}`)
	w.succeed(id, `1`)
	return id
}

// newDevice makes a device that has reported.
func newDevice(w *world) string {
	id := w.newName("printer")
	_, err := w.store.Append(w.Context(), w.thing("groups/{id}"), []devsync.Event{{Device: id, At: time.Now(), ReceivedAt: time.Now(), Files: 1}})
	return must(w, id, err)
}

// report is what a device sends.
func report() map[string]any {
	return map[string]any{
		"device_id": "printer", "timestamp": time.Now().Format(time.RFC3339Nano), "total_files_synced": 1, "total_errors": 0, "internet_speed": 1,
	}
}

type newLink struct{ ID, Code string }

// newLink makes an invite link of owner's.
func (w *world) newLink() newLink {
	return into[newLink](w.person("owner").post("/api/v1/groups/"+w.thing("groups/{id}")+"/invite-links", map[string]any{}), http.StatusCreated)
}

// bodies are what the calls send, by operation id; none for what is not here.
var bodies = map[string]func(w *world) any{
	"register": func(w *world) any {
		return map[string]any{"username": w.newName("new"), "email": w.newName("new") + "@example.org", "password": password}
	},
	"setup": func(*world) any {
		return map[string]any{"code": "x", "username": "boss", "email": "boss@example.org", "password": password}
	},
	"login": func(w *world) any {
		return map[string]any{"login": w.person("member").name, "password": password}
	},
	"refresh": func(w *world) any {
		return map[string]any{"refresh_token": w.login(w.auth, w.person("member").name).RefreshToken}
	},
	"update-me":                 func(w *world) any { return map[string]any{"email": w.newName("mail") + "@example.org"} },
	"change-password":           func(*world) any { return map[string]any{"old_password": password, "new_password": password} },
	"update-user":               func(*world) any { return map[string]any{"disabled": true} },
	"create-token":              func(*world) any { return map[string]any{"name": "a", "kind": "api"} },
	"create-group":              func(*world) any { return map[string]any{"name": "a group"} },
	"update-group":              func(*world) any { return map[string]any{"name": "another name"} },
	"invite":                    func(w *world) any { return map[string]any{"username": w.thing("guest")} },
	"submit-task":               func(*world) any { return map[string]any{"kind": "echo"} },
	"submit-tasks":              func(*world) any { return map[string]any{"tasks": []any{map[string]any{"kind": "echo"}}} },
	"cancel-tasks":              func(*world) any { return map[string]any{"filter": map[string]any{}} },
	"retry-tasks":               func(*world) any { return map[string]any{"filter": map[string]any{}} },
	"delete-me":                 func(*world) any { return map[string]any{"password": password} },
	"update-member":             func(*world) any { return map[string]any{"role": "viewer"} },
	"create-invite-link":        func(*world) any { return map[string]any{} },
	"update-own-worker":         func(*world) any { return map[string]any{"paused": true} },
	"read-notifications":        func(*world) any { return map[string]any{"all": true} },
	"set-notification-settings": func(*world) any { return map[string]any{"off": []any{}} },
	"admin-pause-queue":         queue,
	"admin-resume-queue":        queue,
	"admin-empty-queue": func(w *world) any {
		return map[string]any{"group": w.thing("groups/{id}"), "kind": "echo", "confirm": true}
	},
	"sync-event":      func(*world) any { return report() },
	"sync-events":     func(*world) any { return []any{report()} },
	"update-device":   func(*world) any { return map[string]any{"name": "a name"} },
	"set-alert-rules": func(*world) any { return map[string]any{"failures": 5} },
}

func queue(w *world) any { return map[string]any{"group": w.thing("groups/{id}"), "kind": "echo"} }

// endsPeople are the operations after which the caller has to be made anew.
var endsPeople = map[string]bool{"logout": true, "logout-all": true, "delete-me": true}

// endsGroups are those after which the group has other people, or others roles.
var endsGroups = map[string]bool{"leave-group": true, "join-group": true, "accept-all-invitations": true}

// localhost is where the calls come from.
var localhost = auth.Client{Address: netip.MustParseAddr("127.0.0.1")}

// sockets are the upgrades with the subprotocol that they want.
var sockets = map[string]string{"/api/v1/live": live.Subprotocol, protocol.Path: protocol.Subprotocol}

// world is a workshop with the people and things of the matrix. Each is made
// when it is first asked for, and stays until a call has used it up.
type world struct {
	*workshop
	past   *auth.Service // whose sessions expired long ago
	names  int
	make   map[string]func(*world) string // things; not by name, as that would be a cycle
	people map[string]citizen
	tokens map[string]string // secrets
	things map[string]string // ids
}

// citizen is somebody with a name.
type citizen struct {
	someone
	name string
}

func newWorld(t *testing.T) *world {
	w := &world{workshop: newWorkshop(t), make: things, people: map[string]citizen{}, tokens: map[string]string{}, things: map[string]string{}}
	_, err := w.auth.PrepareAdmin(w.Context(), &auth.Registration{Username: "root", Email: "root@example.org", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	o := w.authWith
	o.Now = func() time.Time { return time.Now().Add(-o.AccessTTL - time.Second) }
	if w.past, err = auth.NewService(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func must[T any](w *world, v T, err error) T {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return v
}

// newName makes a username that nobody has.
func (w *world) newName(like string) string {
	w.names++
	return fmt.Sprintf("%s-%d", like, w.names)
}

func (w *world) newPerson(role string) citizen {
	name := w.newName(role)
	return citizen{w.someone(name), name}
}

func (w *world) login(s *auth.Service, name string) auth.Pair {
	p, err := s.Login(w.Context(), name, password, localhost)
	return must(w, p, err)
}

// person returns who has a role, logged in; nobody for anon.
func (w *world) person(role string) citizen {
	w.Helper()
	if role == "anon" {
		return citizen{someone: someone{w: w.workshop}}
	}
	c, ok := w.people[role]
	switch {
	case ok:
	case role == "root":
		p := w.login(w.auth, role)
		c = citizen{someone{w.workshop, p.User.ID, p.AccessToken}, role}
	default:
		c = w.newPerson(role)
	}
	w.people[role] = c
	return c
}

// token returns a token of somebody's. One of kind limited is an API token for
// another group than that of the things, one of kind within for that group.
func (w *world) token(role, kind string, scopes ...auth.Scope) string {
	w.Helper()
	key := fmt.Sprint(role, kind, scopes)
	if kind == "within" {
		key += w.thing("groups/{id}")
	}
	if w.tokens[key] == "" {
		n := auth.NewToken{Kind: auth.KindAPI, Scopes: scopes}
		switch kind {
		case "within":
			n.Groups = []string{w.thing("groups/{id}")}
		case "limited":
			n.Groups = []string{w.person(role).group()}
		case "device":
			n.Groups = []string{w.person(role).group()}
			fallthrough
		case "worker":
			n.Kind = auth.Kind(kind)
		}
		w.tokens[key] = w.person(role).with(n).token
	}
	return w.tokens[key]
}

// goneTokens returns tokens that once were good, by what has happened.
func (w *world) goneTokens() iter.Seq2[string, string] {
	w.Helper()
	owner := w.person("owner")
	c := auth.Caller{UserID: owner.id}
	api := auth.NewToken{Name: "a", Kind: auth.KindAPI, Scopes: auth.Scopes}
	gone := []struct {
		name string
		make func() string
	}{
		{"expired session", func() string { return w.login(w.past, owner.name).AccessToken }},
		{"expired API token", func() string {
			n := api
			n.ExpiresAt = time.Now().Add(-time.Millisecond)
			_, secret, err := w.past.CreateToken(w.Context(), c, n)
			return must(w, secret, err)
		}},
		{"revoked API token", func() string {
			t, secret, err := w.auth.CreateToken(w.Context(), c, api)
			must(w, secret, err)
			return must(w, secret, w.auth.DeleteToken(w.Context(), c, t.ID))
		}},
		{"session of a disabled user", func() string { return w.disable(w.newPerson("gone").someone).token }},
		{"API token of a disabled user", func() string { return w.disable(w.newPerson("gone").with(api)).token }},
		{"worker token of a disabled user", func() string {
			return w.disable(w.newPerson("gone").with(auth.NewToken{Kind: auth.KindWorker})).token
		}},
	}
	return func(yield func(name, token string) bool) {
		for _, g := range gone {
			if w.tokens[g.name] == "" {
				w.tokens[g.name] = g.make()
			}
			if !yield(g.name, w.tokens[g.name]) {
				return
			}
		}
	}
}

func (w *world) disable(s someone) someone {
	yes := true
	_, err := w.auth.UpdateUser(w.Context(), auth.Caller{Admin: true}, s.id, auth.UserChange{Disabled: &yes})
	return must(w, s, err)
}

// thing returns the id of something of things.
func (w *world) thing(name string) string {
	w.Helper()
	if w.things[name] == "" {
		f, ok := w.make[name]
		if !ok {
			w.Fatalf("say in things of matrix_world_test.go how to make %q", name)
		}
		w.things[name] = f(w)
	}
	return w.things[name]
}

// newTask submits a task of member's.
func (w *world) newTask(body string) string {
	return w.person("member").submit(w.thing("groups/{id}"), body).ID
}

var pathParam = regexp.MustCompile(`[^/]+/\{[^}]+\}`)

// params returns the parts of a path that name something, as in things.
func (op operation) params() []string { return pathParam.FindAllString(op.path, -1) }

// maker is the name in things of what a part of the path names.
func (op operation) maker(i int, param string) string {
	if _, own := things[op.id]; own && i == len(op.params())-1 {
		return op.id
	}
	return param
}

// ids returns what the operation's path names.
func (w *world) ids(op operation) []string {
	w.Helper()
	var ids []string
	for i, param := range op.params() {
		ids = append(ids, w.thing(op.maker(i, param)))
	}
	return ids
}

// address returns the operation's path with the ids of things.
func (w *world) address(op operation) string {
	w.Helper()
	return op.with(w.ids(op))
}

// with returns the operation's path with an id for each of its params.
func (op operation) with(ids []string) string {
	path := op.path
	for i, param := range op.params() {
		before, _, _ := strings.Cut(param, "/")
		path = strings.Replace(path, param, before+"/"+ids[i], 1)
	}
	return path
}

// forget drops what a call has used up: the last thing its path names, and what
// stands in its body; the group only
// where the call was about the group itself, or who is in it.
func (w *world) forget(op operation) {
	if endsPeople[op.id] {
		clear(w.people)
		clear(w.tokens)
		clear(w.things)
		return
	}
	for name := range w.things {
		if name != "groups/{id}" || strings.HasSuffix(op.path, "groups/{id}") || endsGroups[op.id] {
			delete(w.things, name)
		}
	}
}

// call makes the operation's call with a token.
func (w *world) call(op operation, token string) answer {
	w.Helper()
	return w.send(op.method, w.address(op), token, w.body(op))
}

// body returns what the operation's call sends.
func (w *world) body(op operation) any {
	if f, ok := bodies[op.id]; ok {
		return f(w)
	}
	return nil
}

// send sends one request; body is a form as a string, or a value as JSON.
func (w *world) send(method, path, token string, body any) answer {
	w.Helper()
	if form, ok := body.(string); ok {
		return w.sendText(method, path, token, "application/x-www-form-urlencoded", form)
	}
	if body == nil {
		return w.sendText(method, path, token, "", "")
	}
	data, err := json.Marshal(body)
	return w.sendText(method, path, token, "application/json", string(must(w, data, err)))
}

// sendText sends one request with a body as it is; sockets are opened, and
// closed once the answer is there.
func (w *world) sendText(method, path, token, contentType, body string) answer {
	w.Helper()
	rq, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(body))
	must(w, rq, err)
	if contentType != "" {
		rq.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		rq.Header.Set("Authorization", "Bearer "+token)
	}
	if sub, ok := sockets[path]; ok {
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
			"Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Protocol": sub,
		} {
			rq.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(rq)
	must(w, resp, err)
	defer resp.Body.Close()
	a := answer{w: w.workshop, what: method + " " + path, status: resp.StatusCode, header: resp.Header}
	if a.status != http.StatusSwitchingProtocols { // else the body is the socket
		data, err := io.ReadAll(resp.Body)
		a.body = must(w, data, err)
	}
	return a
}

// code returns the code of a problem.
func (a answer) code() string {
	var p problem
	_ = json.Unmarshal(a.body, &p) // no problem, no code
	return p.Code
}
