package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firmlight/firmlight/internal/publicnet"
)

// site is a web site that notes the paths it was asked for.
type site struct {
	*httptest.Server
	mux *http.ServeMux

	mu    sync.Mutex
	asked []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{mux: http.NewServeMux()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.RequestURI())
		s.mu.Unlock()
		s.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// exactly is the pattern of this path without those below it.
func exactly(path string) string {
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}
	return "GET " + path
}

func (s *site) page(path, body string) {
	s.mux.HandleFunc(exactly(path), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	})
}

func (s *site) redirect(path, to string) {
	s.mux.HandleFunc(exactly(path), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to, http.StatusFound)
	})
}

func (s *site) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, " ")
}

func testFetcher() *fetcher {
	return newFetcher(Options{CrawlDelay: -1, AllowPrivate: true})
}

// wantCrawl crawls input and compares; SITE stands for the site's address.
func wantCrawl(t *testing.T, f *fetcher, s *site, input, want string) {
	t.Helper()
	fill := func(text string) string { return strings.ReplaceAll(text, "SITE", s.URL) }
	got, err := runCrawl(t.Context(), f, json.RawMessage(fill(input)), newRecorder(nil))
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, fill(want))
}

func TestCrawlFollowsLinksOfOneHost(t *testing.T) {
	s := newSite(t)
	home := `<html><title> The
	 home </title><a href="/b#x">b</a><a href="a">a</a><A HREF='/gone'>x</A>
	<a href="http://zzz.example">other</a><a href="mailto:x@example.com">mail</a><a name="here">none</a>`
	s.page("/", home)
	s.page("/a", `<base href="/deep/"><a href="c?q=1&amp;r=2">c</a>`)
	s.mux.HandleFunc("GET /b", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, `<a href="/never">never</a>`)
	})
	s.redirect("/deep/c", "/end/")
	s.page("/end/", `<title>End</title><a href="up">up</a>`)
	wantCrawl(t, testFetcher(), s, `{"urls":["SITE"],"max_pages":5}`, `{"pages":[
		{"url":"SITE/","status":200,"title":"The home","bytes":`+fmt.Sprint(len(home))+`,"links":["SITE/a","SITE/b","SITE/gone","http://zzz.example/"]},
		{"url":"SITE/a","status":200,"title":"","bytes":49,"links":["SITE/deep/c?q=1&r=2"]},
		{"url":"SITE/b","status":200,"title":"","bytes":26,"links":[]},
		{"url":"SITE/deep/c?q=1&r=2","status":200,"title":"End","bytes":37,"links":["SITE/end/up"]},
		{"url":"SITE/gone","status":404,"title":"","bytes":19,"links":[]}],"skipped":[]}`)
	if want := "/robots.txt / /a /b /gone /deep/c?q=1&r=2 /end/"; s.requests() != want {
		t.Fatalf("asked for %s, want %s", s.requests(), want)
	}
}

// Addresses that are too long for a link are none for a base or a redirect either.
func TestCrawlLongAddresses(t *testing.T) {
	s := newSite(t)
	long := "/" + strings.Repeat("a", maxURL)
	short := "/" + strings.Repeat("b", maxURL-len(s.URL)-2) + "/"
	s.page("/", `<base href="`+long+`/"><a href=x></a>`)
	s.page("/short", `<base href="`+short+`"><a href=../x></a>`)
	s.redirect("/away", long)
	wantCrawl(t, testFetcher(), s, `{"urls":["SITE","SITE/short","SITE/away"],"max_pages":3}`, `{"pages":[
		{"url":"SITE/","status":200,"title":"","bytes":`+fmt.Sprint(len(long)+29)+`,"links":["SITE/x"]},
		{"url":"SITE/away","status":302,"title":"","bytes":`+fmt.Sprint(len(long)+23)+`,"links":[]},
		{"url":"SITE/short","status":200,"title":"","bytes":`+fmt.Sprint(len(short)+31)+`,"links":["SITE/x"]}],"skipped":[]}`)
}

func TestCrawlOtherHosts(t *testing.T) {
	other := newSite(t)
	other.page("/x", "x")
	s := newSite(t)
	s.redirect("/", other.URL+"/x")
	wantCrawl(t, testFetcher(), s, `{"urls":["SITE/"]}`, `{"pages":[],"skipped":[{"url":"SITE/","reason":"other_host"}]}`)
	if other.requests() != "" {
		t.Fatalf("the other host was asked for %s", other.requests())
	}
	wantCrawl(t, testFetcher(), s, `{"urls":["SITE/"],"same_host":false}`,
		`{"pages":[{"url":"SITE/","status":200,"title":"","links":[],"bytes":1}],"skipped":[]}`)
}

func TestCrawlObeysRobots(t *testing.T) {
	tests := []struct {
		name   string
		robots string // after "HTTP status "
		skips  bool
	}{
		{"forbidden", "200 User-agent: *\nDisallow: /page", true},
		{"forbidden to us", "200 User-agent: *\nDisallow:\n\nUser-agent: firmlight\nDisallow: /", true},
		{"forbidden to others", "200 User-agent: other\nDisallow: /", false},
		{"allowed", "200 User-agent: *\nDisallow: /\nAllow: /page", false},
		{"missing", "404 ", false},
		{"server's error", "503 ", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			s.page("/page", "x")
			s.mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.UserAgent(), "Firmlight/") {
					t.Errorf("User-Agent %q", r.UserAgent())
				}
				var status int
				_, _ = fmt.Sscan(tt.robots[:3], &status)
				w.WriteHeader(status)
				fmt.Fprint(w, tt.robots[4:])
			})
			want := `{"pages":[{"url":"SITE/page","status":200,"title":"","links":[],"bytes":1}],"skipped":[]}`
			if tt.skips {
				want = `{"pages":[],"skipped":[{"url":"SITE/page","reason":"robots"}]}`
			}
			f := testFetcher()
			wantCrawl(t, f, s, `{"urls":["SITE/page"]}`, want)
			wantCrawl(t, f, s, `{"urls":["SITE/page"]}`, want)
			if strings.Count(s.requests(), "robots") != 1 || tt.skips && strings.Contains(s.requests(), "/page") {
				t.Fatalf("asked for %s", s.requests())
			}
		})
	}
}

func TestCrawlChecksEveryRedirect(t *testing.T) {
	s := newSite(t)
	s.mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "User-agent: *\nDisallow: /secret")
	})
	s.redirect("/private", "http://127.0.0.2:"+s.URL[strings.LastIndex(s.URL, ":")+1:]+"/x")
	s.redirect("/metadata", "http://169.254.169.254/latest/")
	s.redirect("/file", "file:///etc/passwd")
	s.redirect("/forbidden", "/secret")
	s.redirect("/loop", "/loop")
	for i := range 6 {
		s.redirect(fmt.Sprintf("/r%d", i), fmt.Sprintf("/r%d", i+1))
	}
	s.page("/r6", "end")
	f := testFetcher()
	f.client.Transport = publicnet.Transport(func(ip netip.Addr) bool { return ip == netip.MustParseAddr("127.0.0.1") }, pageTimeout)
	wantCrawl(t, f, s, `{"same_host":false,"urls":["SITE/private","SITE/metadata","SITE/file","SITE/forbidden","SITE/loop","SITE/r0","SITE/r1"]}`,
		`{"pages":[{"url":"SITE/r1","status":200,"title":"","links":[],"bytes":3}],"skipped":[
		{"url":"SITE/file","reason":"not_http"},{"url":"SITE/forbidden","reason":"robots"},{"url":"SITE/loop","reason":"redirects"},
		{"url":"SITE/metadata","reason":"private_address"},{"url":"SITE/private","reason":"private_address"},{"url":"SITE/r0","reason":"redirects"}]}`)
	if strings.Contains(s.requests(), "/secret") || strings.Contains(s.requests(), "/x") {
		t.Fatalf("asked for %s", s.requests())
	}
}

func TestCrawlRefusesPrivateAddressesByDefault(t *testing.T) {
	s := newSite(t)
	wantCrawl(t, newFetcher(Options{CrawlDelay: -1}), s, `{"urls":["SITE/"]}`,
		`{"pages":[],"skipped":[{"url":"SITE/","reason":"private_address"}]}`)
	if s.requests() != "" {
		t.Fatalf("asked for %s", s.requests())
	}
}

func TestCrawlLimits(t *testing.T) {
	s := newSite(t)
	s.page("/fits", strings.Repeat("x", 100))
	s.page("/large", strings.Repeat("x", 101))
	s.mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // the header comes in time, the body never
		<-r.Context().Done()
	})
	gone := httptest.NewServer(nil)
	gone.Close()
	f := testFetcher()
	f.maxBytes = 100
	wantCrawl(t, f, s, `{"urls":["SITE/fits","SITE/large"]}`,
		`{"pages":[{"url":"SITE/fits","status":200,"title":"","links":[],"bytes":100}],
		"skipped":[{"url":"SITE/large","reason":"too_large"}]}`)
	wantCrawl(t, f, s, `{"urls":["`+gone.URL+`/"]}`, `{"pages":[],"skipped":[{"url":"`+gone.URL+`/","reason":"unreachable"}]}`)
	f.timeout = 300 * time.Millisecond
	wantCrawl(t, f, s, `{"urls":["SITE/slow"]}`, `{"pages":[],"skipped":[{"url":"SITE/slow","reason":"timeout"}]}`)
}

func TestCrawlEndsWhenTheOutputIsFull(t *testing.T) {
	s := newSite(t)
	var links strings.Builder
	for i := range 300 {
		fmt.Fprintf(&links, `<a href="%s%03d">`, strings.Repeat("y", 1900), i)
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		s.page(path, links.String())
	}
	input := strings.ReplaceAll(`{"urls":["SITE/a","SITE/b","SITE/c"]}`, "SITE", s.URL)
	got, err := runCrawl(t.Context(), testFetcher(), json.RawMessage(input), newRecorder(nil))
	if err != nil {
		t.Fatal(err)
	}
	var out crawlOutput
	if err := json.Unmarshal(got, &out); err != nil {
		t.Fatal(err)
	}
	if len(got) > 1<<20 || len(out.Pages) != 1 || len(out.Skipped) != 1 || out.Skipped[0] != (crawlSkip{s.URL + "/b", skipOutputFull}) {
		t.Fatalf("%d bytes, %d pages, skipped %v", len(got), len(out.Pages), out.Skipped)
	}
}

func TestCrawlGoesOnFromItsCheckpoint(t *testing.T) {
	s := newSite(t)
	s.page("/", `<a href="/a">`)
	s.page("/a", `<a href="/"><a href="/b"><a href="/c"><a href="/d">`)
	s.page("/b", `b`)
	input := json.RawMessage(`{"urls":["` + s.URL + `/"],"max_pages":3}`)
	in, err := parseCrawl(input)
	if err != nil {
		t.Fatal(err)
	}
	state := newCrawlState(in, nil)
	job := newRecorder(nil)
	state.save(job)
	wantJSON(t, <-job.saved, `{"pages":[],"skipped":[],"waiting":["`+s.URL+`/"]}`)
	if err := state.visit(t.Context(), testFetcher(), in); err != nil {
		t.Fatal(err)
	}
	state.skip(s.URL+"/a", skipTimeout) // as if /a had failed; /b waits
	state.Waiting = []string{s.URL + "/b"}
	state.save(job)
	got, err := runCrawl(t.Context(), testFetcher(), input, newRecorder(<-job.saved))
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, strings.ReplaceAll(`{"pages":[{"url":"SITE/","status":200,"title":"","links":["SITE/a"],"bytes":13},
		{"url":"SITE/b","status":200,"title":"","links":[],"bytes":1}],"skipped":[{"url":"SITE/a","reason":"timeout"}]}`, "SITE", s.URL))
	if want := "/robots.txt / /robots.txt /b"; s.requests() != want {
		t.Fatalf("asked for %s, want %s", s.requests(), want)
	}
}

func TestCrawlStopsAtOnce(t *testing.T) {
	s := newSite(t)
	underWay := make(chan struct{})
	s.mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) {
		close(underWay)
		<-r.Context().Done()
	})
	wantPrompt(t, underWay, func(ctx context.Context) error {
		_, err := runCrawl(ctx, testFetcher(), json.RawMessage(`{"urls":["`+s.URL+`/slow"]}`), newRecorder(nil))
		return err
	})
	waiting := make(chan struct{})
	s.mux.HandleFunc("GET /robots.txt", func(http.ResponseWriter, *http.Request) { close(waiting) })
	wantPrompt(t, waiting, func(ctx context.Context) error { // a minute is to pass before the page
		_, err := runCrawl(ctx, newFetcher(Options{AllowPrivate: true, CrawlDelay: time.Minute}), json.RawMessage(`{"urls":["`+s.URL+`/"]}`), newRecorder(nil))
		return err
	})
}

func TestCrawlReduce(t *testing.T) {
	input := `{"urls":["http://a.example/","http://b.example/"],"max_pages":2}`
	got, err := reduceAll(t, "crawl", input, []string{
		`{"pages":[{"url":"http://b.example/","status":200,"title":"first","links":[],"bytes":1}],"skipped":[{"url":"http://a.example/","reason":"timeout"},{"url":"http://c.example/","reason":"robots"}]}`,
		`null`,
		`{"pages":[{"url":"http://b.example/","status":200,"title":"second","links":[],"bytes":1},{"url":"http://a.example/","status":404,"title":"","links":["http://x.example/"],"bytes":0},{"url":"http://z.example/","status":200,"title":"too many","links":[],"bytes":1}],"skipped":[]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, got, `{"pages":[{"url":"http://a.example/","status":404,"title":"","links":["http://x.example/"],"bytes":0},
		{"url":"http://b.example/","status":200,"title":"first","links":[],"bytes":1}],"skipped":[{"url":"http://c.example/","reason":"robots"}]}`)
	_, err = reduceAll(t, "crawl", input, []string{`[]`})
	wantCode(t, err, codeBadOutput)
	large := `{"pages":[],"skipped":[{"url":"` + strings.Repeat("u", maxResult) + `","reason":"robots"}]}`
	_, err = reduceAll(t, "crawl", input, []string{large})
	wantCode(t, err, codeTooLarge)
}
