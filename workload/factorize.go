package workload

import (
	"context"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

var (
	maxN        = pow10(40) // exclusive, as are the next two
	maxTrial    = pow10(20) // below: trial division, which can be split; √n < 2^64
	maxDivisors = pow10(15) // below: all divisors on demand
)

func pow10(exponent int64) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(exponent), nil)
}

// primeRounds of Miller-Rabin, after the Baillie-PSW test that ProbablyPrime
// always makes: no composite is known to pass even that one.
const primeRounds = 20

// factorize finds the prime factors of n.
func factorize() Kind {
	return Kind{Name: "factorize", Run: runFactorize, Split: splitFactorize, Reduce: reduceFactorize}
}

// factorizeInput is a whole task, or one part if ranged.
type factorizeInput struct {
	n        *big.Int
	divisors bool
	ranged   bool
	from, to uint64 // the divisors to try; 2 to ⌊√n⌋ for a whole task below maxTrial
}

type factorizePart struct {
	N     string   `json:"n"`
	From  string   `json:"from"`
	To    string   `json:"to"`
	Found []string `json:"found,omitempty"`
}

type factorizeOutput struct {
	N        string   `json:"n"`
	Factors  [][2]any `json:"factors"` // prime as a string, exponent as a number
	Prime    bool     `json:"prime"`
	Divisors []string `json:"divisors,omitempty"`
}

func runFactorize(ctx context.Context, input json.RawMessage, job Job) (json.RawMessage, error) {
	in, err := parseFactorize(input)
	if err != nil {
		return nil, err
	}
	if in.n.Cmp(maxTrial) >= 0 {
		primes, err := factorBig(ctx, in.n)
		if err != nil {
			return nil, err
		}
		return json.Marshal(in.output(primes))
	}
	t := newTrial(in.n, in.from, in.to)
	if err := t.run(ctx, job); err != nil {
		return nil, err
	}
	if in.ranged {
		return json.Marshal(struct {
			factorizePart
			Found []string `json:"found"` // present even if empty
		}{in.part(in.from, in.to), formatAll(t.found)})
	}
	primes := make([]*big.Int, len(t.found))
	for i, p := range t.found {
		primes[i] = new(big.Int).SetUint64(p)
	}
	return json.Marshal(in.output(primes))
}

// splitFactorize cuts the range of divisors, not the number.
func splitFactorize(input json.RawMessage, n int) ([]json.RawMessage, error) {
	in, err := parseFactorize(input)
	switch {
	case err != nil:
		return nil, err
	case in.ranged:
		return nil, badInput("from", "a part cannot be split again")
	case in.n.Cmp(maxTrial) >= 0:
		return nil, badInput("n", "only numbers below 10^20 can be split")
	}
	size := in.to + 1 - in.from // 0 for n = 2 and 3
	if uint64(max(n, 1)) > size {
		n = int(max(size, 1))
	}
	var parts []json.RawMessage
	from := in.from
	for _, share := range shares(size, n) {
		data, err := json.Marshal(in.part(from, from+share-1))
		if err != nil {
			return nil, err
		}
		parts = append(parts, data)
		from += share
	}
	return parts, nil
}

func (in *factorizeInput) part(from, to uint64) factorizePart {
	return factorizePart{N: in.n.String(), From: strconv.FormatUint(from, 10), To: strconv.FormatUint(to, 10)}
}

// output completes the factorization: primes holds every prime divisor of n up
// to √n, so that whatever they leave of n is one more prime.
func (in *factorizeInput) output(primes []*big.Int) factorizeOutput {
	out := factorizeOutput{N: in.n.String(), Prime: true}
	divisors := []*big.Int{big.NewInt(1)}
	rest := new(big.Int).Set(in.n)
	quotient, remainder := new(big.Int), new(big.Int)
	add := func(p *big.Int) {
		exponent, grown := 0, divisors
		for power := big.NewInt(1); ; exponent++ {
			if quotient.QuoRem(rest, p, remainder); remainder.Sign() != 0 {
				break
			}
			rest.Set(quotient)
			power = new(big.Int).Mul(power, p)
			if in.divisors {
				grown = append(slices.Clip(grown), multiples(divisors, power)...)
			}
		}
		if exponent > 0 {
			divisors = grown
			out.Factors = append(out.Factors, [2]any{p.String(), exponent})
			out.Prime = out.Prime && exponent == 1
		}
	}
	for _, p := range primes {
		add(p)
	}
	if rest.Cmp(big.NewInt(1)) > 0 {
		add(new(big.Int).Set(rest))
	}
	out.Prime = out.Prime && len(out.Factors) == 1
	if in.divisors {
		slices.SortFunc(divisors, (*big.Int).Cmp)
		for _, d := range divisors {
			out.Divisors = append(out.Divisors, d.String())
		}
	}
	return out
}

func multiples(numbers []*big.Int, by *big.Int) []*big.Int {
	out := make([]*big.Int, len(numbers))
	for i, x := range numbers {
		out[i] = new(big.Int).Mul(x, by)
	}
	return out
}

func parseFactorize(input json.RawMessage) (*factorizeInput, error) {
	fs, err := fields(input, "n", "divisors", "from", "to")
	if err != nil {
		return nil, err
	}
	in := &factorizeInput{from: 2, ranged: fs.has("from") || fs.has("to")}
	if in.n, err = fs.natural("n"); err != nil {
		return nil, err
	}
	if in.n.Cmp(big.NewInt(2)) < 0 || in.n.Cmp(maxN) >= 0 {
		return nil, badInput("n", "must be at least 2 and less than 10^40")
	}
	if in.divisors, err = fs.boolean("divisors", false); err != nil {
		return nil, err
	}
	if in.divisors && in.n.Cmp(maxDivisors) >= 0 {
		return nil, badInput("divisors", "only for n less than 10^15")
	}
	if in.n.Cmp(maxTrial) < 0 {
		in.to = new(big.Int).Sqrt(in.n).Uint64()
	}
	if !in.ranged {
		return in, nil
	}
	if in.n.Cmp(maxTrial) >= 0 {
		return nil, badInput("n", "a part must have n less than 10^20")
	}
	if in.divisors {
		return nil, badInput("divisors", "not for a part")
	}
	return in, in.parseRange(fs)
}

// parseRange reads from and to. A range may be empty, with to one below from:
// so is that of 2 and 3.
func (in *factorizeInput) parseRange(fs object) error {
	root := new(big.Int).SetUint64(in.to)
	from, err := fs.natural("from")
	if err != nil {
		return err
	}
	to, err := fs.natural("to")
	if err != nil {
		return err
	}
	if from.Cmp(big.NewInt(2)) < 0 {
		return badInput("from", "must be at least 2")
	}
	if to.Cmp(root) > 0 || from.Cmp(new(big.Int).Add(to, big.NewInt(1))) > 0 {
		return badInput("to", "must be from - 1 to the integer square root of n")
	}
	in.from, in.to = from.Uint64(), to.Uint64()
	return nil
}

// natural reads a positive integer, as a JSON number or as a string of digits:
// no sign, no leading zero, no exponent.
func (o object) natural(name string) (*big.Int, error) {
	text := string(o[name])
	if strings.HasPrefix(text, `"`) {
		var err error
		if text, err = o.text(name); err != nil {
			return nil, err
		}
	}
	const maxDigits = 40
	wrong := func(r rune) bool { return r < '0' || r > '9' }
	if text == "" || text[0] == '0' || len(text) > maxDigits || strings.ContainsFunc(text, wrong) {
		return nil, badInput(name, "must be a positive integer of at most %d digits, as a number or a string", maxDigits)
	}
	value, _ := new(big.Int).SetString(text, 10)
	return value, nil
}

// factorizeReducer merges the prime divisors found by the parts. It checks all
// of them and that the ranges join: a wrong part never gives a wrong result.
type factorizeReducer struct {
	in     *factorizeInput
	next   uint64 // first divisor not covered yet
	primes []*big.Int
}

func reduceFactorize(parentInput json.RawMessage) (Reducer, error) {
	in, err := parseFactorize(parentInput)
	if err != nil {
		return nil, err
	}
	return &factorizeReducer{in: in, next: in.from}, nil
}

func (r *factorizeReducer) Add(output json.RawMessage) error {
	if isNull(output) {
		return badOutput("factorize: the divisors from %d on were not tried", r.next)
	}
	var part factorizePart
	if err := json.Unmarshal(output, &part); err != nil {
		return badOutput("factorize: a part's output must hold n, from, to and found")
	}
	to, err := strconv.ParseUint(part.To, 10, 64)
	if err != nil || part.N != r.in.n.String() || part.From != strconv.FormatUint(r.next, 10) {
		return badOutput("factorize: expected n %s and the range from %d", r.in.n, r.next)
	}
	for _, text := range part.Found {
		p, ok := new(big.Int).SetString(text, 10)
		if !ok || p.Sign() <= 0 || new(big.Int).Rem(r.in.n, p).Sign() != 0 || !p.ProbablyPrime(primeRounds) {
			return badOutput("factorize: %.50q is no prime divisor of %s", text, r.in.n)
		}
		r.primes = append(r.primes, p)
	}
	r.next = to + 1
	return nil
}

func (r *factorizeReducer) Result() (json.RawMessage, error) {
	if r.next != r.in.to+1 {
		return nil, badOutput("factorize: the divisors from %d on were not tried", r.next)
	}
	slices.SortFunc(r.primes, (*big.Int).Cmp)
	out := r.in.output(r.primes)
	last, _ := out.Factors[len(out.Factors)-1][0].(string)
	if p, ok := new(big.Int).SetString(last, 10); !ok || !p.ProbablyPrime(primeRounds) {
		return nil, badOutput("factorize: a part missed a divisor of %s", last)
	}
	return json.Marshal(out)
}

func formatAll(numbers []uint64) []string {
	out := make([]string, len(numbers))
	for i, x := range numbers {
		out[i] = strconv.FormatUint(x, 10)
	}
	return out
}
