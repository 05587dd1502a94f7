package devsync

import "math"

// bucketGrowth is how much faster each bucket of a histogram of speeds is than
// the one before: quantiles are at most 12 % off.
const bucketGrowth = 1.25

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
