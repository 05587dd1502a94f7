package worker

import "time"

// Every time the SDK goes by; sections are those of docs/worker-protocol.md.
// Relations that must hold: fastDial ≤ one second, so that tries come at least
// once a second while grace may still be running; fastMost < one second;
// updateEvery × 5 ≥ one second.
const (
	openTimeout  = 10 * time.Second // dial to upgrade, and hello to welcome
	writeTimeout = 10 * time.Second // one frame
	closeWait    = time.Second      // for the answer to our close frame
	abortWait    = 200 * time.Millisecond
	killWait     = 2 * time.Second // for handlers, after Stop or a final close

	updateEvery = 200 * time.Millisecond // progress, logs, checkpoint of one task (section 3)
	resendAfter = 10 * time.Second       // a result without ack (section 3)

	fastFor     = 10 * time.Second // of tries at least once a second (section 6)
	fastDial    = time.Second
	fastLeast   = 500 * time.Millisecond // between two such tries
	fastMost    = 900 * time.Millisecond
	backoffBase = 2 * time.Second // then doubling, with full jitter
	backoffMost = 30 * time.Second
	awayMost    = 2 * time.Second // after 1001, at random
	tooManyWait = 5 * time.Second // after 4429 and 4503, and up to as much again
	stableAfter = 5 * time.Second // between two losses, for the next try to be at once
)

// Sizes, in bytes unless said otherwise.
const (
	coalesce     = 64 << 10  // messages are put into one frame up to this
	logChunk     = 32 << 10  // of log text in one message
	logKeepBytes = 256 << 10 // waiting to be sent, per task: all the server keeps
	logKeepLines = 1000      // lines
)
