"""Handlers in processes of their own, so that they neither share nor block this one's interpreter.

A process is started when one is needed and kept for the next task. It ends when this one does,
however that ends: the pipe between them closes. A cancelled task whose handler does not return within
KILL_WAIT is ended with its process.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from . import _inputs, _results
from ._results import Outcome
from ._times import KILL_WAIT
from .context import Assignment, Context, Sink, Stream
from .errors import RetryableError

_spawn = multiprocessing.get_context("spawn")


class Processes:
    """The processes of a worker. `call` may run in many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two sets
        self._all: set[_Process] = set()
        self._idle: list[_Process] = []

    def call(self, fn: Callable[..., Any], assignment: Assignment, ctx: Context, sink: Sink) -> Outcome:
        """Run one task in a process and wait for it."""
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is None:
            process = _Process()
            with self._lock:
                self._all.add(process)
        outcome = process.call(fn, assignment, ctx, sink)
        with self._lock:
            if process.alive and process in self._all:
                self._idle.append(process)
                return outcome
            self._all.discard(process)
        process.kill()
        return outcome

    def stop(self) -> None:
        """End all of them at once."""
        with self._lock:
            ended = list(self._all)
            self._all.clear()
            self._idle.clear()
        for process in ended:
            process.kill()


class _Process:
    def __init__(self) -> None:
        ours, theirs = _spawn.Pipe()
        self._pipe: Connection[Any, Any] = ours
        self._process = _spawn.Process(target=_child, args=(theirs,), name="firmlight-task")
        self._process.start()
        theirs.close()
        self._lock = threading.Lock()  # guards sending, and alive
        self.alive = True

    def call(self, fn: Callable[..., Any], assignment: Assignment, ctx: Context, sink: Sink) -> Outcome:
        timer = threading.Timer(KILL_WAIT, self.kill)
        timer.daemon = True

        def cancel(reason: str) -> None:
            timer.start()
            self._send(("cancel", assignment.id, assignment.attempt, reason))

        try:
            self._send((fn, assignment))
            ctx._on_cancel(cancel)
            while True:
                what, *told = self._pipe.recv()
                if what == "end":
                    outcome: Outcome = told[0]
                    return outcome
                getattr(sink, what)(*told)
        except (EOFError, OSError):
            self.kill()
            if ctx.cancelled:
                return {"status": "cancelled"}
            code = self._process.exitcode
            return _results.failed(RetryableError(f"the task's process ended with {code}", "process_died"))
        except Exception as err:  # the handler cannot be handed over, or the answer not read
            self.kill()
            return _results.raised(ctx, err)
        finally:
            timer.cancel()

    def _send(self, message: Any) -> None:
        with self._lock:
            if self.alive:
                self._pipe.send(message)

    def kill(self) -> None:
        """End it at once; may be called again."""
        with self._lock:
            self.alive = False
        self._process.kill()
        self._process.join()


class _PipeSink:
    """Sends a context's words to the worker's process."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()  # a pipe takes one sender at a time

    def send(self, *message: Any) -> None:
        with self._lock:
            self._pipe.send(message)

    def progress(self, told: dict[str, Any]) -> None:
        self.send("progress", told)

    def log(self, stream: Stream, lines: list[str]) -> None:
        self.send("log", stream, lines)

    def checkpoint(self, text: str) -> None:
        self.send("checkpoint", text)


def _child(pipe: Connection[Any, Any]) -> None:
    """What a process does: one task after the other, until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the worker decides, also where all get the signal
        signal.signal(number, signal.SIG_IGN)
    sink = _PipeSink(pipe)
    calls: queue.SimpleQueue[tuple[Callable[..., Any], Context]] = queue.SimpleQueue()
    reader = threading.Thread(target=_listen, args=(pipe, sink, calls), daemon=True)
    reader.start()
    while True:
        fn, ctx = calls.get()
        try:
            outcome = _results.succeeded(fn(*_inputs.arguments(fn)(ctx)))
        except BaseException as err:  # SystemExit ends the task, not the process
            outcome = _results.raised(ctx, err)
        sink.send("end", outcome)


def _listen(pipe: Connection[Any, Any], sink: _PipeSink, calls: queue.SimpleQueue[Any]) -> None:
    ctx: Context | None = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the worker is gone, and with it whoever wanted a result
        except Exception as err:  # a handler that cannot be imported here
            sink.send("end", _results.failed(err))
            continue
        if message[0] != "cancel":
            fn, assignment = message
            ctx = Context(assignment, sink)
            calls.put((fn, ctx))
        elif ctx is not None and (ctx.id, ctx.attempt) == message[1:3]:
            ctx._cancel(message[3])
