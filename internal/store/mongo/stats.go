package mongo

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Spans of statistics: an hour or a day of a group and member, a minute of a group,
// a day of a worker, a minute of the installation.
const (
	ofGroup  = "g"
	hourly   = "h"
	daily    = "d"
	workday  = "w"
	minutely = "m"
)

const day = 24 * time.Hour

// minuteShares is over how many documents a minute is spread: every server counts
// in it.
const minuteShares = 8

// statDoc is what was counted in a span. Its id is made of the fields above the
// sums, so two servers that begin it make one.
type statDoc struct {
	ID        string           `bson:"_id"`
	Span      string           `bson:"span"`
	Of        string           `bson:"of"` // group, or worker
	At        time.Time        `bson:"at"` // its start
	Group     string           `bson:"group_id"`
	Member    string           `bson:"member"`
	Succeeded int64            `bson:"succeeded"`
	Failed    int64            `bson:"failed"`
	Cancelled int64            `bson:"cancelled"`
	Failovers int64            `bson:"failovers"`
	Run       int64            `bson:"run"`   // milliseconds
	Waits     map[string]int64 `bson:"waits"` // by bucket
	Runs      map[string]int64 `bson:"runs"`
}

func (db *DB) stats() *mongo.Collection { return db.in("stats") }

// count adds what a transition that set the status counts, right after it: a
// server that dies in between leaves it uncounted (tasks.Count).
func (db *DB) count(ctx context.Context, t *tasks.Transition, after *tasks.Task) {
	var adds []mongo.WriteModel
	if c, ok := tasks.CountOf(*after); ok {
		today := c.At.UTC().Truncate(day)
		adds = append(adds,
			add(statDoc{Span: hourly, Of: c.Group, At: c.At.Truncate(time.Hour), Member: c.Member}, endOf(c, true)),
			add(statDoc{Span: daily, Of: c.Group, At: today, Member: c.Member}, endOf(c, true)),
			add(statDoc{Span: ofGroup, Of: c.Group, At: c.At.Truncate(time.Minute)}, endOf(c, false)),
			add(someMinute(c.At), endOf(c, false)))
		if c.Worker != "" {
			adds = append(adds, add(statDoc{Span: workday, Of: c.Worker, At: today, Group: c.Group, Member: c.By}, endOf(c, false)))
		}
	}
	if !t.Failover.IsZero() {
		adds = append(adds, add(someMinute(t.Failover), D{is("failovers", int64(1))}))
	}
	for len(adds) > 0 {
		_, err := db.stats().BulkWrite(context.WithoutCancel(ctx), adds, options.BulkWrite().SetOrdered(false))
		if err == nil {
			return
		}
		var left []mongo.WriteModel
		if left, err = begunTwice(adds, err); err != nil {
			db.log.WarnContext(ctx, "what ended was not counted", "task_id", after.ID, "error", fail(err))
		}
		adds = left
	}
}

func someMinute(t time.Time) statDoc {
	return statDoc{Span: minutely, Of: strconv.Itoa(rand.IntN(minuteShares)), At: t.Truncate(time.Minute)}
}

// add is an increment of a document, which it makes if need be.
func add(of statDoc, sums D) mongo.WriteModel {
	id := fmt.Sprintf("%s/%s/%d/%s/%s", of.Span, of.Of, ms(of.At), of.Group, of.Member)
	return mongo.NewUpdateOneModel().SetFilter(D{is("_id", id)}).SetUpsert(true).SetUpdate(D{
		is("$inc", sums),
		is("$setOnInsert", D{
			is("span", of.Span), is("of", of.Of), is("at", of.At), is("group_id", of.Group), is("member", of.Member),
		}),
	})
}

// endOf is what one end adds.
func endOf(c tasks.Count, times bool) D {
	sums := D{}
	switch c.Status {
	case tasks.Succeeded:
		sums = append(sums, is("succeeded", int64(1)))
	case tasks.Failed:
		sums = append(sums, is("failed", int64(1)))
	case tasks.Cancelled:
		sums = append(sums, is("cancelled", int64(1)))
	}
	if c.Ran {
		sums = append(sums, is("run", c.Run.Milliseconds()))
		if times {
			sums = append(sums, is("waits."+strconv.Itoa(tasks.Bucket(c.Wait)), int64(1)), is("runs."+strconv.Itoa(tasks.Bucket(c.Run)), int64(1)))
		}
	}
	return sums
}

func (db *DB) spans(ctx context.Context, span, of string, from, to time.Time) ([]statDoc, error) {
	return find[statDoc](ctx, db.stats(), D{is("span", span), is("of", of), is("at", D{is("$gte", from), is("$lt", to)})})
}

// prunedDoc says before which time only days are left.
type prunedDoc struct {
	Before time.Time `bson:"before"`
}

var never = time.UnixMilli(1 << 52)

// Stats implements tasks.StatsStore. Where the hours of the window's beginning
// were pruned it is to the day.
func (db *DB) Stats(ctx context.Context, group string, since time.Time) ([]tasks.MemberStats, tasks.Histograms, error) {
	h := tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
	pruned, err := findOne[prunedDoc](ctx, db.in("meta"), nil, D{is("_id", "stats")})
	if err != nil {
		return nil, h, err
	}
	days, err := db.spans(ctx, daily, group, since.UTC().Truncate(day), pruned.Before)
	if err != nil {
		return nil, h, err
	}
	from := since.Truncate(time.Hour)
	if from.Before(pruned.Before) {
		from = pruned.Before
	}
	hours, err := db.spans(ctx, hourly, group, from, never)
	members := make(map[string]tasks.MemberStats)
	for _, s := range append(days, hours...) {
		m := members[s.Member]
		m.Member = s.Member
		m.Succeeded += s.Succeeded
		m.Failed += s.Failed
		m.Cancelled += s.Cancelled
		m.Run += time.Duration(s.Run) * time.Millisecond
		members[s.Member] = m
		addBuckets(h.Wait, s.Waits)
		addBuckets(h.Run, s.Runs)
	}
	all := make([]tasks.MemberStats, 0, len(members))
	for _, m := range members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b tasks.MemberStats) int { return cmp.Compare(a.Member, b.Member) })
	if len(all) == 0 {
		all = nil
	}
	return all, h, err
}

// Minutes implements tasks.StatsStore.
func (db *DB) Minutes(ctx context.Context, group string, since time.Time) ([]tasks.Period, error) {
	docs, err := db.spans(ctx, ofGroup, group, since.Truncate(time.Minute), never)
	return periodsOf(docs, false), err
}

// Hours implements tasks.StatsStore.
func (db *DB) Hours(ctx context.Context, group string, since time.Time) ([]tasks.Period, error) {
	docs, err := db.spans(ctx, hourly, group, since.Truncate(time.Hour), never)
	return periodsOf(docs, true), err
}

// periodsOf adds up what members did in the same span, oldest first.
func periodsOf(docs []statDoc, times bool) (found []tasks.Period) {
	slices.SortFunc(docs, func(a, b statDoc) int { return a.At.Compare(b.At) })
	for _, s := range docs {
		if len(found) == 0 || !found[len(found)-1].At.Equal(s.At) {
			found = append(found, tasks.Period{At: s.At})
			if times {
				found[len(found)-1].Histograms = tasks.Histograms{Wait: tasks.Histogram{}, Run: tasks.Histogram{}}
			}
		}
		p := &found[len(found)-1]
		p.Succeeded += s.Succeeded
		p.Failed += s.Failed
		p.Cancelled += s.Cancelled
		if times {
			addBuckets(p.Wait, s.Waits)
			addBuckets(p.Run, s.Runs)
		}
	}
	return found
}

func addBuckets(to map[int]int64, counts map[string]int64) {
	for b, n := range counts {
		if i, err := strconv.Atoi(b); err == nil {
			to[i] += n
		}
	}
}

// Depth implements tasks.StatsStore. Parents are not counted, their parts are.
func (db *DB) Depth(ctx context.Context, of string) (map[tasks.Status]int, error) {
	found, err := group[statusKey](ctx, db.tasks(), append(slices.Clone(unfinished), is("group_id", of)), "status")
	return byStatus(found), err
}

// WorkerDays implements tasks.StatsStore. It names only groups that the worker's
// owner is in.
func (db *DB) WorkerDays(ctx context.Context, worker string, since time.Time, limit int) ([]tasks.WorkerDay, error) {
	days, err := db.spans(ctx, workday, worker, since, never)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(days, func(a, b statDoc) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Member, b.Member))
	})
	days = days[:min(len(days), limit)]
	var members, in []string
	for _, d := range days {
		members, in = append(members, d.Member), append(in, d.Group)
	}
	users, err := db.usernames(ctx, members)
	if err != nil {
		return nil, err
	}
	w, err := findOne[workerDoc](ctx, db.in("workers"), nil, D{is("id", worker)})
	if err != nil {
		return nil, err
	}
	names, err := db.groupNames(ctx, D{is("users", w.Owner), op("_id", "$in", list(in))})
	var found []tasks.WorkerDay
	for _, d := range days {
		found = append(found, tasks.WorkerDay{
			Day: d.At, Group: d.Group, GroupName: names[d.Group], Member: d.Member, MemberName: users[d.Member],
			Succeeded: d.Succeeded, Failed: d.Failed, Cancelled: d.Cancelled, Run: time.Duration(d.Run) * time.Millisecond,
		})
	}
	return found, err
}

func (db *DB) groupNames(ctx context.Context, filter D) (map[string]string, error) {
	docs, err := find[groupDoc](ctx, db.groups(), filter, options.Find().SetProjection(D{is("name", 1)}))
	names := make(map[string]string, len(docs))
	for _, g := range docs {
		names[g.ID] = g.Name
	}
	return names, err
}

// PruneStats removes the hours before the day (UTC) of a time; their days stay.
// Minutes go after a day. It also looks for what interrupted writes have left.
func (db *DB) PruneStats(ctx context.Context, before time.Time) error {
	start := before.UTC().Truncate(day)
	// Readers take the days from here on, then the hours may go.
	if err := upsert(ctx, db.in("meta"), "stats", D{is("$max", D{is("before", start)})}); err != nil {
		return err
	}
	if _, err := remove(ctx, db.stats(), D{is("span", hourly), op("at", "$lt", start)}); err != nil {
		return err
	}
	if _, err := remove(ctx, db.stats(), D{op("span", "$in", []string{minutely, ofGroup}), op("at", "$lt", time.Now().Add(-day-time.Hour))}); err != nil {
		return err
	}
	return db.sweepOrphans(ctx)
}
