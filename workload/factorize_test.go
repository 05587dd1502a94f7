package workload

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"
)

// wantPrompt runs work, cancels it once it is under way, and wants it to end
// with ctx's error at once: what it would do else takes much longer than the five
// seconds that a busy machine is given.
func wantPrompt(t *testing.T, underWay <-chan struct{}, work func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	select {
	case <-underWay:
	case err := <-done:
		t.Fatalf("ended before it was cancelled: %v", err)
	}
	cancel()
	start := time.Now()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want cancelled", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("stopped after %v", took)
	}
}

// open is a channel that is closed: the work counts as under way at once.
func open() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

const longPrime = "99999999999999999989" // the largest below 10^20

func TestTrialStopsAndGoesOnElsewhere(t *testing.T) {
	const from, to, never = 3, 30_000_000, 1_000_000_000_000 // never: twenty minutes and more
	n := new(big.Int).Mul(big.NewInt(1009*10_000_019), big.NewInt(99_999_989))
	job := newRecorder(nil)
	first := newTrial(n, from, never)
	first.saveEvery.every, first.tellEvery.every = time.Microsecond, time.Microsecond
	underWay := make(chan struct{})
	var checkpoint json.RawMessage
	go func() {
		checkpoint = <-job.saved
		close(underWay)
		for range job.saved { // never full
		}
	}()
	wantPrompt(t, underWay, func(ctx context.Context) error { return first.run(ctx, job) })
	close(job.saved)

	second := newTrial(n, from, to)
	second.resume(checkpoint)
	if second.next <= from || len(second.found) != 1 {
		t.Fatalf("resumed at %d with %v, want progress and 1009", second.next, second.found)
	}
	if err := second.run(context.Background(), newRecorder(checkpoint)); err != nil {
		t.Fatal(err)
	}
	if got := formatAll(second.found); len(got) != 2 || got[0] != "1009" || got[1] != "10000019" {
		t.Fatalf("found %v", got)
	}
	last := 0.0
	for _, percent := range job.percents {
		if percent < last || percent > 100 {
			t.Fatalf("progress %v", job.percents)
		}
		last = percent
	}
	if last == 0 {
		t.Fatal("no progress was told")
	}
}

func TestFactorizeStopsAtOnce(t *testing.T) {
	for name, input := range map[string]string{
		"trial division": `{"n":"` + longPrime + `"}`,
		"rho":            `{"n":"9999999999999999837600000000000000012871"}`,
	} {
		t.Run(name, func(t *testing.T) {
			wantPrompt(t, open(), func(ctx context.Context) error {
				_, err := runFactorize(ctx, json.RawMessage(input), newRecorder(nil))
				return err
			})
		})
	}
}

func TestFactorizeReduceRefusesWrongParts(t *testing.T) {
	const first, second = `{"n":"221","from":"2","to":"7","found":[]}`, `{"n":"221","from":"8","to":"14","found":["13"]}`
	tests := []struct {
		name    string
		outputs []string
	}{
		{"gap", []string{second}},
		{"end missing", []string{first}},
		{"failed part", []string{first, `null`}},
		{"another number", []string{`{"n":"222","from":"2","to":"14","found":[]}`}},
		{"missed divisor", []string{first, `{"n":"221","from":"8","to":"14","found":[]}`}},
		{"no divisor", []string{`{"n":"221","from":"2","to":"7","found":["3"]}`}},
		{"no prime", []string{`{"n":"221","from":"2","to":"14","found":["221"]}`}},
		{"zero", []string{`{"n":"221","from":"2","to":"14","found":["0"]}`}},
		{"another shape", []string{`[]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := reduceAll(t, "factorize", `{"n":221}`, tt.outputs)
			wantCode(t, err, codeBadOutput)
		})
	}
	got, err := reduceAll(t, "factorize", `{"n":221}`, []string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, `{"n":"221","factors":[["13",1],["17",1]],"prime":false}`)
}

// reduceAll reduces outputs with a kind's own reducer.
func reduceAll(t *testing.T, kind, input string, outputs []string) (json.RawMessage, error) {
	t.Helper()
	reducer, err := Builtin(Options{})[kind].Reduce(json.RawMessage(input))
	if err != nil {
		t.Fatal(err)
	}
	return addAll(reducer, outputs)
}

func addAll(reducer Reducer, outputs []string) (json.RawMessage, error) {
	for _, output := range outputs {
		if err := reducer.Add(json.RawMessage(output)); err != nil {
			return nil, err
		}
	}
	return reducer.Result()
}
