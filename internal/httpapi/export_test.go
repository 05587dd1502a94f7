package httpapi

import (
	"log/slog"
	"net/http"
)

// RawRoutes returns the patterns of the routes that huma does not know.
func RawRoutes() []string {
	var patterns []string
	for _, r := range New(Deps{Log: slog.New(slog.DiscardHandler)}).routes {
		if r.raw {
			patterns = append(patterns, r.method+" "+r.path)
		}
	}
	return patterns
}

// Unaudited returns why the audit log lacks an operation that succeeded, by
// method and path, of all that change something.
func Unaudited() map[string]string {
	why := map[string]string{}
	for _, r := range New(Deps{Log: slog.New(slog.DiscardHandler)}).routes {
		if r.method != http.MethodGet {
			why[r.method+" "+r.path] = r.unaudited
		}
	}
	return why
}
