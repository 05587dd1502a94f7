package httpapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/downloads"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

//go:embed downloads.html
var downloadsHTML string

const downloadPath = "/download/"

// downloadRoutes hand out programs. They are public: somebody who lends a
// computer fetches the worker on a machine that has no login, with curl or pip;
// the programs are the same for all and hold no secret.
func (a *API) downloadRoutes() {
	const tag = "Downloads"
	page := map[int]content{http.StatusOK: {"text/html": nil}}
	a.raw(route{
		method: http.MethodGet, path: downloadPath, id: "list-downloads", tag: tag, summary: "The programs to download, as JSON or a page",
		detail: "suggested is for ?os=&arch=, else for the computer that the User-Agent speaks of.",
		access: public, answers: map[int]content{http.StatusOK: {"application/json": Downloads{}, "text/html": nil}},
	}, a.listDownloads)
	a.raw(route{
		method: http.MethodGet, path: downloadPath + "{file}", id: "get-download", tag: tag, summary: "A program",
		access: public, answers: map[int]content{http.StatusOK: {"application/octet-stream": nil}},
	}, a.getDownload)
	a.raw(route{
		method: http.MethodGet, path: downloadPath + "python/", id: "python-index", tag: tag, summary: "The Python projects, for pip (PEP 503)",
		access: public, answers: page,
	}, a.pythonIndex)
	a.raw(route{
		method: http.MethodGet, path: downloadPath + "python/{project}/", id: "python-project", tag: tag, summary: "The files of a Python project, for pip (PEP 503)",
		access: public, answers: page,
	}, a.pythonProject)
}

// Downloads is what there is to download.
type Downloads struct {
	Protocol  string      `json:"protocol" doc:"Version of the worker protocol that the server speaks"`
	Files     []Download  `json:"files" nullable:"false"`
	Suggested *Suggestion `json:"suggested" doc:"The worker for the caller's computer; null where it is not known, or there is none"`
}

// Download is a file to download.
type Download struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Program string `json:"program,omitempty" doc:"firmlight-worker, firmlight (the command line), firmlight-server, or a Python project"`
	Version string `json:"version,omitempty"`
	OS      string `json:"os,omitempty" enum:"linux,darwin,windows" doc:"Absent: any"`
	Arch    string `json:"arch,omitempty" enum:"amd64,arm64,armv7" doc:"Absent: any"`
	Size    int64  `json:"size" doc:"Bytes"`
	SHA256  string `json:"sha256"`
}

// Suggestion is a worker, with what fetches, checks and starts it.
type Suggestion struct {
	Download
	Command string `json:"command" doc:"To paste into a shell; on Windows PowerShell"`
}

func (a *API) listDownloads(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	system, arch := downloads.Platform(r.UserAgent())
	if q.Has("os") || q.Has("arch") {
		system, arch = q.Get("os"), q.Get("arch")
		if !slices.Contains([]string{"linux", "darwin", "windows"}, system) {
			return fault.InvalidField("query.os", "must be linux, darwin or windows")
		}
		if !slices.Contains([]string{"amd64", "arm64", "armv7"}, arch) {
			return fault.InvalidField("query.arch", "must be amd64, arm64 or armv7")
		}
	}
	files, err := a.deps.Downloads.List()
	if err != nil {
		return err
	}
	base := a.publicURL(r)
	show := func(f downloads.File) Download {
		return Download{
			Name: f.Name, URL: base + downloadPath + url.PathEscape(f.Name), Program: f.Program, Version: f.Version,
			OS: f.OS, Arch: f.Arch, Size: f.Size, SHA256: f.SHA256,
		}
	}
	list := Downloads{Protocol: protocol.Subprotocol, Files: make([]Download, len(files))}
	python := false
	for i, f := range files {
		list.Files[i] = show(f)
		python = python || f.Python
	}
	if f := downloads.Newest(files, "firmlight-worker", system, arch); f != nil {
		list.Suggested = &Suggestion{show(*f), downloads.Command(*f, base)}
	}
	h := w.Header()
	h.Set("Vary", "Accept, User-Agent")
	h.Set("Cache-Control", "no-cache")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		data, err := json.Marshal(list)
		if err == nil {
			writeJSON(w, http.StatusOK, data)
		}
		return err
	}
	showPage(w, pageOf(downloadsHTML, list.html(base, python)))
	return nil
}

// html is the list as the page shows it.
func (l Downloads) html(base string, python bool) string {
	var b strings.Builder
	if s := l.Suggested; s != nil {
		shell := "a terminal"
		if s.OS == "windows" {
			shell = "PowerShell"
		}
		b.WriteString(htmlf("<h2>A worker for this computer (%s, %s)</h2>\n<p>Version %s. Make a worker token first; then paste this into %s:</p>\n<pre>%s</pre>\n",
			s.OS, s.Arch, s.Version, shell, s.Command))
	}
	if python {
		b.WriteString(htmlf("<h2>Python</h2>\n<pre>pip install firmlight --extra-index-url %s/download/python/</pre>\n", base))
	}
	if len(l.Files) == 0 {
		b.WriteString("<p>This server hands out no programs. Whoever runs it can put there what <code>make dist</code> builds.</p>\n")
	} else {
		b.WriteString("<h2>All files</h2>\n<div class=\"wide\"><table>\n<tr><th>file</th><th>version</th><th>system</th><th>bytes</th><th>SHA-256</th></tr>\n")
		for _, f := range l.Files {
			b.WriteString(htmlf("<tr><td><a href=\"%s\">%s</a></td><td>%s</td><td>%s %s</td><td>%s</td><td class=\"sum\">%s</td></tr>\n",
				f.Name, f.Name, f.Version, f.OS, f.Arch, strconv.FormatInt(f.Size, 10), f.SHA256))
		}
		b.WriteString("</table></div>\n")
	}
	b.WriteString(htmlf("<p>The server speaks the worker protocol %s.</p>", l.Protocol))
	return b.String()
}

// getDownload sends a file, or the part of it that is asked for.
func (a *API) getDownload(w http.ResponseWriter, r *http.Request) error {
	if a.downloading.Add(1) > maxDownloads {
		a.downloading.Add(-1)
		busy := fault.New(fault.TooMany, "busy", "Too many downloads at the same time; try again soon.")
		busy.RetryAfter = 10 * time.Second
		return busy
	}
	defer a.downloading.Add(-1)
	f, err := a.deps.Downloads.Find(r.PathValue("file"))
	if err != nil {
		return err
	}
	root, err := a.deps.Downloads.Open()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // it was only read
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.Name))
	h.Set("ETag", `"`+f.SHA256+`"`)
	h.Set("Cache-Control", "no-cache")
	slowest := time.Minute + time.Duration(f.Size/minDownloadRate)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slowest)) // without it the connection's own holds
	http.ServeFileFS(w, r, root.FS(), f.Name)
	return nil
}

// Bounds of downloads: how many at a time, and the bytes per second of the
// slowest line that one survives.
const (
	maxDownloads    = 128
	minDownloadRate = 16 << 10
)

func (a *API) pythonIndex(w http.ResponseWriter, _ *http.Request) error {
	files, err := a.deps.Downloads.List()
	if err != nil {
		return err
	}
	var projects []string
	for _, f := range files {
		if entry := htmlf(`<a href="%s/">%s</a><br>`, f.Program, f.Program); f.Python && !slices.Contains(projects, entry) {
			projects = append(projects, entry)
		}
	}
	showPage(w, pythonPage(projects))
	return nil
}

func (a *API) pythonProject(w http.ResponseWriter, r *http.Request) error {
	files, err := a.deps.Downloads.List()
	if err != nil {
		return err
	}
	var links []string
	for _, f := range files {
		if f.Python && f.Program == r.PathValue("project") {
			links = append(links, htmlf(`<a href="../../%s#sha256=%s">%s</a><br>`, url.PathEscape(f.Name), f.SHA256, f.Name))
		}
	}
	if links == nil {
		return downloads.ErrNotFound
	}
	showPage(w, pythonPage(links))
	return nil
}

// pythonPage is a page of a simple repository (PEP 503).
func pythonPage(links []string) string {
	return "<!doctype html><meta name=\"pypi:repository-version\" content=\"1.0\"><title>Packages</title>\n" + strings.Join(links, "\n") + "\n"
}

// showPage answers with a page that needs no script and nothing from elsewhere.
func showPage(w http.ResponseWriter, page string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = io.WriteString(w, page) // the peer may have gone
}
