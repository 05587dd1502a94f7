"""Every time the SDK goes by, in seconds; sections are those of docs/worker-protocol.md.

Relations that must hold: FAST_DIAL ≤ 1, so that tries come at least once a second while grace may
still be running; FAST_MOST < 1; UPDATE_EVERY * 5 ≥ 1.
"""

OPEN_TIMEOUT = 10.0  # dial to upgrade, and hello to welcome
WRITE_TIMEOUT = 10.0  # one frame
CLOSE_WAIT = 1.0  # for the answer to our close frame
ABORT_WAIT = 0.2
KILL_WAIT = 2.0  # for handlers, after stop or a final close

UPDATE_EVERY = 0.2  # progress, logs, checkpoint of one task (section 3)
RESEND_AFTER = 10.0  # a result without ack (section 3)

FAST_FOR = 10.0  # of tries at least once a second (section 6)
FAST_DIAL = 1.0
FAST_LEAST = 0.5  # between two such tries
FAST_MOST = 0.9
BACKOFF_BASE = 2.0  # then doubling, with full jitter
BACKOFF_MOST = 30.0
AWAY_MOST = 2.0  # after 1001, at random
TOO_MANY_WAIT = 5.0  # after 4429 and 4503, and up to as much again
STABLE_AFTER = 5.0  # between two losses, for the next try to be at once
