package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// saveProfile takes a CPU profile of the server and returns its file, which
// stays where -profile was given.
func (b *bench) saveProfile(ctx context.Context, addr, id string, length time.Duration) (string, error) {
	dir := cmp.Or(b.profile, b.dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", addr, length.Seconds())
	data, err := get(ctx, url)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, id+".pprof")
	return file, os.WriteFile(file, data, 0o600)
}
