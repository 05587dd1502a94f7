package conformance

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// The tasks of the model worker.

func (m *model) assign(a protocol.Assign) {
	busy := m.busy()
	j := &job{Assign: a, stop: make(chan struct{})}
	m.jobs = append(m.jobs, j)
	var in struct{ MS *int }
	switch {
	case a.Kind == "echo" && a.Parent != "" && m.has("fails parts"):
		m.finish(j, protocol.Result{Status: protocol.Failed, Error: &protocol.TaskError{Code: "what is a part"}})
	case a.Kind == "echo" && busy && m.has("one task at a time"):
	case a.Kind == "echo":
		out := a.Input
		if string(out) == "null" && m.has("cannot echo null") {
			out = json.RawMessage(`""`)
		}
		m.finish(j, protocol.Result{Status: protocol.Succeeded, Output: out})
	case a.Kind != "sleep" && m.has("fails unknown kinds"):
		m.finish(j, protocol.Result{Status: protocol.Failed, Error: &protocol.TaskError{Code: "unknown_kind"}})
	case a.Kind != "sleep":
		m.finish(j, protocol.Result{Status: protocol.Rejected})
	case json.Unmarshal(a.Input, &in) != nil || in.MS == nil:
		m.finish(j, protocol.Result{Status: protocol.Failed,
			Error: &protocol.TaskError{Code: "bad_input", Message: "ms", Retryable: m.has("would try bad input again")}})
	default:
		go func() {
			r := protocol.Result{Status: protocol.Succeeded, Output: json.RawMessage(`{"slept_ms":` + itoa(*in.MS) + `}`)}
			timer := time.NewTimer(time.Duration(*in.MS) * time.Millisecond)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-j.stop:
				r = protocol.Result{Status: protocol.Cancelled}
			case <-m.ended:
				return
			}
			r.Task, r.Attempt = j.Task, j.Attempt
			select {
			case m.finished <- &job{Assign: j.Assign, result: protocol.Encode(r)}:
			case <-m.ended:
			}
		}()
	}
}

func itoa(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func (m *model) finish(j *job, r protocol.Result) {
	r.Task, r.Attempt = j.Task, j.Attempt
	m.deliver(&job{Assign: j.Assign, result: protocol.Encode(r)})
}

func (m *model) busy() bool {
	return slices.ContainsFunc(m.jobs, func(j *job) bool { return j.result == nil })
}

// deliver sends a result; done carries it.
func (m *model) deliver(done *job) {
	i := m.index(done.ref())
	if i < 0 {
		return
	}
	j := m.jobs[i]
	j.result, j.sentAt = done.result, time.Now()
	m.write(j.result)
	if m.has("does not wait for acks") {
		m.jobs = slices.Delete(m.jobs, i, i+1)
	}
}

func (m *model) resend() {
	for _, j := range m.jobs {
		if j.result != nil && time.Since(j.sentAt) >= 10*time.Second && !m.has("sends a result once") {
			j.sentAt = time.Now()
			m.write(j.result)
		}
	}
}

func (m *model) index(ref protocol.AttemptRef) int {
	return slices.IndexFunc(m.jobs, func(j *job) bool { return j.ref() == ref })
}

func (m *model) ack(a protocol.Ack) {
	i := m.index(protocol.AttemptRef{Task: a.Task, Attempt: a.Attempt})
	if i >= 0 && m.has("takes acks in order") {
		i = 0
	}
	if i < 0 || !a.Accepted && m.has("keeps refused results") {
		return
	}
	m.past = append(m.past, m.jobs[i].ref())
	m.jobs = slices.Delete(m.jobs, i, i+1)
}

func (m *model) cancel(ref protocol.AttemptRef) {
	i := m.index(ref)
	if i < 0 {
		return
	}
	j := m.jobs[i]
	if j.result != nil && m.has("cancels what is done") {
		m.say(protocol.Result{Task: j.Task, Attempt: j.Attempt, Status: protocol.Cancelled})
	}
	if !j.told {
		j.told = true
		close(j.stop)
	}
}
