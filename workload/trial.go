package workload

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
)

// gaps leads from a number's residue modulo 30 to the next number without a
// factor 2, 3 or 5: of thirty candidates only eight are divided by.
var gaps = func() (table [30]uint64) {
	for residue := range uint64(30) {
		gap := uint64(1)
		for d := residue + gap; d%2 == 0 || d%3 == 0 || d%5 == 0; d++ {
			gap++
		}
		table[residue] = gap
	}
	return table
}()

// batch is the number of divisors between two looks at the context: well under
// a millisecond.
const batch = 1 << 14

// trial finds the prime divisors of n within from…to by division.
type trial struct {
	n         *big.Int // below maxTrial
	hi, lo    uint64   // n in two words
	from, to  uint64
	next      uint64   // next divisor to try
	found     []uint64 // ascending
	saveEvery *ticker
	tellEvery *ticker
}

// trialCheckpoint is the checkpoint of factorize, in Go and Python.
type trialCheckpoint struct {
	Next  string   `json:"next"`
	Found []string `json:"found"`
}

func newTrial(n *big.Int, from, to uint64) *trial {
	var words [16]byte
	n.FillBytes(words[:])
	return &trial{
		hi: binary.BigEndian.Uint64(words[:8]), lo: binary.BigEndian.Uint64(words[8:]),
		n: n, from: from, to: to, next: from, found: []uint64{},
		saveEvery: newTicker(checkpointEvery), tellEvery: newTicker(progressEvery),
	}
}

// run tries the whole range, going on from the job's checkpoint if it has one.
func (t *trial) run(ctx context.Context, job Job) error {
	t.resume(job.LoadCheckpoint())
	for limit := t.limit(); t.next <= limit; limit = t.limit() {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.scan(limit)
		if t.tellEvery.due() {
			job.Progress(t.progress())
		}
		if t.saveEvery.due() {
			save(job, trialCheckpoint{strconv.FormatUint(t.next, 10), formatAll(t.found)})
		}
	}
	// When the scan could stop early, what is left of n is 1 or its last prime.
	if rest := t.rest(); t.from == 2 && rest.IsUint64() && rest.Uint64() >= t.next && rest.Uint64() <= t.to {
		t.found = append(t.found, rest.Uint64())
	}
	return nil
}

// limit is the last divisor worth trying. A scan from 2 knows all smaller
// primes, so it may stop at the root of what they leave of n.
func (t *trial) limit() uint64 {
	if t.from != 2 {
		return t.to
	}
	return min(t.to, new(big.Int).Sqrt(t.rest()).Uint64())
}

// rest is n without the primes found.
func (t *trial) rest() *big.Int {
	rest := new(big.Int).Set(t.n)
	quotient, remainder := new(big.Int), new(big.Int)
	for _, p := range t.found {
		divisor := new(big.Int).SetUint64(p)
		for {
			if quotient.QuoRem(rest, divisor, remainder); remainder.Sign() != 0 {
				break
			}
			rest.Set(quotient)
		}
	}
	return rest
}

// scan tries at most one batch of divisors up to limit, and stops after one that
// divides, because the limit may be lower then.
func (t *trial) scan(limit uint64) {
	d := t.next
	for count := 0; count < batch && d <= limit; count++ {
		divides := bits.Rem64(t.hi, t.lo, d) == 0
		if divides && new(big.Int).SetUint64(d).ProbablyPrime(0) { // exact below 2^64
			t.found = append(t.found, d)
		}
		if d < 7 {
			d++
		} else {
			d += gaps[d%30]
		}
		if divides {
			break
		}
	}
	t.next = min(d, t.to+1)
}

// resume takes over a checkpoint, unless it is not one of this range.
func (t *trial) resume(data json.RawMessage) {
	var saved trialCheckpoint
	if data == nil || json.Unmarshal(data, &saved) != nil {
		return
	}
	next, err := strconv.ParseUint(saved.Next, 10, 64)
	if err != nil || next < t.from || next > t.to+1 {
		return
	}
	found := make([]uint64, 0, len(saved.Found))
	after := t.from - 1
	for _, text := range saved.Found {
		p, err := strconv.ParseUint(text, 10, 64)
		if err != nil || p <= after || p >= next || bits.Rem64(t.hi, t.lo, p) != 0 || !new(big.Int).SetUint64(p).ProbablyPrime(0) {
			return
		}
		found, after = append(found, p), p
	}
	t.next, t.found = next, found
}

// progress says how far in the range next is.
func (t *trial) progress() (percent float64, message string) {
	percent = 100 * float64(t.next-t.from) / float64(t.to+1-t.from)
	return percent, fmt.Sprintf("tried divisors below %d of %d", t.next, t.to)
}
