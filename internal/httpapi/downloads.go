package httpapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/firmlight/firmlight/internal/downloads"
	"github.com/firmlight/firmlight/internal/fault"
	"github.com/firmlight/firmlight/protocol"
)

//go:embed downloads.html
var downloadsHTML string

var downloadsTemplate = template.Must(template.New("downloads").Parse(downloadsHTML))

// pythonTemplate is a page of a simple repository (PEP 503).
var pythonTemplate = template.Must(template.New("python").Parse(
	`<!doctype html><meta name="pypi:repository-version" content="1.0"><title>Packages</title>
{{range .}}<a href="{{.URL}}">{{.Text}}</a><br>
{{end}}`))

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
	return showPage(w, downloadsTemplate, struct {
		Downloads
		Base   string
		Python bool
	}{list, base, python})
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

// link is an entry of a page for pip.
type link struct{ URL, Text string }

func (a *API) pythonIndex(w http.ResponseWriter, _ *http.Request) error {
	files, err := a.deps.Downloads.List()
	if err != nil {
		return err
	}
	var projects []link
	for _, f := range files {
		if entry := (link{f.Program + "/", f.Program}); f.Python && !slices.Contains(projects, entry) {
			projects = append(projects, entry)
		}
	}
	return showPage(w, pythonTemplate, projects)
}

func (a *API) pythonProject(w http.ResponseWriter, r *http.Request) error {
	files, err := a.deps.Downloads.List()
	if err != nil {
		return err
	}
	var links []link
	for _, f := range files {
		if f.Python && f.Program == r.PathValue("project") {
			links = append(links, link{"../../" + url.PathEscape(f.Name) + "#sha256=" + f.SHA256, f.Name})
		}
	}
	if links == nil {
		return downloads.ErrNotFound
	}
	return showPage(w, pythonTemplate, links)
}

// showPage answers with a page that needs no script and nothing from elsewhere.
func showPage(w http.ResponseWriter, t *template.Template, data any) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	return t.Execute(w, data)
}
