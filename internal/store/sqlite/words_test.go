package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/tasks"
)

// TestSearch asks the same with words taken as rare and as common, and with
// pages that the newest tasks fill or do not.
func TestSearch(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	news := make([]tasks.New, 200)
	for i := range news {
		news[i] = benchTask()
		news[i].Group, news[i].Title = "g", fmt.Sprintf("all of some%d, something%d", i%7, i)
		if i < 40 {
			news[i].Title += " early" + fmt.Sprint(i)
		}
	}
	slices.Reverse(news[50:60]) // submitted together: not in the order of their ids
	if _, err := db.Insert(ctx, news...); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(news, func(a, b tasks.New) int { return strings.Compare(b.ID, a.ID) })
	texts := []string{"al", "some3", "some3 all", "some", "some3 some4", "none", "early", "early3", "something1 early", news[5].ID, "x " + news[5].ID}
	for _, limits := range [][2]int{{rareMatches, walked}, {20, 10}, {20, 1000}, {-1, 0}} {
		db.rare, db.walked = limits[0], limits[1]
		for _, text := range texts {
			var want []string
			for _, n := range news {
				if text == n.ID || matches(n.Title, text) {
					want = append(want, n.ID)
				}
			}
			if got := pages(t, db, text); !slices.Equal(got, want) {
				t.Errorf("%q with %v: %d tasks, want %d:\n%v\n%v", text, limits, len(got), len(want), got, want)
			}
		}
	}
}

func matches(title, text string) bool {
	for _, w := range tasks.Words(text) {
		if !slices.ContainsFunc(tasks.TitleWords(title), func(has string) bool { return strings.HasPrefix(has, w) }) {
			return false
		}
	}
	return true
}

// pages reads a search to its end, seven tasks at a time.
func pages(t *testing.T, db *DB, text string) (ids []string) {
	t.Helper()
	const limit = 7
	where := tasks.Where{
		tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColParent, ""),
		{Column: tasks.ColTitle, Op: tasks.OpWords, Value: text},
	}
	for before := ""; ; before = ids[len(ids)-1] {
		q := tasks.Query{Where: where, Sort: []tasks.Sort{{Column: tasks.ColID, Desc: true}}, Limit: limit}
		if before != "" {
			q.Where = append(slices.Clone(where), tasks.Lt(tasks.ColID, before))
		}
		page, err := db.Find(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range page {
			ids = append(ids, found.ID)
		}
		if len(page) < limit {
			return ids
		}
	}
}
