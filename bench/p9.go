package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

// idleFor is how long the server is left alone before its memory is read.
const idleFor = 5 * time.Second

// embedded is P9: the server with nothing but a folder under it.
func (b *bench) embedded(ctx context.Context) ([]row, error) {
	rows, err := b.starts(ctx, pick(b.short, 3, 10))
	if err != nil {
		return rows, err
	}
	info, err := os.Stat(b.server)
	if err != nil {
		return rows, err
	}
	rows = append(rows, newRow("P9", "size of the server, static and stripped", "MB", float64(info.Size())/1e6).atMost(40))
	ours, err := b.startOwn(ctx, inProcess)
	if err != nil {
		return rows, err
	}
	defer ours.stop()
	done, err := b.batchRounds(ctx, "P9", pick(b.short, 2000, 10000), ours)
	if err == nil {
		rows = append(rows, done[0].atLeast(2000).note("in-process Redis"))
	}
	return rows, err
}

// starts starts the server n times on an empty folder, and measures the memory
// of the last one.
func (b *bench) starts(ctx context.Context, n int) ([]row, error) {
	b.say("  %d starts …", n)
	var alive, ready []float64
	var idle float64
	for i := range n {
		a, r, mb, err := b.startOnce(ctx, i == n-1)
		if err != nil {
			return nil, err
		}
		alive, ready, idle = append(alive, millis(a)), append(ready, millis(r)), mb
	}
	return []row{
		newRow("P9", "process start → first 200 of /healthz, empty folder", "ms", alive...).atMost(300),
		newRow("P9", "process start → first 200 of /readyz, empty folder", "ms", ready...).atMost(300),
		newRow("P9", fmt.Sprintf("resident memory, %s after the start", idleFor), "MB", idle).atMost(60),
	}, nil
}

// startOnce returns the times to the first 200 of /healthz and /readyz, and,
// where rest is set, the resident memory in MB after a rest.
func (b *bench) startOnce(ctx context.Context, rest bool) (alive, ready time.Duration, mb float64, err error) {
	dir, err := b.temp("start")
	if err != nil {
		return 0, 0, 0, err
	}
	addr, err := kit.FreeAddress()
	if err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	p, err := kit.StartProcess(b.server, nil, []string{"FIRMLIGHT_LISTEN=" + addr, "FIRMLIGHT_DATA_DIR=" + dir}, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { _ = p.Stop(20 * time.Second) }()
	if err := untilOK(ctx, addr, "/healthz"); err != nil {
		return 0, 0, 0, fmt.Errorf("%w\n%s", err, p.Output())
	}
	alive = time.Since(began)
	if err := untilOK(ctx, addr, "/readyz"); err != nil {
		return 0, 0, 0, fmt.Errorf("%w\n%s", err, p.Output())
	}
	ready = time.Since(began)
	if rest && pause(ctx, idleFor) {
		var bytes int64
		bytes, _, err = kit.Memory(p.PID())
		mb = float64(bytes) / 1e6
	}
	return alive, ready, mb, err
}

// untilOK asks every millisecond, each time on a new connection.
func untilOK(ctx context.Context, addr, path string) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext,
	}}
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		resp, err := client.Get("http://" + addr + path)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s does not answer 200", path)
}
