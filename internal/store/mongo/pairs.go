package mongo

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/firmlight/firmlight/internal/tasks"
)

// pairReads is how many groups are looked at at a time.
const pairReads = 8

// Pairs implements tasks.Store; the earliest due come first. In each group it
// jumps from pair to pair, whose first entry in the index has its earliest run_at.
func (db *DB) Pairs(ctx context.Context, groups, kinds []string, limit int) ([]tasks.DuePair, error) {
	var mu sync.Mutex // guards all
	var all []tasks.DuePair
	wait, ctx := errgroup.WithContext(ctx)
	wait.SetLimit(pairReads)
	groups = slices.Clone(groups)
	slices.Sort(groups)
	for _, g := range slices.Compact(groups) {
		wait.Go(func() error {
			found, err := db.pairsOf(ctx, g, kinds)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
			return err
		})
	}
	if err := wait.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b tasks.DuePair) int {
		return cmp.Or(a.RunAt.Compare(b.RunAt), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Target, b.Target))
	})
	return all[:min(len(all), limit)], nil
}

type pairDoc struct {
	Kind   string    `bson:"kind"`
	Target string    `bson:"target"`
	RunAt  time.Time `bson:"run_at"`
}

var pairFields = D{is("kind", 1), is("target", 1), is("run_at", 1), is("_id", 0)}

// pairsOf walks a group's pairs: to the next target of the kind, else to the
// next kind.
func (db *DB) pairsOf(ctx context.Context, group string, kinds []string) ([]tasks.DuePair, error) {
	var all []tasks.DuePair
	next := func(after ...E) ([]pairDoc, error) {
		return find[pairDoc](ctx, db.tasks(), waiting(append([]E{is("group_id", group)}, after...)...),
			options.Find().SetSort(D{is("kind", 1), is("target", 1), is("run_at", 1)}).SetLimit(1).SetProjection(pairFields))
	}
	found, err := next(op("kind", "$gte", ""))
	for err == nil && len(found) > 0 {
		p := found[0]
		if slices.Contains(kinds, p.Kind) {
			all = append(all, tasks.DuePair{Pair: tasks.Pair{Group: group, Kind: p.Kind, Target: p.Target}, RunAt: p.RunAt})
		}
		found, err = next(is("kind", p.Kind), op("target", "$gt", p.Target))
		if err == nil && len(found) == 0 {
			found, err = next(op("kind", "$gt", p.Kind))
		}
	}
	return all, err
}
