package queue

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/redistest"
	"github.com/firmlight/firmlight/internal/tasks"
)

// listen subscribes and returns once it is connected.
func listen(t *testing.T, q *Queue) <-chan Wake {
	heard, missed := make(chan Wake, 100), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Listen(ctx, func(w Wake) { heard <- w }, func() { missed <- struct{}{} })
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-missed
	return heard
}

func TestOneRingForEachPair(t *testing.T) {
	each(t, func(t *testing.T, _ *Redis, q *Queue) {
		heard := listen(t, q)
		other := ticket("o", tasks.Low)
		other.Pair = tasks.Pair{Group: "g2", Kind: "mean", Target: "w1"}
		ts := append(tickets(300), ticket("h", tasks.High), other)
		push(t, q, ts...)
		got := map[tasks.Pair][Lanes]bool{}
		for range 2 {
			w := <-heard
			got[w.Pair] = w.Lanes
		}
		want := map[tasks.Pair][Lanes]bool{pair: {true, true, false}, other.Pair: {false, false, true}}
		if !maps.Equal(got, want) {
			t.Errorf("heard %v", got)
		}
		push(t, q, ticket("last", tasks.Low))
		if w := <-heard; w.Pair != pair || w.Lanes != [Lanes]bool{false, false, true} {
			t.Errorf("something more was rung: %v", w)
		}
	})
}

func TestParseWake(t *testing.T) {
	for _, w := range []Wake{
		{Pair: pair, Lanes: [Lanes]bool{true, false, true}},
		{Pair: tasks.Pair{Group: "g", Kind: "a.b-c", Target: "w"}, Lanes: [Lanes]bool{false, true, false}, At: time.UnixMilli(1234567).UTC()},
	} {
		if got, err := parseWake(w.String()); err != nil || got != w {
			t.Errorf("%q: %v %v", w, got, err)
		}
	}
	for _, bad := range []string{"", "g k - h", "g k - h x", "g k - h 1 2"} {
		if _, err := parseWake(bad); err == nil {
			t.Errorf("%q parsed", bad)
		}
	}
}

func TestListenConnectsAgain(t *testing.T) {
	url, srv := redistest.Start(t)
	r, err := Open(t.Context(), url, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q := New(r, discard)
	heard, missed := make(chan Wake, 100), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Listen(ctx, func(w Wake) { heard <- w }, func() { missed <- struct{}{} })
	}()
	<-missed
	srv.Restart()
	<-missed
	eventually(t, "a ring", func() bool { return q.Ring(t.Context(), pair, tasks.High) == nil })
	if w := <-heard; w.Pair != pair {
		t.Errorf("heard %v", w)
	}
	cancel()
	<-done
}
