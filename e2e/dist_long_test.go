//go:build long

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// TestDist builds everything that people download, has a server hand it out, and
// runs the worker that it suggests.
func TestDist(t *testing.T) {
	repo, err := filepath.Abs("..")
	must(t, err)
	build := exec.CommandContext(t.Context(), "make", "dist", "VERSION=0.0.1-test")
	build.Dir = repo
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := start(t, "FIRMLIGHT_DOWNLOAD_DIR="+filepath.Join(repo, "dist"))
	var list struct {
		Files []struct {
			Name, URL, Program, Version, OS, Arch, SHA256 string
			Size                                          int64
		}
		Suggested struct{ Name, URL string }
	}
	get(t, c.Server.URL+"/download/?os="+runtime.GOOS+"&arch="+runtime.GOARCH, &list)
	programs := 0
	for _, f := range list.Files {
		sum := sha256.New()
		n, err := io.Copy(sum, open(t, f.URL))
		must(t, err)
		if n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
			t.Errorf("%s is not what the list says", f.Name)
		}
		if f.OS != "" {
			programs++
			if f.Version != "0.0.1-test" || strings.HasSuffix(f.Name, ".exe") != (f.OS == "windows") {
				t.Errorf("file %+v", f)
			}
		}
	}
	if programs != 3*6 {
		t.Errorf("%d programs, want 18", programs)
	}
	bin := filepath.Join(t.TempDir(), "firmlight-worker")
	data, err := io.ReadAll(open(t, list.Suggested.URL))
	must(t, err)
	must(t, os.WriteFile(bin, data, 0o700))
	p, err := kit.StartWorker(bin, c.Server.URL, c.token, "downloaded", 1, nil, nil)
	must(t, err)
	t.Cleanup(func() { must(t, p.Stop(10*time.Second)) })
	c.wait(c.submit(map[string]any{"kind": "echo", "input": 1}).ID, "succeeded")
}

func open(t *testing.T, url string) io.Reader {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	return resp.Body
}

func get(t *testing.T, url string, v any) {
	t.Helper()
	must(t, json.NewDecoder(open(t, url)).Decode(v))
}
