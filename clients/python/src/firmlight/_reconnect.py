"""When to connect again (section 6).

At once, then at least once a second for 10 s, so that the server's grace is met, then with
exponential backoff and full jitter.
"""

from __future__ import annotations

import random

from . import protocol
from ._socket import Closed
from ._times import (
    AWAY_MOST,
    BACKOFF_BASE,
    BACKOFF_MOST,
    FAST_DIAL,
    FAST_FOR,
    FAST_LEAST,
    FAST_MOST,
    OPEN_TIMEOUT,
    STABLE_AFTER,
    TOO_MANY_WAIT,
)
from .errors import ClosedError, HandshakeError, WorkerError


class Schedule:
    """Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        """Start as if a connection had just been lost and the first try were under way."""
        self._lost = now  # when the run of tries began
        self._once = False  # there was a connection before
        self._began = now  # the try under way, or the last one
        self._tries = 1  # since lost
        self._slow = 0  # of them, with backoff

    def begin(self, now: float) -> float:
        """Start a try and say how long it may take: short where a hanging one would use up the grace."""
        self._began = now
        return FAST_DIAL if self._once and now - self._lost < FAST_FOR else OPEN_TIMEOUT

    def pause(self, now: float, welcomed: bool, err: Exception) -> float:
        """The time to wait after a connection ended, or could not be made, because of err."""
        least = _least(err)
        if welcomed and (not self._once or now - self._lost >= STABLE_AFTER):
            self._lost, self._once, self._tries, self._slow = now + least, True, 0, 0
        self._tries += 1
        if self._tries == 1:
            return least
        if now - self._lost < FAST_FOR:
            return max(least, self._began + random.uniform(FAST_LEAST, FAST_MOST) - now, 0.0)
        top = min(BACKOFF_BASE * 2 ** min(self._slow, 10), BACKOFF_MOST)
        self._slow += 1
        return max(least, random.uniform(0, top))


def _least(err: Exception) -> float:
    code = err.code if isinstance(err, Closed) else 0
    refused = isinstance(err, HandshakeError) and err.status == 429
    if code == protocol.GOING_AWAY:
        return random.uniform(0, AWAY_MOST)
    if code in (protocol.TOO_MANY, protocol.DISCONNECTED) or refused:
        return random.uniform(TOO_MANY_WAIT, 2 * TOO_MANY_WAIT)
    return 0.0


def final(err: Exception) -> WorkerError | None:
    """The error that ends the worker, or None if err is worth another try."""
    if isinstance(err, Closed) and err.code >= 4000 and not protocol.reconnects(err.code):
        return ClosedError(err.code, err.reason)
    if isinstance(err, HandshakeError) and err.status in (401, 403):
        return err
    return None
