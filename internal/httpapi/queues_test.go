package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/internal/tasks"
)

// queues lists all, one a page.
func (s someone) queues() []httpapi.Queue {
	s.w.Helper()
	var all []httpapi.Queue
	for cursor := ""; ; {
		page := into[struct {
			Items      []httpapi.Queue
			NextCursor *string `json:"next_cursor"`
		}](s.get(adminAPI+"/queues?limit=1&cursor="+cursor), http.StatusOK)
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			return all
		}
		cursor = *page.NextCursor
	}
}

func named(group, kind string) map[string]any { return map[string]any{"group": group, "kind": kind} }

func TestPauseAndResumeQueues(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	g := ada.group()
	ada.submit(g, `{"kind":"echo"}`)
	root.post(adminAPI+"/queues:pause", named(g, "echo")).want(http.StatusNoContent, "")
	root.post(adminAPI+"/queues:pause", named(g, "echo")).want(http.StatusNoContent, "")
	root.post(adminAPI+"/queues:pause", named(g, "later")).want(http.StatusNoContent, "")
	ada.submit(g, `{"kind":"echo"}`) // accepted all the same
	got := root.queues()
	if len(got) != 2 || !got[0].Paused || got[0].Waiting != 2 || !got[1].Paused || got[1].Waiting != 0 || got[1].OldestAt != nil {
		t.Errorf("queues %+v", got)
	}
	want := []tasks.Pair{{Group: g, Kind: "echo"}, {Group: g, Kind: "later"}}
	if paused, err := w.tasks.Paused(t.Context()); err != nil || !slices.Equal(paused, want) {
		t.Errorf("paused %v, %v", paused, err)
	}
	for range 2 {
		root.post(adminAPI+"/queues:resume", named(g, "echo")).want(http.StatusNoContent, "")
	}
	if err := w.tasks.ForgetPauses(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if got := root.queues(); len(got) != 1 || got[0].Paused {
		t.Errorf("resumed: %+v", got)
	}
	for _, what := range []string{"pause", "resume", "empty"} {
		path, unknown, bad := adminAPI+"/queues:"+what, named(newID(), "echo"), named(g, "a b")
		if what == "empty" {
			unknown["confirm"], bad["confirm"] = true, true
		}
		root.post(path, unknown).want(http.StatusNotFound, "group_not_found")
		if a := root.post(path, bad).want(http.StatusUnprocessableEntity, "invalid"); a.field() != "body.kind" {
			t.Errorf("%s: wrong field %s", what, a.field())
		}
	}
}

func TestEmptyQueue(t *testing.T) {
	w := newWorkshop(t)
	root, ada := w.root(), w.someone("ada")
	g := ada.group()
	path := adminAPI + "/queues:empty"
	running := w.claim(ada.submit(g, `{"kind":"echo"}`).ID)
	waits := ada.submit(g, `{"kind":"echo"}`).ID
	later := ada.submit(g, map[string]any{"kind": "echo", "run_at": time.Now().Add(time.Hour)}).ID
	other := ada.submit(g, `{"kind":"mean"}`).ID
	elsewhere := ada.submit(ada.group(), `{"kind":"echo"}`).ID
	parent := ada.submit(g, `{"kind":"echo","inputs":[1,2,3],"reduce":"none"}`).ID
	count := func(body string) int {
		t.Helper()
		return into[struct{ Count int }](root.post(path, fmt.Sprintf(body, g)), http.StatusOK).Count
	}
	eventually(t, "parts wait", func() bool { return count(`{"group":"%s","kind":"echo","dry_run":true}`) == 5 })
	a := root.post(path, named(g, "echo")).want(http.StatusUnprocessableEntity, "invalid")
	if a.field() != "body.confirm" {
		t.Errorf("wrong field %s", a.field())
	}
	if n := count(`{"group":"%s","kind":"echo","dry_run":true,"confirm":true}`); n != 5 {
		t.Errorf("a confirmed dry run counts %d", n)
	}
	if n := count(`{"group":"%s","kind":"echo","confirm":true}`); n != 5 {
		t.Errorf("cancelled %d, want 5", n)
	}
	status := func(id string) string {
		return into[seen](ada.get("/api/v1/tasks/"+id), http.StatusOK).Status
	}
	for id, want := range map[string]string{running.ID: "running", waits: "cancelled", later: "cancelled", other: "queued", elsewhere: "queued"} {
		if got := status(id); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	eventually(t, "the parent follows its parts", func() bool { return status(parent) == "failed" })
	if n := count(`{"group":"%s","kind":"echo","confirm":true}`); n != 0 {
		t.Errorf("emptied again: %d", n)
	}
}
