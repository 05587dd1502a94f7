package workload

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

const (
	maxStartURLs   = 1000
	maxPages       = 1000
	defaultPages   = 100
	maxSkipped     = 1000
	maxCrawlOutput = 1<<20 - 1<<10 // bytes of JSON, of the 1 MiB a task may return
)

// crawl reads web pages and follows their links.
func crawl(opts Options) Kind {
	f := newFetcher(opts)
	return Kind{
		Name: "crawl",
		Run: func(ctx context.Context, input json.RawMessage, job Job) (json.RawMessage, error) {
			return runCrawl(ctx, f, input, job)
		},
		Split:  splitCrawl,
		Reduce: reduceCrawl,
	}
}

type crawlInput struct {
	URLs     []string `json:"urls"` // normal
	MaxPages int      `json:"max_pages"`
	SameHost bool     `json:"same_host"`
}

type crawlPage struct {
	URL    string   `json:"url"` // as asked for, before redirects
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Links  []string `json:"links"`
	Bytes  int      `json:"bytes"` // of the body
}

type crawlSkip struct {
	URL    string `json:"url"`
	Reason reason `json:"reason"`
}

type crawlOutput struct {
	Pages   []crawlPage `json:"pages"`
	Skipped []crawlSkip `json:"skipped"`
}

// crawlState is a crawl under way, and its checkpoint.
type crawlState struct {
	crawlOutput
	Waiting []string `json:"waiting"` // in the order in which they were met

	seen map[string]bool // pages, skipped and waiting
	size int             // bytes of the output so far
}

// runCrawl visits breadth first, one page at a time, so that the order and with
// it the result depend on the pages alone.
func runCrawl(ctx context.Context, f *fetcher, input json.RawMessage, job Job) (json.RawMessage, error) {
	in, err := parseCrawl(input)
	if err != nil {
		return nil, err
	}
	state := newCrawlState(in, job.LoadCheckpoint())
	saveEvery, tellEvery := newTicker(checkpointEvery), newTicker(progressEvery)
	for state.goesOn(in) {
		if err := state.visit(ctx, f, in); err != nil {
			return nil, err
		}
		if tellEvery.due() {
			done := len(state.Pages)
			job.Progress(100*float64(done)/float64(in.MaxPages), fmt.Sprintf("%d pages, %d waiting", done, len(state.Waiting)))
		}
		if saveEvery.due() {
			state.save(job)
		}
	}
	return json.Marshal(state.sorted())
}

// newCrawlState starts from the checkpoint, or from the start URLs without one.
func newCrawlState(in *crawlInput, checkpoint json.RawMessage) *crawlState {
	s := &crawlState{}
	if checkpoint == nil || json.Unmarshal(checkpoint, s) != nil {
		s = &crawlState{Waiting: in.URLs}
	}
	// Empty, never null, in the checkpoint.
	s.Pages, s.Skipped, s.Waiting = append([]crawlPage{}, s.Pages...), append([]crawlSkip{}, s.Skipped...), append([]string{}, s.Waiting...)
	s.seen = make(map[string]bool)
	for _, p := range s.Pages {
		s.seen[p.URL] = true
		s.size += jsonSize(p)
	}
	for _, k := range s.Skipped {
		s.seen[k.URL] = true
		s.size += jsonSize(k)
	}
	for _, u := range s.Waiting {
		s.seen[u] = true
	}
	return s
}

func (s *crawlState) goesOn(in *crawlInput) bool {
	return len(s.Waiting) > 0 && len(s.Pages) < in.MaxPages && len(s.Skipped) < maxSkipped
}

// visit takes the next URL. The error is ctx's; a page that cannot be had is skipped.
func (s *crawlState) visit(ctx context.Context, f *fetcher, in *crawlInput) error {
	next := s.Waiting[0]
	target, err := url.Parse(next)
	if err != nil {
		return err // cannot be: it was parsed before
	}
	resp, err := f.page(ctx, target, in.SameHost)
	var why reason
	switch {
	case errors.As(err, &why):
		s.skip(next, why)
		return nil
	case err != nil:
		return err
	}
	page := crawlPage{URL: next, Status: resp.status, Bytes: len(resp.body)}
	page.Title, page.Links = readPage(resp)
	if s.size+jsonSize(page) > maxCrawlOutput {
		s.skip(next, skipOutputFull)
		s.Waiting = s.Waiting[:0]
		return nil
	}
	s.Waiting = s.Waiting[1:]
	s.size += jsonSize(page)
	s.Pages = append(s.Pages, page)
	s.follow(page.Links, target.Host, in)
	return nil
}

// skip notes why the first waiting URL gives no page; there is always room for
// it, or the crawl is over.
func (s *crawlState) skip(u string, why reason) {
	skip := crawlSkip{u, why}
	s.Waiting = s.Waiting[1:]
	if s.size += jsonSize(skip); s.size > maxCrawlOutput {
		s.Waiting = s.Waiting[:0]
		return
	}
	s.Skipped = append(s.Skipped, skip)
}

// follow adds new links to those waiting, no more than could ever be visited.
func (s *crawlState) follow(links []string, host string, in *crawlInput) {
	room := in.MaxPages - len(s.Pages) + maxSkipped - len(s.Skipped)
	for _, link := range links {
		if len(s.Waiting) >= room {
			return
		}
		if s.seen[link] || in.SameHost && hostOf(link) != host {
			continue
		}
		s.seen[link] = true
		s.Waiting = append(s.Waiting, link)
	}
}

func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Host
}

// save stores the state; one that has grown too large leaves the last in place.
func (s *crawlState) save(job Job) {
	if data, err := json.Marshal(s); err == nil && len(data) <= maxCheckpoint {
		save(job, json.RawMessage(data))
	}
}

func (s *crawlState) sorted() crawlOutput {
	out := crawlOutput{append([]crawlPage{}, s.Pages...), append([]crawlSkip{}, s.Skipped...)}
	slices.SortFunc(out.Pages, func(a, b crawlPage) int { return cmp.Compare(a.URL, b.URL) })
	slices.SortFunc(out.Skipped, func(a, b crawlSkip) int { return cmp.Compare(a.URL, b.URL) })
	return out
}

// jsonSize is the length of v as an element of an array.
func jsonSize(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return maxResult
	}
	return len(data) + 1
}
