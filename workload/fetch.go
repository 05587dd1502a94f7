package workload

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/temoto/robotstxt"

	"github.com/firmlight/firmlight/internal/publicnet"
)

const (
	pageTimeout      = 10 * time.Second // one request, from connecting to the last byte
	maxPageBytes     = 5 << 20
	maxRobotsBytes   = 500 << 10 // the rest of a longer robots.txt is ignored (RFC 9309)
	maxRedirects     = 5
	robotsKept       = time.Hour
	robotsFailKept   = time.Minute
	maxRobots        = 1000 // cached; forgotten all together above
	defaultDelay     = time.Second
	defaultUserAgent = "Firmlight/1 (+https://github.com/firmlight/firmlight)"
)

// reason says why a URL was skipped; the list stands in docs/workloads.md.
type reason string

func (r reason) Error() string { return string(r) }

const (
	skipNotHTTP     reason = "not_http"
	skipRobots      reason = "robots"
	skipPrivate     reason = "private_address"
	skipTooLarge    reason = "too_large"
	skipTimeout     reason = "timeout"
	skipRedirects   reason = "redirects"
	skipOtherHost   reason = "other_host"
	skipUnreachable reason = "unreachable"
	skipOutputFull  reason = "output_full"
)

// fetcher gets pages politely: every request keeps the host's pace and passes
// the address check, and pages also robots.txt, before each redirect anew.
type fetcher struct {
	client    *http.Client
	gate      *gate
	userAgent string
	timeout   time.Duration
	maxBytes  int64

	mu     sync.Mutex // guards robots
	robots map[string]robotsRules
}

// robotsRules are what one origin's robots.txt allows, or why it is not known.
type robotsRules struct {
	rules   *robotstxt.RobotsData
	err     error
	expires time.Time
}

func newFetcher(opts Options) *fetcher {
	permit := publicnet.Public
	if opts.AllowPrivate {
		permit = publicnet.Any
	}
	f := &fetcher{
		client: &http.Client{
			Transport:     publicnet.Transport(permit, pageTimeout),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		gate:      newGate(max(opts.CrawlDelay, 0)),
		userAgent: opts.UserAgent,
		timeout:   pageTimeout,
		maxBytes:  maxPageBytes,
		robots:    make(map[string]robotsRules),
	}
	if opts.CrawlDelay == 0 {
		f.gate.delay = defaultDelay
	}
	if f.userAgent == "" {
		f.userAgent = defaultUserAgent
	}
	return f
}

// response is a page with its body read, or a redirect.
type response struct {
	url      *url.URL // where it came from, after redirects
	status   int
	header   http.Header
	body     []byte
	redirect *url.URL // nil: none
}

// page gets a page, following redirects, which may leave the host only if
// sameHost is false. Errors are a reason or ctx's.
func (f *fetcher) page(ctx context.Context, target *url.URL, sameHost bool) (*response, error) {
	host := target.Host
	for range maxRedirects + 1 {
		if !isHTTP(target) {
			return nil, skipNotHTTP
		}
		if sameHost && target.Host != host {
			return nil, skipOtherHost
		}
		if err := f.allowed(ctx, target); err != nil {
			return nil, err
		}
		resp, err := f.get(ctx, target, f.maxBytes)
		if err != nil || resp.redirect == nil {
			return resp, err
		}
		target = resp.redirect
	}
	return nil, skipRedirects
}

// allowed is nil if the origin's robots.txt lets us get the page.
func (f *fetcher) allowed(ctx context.Context, target *url.URL) error {
	origin := target.Scheme + "://" + target.Host
	f.mu.Lock()
	known, ok := f.robots[origin]
	f.mu.Unlock()
	if !ok || time.Now().After(known.expires) {
		known = f.askRobots(ctx, origin)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.mu.Lock()
		if len(f.robots) >= maxRobots {
			clear(f.robots)
		}
		f.robots[origin] = known
		f.mu.Unlock()
	}
	if known.err != nil {
		return known.err
	}
	if !known.rules.TestAgent(target.RequestURI(), f.agent()) {
		return skipRobots
	}
	return nil
}

// agent is the name that robots.txt has for us.
func (f *fetcher) agent() string {
	name, _, _ := strings.Cut(f.userAgent, "/")
	return strings.ToLower(name)
}

// askRobots gets robots.txt as RFC 9309 has it: missing (4xx) allows all, a
// server's error (5xx) nothing, and so does a text that makes no sense.
func (f *fetcher) askRobots(ctx context.Context, origin string) robotsRules {
	failed := func(err error) robotsRules {
		return robotsRules{err: err, expires: time.Now().Add(robotsFailKept)}
	}
	target, err := url.Parse(origin + "/robots.txt")
	if err != nil {
		return failed(skipUnreachable)
	}
	for range maxRedirects + 1 {
		if !isHTTP(target) {
			return failed(skipRobots)
		}
		resp, err := f.get(ctx, target, maxRobotsBytes)
		switch {
		case errors.Is(err, skipTooLarge): // cut, with what was read
		case err != nil:
			return failed(err)
		case resp.redirect != nil:
			target = resp.redirect
			continue
		}
		rules, err := robotstxt.FromStatusAndBytes(resp.status, ourRobots(resp.body, f.agent()))
		if err != nil || resp.status >= http.StatusInternalServerError {
			return failed(skipRobots)
		}
		return robotsRules{rules: rules, expires: time.Now().Add(robotsKept)}
	}
	return failed(skipRobots)
}

// get makes one request in the host's turn and reads at most maxBytes. The error
// is a reason or ctx's; with skipTooLarge comes the response as far as it was read.
func (f *fetcher) get(ctx context.Context, target *url.URL, maxBytes int64) (*response, error) {
	leave, err := f.gate.enter(ctx, target.Hostname())
	if err != nil {
		return nil, err
	}
	defer leave()
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, skipUnreachable
	}
	req.Header.Set("User-Agent", f.userAgent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.5")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, reasonOf(ctx, err)
	}
	defer resp.Body.Close()
	out := &response{url: target, status: resp.StatusCode, header: resp.Header}
	if out.redirect = redirectOf(target, resp); out.redirect != nil {
		return out, nil
	}
	if out.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBytes+1)); err != nil {
		return nil, reasonOf(ctx, err)
	}
	if int64(len(out.body)) > maxBytes {
		out.body = out.body[:maxBytes]
		return out, skipTooLarge
	}
	return out, nil
}

// reasonOf turns a failed request into ctx's error, if that is why, or a reason.
func reasonOf(ctx context.Context, err error) error {
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, publicnet.ErrPrivate):
		return skipPrivate
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return skipTimeout
	}
	return skipUnreachable
}

// redirectOf returns where a response sends us, nil if it does not.
func redirectOf(from *url.URL, resp *http.Response) *url.URL {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		to, err := from.Parse(resp.Header.Get("Location"))
		if err != nil || resp.Header.Get("Location") == "" {
			return nil
		}
		if to = normalize(to); len(to.String()) <= maxURL {
			return to
		}
	}
	return nil
}
