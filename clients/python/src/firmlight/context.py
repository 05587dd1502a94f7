"""What a handler may ask and say about the attempt it works on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from . import protocol
from .errors import Cancelled

Stream = Literal["log", "stdout", "stderr"]


@dataclass(frozen=True)
class Assignment:
    """One attempt as the server gave it; JSON members as text."""

    id: str
    attempt: int  # from 1, higher with every hand-over
    kind: str
    group: str
    input_json: str
    checkpoint_json: str | None = None
    parent: str | None = None  # of a part of a fan-out: part `index` (from 0) of `count`
    index: int | None = None
    count: int | None = None
    deadline: str | None = None  # RFC 3339
    timeout: float = 0.0  # seconds; 0: none
    trace: str | None = None  # W3C traceparent


class Sink(Protocol):
    """Where a context's words go; from any thread, never waiting for the network."""

    def progress(self, told: dict[str, Any]) -> None:
        """`percent` (absent: not known) and `message`."""

    def log(self, stream: Stream, lines: list[str]) -> None:
        """Lines of at most 4 KiB."""

    def checkpoint(self, text: str) -> None:
        """JSON text."""


class Context:
    """One attempt, for its handler. Methods may be called from any thread and do not wait.

    They do nothing once the handler has returned.
    """

    def __init__(self, assignment: Assignment, sink: Sink) -> None:
        self._assignment = assignment
        self._sink = sink
        self._event = threading.Event()
        self._reason = ""
        self._lock = threading.Lock()  # guards _reason and _listeners
        self._listeners: list[Callable[[str], None]] = []

    @property
    def id(self) -> str:
        """The task's id."""
        return self._assignment.id

    @property
    def attempt(self) -> int:
        """Which attempt of the task this is, from 1."""
        return self._assignment.attempt

    @property
    def kind(self) -> str:
        """The task's kind."""
        return self._assignment.kind

    @property
    def group(self) -> str:
        """The id of the task's group."""
        return self._assignment.group

    @property
    def parent(self) -> str | None:
        """The task that this is a part of, if any: part `index` of `count`."""
        return self._assignment.parent

    @property
    def index(self) -> int | None:
        """Which part this is, from 0."""
        return self._assignment.index

    @property
    def count(self) -> int | None:
        """How many parts there are."""
        return self._assignment.count

    @property
    def deadline(self) -> str | None:
        """When the task's time is used up, RFC 3339."""
        return self._assignment.deadline

    @property
    def trace(self) -> str | None:
        """The W3C traceparent of this attempt, for spans of the handler's own and as a header of what it asks
        for over HTTP; None where the server does not trace the task.
        """
        return self._assignment.trace

    @property
    def input_json(self) -> str:
        """The input as it was sent."""
        return self._assignment.input_json

    @property
    def restored(self) -> Any:
        """The checkpoint that an earlier attempt left, or None."""
        text = self._assignment.checkpoint_json
        return None if text is None else protocol.decode(text)

    @property
    def cancelled(self) -> bool:
        """Was the task taken back? A plain function looks at this and returns, or calls check()."""
        return self._event.is_set()

    @property
    def cancel_reason(self) -> str:
        """Why: requested, timeout, reassigned or stopped; empty while it was not."""
        return self._reason

    def check(self) -> None:
        """Raise Cancelled if the task was taken back."""
        if self._event.is_set():
            raise Cancelled(self._reason)

    def wait(self, seconds: float) -> None:
        """Sleep, in a plain function; raise Cancelled as soon as the task is taken back."""
        if self._event.wait(max(seconds, 0)):
            raise Cancelled(self._reason)

    def progress(self, percent: float | None, message: str = "") -> None:
        """Say how far it is, 0 to 100 (None: not known), and a short message.

        At most five a second are sent, always the newest, and always the last.
        """
        told: dict[str, Any] = {}
        if percent is not None and percent >= 0:
            told["percent"] = min(float(percent), 100.0)
        if message:
            told["message"] = protocol.clip(_one_line(message), protocol.MAX_TEXT)
        self._sink.progress(told)

    def log(self, text: str, stream: Stream = "log") -> None:
        """Write to the task's log, which people see: one line or several."""
        self._sink.log(stream, split_lines(text))

    def checkpoint(self, data: Any) -> None:
        """Replace the task's checkpoint; the next attempt finds it in `restored`.

        Raises ValueError or TypeError if data is no JSON or larger than 256 KiB; the older one stays.
        """
        self._sink.checkpoint(protocol.payload(data, protocol.MAX_CHECKPOINT))

    def _cancel(self, reason: str) -> None:
        """Take the task back; the first reason counts. From any thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._event.set()
            listeners = self._listeners
        for listener in listeners:
            listener(reason)

    def _on_cancel(self, listener: Callable[[str], None]) -> None:
        """Have a function called when the task is taken back, at once if it was."""
        with self._lock:
            if not self._event.is_set():
                self._listeners = [*self._listeners, listener]
                return
        listener(self._reason)


def _one_line(text: str) -> str:
    return "".join(" " if c < " " or "\x7f" <= c < "\xa0" else c for c in text)


def split_lines(text: str) -> list[str]:
    """The text cut at newlines, and lines above 4 KiB between characters."""
    lines = []
    for line in protocol.scrub(text).removesuffix("\n").split("\n"):
        rest = line.removesuffix("\r").encode()
        while len(rest) > protocol.MAX_LOG_LINE:
            cut = protocol.MAX_LOG_LINE
            while rest[cut] & 0xC0 == 0x80:  # within a character
                cut -= 1
            lines.append(rest[:cut].decode())
            rest = rest[cut:]
        lines.append(rest.decode())
    return lines
