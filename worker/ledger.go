package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firmlight/firmlight/protocol"
)

// ledger holds every attempt from its assign to its ack, and what the server
// has still to be told about each. What waits is kept as state, not as a queue:
// the newest progress, the newest checkpoint, a bounded log, one result. So it
// is bounded, survives a lost connection, and a slow network costs freshness
// only.
type ledger struct {
	log *slog.Logger

	mu       sync.Mutex // guards everything below, and all fields of attempts
	attempts map[protocol.AttemptRef]*attempt
	running  int        // attempts without a result
	finished int        // results ever, numbers them
	results  []*attempt // to be sent, in the order they were produced
	waiting  []*attempt // running ones with updates to be sent
	sent     []*attempt // results sent, oldest first; acknowledged ones leave from the front
	biggest  message    // on this connection, for close code 1009
}

type message struct {
	size int
	from *attempt
}

type attempt struct {
	ref    protocol.AttemptRef
	cancel context.CancelCauseFunc

	updates          // to be sent
	queued  bool     // in ledger.waiting
	staged  [][]byte // updates encoded, first to be sent first
	updated time.Time

	verdict *protocol.Result // replaces what the handler will return
	number  int              // of the result, in the order they were produced
	result  []byte           // encoded; nil while it runs, and again after the ack
	status  protocol.ResultStatus
	sentAt  time.Time
	acked   bool
}

func newLedger(log *slog.Logger) *ledger {
	return &ledger{log: log, attempts: map[protocol.AttemptRef]*attempt{}}
}

// open enters an attempt. fresh is false if it is here already: a finished one
// will send its result again. busy says that slots running attempts left no
// room; it is entered all the same, to be rejected.
func (l *ledger) open(ref protocol.AttemptRef, slots int, cancel context.CancelCauseFunc) (a *attempt, fresh, busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.attempts[ref]; a != nil {
		if a.result != nil && !slices.Contains(l.results, a) {
			l.results = append(l.results, a)
		}
		return a, false, false
	}
	a = &attempt{ref: ref, cancel: cancel}
	l.attempts[ref] = a
	l.running++
	return a, true, l.running > slots
}

// finish puts an attempt's result in line. The first one counts.
func (l *ledger) finish(a *attempt, r protocol.Result) {
	l.mu.Lock()
	verdict := a.verdict
	l.mu.Unlock()
	if verdict != nil {
		r = *verdict
	}
	text := protocol.Encode(r)

	l.mu.Lock()
	defer l.mu.Unlock()
	if a.result != nil || a.acked {
		return
	}
	l.running--
	l.finished++
	a.number, a.result, a.status = l.finished, text, r.Status
	l.results = append(l.results, a)
}

// ack takes an attempt out. It reports whether its result had been waiting.
func (l *ledger) ack(ref protocol.AttemptRef) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.attempts[ref]
	if a == nil || a.result == nil {
		return false
	}
	delete(l.attempts, ref)
	a.acked, a.result, a.staged = true, nil, nil
	for len(l.sent) > 0 && l.sent[0].acked {
		l.sent = l.sent[1:]
	}
	return true
}

// cancelOne stops a running attempt; it will still be answered with a result.
func (l *ledger) cancelOne(ref protocol.AttemptRef, cause error) {
	l.mu.Lock()
	a := l.attempts[ref]
	l.mu.Unlock()
	if a != nil {
		a.cancel(cause)
	}
}

// empty says that nothing runs and every result is acknowledged.
func (l *ledger) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.attempts) == 0
}

// refs lists what a hello must list as running, finished ones too, in a stable
// order.
func (l *ledger) refs() []protocol.AttemptRef {
	l.mu.Lock()
	defer l.mu.Unlock()
	refs := make([]protocol.AttemptRef, 0, len(l.attempts))
	for ref := range l.attempts {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b protocol.AttemptRef) int {
		if a.Task != b.Task {
			return cmpString(a.Task, b.Task)
		}
		return a.Attempt - b.Attempt
	})
	return refs
}

func cmpString(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// connected begins a connection: every result without an ack is sent again, in
// the order they were produced, and so are the newest checkpoints, which may
// have been lost with the last one.
func (l *ledger) connected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results, l.sent, l.biggest = nil, nil, message{}
	for _, a := range l.attempts {
		if a.result != nil {
			l.results = append(l.results, a)
		} else if a.lastCheckpoint != nil {
			a.checkpoint = a.lastCheckpoint
			l.enqueue(a)
		}
	}
	slices.SortFunc(l.results, func(a, b *attempt) int { return a.number - b.number })
}

// update changes what waits of a running attempt.
func (l *ledger) update(a *attempt, change func(*updates)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.result != nil || a.acked {
		return
	}
	change(&a.updates)
	l.enqueue(a)
}

func (l *ledger) enqueue(a *attempt) {
	if !a.queued {
		a.queued = true
		l.waiting = append(l.waiting, a)
	}
}

// oversized deals with close code 1009: the attempt behind the largest message
// of the connection fails.
func (l *ledger) oversized() {
	l.mu.Lock()
	big := l.biggest
	a := big.from
	if a == nil || a.acked {
		l.mu.Unlock()
		return
	}
	r := a.tooLarge(fmt.Sprintf("the server did not take a message of %d bytes", big.size))
	if a.result != nil {
		a.result, a.status = protocol.Encode(r), r.Status
	} else {
		a.verdict, a.lastCheckpoint, a.updates = &r, nil, updates{}
	}
	a.staged = nil
	l.mu.Unlock()
	a.cancel(&CancelError{Reason: codeTooLarge})
}

func (a *attempt) tooLarge(why string) protocol.Result {
	return tooLarge(protocol.Result{Type: protocol.TypeResult, Task: a.ref.Task, Attempt: a.ref.Attempt}, why)
}

// take adds to frame what is to be sent now: results first, each after its own
// updates, then updates that are due. limit is the most bytes a frame may have.
// next is how long until there may be more; 0 means not by time alone.
func (l *ledger) take(frame []byte, now time.Time, limit int) (_ []byte, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.sent) > 0 && now.Sub(l.sent[0].sentAt) >= resendAfter {
		if a := l.sent[0]; !a.acked {
			l.results = append(l.results, a)
		}
		l.sent = l.sent[1:]
	}
	frame, full := l.takeResults(frame, now, limit)
	if full {
		return frame, 0
	}
	frame, next = l.takeUpdates(frame, now, limit)
	if len(l.sent) > 0 {
		next = sooner(next, resendAfter-now.Sub(l.sent[0].sentAt))
	}
	return frame, next
}

func (l *ledger) takeResults(frame []byte, now time.Time, limit int) (_ []byte, full bool) {
	for len(l.results) > 0 {
		a := l.results[0]
		if !a.acked {
			if frame, full = l.takeStaged(frame, a, limit); full {
				return frame, true
			}
			if len(a.result) > limit {
				r := a.tooLarge(fmt.Sprintf("the result has %d bytes, the server takes %d", len(a.result), limit))
				a.result, a.status = protocol.Encode(r), r.Status
			}
			if !fits(frame, a.result, limit) {
				return frame, true
			}
			frame = l.put(frame, a, a.result)
			a.sentAt = now
			l.sent = append(l.sent, a)
		}
		l.results = l.results[1:]
	}
	return frame, false
}

func (l *ledger) takeUpdates(frame []byte, now time.Time, limit int) (_ []byte, next time.Duration) {
	later := l.waiting[:0]
	for i, a := range l.waiting {
		if a.result != nil || a.acked {
			a.queued = false // they went, or go, with its result
			continue
		}
		if wait := updateEvery - now.Sub(a.updated); wait > 0 && len(a.staged) == 0 {
			later = append(later, a)
			next = sooner(next, wait)
			continue
		}
		var full bool
		if frame, full = l.takeStaged(frame, a, limit); full {
			later = append(later, l.waiting[i:]...)
			l.waiting = later
			return frame, 0
		}
		a.queued = false
		a.updated = now
	}
	clear(l.waiting[len(later):])
	l.waiting = later
	return frame, next
}

// takeStaged adds an attempt's updates, as many as fit.
func (l *ledger) takeStaged(frame []byte, a *attempt, limit int) (_ []byte, full bool) {
	a.staged = append(a.staged, a.updates.encode(a.ref)...)
	for len(a.staged) > 0 {
		text := a.staged[0]
		switch {
		case len(text) > limit:
			l.log.Warn("update not sent: larger than the server takes", "task_id", a.ref.Task, "attempt", a.ref.Attempt, "bytes", len(text))
		case !fits(frame, text, limit):
			return frame, true
		default:
			frame = l.put(frame, a, text)
		}
		a.staged = a.staged[1:]
	}
	return frame, false
}

func fits(frame, text []byte, limit int) bool {
	return len(frame) == 0 || len(frame)+1+len(text) <= min(coalesce, limit)
}

func (l *ledger) put(frame []byte, from *attempt, text []byte) []byte {
	if len(text) > l.biggest.size {
		l.biggest = message{len(text), from}
	}
	if len(frame) > 0 {
		frame = append(frame, '\n')
	}
	return append(frame, text...)
}

// sooner is the smaller of two waits, of which 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// updates is what a running attempt has to tell.
type updates struct {
	lines          []logLine
	lineBytes      int
	linesDropped   int
	checkpoint     json.RawMessage
	lastCheckpoint json.RawMessage // sent or not
	progress       *protocol.Progress
}

type logLine struct{ stream, text string }

// addLine drops the oldest lines where there are too many.
func (u *updates) addLine(stream, text string) {
	u.lines = append(u.lines, logLine{stream, text})
	u.lineBytes += len(text)
	for u.lineBytes > logKeepBytes || len(u.lines) > logKeepLines {
		u.lineBytes -= len(u.lines[0].text)
		u.lines = u.lines[1:]
		u.linesDropped++
	}
}

// encode empties u into messages: logs, checkpoint, progress.
func (u *updates) encode(ref protocol.AttemptRef) (texts [][]byte) {
	if u.linesDropped > 0 {
		u.lines = slices.Insert(u.lines, 0, logLine{protocol.StreamLog,
			fmt.Sprintf("… %d lines dropped here: written faster than they could be sent", u.linesDropped)})
	}
	for len(u.lines) > 0 {
		m := protocol.Log{Task: ref.Task, Attempt: ref.Attempt, Stream: u.lines[0].stream}
		for size := 0; len(u.lines) > 0 && u.lines[0].stream == m.Stream && size < logChunk; u.lines = u.lines[1:] {
			m.Lines = append(m.Lines, u.lines[0].text)
			size += len(u.lines[0].text)
		}
		texts = append(texts, protocol.Encode(m))
	}
	if u.checkpoint != nil {
		texts = append(texts, protocol.Encode(protocol.Checkpoint{Task: ref.Task, Attempt: ref.Attempt, Data: u.checkpoint}))
	}
	if u.progress != nil {
		texts = append(texts, protocol.Encode(u.progress))
	}
	*u = updates{lastCheckpoint: u.lastCheckpoint}
	return texts
}
