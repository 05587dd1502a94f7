"""Waits, for trying out slots, timeouts and cancels."""

from __future__ import annotations

import asyncio

from ..context import Context
from . import _input

MOST = 86_400_000  # ms: one day


async def sleep(ctx: Context) -> dict[str, int]:
    """{"ms": n} → {"slept_ms": n}; progress every tenth."""
    ms = _input.integer(_input.fields(ctx, "ms"), "ms", 0, MOST)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for tenth in range(1, 11):
        await asyncio.sleep(max(start + ms * tenth / 10_000 - loop.time(), 0))
        ctx.progress(tenth * 10, f"{ms * tenth // 10} of {ms} ms")
    return {"slept_ms": ms}
