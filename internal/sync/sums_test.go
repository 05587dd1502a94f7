package devsync

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestQuantile: whatever the speeds, a quantile has three digits and is at most
// 12.5 % off.
func TestQuantile(t *testing.T) {
	for speed := 1e-9; speed <= MaxSpeed; speed *= 1.01 {
		h := Histogram{SpeedBucket(speed): 1}
		got := h.Quantile(0.5)
		if math.Abs(got/speed-1) > 0.125 {
			t.Fatalf("%g is shown as %g", speed, got)
		}
		digits, _, _ := strings.Cut(strconv.FormatFloat(got, 'e', -1, 64), "e")
		if len(strings.Replace(digits, ".", "", 1)) > 3 {
			t.Fatalf("%g has more than three digits", got)
		}
	}
	h := Histogram{}
	for speed := range 101 {
		h[SpeedBucket(float64(speed))]++
	}
	for q, want := range map[float64]float64{0: 0, 0.5: 50, 0.95: 95, 1: 100} {
		if got := h.Quantile(q); math.Abs(got-want) > 0.125*want {
			t.Errorf("quantile %g of 0 to 100 is %g", q, got)
		}
	}
	for name, h := range map[string]Histogram{"no events": {}, "nil": nil, "speed 0": {SpeedBucket(0): 3}} {
		if got := h.Quantile(0.95); got != 0 {
			t.Errorf("%s: %g", name, got)
		}
	}
}
