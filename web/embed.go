// Package web is the client for people, built by `make web` into dist and embedded
// into the server.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

const (
	index       = "index.html"
	placeholder = "placeholder.txt" // all there is where the client was not built
)

// policy lets the page run its own scripts only, and talk to its own server only.
// Mantine sets styles from scripts, hence its 'unsafe-inline'.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// elsewhere are the paths that belong to programs: a wrong one among them is no page.
var elsewhere = []string{"api", "assets", "docs", "download", "healthz", "metrics", "readyz"}

// compressible are the media types that get smaller.
var compressible = []string{"text/", "image/svg+xml", "application/json"}

// Handler serves the client: its files by their names, and its page at each other
// path without a dot in its last part, for the page has a router of its own.
// notFound answers the rest.
func Handler(notFound http.Handler) http.Handler {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name above is wrong
	}
	return handler(files, notFound)
}

func handler(files fs.FS, notFound http.Handler) http.Handler {
	s := &site{files: files}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := s.find(r.URL.Path)
		if f == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			notFound.ServeHTTP(w, r)
			return
		}
		f.serve(w, r)
	})
}

// site keeps each file once it was asked for.
type site struct {
	files  fs.FS
	loaded sync.Map // path → *file
}

// file is what is sent.
type file struct {
	name        string
	contentType string
	plain       []byte
	gzipped     []byte // nil: not smaller
}

// find returns the file of a path, or nil.
func (s *site) find(p string) *file {
	name := strings.TrimPrefix(p, "/")
	if f := s.load(name); f != nil && name != placeholder {
		return f
	}
	first, _, _ := strings.Cut(name, "/")
	if strings.Contains(path.Base(p), ".") || slices.Contains(elsewhere, first) {
		return nil
	}
	if f := s.load(index); f != nil {
		return f
	}
	return s.load(placeholder)
}

func (s *site) load(name string) *file {
	if f, ok := s.loaded.Load(name); ok {
		return f.(*file)
	}
	content, err := fs.ReadFile(s.files, name) // refuses .. and absolute paths
	if err != nil {
		return nil
	}
	f := &file{name: name, contentType: mime.TypeByExtension(path.Ext(name)), plain: content}
	for _, t := range compressible {
		if strings.HasPrefix(f.contentType, t) {
			f.gzipped = pack(content)
			break
		}
	}
	s.loaded.Store(name, f)
	return f
}

// pack compresses, or returns nil where that is of no use.
func pack(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one
	_, _ = w.Write(content)                               // a Buffer takes everything
	_ = w.Close()
	if b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // invite and set-up links have their code in the address
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if strings.HasPrefix(f.name, "assets/") { // their names have a hash of what is in them
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body := f.plain
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body = f.gzipped
		}
	}
	if f.name == placeholder {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) //nolint:gosec // G705: it is what was built, not what was sent; the peer may have gone
	}
}
