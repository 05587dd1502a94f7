package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func testGroups(t *testing.T, s *site) {
	p := s.person(t, "founder")
	call := "POST /groups"
	check(t, []rule{
		{"name of 2", p, call, kv{"name": "ab"}, 422, "invalid", "body.name"},
		{"name of 51", p, call, kv{"name": strings.Repeat("n", 51)}, 422, "invalid", "body.name"},
		{"name with a control character", p, call, kv{"name": "ab\u0007c"}, 422, "invalid", "body.name"},
		{"description of 301", p, call, kv{"name": "abc", "description": strings.Repeat("d", 301)}, 422, "invalid", "body.description"},
		{"retention of -1", p, call, kv{"name": "abc", "result_retention_s": -1}, 422, "invalid", "body.result_retention_s"},
		{"retention of 2592001", p, call, kv{"name": "abc", "result_retention_s": 2592001}, 422, "invalid", "body.result_retention_s"},
		{"name of 3, longest description", p, call, kv{"name": "abc", "description": strings.Repeat("ü", 300)}, 201, "", ""},
		{"name of 50, counted after NFC", p, call, kv{"name": strings.Repeat("u\u0308", 50)}, 201, "", ""},
	})
	a := p.do(t, call, kv{"name": "Engines", "description": "d", "result_retention_s": 2592000}).want(t, 201, "")
	id := a.str("id")
	if a.str("name") != "Engines" || a.str("description") != "d" || a.str("role") != "owner" || a.at("members") != 1.0 ||
		a.at("result_retention_s") != 2592000.0 || a.str("created_at") == "" {
		t.Fatalf("group %s", a.body)
	}
	p.admits(t, id, s.bob)
	path := "/groups/" + id
	check(t, []rule{
		{"get", s.bob, "GET " + path, nil, 200, "", ""},
		{"get as a stranger", s.eve, "GET " + path, nil, 404, "group_not_found", ""},
		{"members as a stranger", s.eve, "GET " + path + "/members", nil, 404, "group_not_found", ""},
		{"change as a member", s.bob, "PATCH " + path, kv{"name": "Mine"}, 403, "role_too_low", ""},
		{"change as a stranger", s.eve, "PATCH " + path, kv{"name": "Mine"}, 404, "group_not_found", ""},
		{"change to a name of 2", p, "PATCH " + path, kv{"name": "ab"}, 422, "invalid", "body.name"},
		{"change of what is none of it", p, "PATCH " + path, kv{"role": "owner"}, 422, "invalid", "body.role"},
		{"change", p, "PATCH " + path, kv{"name": "Motors", "result_retention_s": nil}, 200, "", ""},
	})
	if a := s.bob.do(t, "GET "+path, nil); a.str("name") != "Motors" || a.str("description") != "d" || a.str("role") != "member" ||
		a.at("members") != 2.0 || a.at("result_retention_s") != nil {
		t.Fatalf("group %s", a.body)
	}
	a = s.bob.do(t, "GET "+path+"/members?limit=1", nil).want(t, 200, "")
	if a.str("items.0.username") != "founder" || a.str("items.0.role") != "owner" || a.str("items.0.user_id") != p.id || a.str("items.0.joined_at") == "" {
		t.Fatalf("members %s", a.body)
	}
	a = s.bob.do(t, "GET "+path+"/members?cursor="+a.str("next_cursor"), nil).want(t, 200, "")
	if got := a.all("username"); !slices.Equal(got, []string{"bob"}) || a.at("next_cursor") != nil {
		t.Fatalf("members %s", a.body)
	}
}

func testInvitations(t *testing.T, s *site) {
	host, guest := s.person(t, "host"), s.person(t, "guest")
	group := host.newGroup(t, "A party")
	call := "POST /groups/" + group + "/invitations"
	to := func(name string) kv { return kv{"username": name} }
	host.admits(t, group, s.bob)
	a := host.do(t, call, to("guest")).want(t, 201, "")
	id := a.str("id")
	if a.str("group.id") != group || a.str("group.name") != "A party" || a.str("user.id") != guest.id || a.str("user.username") != "guest" ||
		a.str("invited_by.id") != host.id || a.str("invited_by.username") != "host" || a.str("created_at") == "" {
		t.Fatalf("invitation %s", a.body)
	}
	if got := guest.do(t, "GET /invitations", nil).all("id"); !slices.Equal(got, []string{id}) {
		t.Fatalf("the guest sees %v", got)
	}
	answer := "POST /invitations/" + id
	check(t, []rule{
		{"unknown user", host, call, to("nobody"), 404, "user_not_found", ""},
		{"by email", host, call, to("guest@example.org"), 404, "user_not_found", ""},
		{"a member", host, call, to("bob"), 409, "already_member", ""},
		{"oneself", host, call, to("host"), 409, "already_member", ""},
		{"twice", host, call, to("guest"), 409, "already_invited", ""},
		{"by a member", s.bob, call, to("eve"), 403, "role_too_low", ""},
		{"by a stranger", s.eve, call, to("eve"), 404, "group_not_found", ""},
		{"unknown field", host, call, kv{"username": "eve", "role": "owner"}, 422, "invalid", "body.role"},
		{"the invited sees nothing yet", guest, "GET /groups/" + group, nil, 404, "group_not_found", ""},
		{"accepted by another", s.eve, answer + "/accept", nil, 404, "invitation_not_found", ""},
		{"declined by another", host, answer + "/decline", nil, 404, "invitation_not_found", ""},
		{"declined", guest, answer + "/decline", nil, 204, "", ""},
		{"accepted after that", guest, answer + "/accept", nil, 404, "invitation_not_found", ""},
		{"still nothing", guest, "GET /groups/" + group, nil, 404, "group_not_found", ""},
		{"invited again", host, call, to("guest"), 201, "", ""},
	})
	id = guest.do(t, "GET /invitations", nil).str("items.0.id")
	guest.do(t, "POST /invitations/"+id+"/accept", nil).want(t, 204, "")
	guest.do(t, "POST /invitations/"+id+"/accept", nil).want(t, 404, "invitation_not_found")
	if a := guest.do(t, "GET /groups/"+group, nil).want(t, 200, ""); a.str("role") != "member" {
		t.Fatalf("joined as %s", a.body)
	}
}

func testGroupLists(t *testing.T, s *site) {
	path := "/groups/" + s.group
	check(t, []rule{
		{"workers", s.vic, "GET " + path + "/workers", nil, 200, "", ""},
		{"workers as a stranger", s.eve, "GET " + path + "/workers", nil, 404, "group_not_found", ""},
		{"stats as a stranger", s.eve, "GET " + path + "/stats", nil, 404, "group_not_found", ""},
		{"window of 2h", s.vic, "GET " + path + "/stats?window=2h", nil, 422, "invalid", "query.window"},
		{"window of 1h", s.vic, "GET " + path + "/stats?window=1h", nil, 200, "", ""},
		{"window of 24h", s.vic, "GET " + path + "/stats?window=24h", nil, 200, "", ""},
		{"window of 7d", s.vic, "GET " + path + "/stats?window=7d", nil, 200, "", ""},
	})
	a := s.vic.do(t, "GET "+path+"/stats?window=7d", nil)
	for _, field := range []string{"counts.queued", "counts.failed", "wait_ms.p50", "wait_ms.p99", "run_ms.p95"} {
		if _, ok := a.at(field).(float64); !ok {
			t.Errorf("no %s in %s", field, a.body)
		}
	}
	if a.str("window") != "7d" {
		t.Errorf("window %s", a.body)
	}
}

// testCursor reads lists page by page while they grow.
func testCursor(t *testing.T, s *site) {
	p := s.person(t, "reader")
	group := p.newGroup(t, "Group 0")
	add := map[string]func(i int){
		"/groups/" + group + "/tasks": func(i int) {
			p.do(t, "POST /groups/"+group+"/tasks", kv{"kind": "nobodys", "title": fmt.Sprint("task ", i)}).want(t, 202, "")
		},
		"/groups": func(i int) { p.newGroup(t, fmt.Sprint("Group ", i)) },
		"/tokens": func(i int) { p.newToken(t, kv{"name": fmt.Sprint(i), "kind": "api"}) },
	}
	for list, more := range add {
		t.Run(list, func(t *testing.T) {
			for i := range 7 {
				more(i)
			}
			first := p.do(t, "GET "+list+"?limit=200", nil).want(t, 200, "").all("id")
			var paged []string
			for cursor := ""; ; {
				a := p.do(t, "GET "+list+"?limit=3&cursor="+cursor, nil).want(t, 200, "")
				ids := a.all("id")
				if len(ids) > 3 {
					t.Fatalf("a page of %d", len(ids))
				}
				paged = append(paged, ids...)
				if cursor = a.str("next_cursor"); cursor == "" {
					break
				}
				if len(paged) <= 2*3 { // what comes now is at one end of the list
					more(100 + len(paged))
				}
			}
			if list != "/groups" { // newest first: what came is not seen; else it is, at the end
				if !slices.Equal(paged, first) {
					t.Fatalf("pages %v, at first %v", paged, first)
				}
			} else if !slices.Equal(paged[:len(first)], first) || len(slices.Compact(slices.Sorted(slices.Values(paged)))) != len(paged) {
				t.Fatalf("pages %v, at first %v", paged, first)
			}
		})
	}
}
