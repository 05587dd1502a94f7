package tasks

import (
	"reflect"
	"testing"
	"time"
)

func TestPeriodsAddUpToSteps(t *testing.T) {
	midnight := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	hour := func(n int, succeeded, failed int64, wait, run Histogram) Period {
		return Period{
			At: midnight.Add(time.Duration(n) * time.Hour), Succeeded: succeeded, Failed: failed, Cancelled: 1,
			Histograms: Histograms{Wait: wait, Run: run},
		}
	}
	got := inSteps([]Period{
		hour(-1, 5, 0, Histogram{}, Histogram{}),
		hour(1, 1, 0, Histogram{1: 1}, Histogram{2: 1}),
		hour(5, 2, 3, Histogram{1: 1, 3: 4}, Histogram{2: 5}),
		hour(6, 7, 0, Histogram{9: 1}, Histogram{9: 1}),
	}, 6*time.Hour)
	sum := hour(0, 3, 3, Histogram{1: 2, 3: 4}, Histogram{2: 6})
	sum.Cancelled = 2
	want := []Period{hour(-6, 5, 0, Histogram{}, Histogram{}), sum, hour(6, 7, 0, Histogram{9: 1}, Histogram{9: 1})}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := inSteps(nil, time.Hour); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}
