package sqlite

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/firmlight/firmlight/internal/tasks"
)

// TestSearchBothWays asks the same with words taken as rare and as common.
func TestSearchBothWays(t *testing.T) {
	db, ctx := openTest(t), context.Background()
	news := make([]tasks.New, 60)
	for i := range news {
		news[i] = benchTask()
		news[i].Group, news[i].Title = "g", fmt.Sprintf("all of some%d", i%7)
	}
	if _, err := db.Insert(ctx, news...); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]int{
		"al": 60, "some3": 9, "some3 all": 9, "some": 60, "some3 some4": 0, "none": 0, news[5].ID: 1,
	} {
		query := tasks.Query{
			Where: tasks.Where{
				tasks.Eq(tasks.ColGroup, "g"), tasks.Eq(tasks.ColParent, ""),
				{Column: tasks.ColTitle, Op: tasks.OpWords, Value: q},
			},
			Sort: []tasks.Sort{{Column: tasks.ColID, Desc: true}},
		}
		var answers [2][]tasks.Task
		for i, rare := range []int{rareMatches, -1} {
			db.rare = rare
			c, err := db.find(ctx, query)
			if err != nil {
				t.Fatal(err)
			}
			if looked := strings.Contains(c.String(), "task_words"); looked != (i == 0) {
				t.Errorf("%q with %d rare: looked words up: %v", q, rare, looked)
			}
			if answers[i], err = db.Find(ctx, query); err != nil {
				t.Fatal(err)
			}
		}
		if len(answers[0]) != want || !reflect.DeepEqual(answers[0], answers[1]) {
			t.Errorf("%q: %d and %d tasks, want %d", q, len(answers[0]), len(answers[1]), want)
		}
	}
}
