package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// stage is a part of what the server does for an event or a task. A sample of the
// CPU profile belongs to the innermost function that a stage has.
type stage struct {
	name  string
	funcs []string // their names' ends
}

var ingestStages = []stage{
	{"read the request", []string{"net/http.(*conn).readRequest", "net/http.(*connReader).backgroundRead"}},
	{"read the body", []string{"httpapi.(*API).eventBody", "io.ReadAll", "httpapi.(*array).next"}},
	{"authenticate", []string{"httpapi.(*API).authenticate"}},
	{"decode and validate", []string{"httpapi.(*API).checkEvent"}},
	{"hand over to the writer", []string{"sync.(*Service).Append"}},
	{"the store's writer", []string{"sqlite.(*writer).loop"}},
	{"encode and write the answer", []string{"httpapi.writeJSON", "net/http.(*response).finishRequest"}},
	{"route, id, log, metrics", []string{"(*API).observe.func1"}},
	{"the rest of net/http", []string{"net/http.(*conn).serve"}},
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"scheduler", []string{"runtime.mcall", "runtime.mstart", "runtime.mstart1", "runtime.morestack"}},
}

var taskStages = []stage{
	{"insert", []string{"sqlite.(*writeTx).insert"}},
	{"claim", []string{"sqlite.(*DB).Claim.func1"}},
	{"result", []string{"sqlite.(*DB).Apply.func1"}},
	{"commit and counters", []string{"sqlite.(*writer).commit", "sqlite.(*writer).loop"}},
	{"bring to the disk, answer the callers", []string{"sqlite.(*writer).sync"}},
	{"validate", []string{"tasks.(*Service).prepare"}},
	{"HTTP and access", []string{"net/http.(*conn).serve", "net/http.(*connReader).backgroundRead"}},
	{"enqueue", []string{"queue.(*Queue).Push"}},
	{"dequeue", []string{"dispatch.(*gate).EvalSha", "dispatch.(*gate).fetch", "asynq.(*processor).exec"}},
	{"asynq around the handler", []string{"asynq.(*processor).exec.func1", "asynq.(*processor).exec.func1.3"}},
	{"forget the entry", []string{"dispatch.(*finisher).run"}},
	{"refill", []string{"dispatch.(*consumer).keepFilled"}},
	{"reserve a slot, prepare claim", []string{"dispatch.(*consumer).handle"}},
	{"frames to workers", []string{"workers.(*peer).write"}},
	{"frames of workers", []string{"workers.(*Hub).Serve"}},
	{"prepare result", []string{"workers.(*peer).result"}},
	{"events", []string{"app.taskEvents.TaskChanged"}},
	{"fan out to watchers", []string{"live.(*Hub).deliver"}},
	{"frames to watchers", []string{"live.(*client).write"}},
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"stacks of goroutines", []string{"runtime.newstack"}},
	{"scheduler", []string{"runtime.mcall", "runtime.mstart", "runtime.mstart1"}},
}

const otherStage = "other"

// stages profiles the server in a round of its own and says what its CPU went into:
// in percent, or in microseconds of what the round says that one took.
func (b *bench) stages(ctx context.Context, r *rig, id string, of []stage, round func() (each time.Duration, err error)) (string, error) {
	var (
		beside sync.WaitGroup
		file   string
		failed error
	)
	beside.Go(func() {
		if pause(ctx, time.Second) { // the warm-up
			file, failed = b.saveProfile(ctx, r.pprof, id, pick(b.short, time.Second, 6*time.Second))
		}
	})
	each, err := round()
	beside.Wait()
	if err = cmp.Or(err, failed); err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", "-unit=ms", b.server, file).Output()
	if err != nil {
		return "", fmt.Errorf("pprof: %w", err)
	}
	return shares(text, of, each)
}

// stages is that of bench, for a round of events.
func (l *loader) stages(ctx context.Context, r *rig, t *target, q load) (string, error) {
	return l.bench.stages(ctx, r, t.id(q), ingestStages, func() (time.Duration, error) {
		_, err := l.round(ctx, t, q)
		return 0, err
	})
}

func (t *target) id(q load) string { return pick(q.Batch > 0, "P2", "P1") }

// shares says what part of a profile's samples each stage has, the largest first: in
// percent, or of the time that each took. traces is what `go tool pprof -traces
// -unit=ms` writes.
func shares(traces []byte, of []stage, each time.Duration) (string, error) {
	sums := make(map[string]float64)
	var total, value float64
	found := ""
	add := func() {
		total += value
		sums[cmp.Or(found, otherStage)] += value
		value, found = 0, ""
	}
	lines := bufio.NewScanner(bytes.NewReader(traces))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if strings.HasPrefix(lines.Text(), "-----------+") {
			add()
			continue
		}
		if len(fields) > 1 && strings.HasSuffix(fields[0], "ms") {
			if _, err := fmt.Sscanf(fields[0], "%fms", &value); err == nil {
				fields = fields[1:]
			}
		}
		if found == "" && value > 0 && len(fields) > 0 {
			found = stageOf(fields[0], of)
		}
	}
	add()
	if total == 0 {
		return "", fmt.Errorf("the profile is empty: %.200s", traces)
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), strings.Compare(a, b)) })
	whole, unit, what := 100.0, "%", "of the server's CPU"
	if each > 0 {
		whole, unit, what = float64(each)/float64(time.Microsecond), "µs", "the server's CPU in a round with a profile, per task"
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %.0f %s", name, whole*sums[name]/total, unit)
	}
	return what + ": " + strings.Join(names, ", "), lines.Err()
}

func stageOf(function string, of []stage) string {
	for _, s := range of {
		if slices.ContainsFunc(s.funcs, func(f string) bool { return strings.HasSuffix(function, f) }) {
			return s.name
		}
	}
	return ""
}
