package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/firmlight/firmlight/e2e/kit"
)

const (
	eventConnections = 100 // of P1
	batchConnections = 8   // of P2
	eventBatch       = 500
	eventSpan        = 24 * time.Hour // of device time, for the events of one round
)

// target is a program that takes the load of P1 or P2: ours, or a peer.
type target struct {
	peer
	url, token string
	process    *kit.Process
	database   *postgres // of its own; nil: none
	rounds     []loadResult
}

func (t *target) stop() {
	if t.process != nil {
		t.process.Kill()
	}
	if t.database != nil {
		t.database.stop()
	}
}

// load is what bench/peers/load.js is told.
type load struct {
	URL         string  `json:"url"`
	Token       string  `json:"token,omitempty"`
	Connections int     `json:"connections"`
	Batch       int     `json:"batch"`              // events of a request; 0: one, not in an array
	Devices     int     `json:"devices,omitempty"`  // that report in turn; 0: 1,000
	Interval    int     `json:"interval,omitempty"` // ms between two events of a device; 0: 10,000
	From        int64   `json:"from"`               // Unix milliseconds of the first event: no two rounds send the same
	Warmup      float64 `json:"warmup"`
	Seconds     float64 `json:"seconds"`
}

// loadResult is its answer.
type loadResult struct {
	Warmup  map[string]int `json:"warmup"` // answers by status
	Codes   map[string]int `json:"codes"`
	Errors  int            `json:"errors"` // and timeouts
	Seconds float64        `json:"seconds"`
	Mean    float64        `json:"mean_ms"`
	P50     float64        `json:"p50_ms"`
	P99     float64        `json:"p99_ms"`
	CPU     float64        `json:"cpu_us"` // of the load generator
	server  time.Duration  // CPU
	events  int            // of one request
}

// rate is events per second.
func (r loadResult) rate() float64 { return float64(r.answers()*r.events) / r.Seconds }

func (r loadResult) answers() (n int) {
	for _, count := range r.Codes {
		n += count
	}
	return n
}

// sent is all events, those of the warm-up too.
func (r loadResult) sent() int {
	n := r.answers()
	for _, count := range r.Warmup {
		n += count
	}
	return n * r.events
}

// check returns an error unless every answer has the one status wanted.
func (r loadResult) check(status string) error {
	for _, codes := range []map[string]int{r.Warmup, r.Codes} {
		if len(codes) != 1 || codes[status] == 0 {
			return fmt.Errorf("answers by status are %v, want %s only", codes, status)
		}
	}
	if r.Errors > 0 {
		return fmt.Errorf("%d requests had no answer", r.Errors)
	}
	return nil
}

// loader makes rounds of events that nobody has sent before.
type loader struct {
	*bench
	first, next time.Time // of all events, and of the next round's
}

// newLoader begins so that all events are younger than the retention, and none
// is of tomorrow.
func (b *bench) newLoader() *loader {
	first := time.Now().UTC().Truncate(eventSpan).Add(-60 * eventSpan)
	return &loader{bench: b, first: first, next: first}
}

func (l *loader) round(ctx context.Context, t *target, q load) (loadResult, error) {
	q.Token, q.From = t.token, l.next.UnixMilli()
	l.next = l.next.Add(eventSpan)
	q.Warmup, q.Seconds = pick(len(t.rounds) == 0 && !l.short, 3.0, 1.0), pick(l.short, 1.0, 6.0)
	arg, err := json.Marshal(q)
	if err != nil {
		return loadResult{}, err
	}
	before := kit.CPU(t.process.PID())
	out, err := printed(exec.CommandContext(ctx, "node", filepath.Join(peersDir, "load.js"), string(arg)))
	if err != nil {
		return loadResult{}, err
	}
	r := loadResult{events: max(1, q.Batch), server: kit.CPU(t.process.PID()) - before}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("load.js: %w in %s", err, out)
	}
	t.rounds = append(t.rounds, r)
	return r, r.check(pick(q.Batch > 0, "207", "201"))
}

// startOurs runs the server with a device token as a target.
func (b *bench) startOurs(ctx context.Context) (*rig, *target, error) {
	if err := b.preparePeers(ctx); err != nil {
		return nil, nil, err
	}
	r, err := b.start(ctx, inProcess)
	if err != nil {
		return nil, nil, err
	}
	t := &target{peer: peer{name: "Firmlight"}, url: r.URL, process: r.Process}
	if t.token, err = r.deviceToken(ctx); err != nil {
		r.stop()
		return nil, nil, err
	}
	return r, t, nil
}

func (r *rig) deviceToken(ctx context.Context) (string, error) {
	var token struct{ Secret string }
	err := r.user.Do(ctx, "POST", "/tokens", map[string]any{"name": "devices", "kind": "device", "groups": []string{r.group}}, &token)
	return token.Secret, err
}

// checkKept compares what the server's sums say with what was answered.
func (l *loader) checkKept(ctx context.Context, r *rig, t *target, connections int) error {
	var got struct{ Items []struct{ Events int } }
	q := url.Values{"by": {"day"}, "from": {l.first.Format(time.RFC3339)}, "to": {l.next.Format(time.RFC3339)}}
	if err := r.user.Do(ctx, "GET", "/groups/"+r.group+"/device-stats?"+q.Encode(), nil, &got); err != nil {
		return err
	}
	kept, answered, open := 0, 0, 0
	for _, day := range got.Items {
		kept += day.Events
	}
	for _, round := range t.rounds {
		answered += round.sent()
		open += 2 * connections * round.events // on their way when a run ended
	}
	if kept < answered || kept > answered+open {
		return fmt.Errorf("%d events are kept, %d were answered", kept, answered)
	}
	return nil
}

// events is P1: one event a request, ours and the peers in turn.
func (b *bench) events(ctx context.Context) ([]row, error) {
	r, ours, err := b.startOurs(ctx)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	others, err := b.startOthers(ctx)
	for _, t := range others {
		defer t.stop()
	}
	if err != nil {
		return nil, err
	}
	targets := append([]*target{ours}, others...)
	l, q := b.newLoader(), load{Connections: eventConnections}
	for i := range b.rounds {
		for _, t := range targets {
			q.URL = t.url + "/api/sync-event"
			got, err := l.round(ctx, t, q)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			b.say("  round %d of %d: %-13s %7s/s", i+1, b.rounds, t.name, number(got.rate()))
		}
	}
	rows := eventRows(targets)
	q.URL = ours.url + "/api/sync-event"
	stages, err := l.stages(ctx, r, ours, q)
	rows[0] = rows[0].note("%s", stages)
	return rows, errors.Join(err, l.checkKept(ctx, r, ours, q.Connections))
}

// startOthers starts what P1 is compared with: the peers, or the server of -against.
func (b *bench) startOthers(ctx context.Context) (others []*target, err error) {
	if b.against != "" {
		other := *b
		other.server = b.against
		_, t, err := other.startOurs(ctx)
		if err != nil {
			return nil, err
		}
		t.name, t.what = b.against, "sync event, single, 100 connections: "+b.against
		return []*target{t}, nil
	}
	for _, p := range peers {
		t, err := b.startPeer(ctx, p)
		if err != nil {
			return others, err
		}
		others = append(others, t)
	}
	return others, nil
}

// eventRows are the lines of P1: rates, and the ratios within each round.
func eventRows(targets []*target) []row {
	ours := targets[0]
	rows := []row{newRow("P1", "sync event, single, 100 connections: Firmlight", "/s", ours.rates()...).note("%s", ours.costs())}
	for _, t := range targets[1:] {
		rows = append(rows, newRow("P1", t.what, "/s", t.rates()...).note("%s", t.costs()))
	}
	for i, t := range targets[1:] {
		rows = append(rows, against("P1", "Firmlight / "+t.name, rows[0], rows[i+1], t.goal))
	}
	return rows
}

func (t *target) rates() []float64 { return t.each(loadResult.rate) }

func (t *target) each(f func(loadResult) float64) []float64 {
	out := make([]float64, len(t.rounds))
	for i, r := range t.rounds {
		out[i] = f(r)
	}
	return out
}

// costs says how long requests took and what an event cost.
func (t *target) costs() string {
	perEvent := func(f func(loadResult) float64) string {
		return number(median(t.each(f))) + " µs"
	}
	s := fmt.Sprintf("latency mean %s ms, p99 %s ms", number(median(t.each(func(r loadResult) float64 { return r.Mean }))),
		number(median(t.each(func(r loadResult) float64 { return r.P99 }))))
	s += ", CPU per event: " + perEvent(func(r loadResult) float64 { return float64(r.server.Microseconds()) / float64(r.sent()) })
	if t.database != nil {
		s += " without the database's"
	}
	return s + ", load generator " + perEvent(func(r loadResult) float64 { return r.CPU / float64(r.answers()*r.events) })
}

// eventBatches is P2, beside SQLite alone.
func (b *bench) eventBatches(ctx context.Context) ([]row, error) {
	r, ours, err := b.startOurs(ctx)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	bare, err := b.startAlone(ctx, false)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	keyed, err := b.startAlone(ctx, true)
	if err != nil {
		return nil, err
	}
	defer keyed.stop()
	var bareRates, keyedRates, ratios []float64
	l, q := b.newLoader(), load{URL: ours.url + "/api/v1/sync-events", Connections: batchConnections, Batch: eventBatch}
	for i := range b.rounds {
		got, err := l.round(ctx, ours, q)
		if err != nil {
			return nil, err
		}
		for _, a := range []struct {
			*alone
			rates *[]float64
		}{{bare, &bareRates}, {keyed, &keyedRates}} {
			rate, err := a.round(ctx, time.Duration(got.Seconds*float64(time.Second)))
			if err != nil {
				return nil, fmt.Errorf("SQLite alone: %w", err)
			}
			*a.rates = append(*a.rates, rate)
		}
		ratios = append(ratios, got.rate()/keyedRates[i])
		b.say("  round %d of %d: %s events/s; SQLite alone %s, with unique key and totals %s", i+1, b.rounds,
			number(got.rate()), number(bareRates[i]), number(keyedRates[i]))
	}
	rows := []row{
		newRow("P2", fmt.Sprintf("sync events, batches of %d, %d connections", eventBatch, batchConnections), "/s", ours.rates()...).
			atLeast(60000).note("%s", ours.costs()),
		newRow("P2", "one SQLite writer alone, a bare table", "/s", bareRates...),
		newRow("P2", "one SQLite writer alone, unique key and totals", "/s", keyedRates...),
		newRow("P2", "Firmlight / SQLite alone with unique key and totals", "", ratios...),
	}
	stages, err := l.stages(ctx, r, ours, q)
	rows[0] = rows[0].note("%s", stages)
	return rows, errors.Join(err, l.checkKept(ctx, r, ours, q.Connections))
}
