package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/firmlight/firmlight/internal/tasks"
)

// Parts are what a server's gauges are read from, at each scrape. All are needed.
type Parts struct {
	Workers    func() Workers // of this server
	Clients    func() int     // live connections of this server
	WriteDelay func() time.Duration
	Writes     func() (commits, operations int64) // durable since the start
	Unaudited  func() int64                       // entries of the audit log that could not be written
	Spans      func() (sent, dropped int64)       // of traces
	// Tasks is of the whole installation.
	Tasks func(context.Context) (Tasks, error)
	// Queues are the longest of the whole installation, few.
	Queues func(context.Context) ([]tasks.QueueState, error)
	// Redis returns nil while Redis answers.
	Redis func(context.Context) error
}

// Workers are the sessions of workers and their slots.
type Workers struct{ Sessions, Slots, Busy int }

// Tasks counts those that are not finished.
type Tasks struct{ Scheduled, Queued, Running int }

// askTime is what the store and Redis have for an answer, each.
const askTime = 2 * time.Second

// Watch adds what is read from the parts; call it once.
func (m *Metrics) Watch(p Parts) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, f))
	}
	counter := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, f))
	}
	gauge("live_connections", "Live connections of browsers and other clients.", func() float64 { return float64(p.Clients()) })
	gauge("store_write_delay_seconds", "Age of the oldest write that is not durable yet.",
		func() float64 { return p.WriteDelay().Seconds() })
	counter("store_commits_total", "Transactions committed.", func() float64 { n, _ := p.Writes(); return float64(n) })
	counter("store_writes_total", "Write operations committed; many share a transaction.",
		func() float64 { _, n := p.Writes(); return float64(n) })
	counter("audit_failures_total", "Entries of the audit log that could not be written.",
		func() float64 { return float64(p.Unaudited()) })
	counter("trace_spans_sent_total", "Spans that the collector of traces took.",
		func() float64 { n, _ := p.Spans(); return float64(n) })
	counter("trace_spans_dropped_total", "Spans that the collector of traces did not take, or that were too many.",
		func() float64 { _, n := p.Spans(); return float64(n) })
	gauge("redis_up", "1 while Redis answers.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		if p.Redis(ctx) != nil {
			return 0
		}
		return 1
	})
	m.registry.MustRegister(workerCollector(p.Workers), taskCollector{p.Tasks, p.Queues})
}

// desc names a metric of a collector.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	sessionsDesc = desc("worker_sessions", "Sessions of workers connected to this server.")
	slotsDesc    = desc("worker_slots", "Tasks that the workers connected to this server take at the same time.")
	busyDesc     = desc("worker_slots_busy", "Slots of workers connected to this server with a task.")
	tasksDesc    = desc("tasks", "Unfinished tasks of the whole installation, the same on every server.", "status")
	oldestDesc   = desc("queue_oldest_seconds", "How long the oldest due task has waited, in the longest queues of the whole installation that are not paused; the same on every server.")
)

// workerCollector reads the hub once for all its gauges.
type workerCollector func() Workers

// Describe implements prometheus.Collector.
func (c workerCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- sessionsDesc
	ch <- slotsDesc
	ch <- busyDesc
}

// Collect implements prometheus.Collector.
func (c workerCollector) Collect(ch chan<- prometheus.Metric) {
	w := c()
	ch <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(w.Sessions))
	ch <- prometheus.MustNewConstMetric(slotsDesc, prometheus.GaugeValue, float64(w.Slots))
	ch <- prometheus.MustNewConstMetric(busyDesc, prometheus.GaugeValue, float64(w.Busy))
}

// taskCollector asks the store; where it does not answer, the metrics are missing
// and the rest is there.
type taskCollector struct {
	tasks  func(context.Context) (Tasks, error)
	queues func(context.Context) ([]tasks.QueueState, error)
}

// Describe implements prometheus.Collector.
func (c taskCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- tasksDesc
	ch <- oldestDesc
}

// Collect implements prometheus.Collector.
func (c taskCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	t, err := c.tasks(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(tasksDesc, err)
	} else {
		for status, n := range map[string]int{"scheduled": t.Scheduled, "queued": t.Queued, "running": t.Running} {
			ch <- prometheus.MustNewConstMetric(tasksDesc, prometheus.GaugeValue, float64(n), status)
		}
	}
	queues, err := c.queues(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(oldestDesc, err)
		return
	}
	var oldest time.Duration
	for _, q := range queues {
		if q.PausedAt.IsZero() && !q.Oldest.IsZero() {
			oldest = max(oldest, time.Since(q.Oldest))
		}
	}
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, oldest.Seconds())
}
