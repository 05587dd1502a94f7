package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// profileTime is how much of the rounds a CPU profile covers.
const profileTime = 10 * time.Second

// profiler takes one CPU profile of the server beside the rounds.
type profiler struct{ running sync.WaitGroup }

// profiler starts one for a figure, if asked for.
func (b *bench) profiler(ctx context.Context, r *rig, id string) *profiler {
	p := &profiler{}
	if b.profile == "" {
		return p
	}
	p.running.Go(func() {
		if err := b.profileServer(ctx, r.pprof, id); err != nil {
			b.say("  profile of %s: %v", id, err)
		}
	})
	return p
}

// finish waits until the profile is written and shown.
func (p *profiler) finish() { p.running.Wait() }

func (b *bench) profileServer(ctx context.Context, addr, id string) error {
	file, err := b.saveProfile(ctx, addr, id, pick(b.short, profileTime/5, profileTime))
	if err != nil {
		return err
	}
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=15", b.server, file).CombinedOutput()
	b.say("  profile of %s (%s)\n%s", id, file, top)
	return err
}

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
