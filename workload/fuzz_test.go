package workload

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// seed gives a fuzz target the inputs of the shared vectors.
func seed(f *testing.F, kind string) {
	f.Helper()
	for _, v := range vectors(f, kind) {
		f.Add([]byte(v.Input))
	}
}

// wantBadInput: an input is taken or refused with bad_input, nothing else. Only
// valid JSON arrives, since inputs come in a JSON message.
func wantBadInput(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code != codeBadInput) {
		t.Fatalf("error %v, want bad_input", err)
	}
}

func FuzzSleepInput(f *testing.F) {
	seed(f, "sleep")
	f.Fuzz(func(t *testing.T, input []byte) {
		if !json.Valid(input) {
			return
		}
		ms, err := parseSleep(input)
		wantBadInput(t, err)
		if ms < 0 || ms > maxSleep {
			t.Fatalf("%d ms", ms)
		}
	})
}

func FuzzFactorizeInput(f *testing.F) {
	seed(f, "factorize")
	f.Fuzz(func(t *testing.T, input []byte) {
		if !json.Valid(input) {
			return
		}
		in, err := parseFactorize(input)
		wantBadInput(t, err)
		if err == nil && (in.n.Cmp(maxN) >= 0 || in.ranged && (in.from < 2 || in.from > in.to+1)) {
			t.Fatalf("accepted %+v", in)
		}
	})
}

func FuzzTrialCheckpoint(f *testing.F) {
	for _, v := range vectors(f, "factorize") {
		if v.Checkpoint != nil {
			f.Add([]byte(v.Checkpoint))
		}
	}
	n := pow10(6)
	f.Fuzz(func(t *testing.T, data []byte) {
		tr := newTrial(n, 2, 1000)
		tr.resume(data)
		if tr.next < 2 || tr.next > 1001 || !slices.IsSorted(tr.found) {
			t.Fatalf("resumed at %d with %v", tr.next, tr.found)
		}
	})
}

// What parseNumbers takes is what encoding/json takes, null apart.
func FuzzMeanInput(f *testing.F) {
	seed(f, "mean")
	f.Fuzz(func(t *testing.T, input []byte) {
		if !json.Valid(input) {
			return
		}
		numbers, _, err := parseMean(input)
		wantBadInput(t, err)
		if err != nil {
			return
		}
		var plain struct{ Numbers []float64 }
		if json.Unmarshal(input, &plain) == nil && plain.Numbers != nil && !slices.Equal(numbers, plain.Numbers) {
			t.Fatalf("numbers %v, want %v", numbers, plain.Numbers)
		}
		parts, err := splitMean(input, 3)
		wantBadInput(t, err)
		if err == nil && len(parts) != min(3, len(numbers)) {
			t.Fatalf("%d parts", len(parts))
		}
	})
}

func FuzzCrawlInput(f *testing.F) {
	seed(f, "crawl")
	f.Fuzz(func(t *testing.T, input []byte) {
		if !json.Valid(input) {
			return
		}
		in, err := parseCrawl(input)
		wantBadInput(t, err)
		if err != nil {
			return
		}
		for _, link := range in.URLs {
			u, err := url.Parse(link)
			if err != nil {
				t.Fatalf("normal form %q: %v", link, err)
			}
			if again := normalize(u).String(); again != link {
				t.Fatalf("normal form %q of %q", again, link)
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`<title>x</title><base href="/b/"><a href="c?d#e">`), "text/html")
	f.Add([]byte(`<a href="http://[::1"><a href=" HTTP://X:80 "><title/>`), "application/xhtml+xml")
	from := &url.URL{Scheme: "http", Host: "example.com", Path: "/"}
	f.Fuzz(func(t *testing.T, body []byte, media string) {
		_, links := readPage(&response{url: from, body: body, header: http.Header{"Content-Type": {media}}})
		if !slices.IsSorted(links) || len(slices.Compact(slices.Clone(links))) != len(links) {
			t.Fatalf("links %q", links)
		}
		for _, link := range links {
			if u, err := url.Parse(link); err != nil || !isHTTP(u) || u.Host == "" || u.Fragment != "" {
				t.Fatalf("link %q: %v", link, err)
			}
		}
	})
}

// Whatever the outputs, a reducer answers with valid JSON or an *Error.
func FuzzReducers(f *testing.F) {
	f.Add([]byte(`[1,"a"]`), []byte(`[1.0,{"b":null}]`))
	f.Add([]byte(`{"a":1}`), []byte(`{"a":1e308,"b":-0}`))
	f.Add([]byte(`"a"`), []byte(`"\ud800"`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, name := range Reducers() {
			reducer, _ := NewReducer(name)
			result, err := addAll(reducer, []string{string(a), string(b)})
			var e *Error
			switch {
			case err != nil && !errors.As(err, &e):
				t.Fatalf("%s: %v", name, err)
			case err == nil && !json.Valid(result):
				t.Fatalf("%s: %s", name, result)
			}
		}
	})
}
