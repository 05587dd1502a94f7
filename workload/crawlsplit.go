package workload

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
)

func parseCrawl(input json.RawMessage) (*crawlInput, error) {
	fs, err := fields(input, "urls", "max_pages", "same_host")
	if err != nil {
		return nil, err
	}
	in := &crawlInput{MaxPages: defaultPages}
	if in.URLs, err = parseURLs(fs["urls"]); err != nil {
		return nil, err
	}
	if fs.has("max_pages") {
		most, err := fs.integer("max_pages", 1, maxPages)
		if err != nil {
			return nil, err
		}
		in.MaxPages = int(most)
	}
	in.SameHost, err = fs.boolean("same_host", true)
	return in, err
}

// parseURLs reads the start URLs and gives each its normal form, once.
func parseURLs(array json.RawMessage) ([]string, error) {
	var items []*string
	if err := json.Unmarshal(array, &items); err != nil || len(items) == 0 || len(items) > maxStartURLs {
		return nil, badInput("urls", "must be an array of 1 to %d URLs", maxStartURLs)
	}
	var urls []string
	for i, item := range items {
		field := fmt.Sprintf("urls[%d]", i)
		if item == nil || len(*item) > maxURL {
			return nil, badInput(field, "must be a URL of at most %d bytes", maxURL)
		}
		u, err := url.Parse(*item)
		if err != nil || u.Scheme == "" || u.Hostname() == "" && isHTTP(u) {
			return nil, badInput(field, "must be an absolute URL")
		}
		if link := normalize(u).String(); !slices.Contains(urls, link) {
			urls = append(urls, link)
		}
	}
	return urls, nil
}

// splitCrawl shares out the start URLs and, with them, the pages.
func splitCrawl(input json.RawMessage, n int) ([]json.RawMessage, error) {
	in, err := parseCrawl(input)
	if err != nil {
		return nil, err
	}
	n = min(n, len(in.URLs), in.MaxPages)
	urls, pages := shares(uint64(len(in.URLs)), n), shares(uint64(in.MaxPages), n)
	var parts []json.RawMessage
	rest := in.URLs
	for i := range urls {
		data, err := json.Marshal(crawlInput{rest[:urls[i]], int(pages[i]), in.SameHost})
		if err != nil {
			return nil, err
		}
		parts = append(parts, data)
		rest = rest[urls[i]:]
	}
	return parts, nil
}

// crawlReducer unites parts by URL; what came first stays, a page beats a skip,
// and failed parts are left out.
type crawlReducer struct {
	maxPages int
	pages    map[string]crawlPage
	skipped  map[string]crawlSkip
	size     int
}

func reduceCrawl(parentInput json.RawMessage) (Reducer, error) {
	in, err := parseCrawl(parentInput)
	if err != nil {
		return nil, err
	}
	return &crawlReducer{maxPages: in.MaxPages, pages: make(map[string]crawlPage), skipped: make(map[string]crawlSkip)}, nil
}

func (r *crawlReducer) Add(output json.RawMessage) error {
	if isNull(output) {
		return nil
	}
	var part crawlOutput
	if err := json.Unmarshal(output, &part); err != nil {
		return badOutput("crawl: a part's output must hold pages and skipped")
	}
	for _, page := range part.Pages {
		if _, known := r.pages[page.URL]; known || len(r.pages) == r.maxPages {
			continue
		}
		if page.Links == nil {
			page.Links = []string{}
		}
		r.pages[page.URL] = page
		r.size += jsonSize(page)
	}
	for _, skip := range part.Skipped {
		if _, known := r.skipped[skip.URL]; !known {
			r.skipped[skip.URL] = skip
			r.size += jsonSize(skip)
		}
	}
	return tooLarge(r.size)
}

func (r *crawlReducer) Result() (json.RawMessage, error) {
	var out crawlState
	for _, page := range r.pages {
		out.Pages = append(out.Pages, page)
	}
	for u, skip := range r.skipped {
		if _, fetched := r.pages[u]; !fetched {
			out.Skipped = append(out.Skipped, skip)
		}
	}
	data, err := json.Marshal(out.sorted())
	if err != nil {
		return nil, err
	}
	if err := tooLarge(len(data)); err != nil {
		return nil, err
	}
	return data, nil
}
