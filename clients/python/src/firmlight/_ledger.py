"""Every attempt from its assign to its ack, and what the server has still to be told about each.

What waits is kept as state, not as a queue: the newest progress, the newest checkpoint, a bounded
log, one result. So it is bounded, survives a lost connection, and a slow network costs freshness only.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import protocol
from ._times import RESEND_AFTER, UPDATE_EVERY
from .protocol import Raw, Ref

COALESCE = 64 << 10  # messages are put into one frame up to this many bytes
LOG_CHUNK = 32 << 10  # bytes of log text in one message
LOG_KEEP_BYTES = 256 << 10  # waiting to be sent, per task: all that the server keeps
LOG_KEEP_LINES = 1000

log = logging.getLogger("firmlight")


@dataclass
class Updates:
    """What a running attempt has to tell."""

    lines: deque[tuple[str, str]] = field(default_factory=deque)  # stream, text
    line_bytes: int = 0
    lines_dropped: int = 0
    checkpoint: str | None = None
    progress: dict[str, Any] | None = None

    def add_lines(self, stream: str, texts: list[str]) -> None:
        """Add lines; the oldest are dropped where there are too many."""
        self.lines.extend((stream, text) for text in texts)
        self.line_bytes += sum(len(text.encode()) for text in texts)
        while self.line_bytes > LOG_KEEP_BYTES or len(self.lines) > LOG_KEEP_LINES:
            self.line_bytes -= len(self.lines.popleft()[1].encode())
            self.lines_dropped += 1

    def take(self, ref: Ref) -> list[bytes]:
        """Empty it into messages: logs, checkpoint, progress."""
        texts = []
        if self.lines_dropped:
            note = f"… {self.lines_dropped} lines dropped here: written faster than they could be sent"
            self.lines.appendleft(("log", note))
        while self.lines:
            stream, lines, size = self.lines[0][0], [], 0
            while self.lines and self.lines[0][0] == stream and size < LOG_CHUNK:
                lines.append(self.lines.popleft()[1])
                size += len(lines[-1])
            texts.append(protocol.encode("log", **ref._asdict(), lines=lines, stream=stream))
        if self.checkpoint is not None:
            texts.append(protocol.encode("checkpoint", **ref._asdict(), data=Raw(self.checkpoint)))
        if self.progress is not None:
            texts.append(protocol.encode("progress", **ref._asdict(), **self.progress))
        self.line_bytes = self.lines_dropped = 0
        self.checkpoint = self.progress = None
        return texts


@dataclass(eq=False)
class Attempt:
    """One attempt. All but `ref` and `cancel` belong to the ledger's lock."""

    ref: Ref
    cancel: Callable[[str], None]  # with the reason; from any thread
    updates: Updates = field(default_factory=Updates)
    last_checkpoint: str | None = None  # sent or not
    queued: bool = False  # among those that wait
    staged: deque[bytes] = field(default_factory=deque)  # updates as messages
    updated: float = float("-inf")
    verdict: bytes | None = None  # replaces what the handler will return
    number: int = 0  # of the result, in the order they were produced
    result: bytes | None = None  # None while it runs, and again after the ack
    sent_at: float = 0.0
    acked: bool = False


def too_large(ref: Ref, why: str) -> bytes:
    """The result of an attempt whose message no server takes."""
    error = {"code": "message_too_large", "message": protocol.clip(why, protocol.MAX_TEXT), "retryable": False}
    return protocol.encode("result", **ref._asdict(), status="failed", error=error)


class Ledger:
    """See the module. Its methods may be called from any thread; times are seconds of one clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards everything below, and attempts
        self._attempts: dict[Ref, Attempt] = {}
        self._running = 0  # attempts without a result
        self._finished = 0  # results ever, numbers them
        self._results: deque[Attempt] = deque()  # to be sent
        self._waiting: deque[Attempt] = deque()  # running ones with updates to be sent
        self._sent: deque[Attempt] = deque()  # results sent, oldest first
        self._biggest: tuple[int, Attempt | None] = (0, None)  # on this connection, for close code 1009

    def open(self, ref: Ref, slots: int, cancel: Callable[[str], None]) -> tuple[Attempt, bool, bool]:
        """Enter an attempt: (it, is it fresh, is there no room).

        One that is here already is not fresh: if finished, its result will be sent again. One without
        room is entered all the same, to be rejected.
        """
        with self._lock:
            old = self._attempts.get(ref)
            if old is not None:
                if old.result is not None and old not in self._results:
                    self._results.append(old)
                return old, False, False
            attempt = self._attempts[ref] = Attempt(ref, cancel)
            self._running += 1
            return attempt, True, self._running > slots

    def finish(self, attempt: Attempt, result: bytes) -> None:
        """Put an attempt's result in line. The first one counts."""
        with self._lock:
            if attempt.result is not None or attempt.acked:
                return
            self._running -= 1
            self._finished += 1
            attempt.number, attempt.result = self._finished, attempt.verdict or result
            self._results.append(attempt)

    def ack(self, ref: Ref) -> bool:
        """Take an attempt out. False if no result of it had been waiting."""
        with self._lock:
            attempt = self._attempts.get(ref)
            if attempt is None or attempt.result is None:
                return False
            del self._attempts[ref]
            attempt.acked, attempt.result = True, None
            attempt.staged.clear()
            while self._sent and self._sent[0].acked:
                self._sent.popleft()
            return True

    def cancel(self, ref: Ref, reason: str) -> None:
        """Stop a running attempt; it will still be answered with a result."""
        with self._lock:
            attempt = self._attempts.get(ref)
        if attempt is not None:
            attempt.cancel(reason)

    def cancel_all(self, reason: str) -> None:
        """Stop everything that runs."""
        for ref in self.refs():
            self.cancel(ref, reason)

    @property
    def empty(self) -> bool:
        """Nothing runs, and every result is acknowledged."""
        with self._lock:
            return not self._attempts

    def refs(self) -> list[Ref]:
        """What a hello must list as running, finished ones too, in a stable order."""
        with self._lock:
            return sorted(self._attempts)

    def connected(self) -> None:
        """Begin a connection.

        Every result without an ack is sent again, in the order they were produced, and so are the
        newest checkpoints, which may have been lost with the last one.
        """
        with self._lock:
            self._sent.clear()
            self._biggest = (0, None)
            done = [a for a in self._attempts.values() if a.result is not None]
            self._results = deque(sorted(done, key=lambda a: a.number))
            for attempt in self._attempts.values():
                if attempt.result is None and attempt.last_checkpoint is not None:
                    attempt.updates.checkpoint = attempt.last_checkpoint
                    self._enqueue(attempt)

    def update(self, attempt: Attempt, change: Callable[[Updates], None]) -> None:
        """Change what waits of a running attempt."""
        with self._lock:
            if attempt.result is not None or attempt.acked:
                return
            change(attempt.updates)
            if attempt.updates.checkpoint is not None:
                attempt.last_checkpoint = attempt.updates.checkpoint
            self._enqueue(attempt)

    def _enqueue(self, attempt: Attempt) -> None:
        if not attempt.queued:
            attempt.queued = True
            self._waiting.append(attempt)

    def oversized(self) -> None:
        """Deal with close code 1009: the attempt behind the connection's largest message fails."""
        with self._lock:
            size, attempt = self._biggest
            if attempt is None or attempt.acked:
                return
            verdict = too_large(attempt.ref, f"the server did not take a message of {size} bytes")
            if attempt.result is not None:
                attempt.result = verdict
            else:
                attempt.verdict, attempt.last_checkpoint, attempt.updates = verdict, None, Updates()
            attempt.staged.clear()
        attempt.cancel("message_too_large")

    def take(self, frame: bytearray, now: float, limit: int) -> float | None:
        """Add to a frame what is to be sent now: results, each after its own updates; then updates.

        `limit` is the most bytes a frame may have. Returns in how many seconds there may be more;
        None: not by time alone, or the frame is full.
        """
        with self._lock:
            while self._sent and now - self._sent[0].sent_at >= RESEND_AFTER:
                attempt = self._sent.popleft()
                if not attempt.acked:
                    self._results.append(attempt)
            if self._take_results(frame, now, limit):
                return None
            wait, full = self._take_updates(frame, now, limit)
            if self._sent and not full:
                wait = sooner(wait, RESEND_AFTER - (now - self._sent[0].sent_at))
            return wait

    def _take_results(self, frame: bytearray, now: float, limit: int) -> bool:
        """Is the frame full?"""
        while self._results:
            attempt = self._results[0]
            if attempt.result is not None:
                if self._take_staged(frame, attempt, limit):
                    return True
                if len(attempt.result) > limit:
                    why = f"the result has {len(attempt.result)} bytes, the server takes {limit}"
                    attempt.result = too_large(attempt.ref, why)
                if not _fits(frame, attempt.result, limit):
                    return True
                self._put(frame, attempt, attempt.result)
                attempt.sent_at = now
                self._sent.append(attempt)
            self._results.popleft()
        return False

    def _take_updates(self, frame: bytearray, now: float, limit: int) -> tuple[float | None, bool]:
        """In how many seconds there may be more, and whether the frame is full."""
        wait: float | None = None
        later: deque[Attempt] = deque()
        full = False
        while self._waiting and not full:
            attempt = self._waiting.popleft()
            if attempt.result is not None or attempt.acked:
                attempt.queued = False  # they went, or go, with its result
                continue
            due = UPDATE_EVERY - (now - attempt.updated)
            if due > 0 and not attempt.staged:
                wait = sooner(wait, due)
                later.append(attempt)
            elif self._take_staged(frame, attempt, limit):
                full = True
                later.append(attempt)
            else:
                attempt.queued = False
                attempt.updated = now
        self._waiting.extendleft(reversed(later))
        return (None if full else wait), full

    def _take_staged(self, frame: bytearray, attempt: Attempt, limit: int) -> bool:
        """Add an attempt's updates, as many as fit. Is the frame full?"""
        attempt.staged.extend(attempt.updates.take(attempt.ref))
        while attempt.staged:
            text = attempt.staged[0]
            if len(text) > limit:
                log.warning("update of %s not sent: %d bytes, the server takes %d", attempt.ref.task, len(text), limit)
            elif not _fits(frame, text, limit):
                return True
            else:
                self._put(frame, attempt, text)
            attempt.staged.popleft()
        return False

    def _put(self, frame: bytearray, attempt: Attempt, text: bytes) -> None:
        if len(text) > self._biggest[0]:
            self._biggest = (len(text), attempt)
        append(frame, text)


def append(frame: bytearray, text: bytes) -> None:
    """Add a message to a frame."""
    if frame:
        frame += b"\n"
    frame += text


def sooner(a: float | None, b: float | None) -> float | None:
    """The smaller of two waits, of which None means none."""
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _fits(frame: bytearray, text: bytes, limit: int) -> bool:
    return not frame or len(frame) + 1 + len(text) <= min(COALESCE, limit)
