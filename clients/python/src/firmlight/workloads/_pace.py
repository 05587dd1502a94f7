"""How often a kind reports and saves."""

from __future__ import annotations

import time
from typing import Any

from ..context import Context

PROGRESS_EVERY = 0.2  # seconds: at most 5 messages a second
CHECKPOINT_EVERY = 1.0


class Ticker:
    """Says when something is due again, the first time one interval after it was made."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._last = time.monotonic()

    def due(self) -> bool:
        """True at most once per interval."""
        now = time.monotonic()
        if now - self._last < self._every:
            return False
        self._last = now
        return True


def save(ctx: Context, data: Any) -> None:
    """Store a checkpoint. Without it only time is lost, so a failure goes to the log."""
    try:
        ctx.checkpoint(data)
    except (ValueError, TypeError) as err:
        ctx.log(f"checkpoint not saved: {err}")
