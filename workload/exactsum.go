package workload

import (
	"math"
	"math/big"
)

// scaleBits: the smallest positive float64 is 2^-1074, so every finite float64
// is a whole multiple of it.
const scaleBits = 1074

// exactSum adds float64 values without any rounding, in any order, without
// overflow: the total is kept as a whole number of 2^-1074. The zero value is 0.
type exactSum struct {
	total, term big.Int // term is scratch space
}

// add adds one finite value.
func (s *exactSum) add(f float64) {
	bits := math.Float64bits(f)
	exponent := uint(bits>>52) & 0x7ff
	mantissa := int64(bits & (1<<52 - 1)) // 52 bits
	if exponent > 0 {
		mantissa |= 1 << 52
		exponent--
	}
	s.term.SetInt64(mantissa)
	s.term.Lsh(&s.term, exponent)
	if f < 0 {
		s.total.Sub(&s.total, &s.term)
	} else {
		s.total.Add(&s.total, &s.term)
	}
}

// rounded is the nearest float64, ties to even; infinite if there is none.
func (s *exactSum) rounded() float64 {
	// 53 bits hold every float64, and a total below 2^53 units, where float64
	// has fewer bits, is exact anyway: so this rounds once.
	var f big.Float
	f.SetPrec(53).SetInt(&s.total)
	out, _ := f.SetMantExp(&f, -scaleBits).Float64()
	return out
}

// dividedBy is the nearest float64 to the exact total over n, rounded once.
func (s *exactSum) dividedBy(n int64) float64 {
	denominator := big.NewInt(n)
	denominator.Lsh(denominator, scaleBits)
	out, _ := new(big.Rat).SetFrac(&s.total, denominator).Float64()
	return out
}

// partials are floats whose exact sum is the total: the nearest float64, then
// the nearest to what is left, until nothing is. They depend on the total alone,
// not on how it was reached. It leaves the total zero.
func (s *exactSum) partials() []float64 {
	out := []float64{}
	for s.total.Sign() != 0 {
		f := max(-math.MaxFloat64, min(math.MaxFloat64, s.rounded()))
		out = append(out, f)
		s.add(-f)
	}
	return out
}
