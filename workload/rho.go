package workload

import (
	"context"
	"math/big"
	"slices"
)

var one = big.NewInt(1)

// factorBig returns the distinct primes of n, ascending, for n too large for
// trial division: small primes first, then Miller-Rabin and Pollard-Brent rho.
func factorBig(ctx context.Context, n *big.Int) ([]*big.Int, error) {
	const smallPrimes = 1000
	var primes []*big.Int
	rest := new(big.Int).Set(n)
	quotient, remainder := new(big.Int), new(big.Int)
	for d := int64(2); d < smallPrimes; d++ {
		p := big.NewInt(d)
		divided := false
		for {
			if quotient.QuoRem(rest, p, remainder); remainder.Sign() != 0 {
				break
			}
			rest.Set(quotient)
			divided = true
		}
		if divided {
			primes = append(primes, p)
		}
	}
	for todo := []*big.Int{rest}; len(todo) > 0; {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch {
		case m.Cmp(one) == 0:
		case m.ProbablyPrime(primeRounds):
			primes = append(primes, m)
		default:
			d, err := divisor(ctx, m)
			if err != nil {
				return nil, err
			}
			todo = append(todo, d, new(big.Int).Quo(m, d))
		}
	}
	slices.SortFunc(primes, (*big.Int).Cmp)
	return slices.CompactFunc(primes, func(a, b *big.Int) bool { return a.Cmp(b) == 0 }), nil
}

// divisor finds a proper divisor of an odd composite m. A constant that leads
// nowhere (rare) is followed by the next.
func divisor(ctx context.Context, m *big.Int) (*big.Int, error) {
	for c := int64(1); ; c++ {
		d, err := (&rho{m: m, c: big.NewInt(c)}).find(ctx)
		if err != nil || d.Cmp(m) != 0 {
			return d, err
		}
	}
}

// rho is one walk x → x² + c modulo m.
type rho struct{ m, c *big.Int }

func (r *rho) step(x *big.Int) {
	x.Mul(x, x)
	x.Add(x, r.c)
	x.Mod(x, r.m)
}

// find walks until two positions agree modulo a divisor of m and returns that
// divisor, or m itself when they agree modulo all of them at once. After Brent:
// one position stands at a power of two while the other goes on, and the
// differences are multiplied up so that a gcd is needed only once in a while.
func (r *rho) find(ctx context.Context) (*big.Int, error) {
	const together = 128
	x, y, start := new(big.Int), big.NewInt(2), new(big.Int)
	product, gcd, difference := big.NewInt(1), big.NewInt(1), new(big.Int)
	for length := 1; gcd.Cmp(one) == 0; length *= 2 {
		x.Set(y)
		for range length {
			r.step(y)
		}
		for done := 0; done < length && gcd.Cmp(one) == 0; done += together {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			start.Set(y)
			for range min(together, length-done) {
				r.step(y)
				product.Mul(product, difference.Abs(difference.Sub(x, y)))
				product.Mod(product, r.m)
			}
			gcd.GCD(nil, nil, product, r.m)
		}
	}
	if gcd.Cmp(r.m) != 0 {
		return gcd, nil
	}
	// Several divisors were met within one batch: go through it step by step.
	for gcd.Set(one); gcd.Cmp(one) == 0; {
		r.step(start)
		gcd.GCD(nil, nil, difference.Abs(difference.Sub(x, start)), r.m)
	}
	return gcd, nil
}
