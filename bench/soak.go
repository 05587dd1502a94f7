package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	soakSamples  = 120 // of a run, at most one a second
	soakJudged   = 10 * time.Minute
	soakPatience = time.Minute // for what is open at the end
	maxDrift     = 1.1         // of what has to stay as it is
	maxSlower    = 1.25        // of latencies
	maxRestless  = 1.5         // of what goes up and down with the tasks at hand
)

// sample is the server at one moment, and what was slow since the one before.
type sample struct {
	at                                     float64 // minutes
	memory, goroutines, files, keys, disk  float64 // MB, –, –, –, bytes of each task and event kept
	submit50, submit99, assign99, listed99 float64 // ms
}

// measured is what a soak looks at: from a sample, and how much more it may be at
// the end.
type measured struct {
	what, unit string
	of         func(sample) float64
	most       float64
}

var soakMeasures = []measured{
	{"resident memory", "MB", func(s sample) float64 { return s.memory }, maxDrift},
	{"goroutines", "", func(s sample) float64 { return s.goroutines }, maxDrift},
	{"file descriptors", "", func(s sample) float64 { return s.files }, maxDrift},
	{"Redis keys", "", func(s sample) float64 { return s.keys }, maxRestless},
	{"database for each task and event", "bytes", func(s sample) float64 { return s.disk }, maxDrift},
	{"submit → 202, p50", "ms", func(s sample) float64 { return s.submit50 }, maxSlower},
	{"submit → 202, p99", "ms", func(s sample) float64 { return s.submit99 }, maxSlower},
	{"submit → assign, p99", "ms", func(s sample) float64 { return s.assign99 }, maxSlower},
	{"first page of the list, p99", "ms", func(s sample) float64 { return s.listed99 }, maxSlower},
}

// soakRun is a long mixed load with faults, and whether anything grows.
func (b *bench) soakRun(ctx context.Context) ([]row, error) {
	length := pick(b.short, 30*time.Second, b.soak)
	r, err := b.start(ctx, realRedis)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	m, err := r.startMixed(ctx)
	if err != nil {
		return nil, err
	}
	defer m.stop()
	limited, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.run(limited, max(length/60, 3*time.Second)) }()
	samples, err := b.sampled(limited, m, max(length/soakSamples, time.Second))
	cancel()
	if err = errors.Join(err, <-ended, ctx.Err()); err != nil {
		return nil, err
	}
	if err := m.nothingLost(ctx); err != nil {
		return nil, err
	}
	b.say("  %s; faults: %s", m.sum(), m.faults)
	rows := soakRows(samples, length, m)
	return rows, b.drawSoak(samples, length)
}

// sampled takes samples until ctx ends.
func (b *bench) sampled(ctx context.Context, m *mixed, every time.Duration) (all []sample, err error) {
	began := time.Now()
	for pause(ctx, every) {
		s, err := m.sample(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return all, err
		}
		s.at = time.Since(began).Minutes()
		all = append(all, s)
		if len(all)%10 == 0 {
			b.say("  %.1f min: %s MB, %s goroutines, %s files, %s keys, submit p99 %s ms", s.at, number(s.memory), number(s.goroutines),
				number(s.files), number(s.keys), number(s.submit99))
		}
	}
	if len(all) < 8 {
		return all, fmt.Errorf("only %d samples", len(all))
	}
	return all, nil
}

// sample asks the server, Redis and the system.
func (m *mixed) sample(ctx context.Context) (s sample, err error) {
	memory, _, err := kit.Memory(m.PID())
	if err != nil {
		return s, err
	}
	if s.goroutines, err = m.metric(ctx, "go_goroutines"); err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.PID()))
	if err != nil {
		return s, err
	}
	keys, err := redisSays(m.redisAddress, "DBSIZE")
	if err != nil {
		return s, err
	}
	if _, err := fmt.Sscanf(keys, ":%f", &s.keys); err != nil {
		return s, fmt.Errorf("keys of Redis: %q: %w", keys, err)
	}
	databases, _ := filepath.Glob(filepath.Join(m.Dir(), "*.db")) // the error: a bad pattern
	for _, file := range databases {
		info, err := os.Stat(file)
		if err != nil {
			return s, err
		}
		s.disk += float64(info.Size())
	}
	s.memory, s.files = float64(memory)/1e6, float64(len(files))
	s.disk /= float64(max(m.kept(), 1))
	submits, assigns, lists := m.times()
	s.submit50, s.submit99 = percentile(submits, 50), percentile(submits, 99)
	s.assign99, s.listed99 = percentile(assigns, 99), percentile(lists, 99)
	return s, nil
}

// redisSays sends one command without arguments and returns the line of the answer.
func redisSays(address, command string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}

// drift is the median of the last quarter of the samples over that of the second:
// the first one is warm-up.
func drift(samples []sample, of func(sample) float64) float64 {
	quarter := func(n int) float64 {
		values := make([]float64, 0, len(samples)/4)
		for _, s := range samples[n*len(samples)/4 : (n+1)*len(samples)/4] {
			if v := of(s); v == v { // not NaN: nothing was measured
				values = append(values, v)
			}
		}
		return median(values)
	}
	return quarter(3) / quarter(1)
}

// soakRows have the goal only where the run was long enough to tell.
func soakRows(samples []sample, length time.Duration, m *mixed) []row {
	var rows []row
	for _, one := range soakMeasures {
		r := newRow("soak", one.what+": last quarter / second quarter", "", drift(samples, one.of))
		if length >= soakJudged {
			r = r.atMost(one.most)
		}
		last := one.of(samples[len(samples)-1])
		rows = append(rows, r.note("%s %s at the end", number(last), one.unit))
	}
	rows[0] = rows[0].note("%s of load: %s; faults: %s", length, m.sum(), m.faults)
	return rows
}

// drawSoak draws everything over time.
func (b *bench) drawSoak(samples []sample, length time.Duration) error {
	p := picture{title: fmt.Sprintf("Mixed load with faults for %s", length), x: "minutes"}
	lines := make([][]float64, len(soakMeasures))
	for _, s := range samples {
		p.at = append(p.at, s.at)
		for i, one := range soakMeasures {
			lines[i] = append(lines[i], one.of(s))
		}
	}
	for i, one := range soakMeasures {
		p.panels = append(p.panels, panel{strings.TrimSuffix(one.what+", "+one.unit, ", "), []line{{"", lines[i]}}})
	}
	dir := cmp.Or(b.images, b.out)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return p.write(filepath.Join(dir, "soak.svg"))
}

// nothingLost waits until every accepted task has succeeded.
func (m *mixed) nothingLost(ctx context.Context) error {
	for began := time.Now(); ; {
		accepted, err := m.metric(ctx, `firmlight_task_events_total{event="submitted"}`)
		if err != nil {
			return err
		}
		done, err := m.metric(ctx, `firmlight_task_events_total{event="succeeded"}`)
		if err != nil {
			return err
		}
		if done == accepted {
			return nil
		}
		if time.Since(began) > soakPatience || !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%.0f tasks accepted, %.0f done after %s", accepted, done, soakPatience)
		}
	}
}
