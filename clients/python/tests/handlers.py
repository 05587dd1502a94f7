"""Handlers for the tests that run real workers."""

import asyncio
import dataclasses
import os
import signal
import sys
import time
from typing import Any

import pydantic

from firmlight import Context, FinalError, RetryableError, Worker

worker = Worker()


@dataclasses.dataclass
class Point:
    x: int
    y: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Sum:
    x: int
    y: list[float]
    sum: float


class Model(pydantic.BaseModel):
    name: str
    n: int = 3


@worker.kind("greet")
def greet(name: str) -> str:
    return f"hello {name}"


@worker.kind("object")
async def object_(point: Point) -> Sum:
    return Sum(point.x, point.y, point.x + sum(point.y))


@worker.kind("model")
def model(given: Model) -> Model:
    return given


@worker.kind("final")
def final() -> None:
    raise FinalError("no paper", "no_paper")


@worker.kind("retry")
async def retry() -> None:
    raise RetryableError("try again", "busy")


@worker.kind("raises")
def raises() -> float:
    return 1 / 0


@worker.kind("exit")
def exit_() -> None:
    sys.exit(3)


@worker.kind("dies", run="process")
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@worker.kind("no-json")
def no_json() -> Any:
    return {1, 2}


@worker.kind("large")
def large() -> str:
    return "x" * (1 << 20)


@worker.kind("talks", run="process")
def talks(ctx: Context) -> None:
    ctx.progress(10, "a tenth")
    ctx.log("one\ntwo")
    ctx.log("three", "stderr")
    ctx.progress(50, "half")


@worker.kind("waits")
def waits(ctx: Context) -> None:
    ctx.progress(1, str(os.getpid()))
    ctx.wait(600)


worker.kind("waits-process", run="process")(waits)


@worker.kind("waits-async")
async def waits_async(ctx: Context) -> None:
    ctx.progress(1)
    await asyncio.sleep(600)


@worker.kind("spins")
def spins(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@worker.kind("deaf")
def deaf(ctx: Context) -> None:
    ctx.progress(1)
    spins(600)


@worker.kind("deaf-process", run="process")
def deaf_process(ctx: Context) -> None:
    deaf(ctx)


worker.kind("spins-process", run="process")(deaf_process)


@worker.kind("deaf-async")
async def deaf_async(ctx: Context) -> None:
    ctx.progress(1)
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
