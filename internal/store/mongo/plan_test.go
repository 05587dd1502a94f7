package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
)

// small are collections of a few documents, or of one for each group and server.
var small = []string{"locks", "leases", "servers", "pauses", "meta", "sync_rules", "notification_settings"}

// recorder keeps one command of each shape that a test sends.
type recorder struct {
	mu     sync.Mutex // guards shapes
	shapes map[string]bson.Raw
}

func (r *recorder) monitor() *event.CommandMonitor {
	r.shapes = make(map[string]bson.Raw)
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		for _, s := range statements(e.CommandName, e.Command) {
			r.mu.Lock()
			if key := s.String(); r.shapes[key] == nil {
				r.shapes[key] = slices.Clone(e.Command)
			}
			r.mu.Unlock()
		}
	}}
}

// shape is what a statement asks for: fields that are equal to something, those
// in a range, and the order.
type shape struct {
	command, collection string
	equal, span, sort   []string
	or                  []shape // all of them, besides the rest
}

func (s shape) String() string {
	text := fmt.Sprint(s.command, " ", s.collection, " ", s.equal, s.span, s.sort)
	for _, o := range s.or {
		text += fmt.Sprint(" or ", o.equal, o.span)
	}
	return text
}

// statements returns the shapes of a command that looks for documents.
func statements(name string, command bson.Raw) []shape {
	collection, _ := command.Lookup(name).StringValueOK()
	one := func(filter, sort bson.RawValue) shape {
		s := shape{command: name, collection: collection}
		if d, ok := filter.DocumentOK(); ok {
			s.add(d)
		}
		if d, ok := sort.DocumentOK(); ok {
			s.sort = slices.DeleteFunc(keys(d), func(k string) bool { return slices.Contains(s.equal, k) })
		}
		slices.Sort(s.span)
		s.span = slices.Compact(s.span)
		return s
	}
	many := func(field string) (all []shape) {
		for _, v := range values(command.Lookup(field)) {
			all = append(all, one(v.Document().Lookup("q"), bson.RawValue{}))
		}
		return all
	}
	switch name {
	case "find":
		return []shape{one(command.Lookup("filter"), command.Lookup("sort"))}
	case "findAndModify":
		return []shape{one(command.Lookup("query"), bson.RawValue{})}
	case "aggregate":
		stages := values(command.Lookup("pipeline"))
		if len(stages) == 0 {
			return nil
		}
		return []shape{one(stages[0].Document().Lookup("$match"), bson.RawValue{})}
	case "update":
		return many("updates")
	case "delete":
		return many("deletes")
	}
	return nil
}

func values(list bson.RawValue) []bson.RawValue {
	a, ok := list.ArrayOK()
	if !ok {
		return nil
	}
	vs, err := a.Values()
	if err != nil {
		panic(err)
	}
	return vs
}

func keys(d bson.Raw) (all []string) {
	es, err := d.Elements()
	if err != nil {
		panic(err)
	}
	for _, e := range es {
		all = append(all, e.Key())
	}
	return all
}

// add reads a filter.
func (s *shape) add(filter bson.Raw) {
	for _, field := range keys(filter) {
		v := filter.Lookup(field)
		switch field {
		case "$and":
			for _, part := range values(v) {
				s.add(part.Document())
			}
			continue
		case "$or":
			for _, part := range values(v) {
				var o shape
				o.add(part.Document())
				s.or = append(s.or, o)
			}
			continue
		}
		operators := []string{"$eq"}
		if d, ok := v.DocumentOK(); ok && len(keys(d)) > 0 && strings.HasPrefix(keys(d)[0], "$") {
			operators = keys(d)
		}
		for _, o := range operators {
			switch o {
			case "$eq", "$in":
				s.equal = append(s.equal, field)
			case "$gt", "$gte", "$lt", "$lte", "$regex":
				s.span = append(s.span, field)
			} // $ne, $nin, $exists: no index is used for them
		}
	}
}

// selective are fields of which one value has few documents.
var selective = []string{"parent"}

// served reports whether an index is good for a shape: it begins with fields that
// are equal to something, of which there is one that says much or two, or with a
// range, or the order.
func served(s shape) bool {
	if slices.Contains(small, s.collection) || slices.Contains(s.equal, "_id") {
		return true
	}
	if servedBy(s) {
		return true
	}
	if len(s.or) == 0 {
		return false
	}
	return !slices.ContainsFunc(s.or, func(o shape) bool {
		o.collection, o.equal, o.span = s.collection, append(o.equal, s.equal...), append(o.span, s.span...)
		return !slices.Contains(o.equal, "_id") && !servedBy(o)
	})
}

func servedBy(s shape) bool {
	for _, keys := range append(keysOf(s.collection), []string{"_id"}) {
		matched := 0
		for _, k := range keys {
			if slices.Contains(s.equal, k) {
				if slices.Contains(selective, k) {
					return true
				}
				matched++
				continue
			}
			if slices.Contains(s.span, k) || len(s.sort) > 0 && s.sort[0] == k {
				matched++
			}
			break
		}
		if matched >= min(2, len(s.equal)+len(s.span)+min(1, len(s.sort))) && matched > 0 || matched == len(keys) && matched > 0 {
			return true
		}
	}
	return false
}

func keysOf(collection string) (all [][]string) {
	for _, i := range indexes {
		if i.collection == collection {
			all = append(all, strings.Fields(strings.ReplaceAll(i.keys, "-", "")))
		}
	}
	return all
}

// check fails the test for each statement without an index: by rule, and on a
// real server by its plan.
func (r *recorder) check(tb testing.TB, db *DB) {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, command := range r.shapes {
		all := statements(keys(command)[0], command)
		for _, s := range all {
			if !served(s) {
				tb.Errorf("no index serves: %s", s)
			}
			if !standIn && !slices.Contains(small, s.collection) && len(all) == 1 { // of many at once there is no plan
				wantIndex(tb, db, command, s)
			}
		}
	}
}

// wantIndex asks the server for the plan of a command.
func wantIndex(tb testing.TB, db *DB, command bson.Raw, s shape) {
	tb.Helper()
	var bare D
	for _, field := range keys(command) {
		if field != "lsid" && field != "txnNumber" && field != "writeConcern" && !strings.HasPrefix(field, "$") {
			bare = append(bare, is(field, command.Lookup(field)))
		}
	}
	var plan bson.Raw
	err := db.db.RunCommand(context.Background(), D{is("explain", bare), is("verbosity", "queryPlanner")}).Decode(&plan)
	if err != nil {
		tb.Errorf("explain %s: %v", s, err)
	} else if strings.Contains(plan.String(), "COLLSCAN") {
		tb.Errorf("%s reads the whole collection: %s", s, plan)
	}
}

// TestRuleOfIndexes: the rule by which queries are held against the list says no
// where it has to.
func TestRuleOfIndexes(t *testing.T) {
	for _, c := range []struct {
		s    shape
		want bool
	}{
		{shape{collection: "tasks", equal: []string{"_id", "status"}}, true},
		{shape{collection: "tasks", equal: []string{"slot"}}, true},
		{shape{collection: "tasks", equal: []string{"group_id", "parent"}, sort: []string{"_id"}}, true},
		{shape{collection: "tasks", equal: []string{"title"}}, false},
		{shape{collection: "tasks", equal: []string{"group_id"}, span: []string{"started_at"}}, false},
		{shape{collection: "tasks", span: []string{"started_at"}}, false},
		{shape{collection: "tasks"}, false},
		{shape{collection: "tasks", or: []shape{{equal: []string{"_id"}}, {equal: []string{"slot"}}}}, true},
		{shape{collection: "tasks", or: []shape{{equal: []string{"_id"}}, {equal: []string{"title"}}}}, false},
		{shape{collection: "tasks", span: []string{"_id"}, sort: []string{"_id"}}, true},
		{shape{collection: "leases", span: []string{"until"}}, true},
	} {
		if got := served(c.s); got != c.want {
			t.Errorf("%s: %v, want %v", c.s, got, c.want)
		}
	}
}
