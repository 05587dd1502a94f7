package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/audit"
	"github.com/firmlight/firmlight/internal/auth"
)

// Audit is the conformance suite of audit.Store; open returns an empty one.
func Audit(t *testing.T, open func(t *testing.T) audit.Store) {
	for name, test := range map[string]func(*testing.T, audit.Store){
		"entries come back whole": auditWhole,
		"filters":                 auditFilters,
		"pages while writing":     auditPages,
		"the oldest go":           auditDelete,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// entryAt returns an entry of a time; n tells those of one millisecond apart.
func entryAt(at time.Time, n int, mods ...func(*audit.Entry)) audit.Entry {
	e := audit.Entry{
		ID: fmt.Sprintf("%s%04x", strings.TrimSuffix(audit.Since(at), "0000"), n), Action: "create-group", Outcome: audit.OK,
	}
	for _, mod := range mods {
		mod(&e)
	}
	return e
}

func auditWhole(t *testing.T, s audit.Store) {
	ctx := context.Background()
	full := entryAt(clock, 1, func(e *audit.Entry) {
		e.Actor, e.ActorName, e.TokenKind = id(), "ada", auth.KindAPI
		e.TargetType, e.Target, e.Group = "user", id(), id()
		e.Address, e.Outcome, e.Status, e.RequestID, e.LeftOut = "::1", "role_too_low", 403, "request", 7
	})
	plain := entryAt(clock, 2)
	must(t, s.InsertEntry(ctx, full))
	must(t, s.InsertEntry(ctx, plain))
	got, err := s.Entries(ctx, audit.Filter{}, "", 10)
	must(t, err)
	if !slices.Equal(got, []audit.Entry{plain, full}) {
		t.Errorf("entries %+v", got)
	}
	if at := got[0].At(); !at.Equal(clock) {
		t.Errorf("at %s, want %s", at, clock)
	}
	if err := s.InsertEntry(ctx, plain); err == nil {
		t.Error("an entry was written over")
	}
}

func auditFilters(t *testing.T, s audit.Store) {
	ctx := context.Background()
	ada, g := id(), id()
	var all []audit.Entry // oldest first
	for i, mod := range []func(*audit.Entry){
		func(e *audit.Entry) { e.Actor, e.ActorName = ada, "ada" },
		func(e *audit.Entry) { e.Actor, e.ActorName, e.Action = ada, "ada", "login" },
		func(e *audit.Entry) { e.Actor, e.ActorName, e.Group = id(), "bob", g },
		func(e *audit.Entry) { e.Target, e.Outcome = ada, "role_too_low" },
		func(e *audit.Entry) { e.Group, e.Target, e.Outcome = g, g, "not_admin" },
	} {
		all = append(all, entryAt(clock.Add(time.Duration(i)*time.Second), i, mod))
		must(t, s.InsertEntry(ctx, all[i]))
	}
	for _, c := range []struct {
		filter audit.Filter
		want   []int // of all, newest first
	}{
		{audit.Filter{}, []int{4, 3, 2, 1, 0}},
		{audit.Filter{Actor: ada}, []int{1, 0}},
		{audit.Filter{Actor: "bob"}, []int{2}},
		{audit.Filter{Actor: "nobody"}, nil},
		{audit.Filter{Action: "login"}, []int{1}},
		{audit.Filter{Target: ada}, []int{3}},
		{audit.Filter{Group: g}, []int{4, 2}},
		{audit.Filter{Outcome: audit.OK}, []int{2, 1, 0}},
		{audit.Filter{Outcome: audit.Refused}, []int{4, 3}},
		{audit.Filter{Outcome: "not_admin"}, []int{4}},
		{audit.Filter{Group: g, Outcome: audit.OK}, []int{2}},
		{audit.Filter{Actor: "ada", Action: "login", Target: g}, nil},
		{audit.Filter{From: all[1].At(), To: all[3].At()}, []int{2, 1}},
		{audit.Filter{From: all[4].At().Add(time.Millisecond)}, nil},
	} {
		got, err := s.Entries(ctx, c.filter, "", 10)
		must(t, err)
		var want []audit.Entry
		for _, i := range c.want {
			want = append(want, all[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: %+v", c.filter, got)
		}
	}
}

func auditPages(t *testing.T, s audit.Store) {
	ctx := context.Background()
	var want []audit.Entry // newest first
	for i := range 5 {
		want = slices.Insert(want, 0, entryAt(clock, i))
		must(t, s.InsertEntry(ctx, want[0]))
	}
	var got []audit.Entry
	for before := ""; ; before = got[len(got)-1].ID {
		page, err := s.Entries(ctx, audit.Filter{Action: "create-group"}, before, 2)
		must(t, err)
		got = append(got, page...)
		if len(page) < 2 {
			break
		}
		must(t, s.InsertEntry(ctx, entryAt(clock.Add(time.Second), len(got)))) // a new one shifts nothing
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages %+v, want %+v", got, want)
	}
}

func auditDelete(t *testing.T, s audit.Store) {
	ctx := context.Background()
	for i := range 5 {
		must(t, s.InsertEntry(ctx, entryAt(clock.Add(time.Duration(i)*time.Second), i)))
	}
	before := clock.Add(3 * time.Second) // the fourth is not older
	for _, want := range []int{2, 1, 0} {
		n, err := s.DeleteEntries(ctx, before, 2)
		must(t, err)
		if n != want {
			t.Errorf("%d went, want %d", n, want)
		}
	}
	left, err := s.Entries(ctx, audit.Filter{}, "", 10)
	must(t, err)
	if len(left) != 2 || !left[1].At().Equal(before) {
		t.Errorf("left %+v", left)
	}
}
