// Guard runs the benchmarks of the hot functions (BenchmarkGuard…) and compares
// them with the numbers of the last release in bench/guard/baseline.txt: it fails
// where one allocates more often, and shows what benchstat says of the times.
//
//	go run ./bench/guard             compare
//	go run ./bench/guard -update     write the baseline, at a release
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const baseline = "bench/guard/baseline.txt"

// suites are packages and how long their benchmarks run: the store's so many times,
// for what it does first counts among its allocations.
var suites = []struct {
	length   string
	packages []string
}{
	{"20ms", []string{"./protocol", "./internal/workers", "./internal/live", "./internal/httpapi"}},
	{"20x", []string{"./internal/store/sqlite"}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("guard", flag.ContinueOnError)
	update := f.Bool("update", false, "write "+baseline)
	if err := f.Parse(args); err != nil {
		return err
	}
	now, err := measure(ctx)
	if err != nil {
		return err
	}
	if *update {
		return os.WriteFile(baseline, now, 0o600)
	}
	old, err := os.ReadFile(baseline)
	if err != nil {
		return err
	}
	if err := benchstat(ctx, now, stdout); err != nil {
		return err
	}
	grown := compare(allocations(old), allocations(now))
	if len(grown) > 0 {
		return errors.New(strings.Join(grown, "\n       ") +
			"\n       if it has to be: go run ./bench/guard -update, and say why in the commit")
	}
	return nil
}

// measure runs the benchmarks, six times each for benchstat.
func measure(ctx context.Context) (all []byte, err error) {
	for _, s := range suites {
		args := append([]string{"test", "-run", "^$", "-bench", "^BenchmarkGuard", "-benchmem", "-benchtime", s.length, "-count", "6", "-cpu", "2"}, s.packages...)
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go test: %w\n%s", err, out)
		}
		all = append(all, out...)
	}
	return all, nil
}

// benchstat shows the baseline beside a run.
func benchstat(ctx context.Context, now []byte, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "firmlight-guard-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "now.txt")
	if err := os.WriteFile(file, now, 0o600); err != nil {
		return err
	}
	old, err := filepath.Abs(baseline)
	if err != nil {
		return err
	}
	// It may be another machine than the baseline's: that is no other benchmark.
	cmd := exec.CommandContext(ctx, "go", "-C", "tools/benchstat", "tool", "benchstat", "-ignore", "cpu,goos,goarch", "baseline="+old, "now="+file)
	cmd.Stdout, cmd.Stderr = stdout, os.Stderr
	return cmd.Run()
}

// allocations returns the fewest allocations per operation of each benchmark: what
// the background adds is not the function's.
func allocations(text []byte) map[string]int {
	fewest := make(map[string]int)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "Benchmark") || fields[len(fields)-1] != "allocs/op" {
			continue
		}
		n, err := strconv.Atoi(fields[len(fields)-2])
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-")
		if old, seen := fewest[name]; !seen || n < old {
			fewest[name] = n
		}
	}
	return fewest
}

// compare names what allocates more often than it did, and what the baseline does
// not have. One in twenty more is not growth: the store's counts move a little with
// what its writer finds waiting.
func compare(old, now map[string]int) (complaints []string) {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		before, known := old[name]
		switch {
		case !known:
			complaints = append(complaints, name+" is not in "+baseline)
		case now[name] > before+before/20:
			complaints = append(complaints, fmt.Sprintf("%s: %d allocations, %d in %s", name, now[name], before, baseline))
		}
	}
	for name := range old {
		if _, there := now[name]; !there {
			complaints = append(complaints, name+" did not run")
		}
	}
	return complaints
}
