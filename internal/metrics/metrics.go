// Package metrics counts what an operator has to know of one server, in a
// registry of its own, and shows it to Prometheus. docs/operations.md lists the
// names and what to watch. No label has more values than the code has: groups,
// users and tasks are in none.
package metrics

import (
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/firmlight/firmlight/internal/tasks"
)

const namespace = "firmlight"

// Metrics are one server's. Its methods are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	events   map[event]prometheus.Counter
	lost     map[tasks.Cause]prometheus.Counter
	dispatch prometheus.Histogram
	run      map[tasks.Status]prometheus.Observer // of attempts that succeeded or failed
	reads    prometheus.Observer                  // of the store
	commits  prometheus.Observer                  // of the store
	redis    map[bool]prometheus.Observer         // by whether it answered
	ingest   ingest
	handler  http.Handler
}

// event is a step in a task's life. Parents of a fan-out do not count, their
// parts do.
type event string

const (
	submitted  event = "submitted"
	assigned   event = "assigned"
	retried    event = "retried"    // after a failure or a timeout
	reassigned event = "reassigned" // after its worker or server was lost
	succeeded  event = "succeeded"
	failed     event = "failed"
	cancelled  event = "cancelled"
)

// Buckets in seconds: a request takes 100 µs and more, a task waits from a
// millisecond to an hour and runs up to a day, the store and Redis answer from
// some 10 µs to the 10 s after which they are given up.
var (
	partBuckets     = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10}
	runBuckets      = []float64{.001, .01, .1, .5, 1, 5, 15, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600}
	requestBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	dispatchBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 3600}
)

// New returns Metrics that count from zero. A part that does not answer a scrape
// is logged.
func New(log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "http_request_duration_seconds", Buckets: requestBuckets,
			Help: "Time from a request to the end of its answer; of a WebSocket, to its upgrade.",
		}, []string{"route", "method"}),
		dispatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "task_dispatch_seconds", Buckets: dispatchBuckets,
			Help: "Time from when a task was due to when it was assigned to a worker.",
		}),
		events: map[event]prometheus.Counter{}, lost: map[tasks.Cause]prometheus.Counter{},
		run: map[tasks.Status]prometheus.Observer{}, redis: map[bool]prometheus.Observer{},
	}
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "task_events_total",
		Help: "Steps of tasks that this server took. Parents of a fan-out do not count, their parts do.",
	}, []string{"event"})
	for _, e := range []event{submitted, assigned, retried, reassigned, succeeded, failed, cancelled} {
		m.events[e] = events.WithLabelValues(string(e)) // from the start, so that rates have a zero
	}
	m.addTasks()
	m.addParts()
	m.addIngest()
	m.registry.MustRegister(m.requests, m.took, m.dispatch, events,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime,
	})
	return m
}

// addTasks adds what tells of attempts. Every label is there from the start, so
// that rates have a zero; as below.
func (m *Metrics) addTasks() {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "task_reassignments_total", Help: "Attempts that were taken back, by why.",
	}, []string{"cause"})
	for _, c := range tasks.Causes {
		m.lost[c] = lost.WithLabelValues(string(c))
	}
	run := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "task_run_seconds", Buckets: runBuckets,
		Help: "Time from when an attempt was assigned to its result.",
	}, []string{"outcome"})
	for _, s := range []tasks.Status{tasks.Succeeded, tasks.Failed} {
		m.run[s] = run.WithLabelValues(string(s))
	}
	m.registry.MustRegister(lost, run)
}

// addParts adds what tells of the store and Redis.
func (m *Metrics) addParts() {
	store := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "store_seconds", Buckets: partBuckets,
		Help: "Time that the store took for a read, or for a commit of what shared one.",
	}, []string{"operation"})
	m.reads, m.commits = store.WithLabelValues("read"), store.WithLabelValues("commit")
	redis := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "redis_seconds", Buckets: partBuckets,
		Help: "Time that Redis took for a round trip, by whether it answered.",
	}, []string{"outcome"})
	m.redis[true], m.redis[false] = redis.WithLabelValues("ok"), redis.WithLabelValues("error")
	m.registry.MustRegister(store, redis)
}

// Scrapes are few, and never many at once: what they ask is not free.
const (
	maxScrapes = 4
	scrapeTime = 10 * time.Second
)

// Handler shows the metrics to whoever asks; who may is for its caller to say.
func (m *Metrics) Handler() http.Handler { return m.handler }

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Request counts an answer. pattern is that of the route, as net/http has it.
func (m *Metrics) Request(pattern, method string, status int, took time.Duration) {
	route := pattern
	if _, path, ok := strings.Cut(pattern, " "); ok {
		route = path
	}
	if !slices.Contains(methods, method) { // anybody can make one up
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route, method).Observe(took.Seconds())
}

func (m *Metrics) count(e event, n int) { m.events[e].Add(float64(n)) }

// ended counts a task's end.
func (m *Metrics) ended(s tasks.Status) {
	switch s {
	case tasks.Succeeded:
		m.count(succeeded, 1)
	case tasks.Failed:
		m.count(failed, 1)
	case tasks.Cancelled:
		m.count(cancelled, 1)
	}
}
