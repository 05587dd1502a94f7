"""Programs as kinds, as the Go worker has them (cmd/worker/exec_test.go)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import fakes
import pytest

from firmlight import Cancelled, Context, TaskError, _exec, protocol
from firmlight.context import Assignment

PATH = {"PATH": os.environ["PATH"]}


def run(command: str, input_json: str = "null", **env: str) -> tuple[Any, fakes.Recorder]:
    ctx, recorder = fakes.context(input_json)
    output = _exec.handler(command, {**PATH, **env}, "secret")(ctx)
    return protocol.decode(protocol.dumps(output)), recorder


@pytest.mark.parametrize(
    ("command", "want"),
    [
        ("cat", {"n": 1}),
        (r"printf ' [1, 2] \n'", [1, 2]),
        (r"printf 'not {json}\n'", "not {json}\n"),
        ("true", ""),
        (r"""printf '"%s-%s"' "a b" c\ d""", "a b-c d"),
        ("printf %s '$HOME'", "$HOME"),
        ("""sh -c 'printf "$KEPT$FIRMLIGHT_X$AUTH"'""", "kept"),
        ("sh -c 'sleep 1000 & echo 7'", 7),
        ("head -c 1048576 /dev/zero", "\0" * 1048576),
    ],
)
def test_output(command: str, want: object) -> None:
    got, _ = run(command, '{"n":1}', KEPT="kept", FIRMLIGHT_X="1", AUTH="Bearer secret")
    assert got == want


@pytest.mark.parametrize(
    ("command", "code", "message", "retryable"),
    [
        (
            "sh -c 'echo first >&2; echo disk full >&2; echo >&2; exit 3'",
            "exec_failed",
            "exit status 3: disk full",
            True,
        ),
        ("false", "exec_failed", "exit status 1", True),
        ("sh -c 'kill -9 $$'", "exec_failed", "signal: Killed", True),
        ("head -c 1048577 /dev/zero", "message_too_large", "stdout has more than 1048576 bytes", False),
        ("cat /dev/zero", "message_too_large", "stdout has more than 1048576 bytes", False),
    ],
)
def test_failures(command: str, code: str, message: str, retryable: bool) -> None:
    with pytest.raises(TaskError) as caught:
        run(command)
    assert (caught.value.code, caught.value.message, caught.value.retryable) == (code, message, retryable)


def test_log() -> None:
    _, recorder = run("""sh -c 'echo one >&2; echo >&2; printf "two\\nthree" >&2'""")
    assert recorder.lines == [("stderr", line) for line in ("one", "", "two", "three")]


def test_a_line_that_never_ends_is_cut() -> None:
    _, recorder = run("sh -c 'head -c 20001 /dev/zero >&2'")
    lines = [line for _, line in recorder.lines]
    assert "".join(lines) == "\0" * 20001
    assert max(map(len, lines)) <= protocol.MAX_LOG_LINE


def test_trace() -> None:
    handle = _exec.handler("""sh -c 'printf "<$TRACEPARENT>"'""", PATH, "secret")
    for trace in ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None):
        ctx = Context(Assignment("t1", 1, "work", "g", "null", trace=trace), fakes.Recorder())
        assert handle(ctx) == f"<{trace or ''}>"


def test_a_cancel_ends_all_that_was_started(tmp_path: Path) -> None:
    """The grandchild holds the only writing end of a FIFO: reading it to its end means that it is gone."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = """sh -c 'sh -c "echo here; exec sleep 1000" > "$FIFO" & wait'"""
    ctx, _ = fakes.context("null")
    raised: list[BaseException] = []

    def work() -> None:
        try:
            _exec.handler(command, {**PATH, "FIFO": str(fifo)}, "secret")(ctx)
        except Cancelled as err:
            raised.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    with fifo.open() as reader:  # waits for the grandchild
        assert reader.readline() == "here\n"
        ctx._cancel("requested")
        assert reader.read() == ""
    thread.join()
    assert len(raised) == 1
