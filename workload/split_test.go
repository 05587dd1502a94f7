package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// runSplit does what the server and workers do with a split task.
func runSplit(t rapid.TB, kind Kind, input json.RawMessage, n int) json.RawMessage {
	t.Helper()
	parts, err := kind.Split(input, n)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) < 1 || len(parts) > max(n, 1) {
		t.Fatalf("%d parts, want 1 to %d", len(parts), n)
	}
	reducer, err := kind.Reduce(input)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		output, err := kind.Run(context.Background(), part, newRecorder(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := reducer.Add(output); err != nil {
			t.Fatal(err)
		}
	}
	result, err := reducer.Result()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantSplitEqual(t rapid.TB, kind Kind, input json.RawMessage, n int) {
	t.Helper()
	whole, err := kind.Run(context.Background(), input, newRecorder(nil))
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, runSplit(t, kind, input, n), string(whole))
}

func TestFactorizeSplitEqualsWhole(t *testing.T) {
	kind := factorize()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(
			rapid.Uint64Range(2, 200),
			rapid.Uint64Range(2, 1_000_000_000_000),
			rapid.Map(rapid.Uint64Range(2, 1_000_000), func(x uint64) uint64 { return x * x }),
		).Draw(rt, "n")
		input := fmt.Sprintf(`{"n":"%d","divisors":%t}`, n, rapid.Bool().Draw(rt, "divisors"))
		wantSplitEqual(rt, kind, json.RawMessage(input), rapid.IntRange(0, 40).Draw(rt, "parts"))
	})
}

func TestMeanSplitEqualsWhole(t *testing.T) {
	kind := mean()
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfN(rapid.OneOf(
			rapid.Float64(),
			rapid.Float64Range(-1, 1),
			rapid.SampledFrom([]float64{1e308, -1e308, 5e-324, 1, 0x1p-53, -0x1p-53, 0}),
		), 1, 60).Draw(rt, "numbers")
		input, err := json.Marshal(map[string]any{"numbers": numbers})
		if err != nil {
			rt.Fatal(err)
		}
		wantSplitEqual(rt, kind, input, rapid.IntRange(0, 70).Draw(rt, "parts"))
	})
}

// The accumulator against exact rational arithmetic.
func TestExactSumAgainstRationals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var sum exactSum
		exact := new(big.Rat)
		numbers := rapid.SliceOf(rapid.Float64()).Draw(rt, "numbers")
		for _, x := range numbers {
			sum.add(x)
			exact.Add(exact, new(big.Rat).SetFloat64(x))
		}
		if want, _ := exact.Float64(); sum.rounded() != want {
			rt.Fatalf("rounded %v, want %v", sum.rounded(), want)
		}
		if want, _ := new(big.Rat).Quo(exact, big.NewRat(7, 1)).Float64(); sum.dividedBy(7) != want {
			rt.Fatalf("a seventh %v, want %v", sum.dividedBy(7), want)
		}
		again := new(big.Rat)
		for _, p := range sum.partials() {
			again.Add(again, new(big.Rat).SetFloat64(p))
		}
		if again.Cmp(exact) != 0 {
			rt.Fatalf("partials add up to %v, want %v", again, exact)
		}
	})
}

// Rho against products of known primes.
func TestFactorBigFindsThePrimes(t *testing.T) {
	primes := []int64{2, 3, 997, 1009, 65537, 1_000_003, 10_000_019}
	rapid.Check(t, func(rt *rapid.T) {
		n := pow10(20)
		for _, p := range rapid.SliceOfN(rapid.SampledFrom(primes), 1, 2).Draw(rt, "primes") {
			n.Mul(n, big.NewInt(p))
		}
		input := fmt.Sprintf(`{"n":"%s"}`, n)
		output, err := runFactorize(context.Background(), json.RawMessage(input), newRecorder(nil))
		if err != nil {
			rt.Fatal(err)
		}
		product := big.NewInt(1)
		for _, f := range decodeFactors(rt, output) {
			if !f.prime.ProbablyPrime(primeRounds) {
				rt.Fatalf("%s is not prime", f.prime)
			}
			product.Mul(product, new(big.Int).Exp(f.prime, big.NewInt(f.exponent), nil))
		}
		if product.Cmp(n) != 0 {
			rt.Fatalf("product %s, want %s", product, n)
		}
	})
}

type factor struct {
	prime    *big.Int
	exponent int64
}

func decodeFactors(t rapid.TB, output json.RawMessage) (out []factor) {
	t.Helper()
	var result struct{ Factors [][2]json.RawMessage }
	if err := json.Unmarshal(output, &result); err != nil {
		t.Fatal(err)
	}
	for _, pair := range result.Factors {
		text, err := strconv.Unquote(string(pair[0]))
		if err != nil {
			t.Fatal(err)
		}
		prime, _ := new(big.Int).SetString(text, 10)
		exponent, err := strconv.ParseInt(string(pair[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, factor{prime, exponent})
	}
	return out
}

func TestSplitShapes(t *testing.T) {
	tests := []struct {
		name  string
		kind  Kind
		input string
		n     int
		want  string
	}{
		{"numbers, remainder first", mean(), `{"numbers":[1,2,3,4,5]}`, 3,
			`[{"numbers":[1,2],"part":true},{"numbers":[3,4],"part":true},{"numbers":[5],"part":true}]`},
		{"more parts than numbers", mean(), `{"numbers":[1,2]}`, 9,
			`[{"numbers":[1],"part":true},{"numbers":[2],"part":true}]`},
		{"csv", mean(), `{"csv":"a\n1\n2\n","column":"a"}`, 1, `[{"numbers":[1,2],"part":true}]`},
		{"range", factorize(), `{"n":"100"}`, 2, `[{"n":"100","from":"2","to":"6"},{"n":"100","from":"7","to":"10"}]`},
		{"empty range", factorize(), `{"n":3}`, 5, `[{"n":"3","from":"2","to":"1"}]`},
		{"one divisor each", factorize(), `{"n":"16"}`, 5,
			`[{"n":"16","from":"2","to":"2"},{"n":"16","from":"3","to":"3"},{"n":"16","from":"4","to":"4"}]`},
		{"crawl", crawl(Options{}), `{"urls":["http://a.example/","http://b.example","http://c.example/x"],"max_pages":5,"same_host":false}`, 2,
			`[{"urls":["http://a.example/","http://b.example/"],"max_pages":3,"same_host":false},{"urls":["http://c.example/x"],"max_pages":2,"same_host":false}]`},
		{"crawl, fewer pages than parts", crawl(Options{}), `{"urls":["http://a.example/","http://b.example/"],"max_pages":1}`, 2,
			`[{"urls":["http://a.example/","http://b.example/"],"max_pages":1,"same_host":true}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parts, err := tt.kind.Split(json.RawMessage(tt.input), tt.n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(parts)
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, got, tt.want)
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		kind        Kind
	}{
		{"a part of mean", `{"numbers":[1],"part":true}`, mean()},
		{"a part of factorize", `{"n":"100","from":"2","to":"9"}`, factorize()},
		{"n of 10^20", `{"n":"100000000000000000000"}`, factorize()},
		{"bad numbers", `{"numbers":[]}`, mean()},
		{"bad n", `{"n":"x"}`, factorize()},
		{"bad URLs", `{"urls":[]}`, crawl(Options{})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.kind.Split(json.RawMessage(tt.input), 2)
			wantCode(t, err, codeBadInput)
		})
	}
}
