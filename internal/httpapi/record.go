package httpapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
)

// This file writes the audit log, for all routes alike. Kept is what changed
// something; every 403; what failed in a way that may have changed something
// (500 and above); and what a handler notes (a failed login). Not kept are 404,
// 409, 422 and 429, which changed nothing and were no question of rank, and 401
// of nobody known.

// note is what a handler adds to the entry of its request.
type note struct {
	user       auth.User // who it is, where no token says so
	targetType string    // with target: what it is about, where the path does not say
	target     string
	groups     []string // an entry for each
	keep       bool     // also where the answer's status is no reason to
	nothing    bool     // was done: no entry of a success
}

// noteUser notes who a request without a token turned out to be about.
func noteUser(ctx context.Context, u auth.User) { requestFrom(ctx).note.user = u }

// noteTarget notes what a request is about. It must be no secret.
func noteTarget(ctx context.Context, kind, id string) {
	n := &requestFrom(ctx).note
	n.targetType, n.target = kind, id
}

// noteNothing notes that a request was a dry run.
func noteNothing(ctx context.Context) { requestFrom(ctx).note.nothing = true }

// noteGroup notes a group that a request is about, once; an empty id is none.
func noteGroup(ctx context.Context, group string) {
	n := &requestFrom(ctx).note
	if group != "" && !slices.Contains(n.groups, group) {
		n.groups = append(n.groups, group)
	}
}

var errPanic = errors.New("the handler panicked")

// recorded puts what a handler did into the audit log before it is answered.
func recorded[I, O any](a *API, r route, h func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	body, hasBody := reflect.TypeFor[O]().FieldByName("Body")
	if r.status == 0 {
		r.status = http.StatusNoContent
		if hasBody {
			r.status = http.StatusOK
		}
	}
	return func(ctx context.Context, in *I) (out *O, err error) {
		err = errPanic
		defer func() {
			var made string
			if err == nil && r.status == http.StatusCreated && hasBody && out != nil {
				made = idOf(reflect.ValueOf(out).Elem().FieldByIndex(body.Index))
			}
			a.record(ctx, r, made, err)
		}()
		return h(ctx, in)
	}
}

// idOf returns the id of what an answer shows, or "".
func idOf(body reflect.Value) string {
	if body.Kind() != reflect.Struct {
		return ""
	}
	if id := body.FieldByName("ID"); id.IsValid() && id.Kind() == reflect.String {
		return id.String()
	}
	return ""
}

// record writes the entry of a request that was answered with err, if it is to
// be kept. made is the id of what it made.
func (a *API) record(ctx context.Context, r route, made string, err error) {
	rq := requestFrom(ctx)
	e := audit.Entry{Action: r.id, Outcome: audit.OK, Status: r.status, RequestID: rq.id, Address: rq.addr.String()}
	if err != nil {
		e.Outcome, e.Status = "internal", http.StatusInternalServerError
		var f *fault.Error
		if errors.As(err, &f) {
			e.Outcome, e.Status = f.Code, statuses[f.Kind]
		}
	}
	if !r.keeps(e.Status) && !rq.note.keep || rq.note.nothing && err == nil {
		return
	}
	if rq.caller != nil {
		e.Actor, e.ActorName, e.TokenKind = rq.caller.UserID, rq.caller.Username, rq.caller.Kind
	} else {
		e.Actor, e.ActorName = rq.note.user.ID, rq.note.user.Username
	}
	r.target(rq, made, &e)
	if len(rq.note.groups) == 0 {
		a.deps.Audit.Record(ctx, e)
	}
	for _, e.Group = range rq.note.groups {
		a.deps.Audit.Record(ctx, e)
	}
}

// keeps reports whether the log has an answer of this status.
func (r route) keeps(status int) bool {
	changes := r.method != http.MethodGet
	switch {
	case status < http.StatusBadRequest:
		return r.audited || changes && r.unaudited == ""
	case status >= http.StatusInternalServerError:
		return changes && r.unaudited == ""
	}
	return status == http.StatusForbidden
}

// nouns are what paths name, by the segment before the id.
var nouns = map[string]string{
	"groups": "group", "members": "user", "users": "user", "invitations": "invitation", "invite-links": "invite_link",
	"tokens": "token", "tasks": "task", "workers": "worker", "sessions": "session", "notifications": "notification",
	"devices": "device",
}

// target sets what an entry is about: what the handler noted, else what it made,
// else what the path names last, else the caller.
func (r route) target(rq *request, made string, e *audit.Entry) {
	about := func(kind, id string) {
		e.TargetType, e.Target = kind, id
		if kind == "group" {
			e.Group = id
		}
	}
	var last string
	for _, s := range strings.Split(r.path, "/") {
		if kind := nouns[last]; kind != "" && strings.HasPrefix(s, "{") {
			about(kind, pathID(rq.http, strings.Trim(s, "{}")))
		}
		last = s
	}
	switch n := rq.note; {
	case n.targetType != "":
		about(n.targetType, n.target)
	case made != "" && nouns[last] != "":
		about(nouns[last], made)
	case e.TargetType == "" && e.Actor != "":
		about("user", e.Actor)
	}
}

const idLength = 36

// pathID returns an id in the path, "" for anything else that stands there: the
// code of an invite link is a secret, and so may be what somebody typed.
func pathID(r *http.Request, name string) string {
	id := r.PathValue(name)
	if len(id) != idLength || strings.Trim(id, "0123456789abcdef-") != "" {
		return ""
	}
	return id
}
