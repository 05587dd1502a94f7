"""Kinds that are done by a program, run once for each task (docs/workloads.md, Programs)."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from . import protocol
from .context import Context
from .errors import ConfigError, FinalError, RetryableError
from .protocol import Raw

PREFIX = "FIRMLIGHT_"
PIPE_WAIT = 2.0  # seconds that what a program has left behind may keep its output open
CHUNK = 64 << 10

_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
_OPERATOR = re.compile(r"[;&|<>]")


def handler(command: str, environ: Mapping[str, str], token: str) -> Callable[[Context], Any]:
    """What does a task by running a command. Raises ConfigError for one that cannot be.

    The command is split as a shell does it, without a shell's other powers; it gets the environment
    without the worker's own variables, and without any that holds its token.
    """
    try:
        argv = shlex.split(command)
    except ValueError as err:
        raise ConfigError(f"{command!r}: {err}") from None
    if operator := _OPERATOR.search(_QUOTED.sub("", command)):
        raise ConfigError(f"{command!r}: no shell runs this; for {operator[0]!r} write: sh -c '…'")
    if not argv:
        raise ConfigError("no command")
    if shutil.which(argv[0]) is None:
        raise ConfigError(f"there is no program {argv[0]!r}")
    env = {k: v for k, v in environ.items() if not k.upper().startswith(PREFIX) and token not in v}

    def handle(ctx: Context) -> Any:
        return _run(argv, {**env, "TRACEPARENT": ctx.trace} if ctx.trace else env, ctx)

    return handle


def _run(argv: list[str], env: Mapping[str, str], ctx: Context) -> Any:
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 # the worker's owner gave the command; tasks only give stdin
        argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
    )
    stdout, stderr = _Output(lambda: _kill(process)), _Log(ctx)
    threads = [
        _thread(lambda: _feed(process.stdin, ctx.input_json)),
        _thread(lambda: _drain(process.stdout, stdout.take)),
        _thread(lambda: _drain(process.stderr, stderr.take)),
    ]
    ctx._on_cancel(lambda _: _kill(process))
    status = process.wait()
    for _ in range(2):
        until = time.monotonic() + PIPE_WAIT
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
        _kill(process)  # what it left behind
    stderr.end()
    ctx.check()
    if stdout.over:
        raise FinalError(f"stdout has more than {protocol.MAX_PAYLOAD} bytes", "message_too_large")
    if status:
        how = f"exit status {status}" if status > 0 else f"signal: {signal.strsignal(-status)}"
        raise RetryableError(f"{how}: {stderr.last}" if stderr.last else how, "exec_failed")
    return _output(bytes(stdout.kept))


def _thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True, name="firmlight-program")
    thread.start()
    return thread


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _feed(stdin: IO[bytes] | None, text: str) -> None:
    assert stdin is not None  # noqa: S101 # it is a pipe
    rest = memoryview(text.encode())
    with contextlib.suppress(OSError), stdin:  # it need not read
        while rest:
            rest = rest[stdin.write(rest) :]


def _drain(stream: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
    assert stream is not None  # noqa: S101 # it is a pipe
    with stream:
        while part := stream.read(CHUNK):
            take(part)


class _Output:
    """Keeps what is written, up to what a result may have."""

    def __init__(self, full: Callable[[], None]) -> None:
        self.kept = bytearray()
        self.over = False
        self._full = full

    def take(self, part: bytes) -> None:
        if len(self.kept) + len(part) <= protocol.MAX_PAYLOAD:
            self.kept += part
        elif not self.over:
            self.over = True
            self._full()


class _Log:
    """Writes to the task's log line by line; one that never ends is cut."""

    def __init__(self, ctx: Context) -> None:
        self.last = ""  # line that was not empty
        self._ctx = ctx
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def take(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(part)).split("\n")
        if len(self._rest) > protocol.MAX_LOG_LINE:
            lines.append(self._rest)
            self._rest = ""
        for line in lines:
            self._write(line)

    def end(self) -> None:
        if self._rest:
            self._write(self._rest)

    def _write(self, line: str) -> None:
        self.last = line.rstrip("\r") or self.last
        self._ctx.log(line, "stderr")


def _output(text: bytes) -> Any:
    """JSON where the text is, else a string."""
    with contextlib.suppress(ValueError):
        return Raw(protocol.payload(Raw(text.decode().strip(" \t\r\n")), protocol.MAX_PAYLOAD))
    return text.decode(errors="replace")
