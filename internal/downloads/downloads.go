// Package downloads is the directory of programs that a server hands out: what
// make dist builds, put there by whoever runs the server.
package downloads

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/firmlight/firmlight/internal/fault"
)

// Sums is the file that lists what there is: the SHA-256 of each file and its
// name, as sha256sum prints them. What is not in it is not handed out.
const Sums = "SHA256SUMS"

// maxSums bounds what is read of Sums, in bytes.
const maxSums = 1 << 20

// ErrNotFound is returned for a name that is not in the list.
var ErrNotFound = fault.New(fault.NotFound, "download_not_found", "There is no such file to download.")

// File is one that can be had.
type File struct {
	Name    string
	SHA256  string // in hexadecimal
	Size    int64  // bytes
	Program string // firmlight-server, firmlight-worker, firmlight, or a Python project; empty: unknown
	Version string
	OS      string // as Go names it; empty: any
	Arch    string // amd64, arm64 or armv7; empty: any
	Python  bool   // for pip
}

// Dir is the path of the directory. It is read anew each time, and need not be
// there.
type Dir string

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$`)
	linePattern   = regexp.MustCompile(`^([0-9a-f]{64}) [ *](\S+)$`)
	programName   = regexp.MustCompile(`^(firmlight(?:-server|-worker)?)_([^_]+)_(linux|darwin|windows)_(amd64|arm64|armv7)(?:\.exe)?$`)
	wheelName     = regexp.MustCompile(`^([A-Za-z0-9._]+)-([^-]+)-[^-]+-[^-]+-[^-]+\.whl$`)
	sourceName    = regexp.MustCompile(`^([A-Za-z0-9._]+)-([^-]+)\.tar\.gz$`)
	pythonDivider = regexp.MustCompile(`[-_.]+`)
)

// List returns the files, in the order of Sums; those that are not there are
// left out.
func (d Dir) List() ([]File, error) {
	root, err := os.OpenRoot(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	sums, err := root.Open(Sums)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("downloads: %w", err)
	}
	defer func() { _ = sums.Close() }() // it was only read
	var files []File
	lines := bufio.NewScanner(io.LimitReader(sums, maxSums))
	for lines.Scan() {
		line := linePattern.FindStringSubmatch(strings.TrimSpace(lines.Text()))
		if line == nil || !namePattern.MatchString(line[2]) {
			continue
		}
		info, err := root.Stat(line[2]) // of a link that leads out of the directory: an error
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		files = append(files, describe(line[2], line[1], info.Size()))
	}
	return files, lines.Err()
}

// describe reads what a name says.
func describe(name, sum string, size int64) File {
	f := File{Name: name, SHA256: sum, Size: size}
	if m := programName.FindStringSubmatch(name); m != nil {
		f.Program, f.Version, f.OS, f.Arch = m[1], m[2], m[3], m[4]
	}
	for _, p := range []*regexp.Regexp{wheelName, sourceName} {
		if m := p.FindStringSubmatch(name); m != nil {
			f.Program, f.Version, f.Python = project(m[1]), m[2], true
		}
	}
	return f
}

// project brings the name of a Python project into the form that pip asks for
// (PEP 503).
func project(name string) string {
	return strings.ToLower(pythonDivider.ReplaceAllString(name, "-"))
}

// Find returns a file of the list, or ErrNotFound.
func (d Dir) Find(name string) (File, error) {
	files, err := d.List()
	if err != nil {
		return File{}, err
	}
	for _, f := range files {
		if f.Name == name {
			return f, nil
		}
	}
	return File{}, ErrNotFound
}

// Open returns the directory to read files from; it does not lead out.
func (d Dir) Open() (*os.Root, error) { return os.OpenRoot(string(d)) }
