package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	devsync "github.com/firmlight/firmlight/internal/sync"
)

// news takes what is to be told, as "opened failing a".
func news(t *testing.T, s devsync.Store) (told []string) {
	t.Helper()
	found, err := s.News(context.Background(), 100)
	must(t, err)
	for _, n := range found {
		what := "opened"
		if n.Recovered {
			what = "recovered"
		}
		told = append(told, fmt.Sprintf("%s %s %s", what, n.Type, n.Device))
		must(t, s.Told(context.Background(), n))
	}
	return told
}

func wantNews(t *testing.T, s devsync.Store, when string, want ...string) {
	t.Helper()
	if got := news(t, s); !slices.Equal(got, want) {
		t.Errorf("%s: news %q, want %q", when, got, want)
	}
}

func devicesFailAlerts(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	fail := func(minutes ...int) {
		for _, m := range minutes {
			appendAll(t, s, "g", syncEvent("a", m, 1))
		}
	}
	fail(10, 20)
	wantNews(t, s, "two failures")
	fail(30)
	wantNews(t, s, "three failures", "opened failing a")
	fail(40)
	wantNews(t, s, "a fourth")
	open := devsync.AlertQuery{Group: "g", Open: true, Limit: 10}
	alerts, err := s.Alerts(ctx, open)
	if err != nil || len(alerts) != 1 || alerts[0].Streak != 4 || !alerts[0].Since.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("open alerts: %+v, %v", alerts, err)
	}
	appendAll(t, s, "g", syncEvent("a", 5, 0)) // before the streak
	wantNews(t, s, "a late success before the streak")
	appendAll(t, s, "g", syncEvent("a", 25, 0)) // into it: two are left
	wantNews(t, s, "a late success within", "recovered failing a")
	fail(50)
	wantNews(t, s, "three again", "opened failing a")
	appendAll(t, s, "g", syncEvent("a", 60, 0))
	fail(70, 80, 90) // before anybody was told
	wantNews(t, s, "recovered and failed again", "recovered failing a", "opened failing a")
	if alerts, err = s.Alerts(ctx, open); err != nil || len(alerts) != 1 {
		t.Errorf("open alerts: %+v, %v", alerts, err)
	}
	open.Open = false
	if alerts, err = s.Alerts(ctx, open); err != nil || len(alerts) != 3 || alerts[2].RecoveredAt.IsZero() || alerts[0].ID < alerts[1].ID {
		t.Errorf("all alerts: %+v, %v", alerts, err)
	}
	open.Before = alerts[1].ID
	if page, err := s.Alerts(ctx, open); err != nil || len(page) != 1 || page[0] != alerts[2] {
		t.Errorf("the next page: %+v, %v", page, err)
	}
	retired := devsync.Retired
	must(t, s.UpdateDevice(ctx, "g", "a", devsync.Change{State: &retired}, clock))
	if d, err := s.Device(ctx, "g", "a"); err != nil || d.Failing {
		t.Errorf("retired: %+v, %v", d, err)
	}
}

func devicesSilentAlerts(t *testing.T, s devsync.Store) {
	ctx := context.Background()
	rules := devsync.DefaultRules
	rules.Silence, rules.Grace = time.Hour, time.Minute
	must(t, s.SetRules(ctx, "fixed", rules))
	report := func(group string, minutes ...int) {
		for _, m := range minutes {
			e := syncEvent("a", m, 0)
			e.ReceivedAt = e.At
			appendAll(t, s, group, e)
		}
	}
	looked := 0
	look := func(minute int) (opened int) {
		t.Helper()
		n, err := s.OpenSilent(ctx, noon.Add(time.Duration(minute)*time.Minute))
		must(t, err)
		looked = minute
		return n
	}
	check := func(minute, want int) { // as servers do that run all the time
		t.Helper()
		n := 0
		for looked+2 < minute {
			n += look(looked + 2)
		}
		if n += look(minute); n != want {
			t.Errorf("minute %d: %d alerts, want %d", minute, n, want)
		}
	}
	report("fixed", 0)
	check(60, 0)
	check(61, 1)
	check(62, 0) // one alert for one silence
	wantNews(t, s, "silent", "opened silent a")
	report("fixed", 100)
	wantNews(t, s, "back", "recovered silent a")
	if d, err := s.Device(ctx, "fixed", "a"); err != nil || d.Silent {
		t.Errorf("back: %+v, %v", d, err)
	}
	check(160, 0)
	check(161, 1)
	report("learned", 200, 210, 220, 230, 240)
	check(240+40+4, 0)
	check(240+40+5, 1) // four times 10 min, and 5 min of grace

	report("fixed", 286)
	check(290, 0)
	if n := look(1000); n != 0 {
		t.Errorf("%d devices are silent because nobody listened", n)
	}
	check(286+710+60, 0)
	check(286+710+61, 1) // 710 minutes did not count
}
