package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// machine is where and on what a run was made.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	OS     string `json:"os"`
	Go     string `json:"go"`
	Redis  string `json:"redis"`
	Commit string `json:"commit"`
	Load   string `json:"load"` // averages of 1, 5, 15 min before the run: the neighbours
	// Stolen is what part of the cores' time their host gave to other machines during
	// the run, in %.
	Stolen float64 `json:"stolen"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), %s memory, %s, %s, Redis %s, load average before %s, %.1f %% of the cores' time stolen by other machines",
		m.Cores, m.CPU, m.Memory, m.OS, m.Go, m.Redis, m.Load, m.Stolen)
}

// coreTime is the time of all cores since the system's start.
type coreTime struct{ all, stolen float64 }

// coreTimes returns nothing where the system does not say.
func coreTimes() (t coreTime) {
	f := strings.Fields(readLine("/proc/stat")) // cpu user nice system idle iowait irq softirq steal …
	for i := 1; i < min(len(f), 9); i++ {
		v, _ := strconv.ParseFloat(f[i], 64)
		t.all += v
		if i == 8 {
			t.stolen = v
		}
	}
	return t
}

// stolenSince is a machine's Stolen.
func (t coreTime) stolenSince(before coreTime) float64 {
	return 100 * (t.stolen - before.stolen) / max(1, t.all-before.all)
}

// describe leaves empty what it cannot find out.
func describe(ctx context.Context) machine {
	m := machine{
		CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(),
		OS: strings.TrimSpace(runtime.GOOS + " " + readLine("/proc/sys/kernel/osrelease")),
	}
	if v, ok := entry("/proc/cpuinfo", "model name"); ok {
		m.CPU = v
	}
	if v, ok := entry("/proc/meminfo", "MemTotal"); ok {
		var kb float64
		_, _ = fmt.Sscanf(v, "%f", &kb)
		m.Memory = fmt.Sprintf("%.0f GiB", kb/(1<<20))
	}
	if f := strings.Fields(readLine("/proc/loadavg")); len(f) >= 3 {
		m.Load = strings.Join(f[:3], " ")
	}
	m.Commit = stdoutOf(ctx, "git", "rev-parse", "--short", "HEAD")
	if stdoutOf(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		m.Commit += " with changes"
	}
	for _, word := range strings.Fields(stdoutOf(ctx, "redis-server", "--version")) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			m.Redis = v
		}
	}
	return m
}

// entry returns the value of a "key : value" line, as files below /proc have them.
func entry(file, key string) (string, bool) {
	data, _ := os.ReadFile(file) // not on this system: not found
	for line := range strings.Lines(string(data)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

func readLine(file string) string {
	data, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

func stdoutOf(ctx context.Context, name string, args ...string) string {
	out, _ := exec.CommandContext(ctx, name, args...).Output()
	return strings.TrimSpace(string(out))
}
