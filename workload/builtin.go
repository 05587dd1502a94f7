package workload

import "time"

// Options are the settings of the built-in kinds; the zero value is safe.
type Options struct {
	// CrawlDelay is the least time between two requests to one host. Zero means
	// one second; negative means none, for tests.
	CrawlDelay time.Duration
	// AllowPrivate lets crawl reach private, loopback and link-local addresses.
	AllowPrivate bool
	// UserAgent is sent by crawl and its first word is looked up in robots.txt.
	// Empty means one that names the product.
	UserAgent string
}

// Builtin returns the built-in kinds by name. All runs of the returned crawl
// share one pace per host, so a process calls Builtin once.
func Builtin(opts Options) map[string]Kind {
	kinds := make(map[string]Kind)
	for _, k := range []Kind{echo(), sleep(), factorize(), mean(), crawl(opts)} {
		kinds[k.Name] = k
	}
	return kinds
}
