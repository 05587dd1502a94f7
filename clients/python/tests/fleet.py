"""The kind "work" of the fault tests (e2e/testworker), in Python: its result names the attempt that made it."""

import asyncio
import dataclasses
import os

from firmlight import Context, Worker

worker = Worker()


@dataclasses.dataclass
class Work:
    ms: int


@worker.kind("work")
async def work(given: Work, ctx: Context) -> dict[str, int]:
    await asyncio.sleep(given.ms / 1000)
    return {"attempt": ctx.attempt, "pid": os.getpid()}
