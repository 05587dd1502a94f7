package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzArrayItems holds the reader of arrays against encoding/json: of an array it
// returns the same items, and of anything else it comes to an end.
func FuzzArrayItems(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ 1 , "a,]\\\"" , {"a":[1,{"b":"}"}]} ] `, `[[],[[1]],{}]`, `[1,]`, `[,1]`, `[1 2]`, `[1] 2`, `{"a":1}`, `[{]}`, `["a`, `["\`, ``, `[`, "[\xff]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		next := arrayItems(iotest.OneByteReader(strings.NewReader(data)))
		var got []string
		var err error
		for err == nil || errors.Is(err, errLongEvent) {
			var item []byte
			if item, err = next(); err == nil {
				got = append(got, strings.TrimSpace(string(item)))
			}
			if len(got) > len(data) {
				t.Fatal("it has no end")
			}
		}
		var want []json.RawMessage
		if json.Unmarshal([]byte(data), &want) != nil || want == nil {
			return
		}
		if !errors.Is(err, io.EOF) || len(got) != len(want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		for i := range want {
			if got[i] != string(want[i]) {
				t.Errorf("item %d is %q, want %q", i, got[i], want[i])
			}
		}
	})
}
