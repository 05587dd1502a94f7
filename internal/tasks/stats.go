package tasks

import (
	"math"
	"time"
)

// Count is what one ended task adds to the statistics. A store adds it in the
// same write as the transition that ended the task, or right after.
type Count struct {
	Group  string
	Member string    // who ran its last attempt; empty where it ended waiting
	Worker string    // id: which worker did
	By     string    // who submitted it
	At     time.Time // of its end
	Status Status
	Run    time.Duration // of the last attempt
	Wait   time.Duration // from due to the last claim
	Ran    bool          // whether Run and Wait mean anything
}

// CountOf returns what an ended task counts, and whether it counts: parents do
// not, their parts do.
func CountOf(t Task) (Count, bool) {
	if !t.Status.Ended() || t.IsParent() {
		return Count{}, false
	}
	c := Count{Group: t.Group, By: t.CreatedBy, At: t.FinishedAt, Status: t.Status}
	if t.startedSinceDue() { // else what it carries is of an attempt that was left behind
		c.Member, c.Worker, c.Ran = t.RunBy, t.Worker, true
		c.Run = t.FinishedAt.Sub(t.StartedAt)
		c.Wait = t.StartedAt.Sub(t.RunAt)
	}
	return c, true
}

// Period is what ended in a stretch of time.
type Period struct {
	At         time.Time // its start, UTC
	Succeeded  int64
	Failed     int64
	Cancelled  int64
	Histograms // nil of a minute: times are kept by the hour
}

// inSteps adds up periods, oldest first, to longer ones of one length.
func inSteps(ps []Period, step time.Duration) []Period {
	var sums []Period
	for _, p := range ps {
		at := p.At.UTC().Truncate(step)
		if len(sums) == 0 || !sums[len(sums)-1].At.Equal(at) {
			p.At = at
			sums = append(sums, p)
			continue
		}
		sum := &sums[len(sums)-1]
		sum.Succeeded += p.Succeeded
		sum.Failed += p.Failed
		sum.Cancelled += p.Cancelled
		sum.Wait.add(p.Wait)
		sum.Run.add(p.Run)
	}
	return sums
}

// MemberStats is what a member's workers did in a window.
type MemberStats struct {
	Member    string
	Succeeded int64
	Failed    int64
	Cancelled int64
	Run       time.Duration
}

// WorkerDay is what a worker did on one day for one member of one group, as far
// as it ended there.
type WorkerDay struct {
	Day        time.Time // its start, UTC
	Group      string
	GroupName  string // read only; empty: the owner is not in it any more, or it is gone
	Member     string // who submitted
	MemberName string // read only
	Succeeded  int64
	Failed     int64
	Cancelled  int64
	Run        time.Duration
}

// Histogram counts durations in buckets that grow by a quarter, so that a
// percentile read from it is at most 12 % off. Key: Bucket.
type Histogram map[int]int64

func (h Histogram) add(o Histogram) {
	for b, n := range o {
		h[b] += n
	}
}

// Histograms are the waiting and running times of a group.
type Histograms struct {
	Wait Histogram
	Run  Histogram
}

const bucketGrowth = 1.25

// Bucket returns the bucket of d: 0 for up to 1 ms, then one for each growth by
// a quarter.
func Bucket(d time.Duration) int {
	ms := float64(d) / float64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	return int(math.Ceil(math.Log(ms) / math.Log(bucketGrowth)))
}

// Quantile returns the duration below which the share q (0 to 1) of h lies.
func (h Histogram) Quantile(q float64) time.Duration {
	var total int64
	top := 0
	for b, n := range h {
		total += n
		top = max(top, b)
	}
	if total == 0 {
		return 0
	}
	rank := int64(math.Ceil(q * float64(total)))
	var seen int64
	for b := 0; b <= top; b++ {
		if seen += h[b]; seen >= rank {
			return bucketMiddle(b)
		}
	}
	return bucketMiddle(top)
}

func bucketMiddle(b int) time.Duration {
	if b == 0 {
		return time.Millisecond
	}
	upper := math.Pow(bucketGrowth, float64(b))
	return time.Duration((upper + upper/bucketGrowth) / 2 * float64(time.Millisecond))
}
