package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/firmlight/firmlight/internal/auth"
	"github.com/firmlight/firmlight/internal/downloads"
	"github.com/firmlight/firmlight/internal/httpapi"
	"github.com/firmlight/firmlight/protocol"
)

const (
	workerFile = "firmlight-worker_1.2.0_linux_arm64"
	wheelFile  = "firmlight-1.2.0-py3-none-any.whl"
)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// putDownloads makes a directory as make dist does; each file has its name as
// content.
func putDownloads(t *testing.T, more ...string) downloads.Dir {
	t.Helper()
	dir := t.TempDir()
	sums := ""
	for _, name := range append([]string{
		workerFile, "firmlight-worker_1.2.0_linux_amd64", "firmlight-worker_1.2.0_windows_amd64.exe", "firmlight-worker_1.2.0_darwin_arm64",
		"firmlight_1.2.0_linux_amd64", wheelFile,
	}, more...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		sums += sumOf(name) + "  " + name + "\n"
	}
	sums += sumOf("x") + "  ../outside\n" + sumOf("x") + "  gone\n" + sumOf("x") + "  link\nnonsense\n"
	outside := filepath.Join(t.TempDir(), "outside")
	for name, text := range map[string]string{filepath.Join(dir, downloads.Sums): sums, filepath.Join(dir, "unlisted"): "x", outside: "secret"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return downloads.Dir(dir)
}

// fetch sends a GET with headers, name and value by turns.
func (s *site) fetch(path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	return w
}

func newShop(t *testing.T) *site {
	return newSite(t, func(_ *auth.Options, d *httpapi.Deps) { d.Downloads = putDownloads(t) })
}

func TestDownloadList(t *testing.T) {
	s := newShop(t)
	const windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
	for name, c := range map[string]struct{ path, agent, suggested, command string }{
		"by the User-Agent": {"/download/", "Mozilla/5.0 (X11; Linux aarch64)", workerFile, "sha256sum -c"},
		"by the query":      {"/download/?os=darwin&arch=arm64", windows, "firmlight-worker_1.2.0_darwin_arm64", "shasum -a 256 -c"},
		"for Windows":       {"/download/", windows, "firmlight-worker_1.2.0_windows_amd64.exe", "Get-FileHash"},
		"none built":        {"/download/?os=linux&arch=armv7", "", "", ""},
		"unknown":           {"/download/", "curl/8.5.0", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got httpapi.Downloads
			if err := json.Unmarshal(s.fetch(c.path, "User-Agent", c.agent).Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Files) != 6 || got.Protocol != protocol.Subprotocol {
				t.Fatalf("list %+v", got)
			}
			f := got.Files[0]
			if f.Name != workerFile || f.Version != "1.2.0" || f.OS != "linux" || f.Arch != "arm64" || f.Size != int64(len(workerFile)) ||
				f.SHA256 != sumOf(workerFile) || f.URL != "http://example.com/download/"+workerFile {
				t.Errorf("file %+v", f)
			}
			if c.suggested == "" && got.Suggested == nil {
				return
			}
			if g := got.Suggested; g == nil || g.Name != c.suggested || !strings.Contains(g.Command, g.SHA256) ||
				!strings.Contains(g.Command, g.URL) || !strings.Contains(g.Command, c.command) {
				t.Errorf("suggested %+v", g)
			}
		})
	}
	page := s.fetch("/download/", "Accept", "text/html,*/*", "User-Agent", windows)
	for _, want := range []string{"Get-FileHash", "--extra-index-url http://example.com/download/python/", sumOf(wheelFile)} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, query := range []string{"os=plan9&arch=amd64", "os=linux", "arch=mips&os=linux"} {
		if got := s.fetch("/download/?" + query); got.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", query, got.Code)
		}
	}
	if empty := newSite(t).fetch("/download/", "Accept", "text/html"); empty.Code != http.StatusOK || !strings.Contains(empty.Body.String(), "no programs") {
		t.Errorf("without programs: %d %s", empty.Code, empty.Body)
	}
}

func TestDownload(t *testing.T) {
	s := newShop(t)
	got := s.fetch("/download/" + workerFile)
	tag := got.Header().Get("ETag")
	if got.Code != http.StatusOK || got.Body.String() != workerFile || tag != `"`+sumOf(workerFile)+`"` ||
		got.Header().Get("Content-Type") != "application/octet-stream" || !strings.Contains(got.Header().Get("Content-Disposition"), workerFile) {
		t.Fatalf("%d %q %v", got.Code, got.Body, got.Header())
	}
	if part := s.fetch("/download/"+workerFile, "Range", "bytes=5-9", "If-Range", tag); part.Code != http.StatusPartialContent || part.Body.String() != workerFile[5:10] {
		t.Errorf("range: %d %q", part.Code, part.Body)
	}
	if same := s.fetch("/download/"+workerFile, "If-None-Match", tag); same.Code != http.StatusNotModified {
		t.Errorf("the same again: %d", same.Code)
	}
	for _, name := range []string{
		"unlisted", "gone", "link", "outside", "..%2Foutside", "%2e%2e%2foutside", downloads.Sums, "python", "..", "%00", `..\outside`, workerFile + "%2F",
	} {
		if got := s.fetch("/download/" + name); got.Code != http.StatusNotFound && got.Code != http.StatusTemporaryRedirect && got.Code != http.StatusMovedPermanently {
			t.Errorf("%s: %d %q", name, got.Code, got.Body)
		}
	}
}

// TestPythonIndex: what pip asks for (PEP 503).
func TestPythonIndex(t *testing.T) {
	s := newSite(t, func(_ *auth.Options, d *httpapi.Deps) {
		d.Downloads = putDownloads(t, "firmlight-1.2.0.tar.gz", "Other_Thing-0.1-py3-none-any.whl")
	})
	if got := s.fetch("/download/python/").Body.String(); strings.Count(got, "<a ") != 2 || !strings.Contains(got, `href="firmlight/"`) || !strings.Contains(got, `href="other-thing/"`) {
		t.Errorf("index %s", got)
	}
	got := s.fetch("/download/python/firmlight/").Body.String()
	for _, name := range []string{wheelFile, "firmlight-1.2.0.tar.gz"} {
		if !strings.Contains(got, fmt.Sprintf(`<a href="../../%s#sha256=%s">%s</a>`, name, sumOf(name), name)) {
			t.Errorf("the project lacks %s: %s", name, got)
		}
	}
	if got := s.fetch("/download/python/requests/"); got.Code != http.StatusNotFound {
		t.Errorf("another project: %d", got.Code)
	}
}

// TestUnknownProtocol: a worker of another protocol version is told where it finds
// one of this.
func TestUnknownProtocol(t *testing.T) {
	w := newWorkshop(t)
	d := websocket.Dialer{Subprotocols: []string{"firmlight.worker.v9"}}
	_, resp, err := d.Dial("ws"+strings.TrimPrefix(w.url, "http")+protocol.Path, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	var p problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadRequest || p.Code != "subprotocol" || !strings.Contains(p.Detail, protocol.Subprotocol) || !strings.Contains(p.Detail, w.url+"/download/") {
		t.Errorf("%+v", p)
	}
}
