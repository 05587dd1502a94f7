package queue

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/tasks"
)

// TestRemove leaves nothing of a deleted group in Redis, and everything of others.
func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, r *Redis, q *Queue) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		keys := func(group string) []string {
			t.Helper()
			all := keysLike(t, r.Client(), "*{"+group+":*")
			slices.Sort(all)
			return all
		}
		broadcast, other := pair, tasks.Pair{Group: pair.Group + "0", Kind: pair.Kind}
		broadcast.Target = "w1"
		fill := func(p tasks.Pair, n int) {
			ts := tickets(n)
			for i := range ts {
				ts[i].Pair = p
				if i%2 == 1 {
					ts[i].RunAt = time.Now().Add(time.Hour)
				}
			}
			must(q.Push(ctx, ts...))
		}
		fill(pair, 2*portion+10)
		fill(broadcast, 2)
		fill(other, 4)
		lane := Lane(tasks.Normal)
		var want [Lanes]int
		want[lane] = 3
		taken, err := q.Take(ctx, pair, want)
		must(err)
		if len(taken[lane].Entries) != 3 {
			t.Fatalf("taken: %+v", taken)
		}
		must(q.Pause(ctx, pair, tasks.Normal))
		must(r.Client().Set(ctx, ownKey(Name(pair, tasks.Normal), "overflow"), 1, 0).Err())
		must(r.Client().Incr(ctx, key(Name(pair, tasks.Normal), "processed:"+time.Now().UTC().Format(time.DateOnly))).Err())
		must(r.Client().Incr(ctx, key(Name(pair, tasks.Normal), "processed")).Err())
		kept := keys(other.Group)
		if len(keys(pair.Group)) < 2*portion || len(kept) < 4 {
			t.Fatalf("before: %d and %v", len(keys(pair.Group)), kept)
		}

		must(q.Remove(ctx, "unknown", pair.Group))
		if left := keys(pair.Group); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		names, err := r.Client().SMembers(ctx, allQueues).Result()
		must(err)
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, pair.Group+":") }) {
			t.Errorf("still listed: %v", names)
		}
		if got := keys(other.Group); !slices.Equal(got, kept) {
			t.Errorf("of the other group: %v, want %v", got, kept)
		}
		must(q.Remove(ctx, pair.Group)) // again is no error
	})
}

func TestRemoveWithoutRedis(t *testing.T) {
	r, err := Open(t.Context(), "redis://127.0.0.1:1/0?max_retries=-1", discard)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := New(r, discard).Remove(t.Context(), "g"); err == nil {
		t.Error("removed from a Redis that is away")
	}
}
