package live

import (
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
)

func yes() bool { return true }

func newRelay(t *testing.T, url, server string, others func() bool) *Relay {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { rdb.Close() })
	return NewRelay(rdb, server, others, slog.New(slog.DiscardHandler))
}

// meet waits until what one hub sends reaches the other's page.
func meet(t *testing.T, from *site, to *page, user string) {
	t.Helper()
	got := make(chan struct{})
	go func() { to.until(TypeNotification); close(got) }()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		from.hub.Notify(user, "hello")
		select {
		case <-got:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("the servers do not hear each other")
}

func TestEventsAndOrdersReachOtherServers(t *testing.T) {
	url, _ := redistest.Start(t)
	one := newSite(t, DefaultTiming, newRelay(t, url, "one", yes))
	two := newSite(t, DefaultTiming, newRelay(t, url, "two", yes))
	topic := Topic{Group, newID()}
	p := two.open("user=u&token=k")
	p.subscribe("me", "admin", topic.String(), "device:"+topic.ID)
	meet(t, one, p, "u")

	task := tasks.Task{ID: newID(), Group: topic.ID, Title: "über <b>"}
	one.hub.TaskChanged(task)
	if m := p.until(TypeTask); m.Topic != topic.String() || m.Task.ID != task.ID || m.Task.Title != task.Title {
		t.Errorf("got %+v, want the task of the other server", m)
	}
	one.hub.DevicesPending(topic.ID)
	p.until(TypePending)
	one.hub.GroupChanged(topic.ID)
	p.until(TypeGroup)
	one.hub.Audited(map[string]string{"action": "update-group"})
	p.until(TypeAudit)
	two.refuse(topic, fault.New(fault.NotFound, "not_found", "There is no such group."))
	one.hub.Recheck("u")
	if m := p.until(TypeUnsubscribed); m.Topic != topic.String() {
		t.Errorf("got %+v, want the topic's end", m)
	}
}

// pair returns two servers that have met, each with a page of u.
func pair(t *testing.T) (one, two *site, here, there *page) {
	t.Helper()
	url, _ := redistest.Start(t)
	one = newSite(t, DefaultTiming, newRelay(t, url, "one", yes))
	two = newSite(t, DefaultTiming, newRelay(t, url, "two", yes))
	here, there = one.open("user=u"), two.open("user=u")
	here.subscribe("me")
	there.subscribe("me")
	meet(t, one, there, "u")
	return one, two, here, there
}

func TestOwnEventsComeOnce(t *testing.T) {
	one, two, here, there := pair(t)
	meet(t, two, here, "u")
	one.hub.Notify("u", "last")
	for string(there.until(TypeNotification).Note) != `"last"` {
	}
	two.hub.Notify("u", "end") // after it has been through Redis once, and back
	last := 0
	for {
		m := here.until(TypeNotification)
		if string(m.Note) == `"end"` {
			break
		}
		if string(m.Note) == `"last"` {
			last++
		}
	}
	if last != 1 {
		t.Errorf("an event of this server came %d times, want once", last)
	}
}

func TestNothingIsPublishedToNobody(t *testing.T) {
	url, _ := redistest.Start(t)
	alone := newRelay(t, url, "one", func() bool { return false })
	alone.publish(Event{Type: TypeTask})
	if len(alone.events) != 0 {
		t.Error("an event waits for servers that do not exist")
	}
	alone.tell(order{Recheck: "u"})
	if len(alone.orders) != 1 {
		t.Error("an order is always told: a server may just have started")
	}
}

func TestOverflowAndRestartOfRedisResync(t *testing.T) {
	url, srv := redistest.Start(t)
	one := newSite(t, DefaultTiming, newRelay(t, url, "one", yes))
	two := newSite(t, DefaultTiming, newRelay(t, url, "two", yes))
	p := two.open("user=u")
	p.subscribe("me")
	meet(t, one, p, "u")

	r := one.hub.relay
	r.mu.Lock()
	r.events = make([]Event, maxRelayed)
	r.mu.Unlock()
	one.hub.Notify("u", "one too many")
	if m := p.until(TypeResync); m.Topic != "me" {
		t.Errorf("resync of %s, want me", m.Topic)
	}
	srv.Restart()
	p.until(TypeResync)
	meet(t, one, p, "u")
}

// TestMissedOnOtherServers: what a server that died had to tell is asked for again
// by everybody's browsers, and a server that stops tells all it has to.
func TestMissedOnOtherServers(t *testing.T) {
	one, _, here, there := pair(t)
	one.hub.Missed()
	here.until(TypeResync)
	there.until(TypeResync)

	meet(t, one, there, "u") // nothing is left out any more
	one.hub.Notify("u", "first")
	one.hub.Notify("u", "last") // waits for the next batch
	if err := one.hub.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for string(there.until(TypeNotification).Note) != `"last"` {
	}
}
