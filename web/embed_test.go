package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHandler(t *testing.T) {
	script := strings.Repeat("console.log(1);\n", 100)
	built := fstest.MapFS{
		"index.html":       {Data: []byte("<!doctype html><title>Firmlight</title>")},
		"placeholder.txt":  {Data: []byte("run make web")},
		"favicon.svg":      {Data: []byte("<svg/>")},
		"assets/a-h4sh.js": {Data: []byte(script)},
	}
	unbuilt := fstest.MapFS{"placeholder.txt": built["placeholder.txt"]}
	for _, c := range []struct {
		name, method, path string
		files              fstest.MapFS
		status             int
		kind, cache, body  string
	}{
		{"root", "GET", "/", built, 200, "text/html; charset=utf-8", "no-cache", "<!doctype"},
		{"a page of the router", "GET", "/groups/1/tasks", built, 200, "text/html; charset=utf-8", "no-cache", "<!doctype"},
		{"script", "GET", "/assets/a-h4sh.js", built, 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", script},
		{"icon", "GET", "/favicon.svg", built, 200, "image/svg+xml", "no-cache", "<svg/>"},
		{"head", "HEAD", "/login", built, 200, "text/html; charset=utf-8", "no-cache", ""},
		{"a script that is gone", "GET", "/assets/old.js", built, 404, "", "", ""},
		{"the folder", "GET", "/assets/", built, 404, "", "", ""},
		{"for programs", "GET", "/metrics/x", built, 404, "", "", ""},
		{"a file that is not there", "GET", "/robots.txt", built, 404, "", "", ""},
		{"outside", "GET", "/../embed.go", built, 404, "", "", ""},
		{"no page is posted to", "POST", "/login", built, 404, "", "", ""},
		{"placeholder of a built client", "GET", "/placeholder.txt", built, 404, "", "", ""},
		{"not built", "GET", "/", unbuilt, 503, "text/plain; charset=utf-8", "no-cache", "run make web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler(c.files, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(c.method, "http://x"+c.path, nil))
			if w.Code != c.status {
				t.Fatalf("status %d, want %d", w.Code, c.status)
			}
			if c.kind == "" {
				return
			}
			h := w.Header()
			if h.Get("Content-Type") != c.kind || h.Get("Cache-Control") != c.cache || !strings.HasPrefix(w.Body.String(), c.body) {
				t.Errorf("%v %q", h, w.Body)
			}
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "script-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("not safe: %v", h)
			}
		})
	}

	t.Run("packed", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/assets/a-h4sh.js", nil)
		r.Header.Set("Accept-Encoding", "br, gzip")
		w := httptest.NewRecorder()
		handler(built, http.NotFoundHandler()).ServeHTTP(w, r)
		z, err := gzip.NewReader(w.Body)
		if err != nil || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Fatal(err, w.Header())
		}
		if body, err := io.ReadAll(z); err != nil || string(body) != script {
			t.Fatal(err, string(body))
		}
	})
}
