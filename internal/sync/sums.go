package devsync

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Histogram counts speeds by SpeedBucket.
type Histogram map[int]int64

// bucketGrowth is how much faster each bucket is than the one before: quantiles
// are at most 12.5 % off, so that no more than quantileDigits of them mean
// anything.
const (
	bucketGrowth   = 1.25
	quantileDigits = 3
)

// slowest is the bucket of speeds near zero.
const slowest = -100

// SpeedBucket returns the bucket of a speed: one for each growth by a quarter,
// bucket 0 ending at 1.
func SpeedBucket(speed float64) int {
	if speed <= 0 {
		return slowest
	}
	return max(slowest, int(math.Ceil(math.Log(speed)/math.Log(bucketGrowth))))
}

// Quantile returns the speed below which the share q (0 to 1) of h lies; 0 for an
// empty one.
func (h Histogram) Quantile(q float64) float64 {
	var total, seen int64
	buckets := make([]int, 0, len(h))
	for b, n := range h {
		buckets = append(buckets, b)
		total += n
	}
	slices.Sort(buckets)
	rank := int64(math.Ceil(q * float64(total)))
	for _, b := range buckets {
		if seen += h[b]; seen >= rank {
			if b == slowest {
				return 0
			}
			return rounded(math.Pow(bucketGrowth, float64(b)-0.5))
		}
	}
	return 0
}

// rounded returns v with quantileDigits significant digits.
func rounded(v float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', quantileDigits, 64), 64) // what was just written
	return r
}

// Add counts one event.
func (s *Sum) Add(e Event) {
	s.Totals.Add(e)
	if s.Speeds == nil {
		s.Speeds = make(Histogram)
	}
	s.Speeds[SpeedBucket(e.Speed)]++
}

// merge adds another sum.
func (s *Sum) merge(o Sum) {
	s.Events += o.Events
	s.Failed += o.Failed
	s.Partial += o.Partial
	s.Files += o.Files
	s.Errors += o.Errors
	if s.Speeds == nil {
		s.Speeds = make(Histogram)
	}
	for b, n := range o.Speeds {
		s.Speeds[b] += n
	}
}

// ByDay adds up sums of hours, oldest first, to days (UTC).
func ByDay(hours []Sum) []Sum {
	var days []Sum
	for _, h := range hours {
		at := h.At.UTC().Truncate(24 * time.Hour)
		if len(days) == 0 || !days[len(days)-1].At.Equal(at) {
			days = append(days, Sum{At: at})
		}
		days[len(days)-1].merge(h)
	}
	return days
}
