"""Handlers at work: as coroutines, in threads, or in processes of their own."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from . import _inputs, _results
from ._ledger import Attempt, Ledger
from ._process import Processes
from ._results import Outcome
from .context import Assignment, Context, Stream
from .errors import Cancelled, ConfigError, Reject
from .protocol import Ref

Run = Literal["thread", "process"]

log = logging.getLogger("firmlight")


@dataclass(frozen=True)
class Handler:
    """What does the tasks of one kind."""

    kind: str
    fn: Callable[..., Any]
    arguments: Callable[[Context], list[Any]]
    run: Literal["async", "thread", "process"]

    @classmethod
    def of(cls, kind: str, fn: Callable[..., Any], run: Run) -> Handler:
        """Look at a function once. Raises ConfigError where it cannot be a handler."""
        coroutine = inspect.iscoroutinefunction(fn)
        if coroutine and run == "process":
            raise ConfigError(f"{kind}: a coroutine runs in the worker's loop, not in a process")
        if run == "process" and "<locals>" in fn.__qualname__:
            raise ConfigError(f"{kind}: a function for processes must be of module level")
        return cls(kind, fn, _inputs.arguments(fn), "async" if coroutine else run)


class _LedgerSink:
    """Enters a context's words into the ledger."""

    attempt: Attempt  # set before the handler starts

    def __init__(self, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._wake = wake

    def progress(self, told: dict[str, Any]) -> None:
        self._ledger.update(self.attempt, lambda u: setattr(u, "progress", told))
        self._wake()

    def log(self, stream: Stream, lines: list[str]) -> None:
        self._ledger.update(self.attempt, lambda u: u.add_lines(stream, lines))
        self._wake()

    def checkpoint(self, text: str) -> None:
        self._ledger.update(self.attempt, lambda u: setattr(u, "checkpoint", text))
        self._wake()


class Runner:
    """Runs attempts from their assignment to the result in the ledger. Belongs to one loop."""

    def __init__(self, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._wake = wake
        self._processes = Processes()
        self._busy: set[asyncio.Task[None]] = set()

    def start(self, assignment: Assignment, handler: Handler | None, slots: int, draining: bool) -> None:
        """Start a task, or reject it."""
        ref = Ref(assignment.id, assignment.attempt)
        sink = _LedgerSink(self._ledger, self._wake)
        ctx = Context(assignment, sink)
        attempt, fresh, busy = self._ledger.open(ref, slots, ctx._cancel)
        if not fresh:
            return
        sink.attempt = attempt
        why = "unknown kind" if handler is None else "no free slot" if busy else "draining" if draining else ""
        if handler is None or why:
            log.warning("task %s attempt %d rejected: %s", ref.task, ref.attempt, why)
            self._ledger.finish(attempt, _results.encode(ref, {"status": "rejected"}))
            return
        work = asyncio.create_task(self._work(attempt, assignment, handler, ctx, sink))
        self._busy.add(work)
        work.add_done_callback(self._busy.discard)

    async def _work(
        self, attempt: Attempt, assignment: Assignment, handler: Handler, ctx: Context, sink: _LedgerSink
    ) -> None:
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(assignment.timeout, ctx._cancel, "timeout") if assignment.timeout > 0 else None
        if handler.run == "async":
            outcome = await _coroutine(handler, ctx)
        elif handler.run == "thread":
            outcome = await _thread(lambda: _plain(handler, ctx))
        else:
            outcome = await _thread(lambda: self._processes.call(handler.fn, assignment, ctx, sink))
        if timer is not None:
            timer.cancel()
        self._ledger.finish(attempt, _results.encode(attempt.ref, outcome))
        log.info(
            "task %s attempt %d (%s): %s after %.3f s",
            *attempt.ref,
            handler.kind,
            outcome["status"],
            time.monotonic() - began,
        )
        self._wake()

    async def wait(self, timeout: float) -> bool:
        """Wait until no handler runs. False if some still do: they ignore being cancelled."""
        if self._busy:
            await asyncio.wait(self._busy, timeout=timeout)
        self._processes.stop()
        return not self._busy


async def _coroutine(handler: Handler, ctx: Context) -> Outcome:
    """Run an async handler; a cancel is an asyncio.CancelledError in it."""
    loop = asyncio.get_running_loop()

    async def work() -> Outcome:
        try:
            return _results.succeeded(await handler.fn(*handler.arguments(ctx)))
        except BaseException as err:  # SystemExit ends the task, not the worker
            return _results.raised(ctx, err)

    def cancel(_: str) -> None:
        loop.call_soon_threadsafe(task.cancel)

    task = asyncio.ensure_future(work())
    ctx._on_cancel(cancel)
    await asyncio.wait([task])
    return _results.raised(ctx, asyncio.CancelledError()) if task.cancelled() else task.result()


def _plain(handler: Handler, ctx: Context) -> Outcome:
    try:
        return _results.succeeded(handler.fn(*handler.arguments(ctx)))
    except BaseException as err:  # SystemExit ends the task, not the worker
        if isinstance(err, (Reject, Cancelled)):
            log.info("task %s attempt %d: %r", ctx.id, ctx.attempt, err)
        return _results.raised(ctx, err)


async def _thread(work: Callable[[], Outcome]) -> Outcome:
    """Run in a thread of its own, one that a worker that ends does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()

    def run() -> None:
        try:
            outcome = work()
        except BaseException as err:  # a result there must be
            outcome = _results.failed(err)
        try:
            loop.call_soon_threadsafe(done.set_result, outcome)
        except RuntimeError:
            log.debug("a handler returned after its worker had ended")

    threading.Thread(target=run, daemon=True, name="firmlight-task").start()
    return await done
