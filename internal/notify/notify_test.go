package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/groups"
	"github.com/firmlight/firmlight/internal/notify"
	"github.com/firmlight/firmlight/internal/tasks"
)

func TestWhoHears(t *testing.T) {
	for name, c := range map[string]struct {
		event groups.Event
		want  []string
	}{
		"invited":                  {groups.Event{Type: groups.Invited, Actor: ref("ben"), User: ref("zoe")}, []string{"zoe"}},
		"joined":                   {groups.Event{Type: groups.Joined, Actor: ref("cora"), User: ref("cora")}, []string{"ada", "ben"}},
		"an admin joined":          {groups.Event{Type: groups.Joined, Actor: ref("ben"), User: ref("ben")}, []string{"ada"}},
		"left":                     {groups.Event{Type: groups.Left, Actor: ref("zoe"), User: ref("zoe")}, []string{"ada", "ben"}},
		"kicked":                   {groups.Event{Type: groups.Kicked, Actor: ref("ben"), User: ref("zoe")}, []string{"ada", "zoe"}},
		"kicked from outside":      {groups.Event{Type: groups.Kicked, Actor: ref("root"), User: ref("zoe")}, []string{"ada", "ben", "zoe"}},
		"role changed":             {groups.Event{Type: groups.RoleChanged, Actor: ref("ada"), User: ref("vic")}, []string{"vic"}},
		"own role given away":      {groups.Event{Type: groups.RoleChanged, Actor: ref("ada"), User: ref("ada")}, nil},
		"group deleted":            {groups.Event{Type: groups.Deleted, Actor: ref("ada"), Members: []string{"ada", "ben", "vic"}}, []string{"ben", "vic"}},
		"the last one left":        {groups.Event{Type: groups.Deleted, Actor: ref("ada"), Members: []string{"ada"}}, nil},
		"an event without members": {groups.Event{Type: groups.Deleted, Actor: ref("ada")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				c.event.Group, c.event.At = f.group, now()
				f.GroupChanged(c.event)
				f.wantHeard(name, c.want...)
			})
		})
	}
}

func TestWhatIsTold(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.GroupChanged(groups.Event{
			Type: groups.Kicked, Group: f.group, Actor: ref("ben"), User: ref("zoe"), Role: auth.Member, At: now(),
		})
		f.GroupChanged(groups.Event{Type: groups.RoleChanged, Group: f.group, Actor: ref("ada"), User: ref("vic"), Role: auth.Admin, At: now()})
		f.settle()
		lab, ben := notify.GroupRef{"lab-id", "lab"}, notify.PersonRef{"ben", "ben"}
		toAda, toZoe, toVic := f.one("ada"), f.one("zoe"), f.one("vic")
		if toAda.Type != notify.Kicked || *toAda.Group != lab || *toAda.Actor != ben || *toAda.User != (notify.PersonRef{"zoe", "zoe"}) || toAda.Role != "" {
			f.Errorf("the owner is told %+v", toAda)
		}
		if toZoe.Type != notify.Kicked || *toZoe.Group != lab || *toZoe.Actor != ben || toZoe.User != nil || toZoe.Count != 1 || toZoe.Read {
			f.Errorf("the kicked is told %+v", toZoe)
		}
		if toVic.Type != notify.RoleChanged || toVic.Role != auth.Admin || toVic.User != nil {
			f.Errorf("who has a new role is told %+v", toVic)
		}
	})
}

func TestTasks(t *testing.T) {
	inBubble(t, func(f *fixture) {
		part := f.ended("cora", tasks.Succeeded)
		part.Parent = "parent"
		f.TaskChanged(part)
		for _, s := range []tasks.Status{tasks.Cancelled, tasks.Running, tasks.Queued, tasks.Scheduled} {
			f.TaskChanged(f.ended("cora", s))
		}
		gone := f.ended("cora", tasks.Succeeded)
		gone.Group = "deleted"
		f.TaskChanged(gone)
		f.wantHeard("parts, cancelled and unfinished ones, and those of a deleted group")

		failed := f.ended("cora", tasks.Failed)
		f.TaskChanged(failed)
		f.settle()
		n := f.one("cora")
		if n.Type != notify.TaskFailed || *n.Task != (notify.TaskRef{failed.ID, "echo", "a title"}) || *n.Group != (notify.GroupRef{"lab-id", "lab"}) ||
			n.Actor != nil || n.Worker != nil || !n.UpdatedAt.Equal(failed.FinishedAt) {
			f.Errorf("told %+v", n)
		}
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.settle()
		if ns := f.of("cora"); len(ns) != 2 {
			f.Errorf("failed and finished ones: %+v", ns)
		}
	})
}

// TestTasksOfALeftGroup: who is no longer in a group may not see how its tasks
// end, nor what it is called by now.
func TestTasksOfALeftGroup(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.TaskChanged(f.ended("zoe", tasks.Succeeded))
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.settle()
		if got := f.of("zoe"); len(got) != 0 {
			t.Errorf("told %+v", got)
		}
		f.one("cora")
	})
}

// TestThousandsOfTasksAreOne: the first is told at once, the others cost one
// write each half second, however many they are.
func TestThousandsOfTasksAreOne(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		synctest.Wait()
		if n := f.one("cora"); n.Count != 1 {
			f.Fatalf("count %d before any time has passed", n.Count)
		}
		var newest string
		for i := 1; i < 10_000; i++ {
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond) //nolint:forbidigo // of the bubble
			}
			task := f.ended("cora", tasks.Succeeded)
			newest = task.ID
			f.TaskChanged(task)
		}
		f.settle()
		n := f.one("cora")
		if n.Count != 10_000 || n.Task.ID != newest || n.Read {
			f.Errorf("count %d, newest %v", n.Count, n.Task)
		}
		if f.store.adds > 4 { // at 0, 0.5 and 1 s, and the last ones
			f.Errorf("%d writes", f.store.adds)
		}
		told := f.pages.take("cora")
		if last := told[len(told)-1]; last.ID != n.ID || last.Count != 10_000 || last.Unread != 1 || len(told) != f.store.adds {
			f.Errorf("pages were told %d times, last %+v", len(told), last)
		}
	})
}

func TestTwoServersCountIntoOne(t *testing.T) {
	inBubble(t, func(f *fixture) {
		other := f.server()
		var wg sync.WaitGroup
		for _, s := range []*notify.Service{f.Service, other} {
			wg.Go(func() {
				for range 500 {
					s.TaskChanged(f.ended("cora", tasks.Succeeded))
				}
			})
		}
		wg.Wait()
		must(t, other.Stop(context.Background())) // writes what waits
		f.settle()
		if n := f.one("cora"); n.Count != 1000 {
			f.Errorf("count %d of 1000", n.Count)
		}
		must(t, f.SetSettings(context.Background(), "cora", notify.Settings{{Types: []notify.Type{notify.TaskFinished}}}))
		other = f.server()
		other.TaskChanged(f.ended("cora", tasks.Succeeded))
		must(t, other.Stop(context.Background()))
		if n := f.one("cora"); n.Count != 1000 {
			f.Errorf("another server counted what was switched off: %d", n.Count)
		}
	})
}

func TestWorkerLost(t *testing.T) {
	inBubble(t, func(f *fixture) {
		for range 3 {
			f.WorkerLost("cora", "w", "bench")
			f.settle()
		}
		n := f.one("cora")
		if n.Type != notify.WorkerLost || n.Count != 3 || *n.Worker != (tasks.WorkerRef{ID: "w", Name: "bench"}) || n.Group != nil {
			f.Errorf("told %+v", n)
		}
	})
}

func TestStopWritesWhatWaits(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		synctest.Wait() // the pause has begun
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.GroupChanged(groups.Event{Type: groups.Invited, Group: f.group, Actor: ref("ben"), User: ref("zoe"), At: now()})
		must(t, f.Stop(context.Background()))
		if n := f.one("cora"); n.Count != 2 {
			f.Errorf("count %d after the stop, want 2", n.Count)
		}
		f.one("zoe")
		must(t, f.Stop(context.Background()))
		must(t, notify.New(f.Options).Stop(context.Background()))
	})
}

// TestAStoreThatIsAwayCostsTime: what it did not take is written when it is back,
// once; and what waits meanwhile has bounds.
func TestAStoreThatIsAwayCostsTime(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.store.setAway(fault.New(fault.Unavailable, "store_unavailable", "The store does not answer."))
		invited := groups.Event{Type: groups.Invited, Group: f.group, Actor: ref("ben"), User: ref("zoe"), At: now()}
		f.GroupChanged(invited)
		for range 10 {
			f.TaskChanged(f.ended("cora", tasks.Succeeded))
			f.settle()
		}
		f.WorkerLost("cora", "w", "bench")
		f.settle()
		f.store.setAway(nil)
		f.settle()
		f.one("zoe")
		if ns := f.of("cora"); len(ns) != 2 || ns[0].Count+ns[1].Count != 11 {
			f.Errorf("cora has %+v", ns)
		}

		f.store.setAway(errors.New("away"))
		for i := range notify.MaxDue + 100 {
			f.WorkerLost(fmt.Sprint("user ", i), "w", "bench")
		}
		for range notify.MaxEvents + 100 {
			f.GroupChanged(invited)
		}
		due, events, dropped := f.Waiting()
		if due > notify.MaxDue || events > notify.MaxEvents || due+events+dropped == 0 {
			f.Errorf("%d due, %d events wait", due, events)
		}
		f.settle()
		if due, _, _ := f.Waiting(); due > notify.MaxDue {
			f.Errorf("%d due wait after they were put back", due)
		}
		f.DropWaiting()
		f.store.setAway(nil)
	})
}

func TestSettings(t *testing.T) {
	ctx := context.Background()
	inBubble(t, func(f *fixture) {
		many := make(notify.Settings, notify.MaxOff+1)
		for name, c := range map[string]struct {
			set   notify.Settings
			field string // that is wrong; empty: none
		}{
			"nothing":       {notify.Settings{}, ""},
			"a group":       {notify.Settings{{"lab-id", []notify.Type{notify.Joined}}, {"", notify.Types}}, ""},
			"unknown type":  {notify.Settings{{"", []notify.Type{notify.Joined, "news"}}}, "body.off[0].types[1]"},
			"no types":      {notify.Settings{{"", nil}}, "body.off[0].types"},
			"unknown group": {notify.Settings{{"", []notify.Type{notify.Left}}, {"other", []notify.Type{notify.Left}}}, "body.off[1].group"},
			"named twice":   {notify.Settings{{"lab-id", []notify.Type{notify.Left}}, {"lab-id", []notify.Type{notify.Joined}}}, "body.off[1].group"},
			"too many":      {many, "body.off"},
		} {
			err := f.SetSettings(ctx, "ada", c.set)
			var wrong *fault.Error
			switch {
			case c.field == "" && err != nil:
				f.Errorf("%s: %v", name, err)
			case c.field != "" && (!errors.As(err, &wrong) || wrong.Kind != fault.Invalid || wrong.Fields[0].Field != c.field):
				f.Errorf("%s: %v, want %s wrong", name, err, c.field)
			}
		}
		// zoe is not in the group, but may keep what was said before leaving it.
		must(t, f.store.SetSettings(ctx, "zoe", notify.Settings{{"lab-id", []notify.Type{notify.Kicked}}}))
		if err := f.SetSettings(ctx, "zoe", notify.Settings{{"lab-id", []notify.Type{notify.Kicked, notify.Left}}}); err != nil {
			f.Errorf("a group that was left: %v", err)
		}

		must(t, f.SetSettings(ctx, "ada", notify.Settings{{"lab-id", []notify.Type{notify.Joined}}}))
		must(t, f.SetSettings(ctx, "ben", notify.Settings{{"", []notify.Type{notify.Joined, notify.WorkerLost}}}))
		other := groups.Ref{ID: "other", Name: "other"}
		must(t, f.db.InsertGroup(ctx, groups.Group{ID: other.ID, Name: other.Name},
			groups.Membership{ID: newID(), Group: other.ID, User: "ada", Role: auth.Owner}))
		joined := groups.Event{Type: groups.Joined, Group: f.group, Actor: ref("zoe"), User: ref("zoe"), At: now()}
		f.GroupChanged(joined)
		f.WorkerLost("ben", "w", "bench")
		f.settle()
		if n := len(f.of("ada")) + len(f.of("ben")); n > 0 {
			f.Errorf("%d were told of what is off", n)
		}
		joined.Group = other
		f.GroupChanged(joined)
		joined.Type, joined.Group = groups.Left, f.group
		f.GroupChanged(joined)
		f.settle()
		if a, b := f.of("ada"), f.of("ben"); len(a) != 2 || len(b) != 1 {
			f.Errorf("of another group or type: ada %+v, ben %+v", a, b)
		}
	})
}

func TestReadAndDelete(t *testing.T) {
	ctx := context.Background()
	inBubble(t, func(f *fixture) {
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.WorkerLost("cora", "w", "bench")
		f.settle()
		ns := f.of("cora")
		f.pages.take("cora")
		if unread, err := f.Read(ctx, "cora", []string{ns[0].ID, "unknown"}); unread != 1 || err != nil {
			f.Errorf("unread %d, %v", unread, err)
		}
		if err := f.Delete(ctx, "ada", ns[1].ID); !errors.Is(err, notify.ErrNone) {
			f.Errorf("somebody else's: %v", err)
		}
		f.settle()
		must(t, f.Delete(ctx, "cora", ns[1].ID))
		f.settle()
		if unread, err := f.Read(ctx, "cora", nil); unread != 0 || err != nil { // none left to mark
			f.Errorf("unread %d, %v", unread, err)
		}
		f.settle()
		told := f.pages.take("cora")
		if len(told) != 2 || told[0] != (notify.Change{Unread: 1}) || told[1] != (notify.Change{}) {
			f.Errorf("pages were told %+v", told)
		}
		if told := f.pages.take("ada"); len(told) > 0 {
			f.Errorf("somebody else's were told %+v", told)
		}
	})
}

func TestOnlyTheNewestStay(t *testing.T) {
	inBubble(t, func(f *fixture) {
		at := now()
		for i := range notify.MaxOfUser + 5 {
			f.GroupChanged(groups.Event{
				Type: groups.Invited, Group: f.group, Actor: ref("ben"), User: ref("zoe"), At: at.Add(time.Duration(i) * time.Second),
			})
		}
		f.settle()
		ns := f.of("zoe")
		if len(ns) != notify.MaxOfUser || !ns[notify.MaxOfUser-1].UpdatedAt.Equal(at.Add(5*time.Second)) {
			f.Errorf("%d stay, the oldest of %v", len(ns), ns[len(ns)-1].UpdatedAt.Sub(at))
		}
		told := f.pages.take("zoe")
		if last := told[len(told)-1]; last.Unread != notify.MaxOfUser {
			f.Errorf("pages were told of %d unread", last.Unread)
		}
	})
}

func TestOldOnesGo(t *testing.T) {
	ctx := context.Background()
	inBubble(t, func(f *fixture) {
		invited := groups.Event{Type: groups.Invited, Group: f.group, Actor: ref("ben"), User: ref("cora"), At: now()}
		for range 2*notify.SweepPortion + 1 {
			f.GroupChanged(invited)
		}
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.settle()
		time.Sleep(notify.Keep - time.Hour) //nolint:forbidigo // of the bubble
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.settle()
		must(t, f.Sweep(ctx))
		if n := len(f.of("cora")); n != 2*notify.SweepPortion+2 {
			f.Errorf("%d are left before their time", n)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // of the bubble
		must(t, f.Sweep(ctx))
		if n := f.one("cora"); n.Count != 2 {
			f.Errorf("what changed yesterday: %+v", n)
		}
	})
}

func TestForget(t *testing.T) {
	ctx := context.Background()
	inBubble(t, func(f *fixture) {
		f.TaskChanged(f.ended("cora", tasks.Succeeded))
		f.settle()
		must(t, f.SetSettings(ctx, "cora", notify.Settings{{"", []notify.Type{notify.Left}}}))
		f.TaskChanged(f.ended("cora", tasks.Failed))
		f.settle()
		f.TaskChanged(f.ended("cora", tasks.Failed)) // may wait still
		must(t, f.Forget(ctx, "cora"))
		if set, err := f.UserSettings(ctx, "cora"); len(set) > 0 || err != nil || len(f.of("cora")) > 0 {
			f.Errorf("left: %+v, %v, %+v", set, err, f.of("cora"))
		}
	})
}

func TestPlaces(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123).UTC()
	for _, want := range []notify.Place{{}, {at, "id"}} {
		s := ""
		if want != (notify.Place{}) {
			s = want.String()
		}
		if got, ok := notify.ParsePlace(s); !ok || got != want {
			t.Errorf("%q: %+v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"x", "1", " id", "-1 id", "x id", strings.Repeat("9", 30) + " id"} {
		if p, ok := notify.ParsePlace(s); ok {
			t.Errorf("%q is %+v", s, p)
		}
	}
}

// BenchmarkTaskChanged is what a task that ends costs where it ends.
func BenchmarkTaskChanged(b *testing.B) {
	s := notify.New(notify.Options{})
	task := tasks.Task{ID: newID(), Group: newID(), Kind: "echo", CreatedBy: newID(), Status: tasks.Succeeded}
	b.ReportAllocs()
	for b.Loop() {
		s.TaskChanged(task)
	}
}
