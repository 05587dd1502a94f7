package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"math/big"
	"strconv"
	"testing"
)

func BenchmarkMeanMillion(b *testing.B) {
	var text bytes.Buffer
	text.WriteString(`{"numbers":[`)
	for i := range maxNumbers {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.FormatFloat(float64(i)*1.1e-3, 'g', -1, 64))
	}
	text.WriteString(`]}`)
	b.ResetTimer()
	for b.Loop() {
		if _, err := runMean(context.Background(), json.RawMessage(text.Bytes()), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTrialDivision(b *testing.B) {
	n, _ := new(big.Int).SetString("99999999999999999989", 10) // prime
	for b.Loop() {
		t := newTrial(n, 2, 9_999_999_999)
		for t.next < 10_000_000 {
			t.scan(9_999_999_999)
		}
	}
}
