"""A clock that jumps, and a server made of two queues."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from firmlight import Worker, protocol
from firmlight._socket import Closed
from firmlight.context import Assignment, Context, Stream
from firmlight.protocol import Message

_T = TypeVar("_T")


class _Jump(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the clock."""

    offset = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.offset += 1e-9  # a clock at rest never reaches what rounding put a hair ahead
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready or (super().select(timeout) if timeout is None else [])
        self.offset += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    """Nothing but waits takes time: what a busy machine takes is not counted."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.offset


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run with a clock that jumps over every wait. Threads must not be waited for."""
    loop = _Loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main, 3600))
    finally:
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _end(left: set[asyncio.Task[Any]]) -> None:
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class Pipe:
    """A connection without a network; the test is the server."""

    def __init__(self) -> None:
        self.to_worker: asyncio.Queue[str | Closed] = asyncio.Queue()
        self.from_worker: asyncio.Queue[Message] = asyncio.Queue()
        self.frames: list[bytes] = []
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()  # by the worker
        self.heard = asyncio.get_running_loop().time()
        self._ended = False

    async def recv(self) -> str:
        frame = await self.to_worker.get()
        if isinstance(frame, Closed):
            self._ended = True
            raise frame
        return frame

    async def send(self, frame: bytes) -> None:
        if self._ended:
            raise Closed
        self.frames.append(frame)
        for message in protocol.messages(frame.decode()):
            self.from_worker.put_nowait(message)

    async def close(self, code: int, reason: str, wait: float) -> None:
        if not self._ended:
            self._ended = True
            self.closed.set_result(code)

    # The server's side.

    def say(self, *messages: str) -> None:
        """Send one frame."""
        self.heard = asyncio.get_running_loop().time()
        self.to_worker.put_nowait("\n".join(messages))

    def tell(self, kind: str, /, **members: Any) -> None:
        """Send one message."""
        self.say(protocol.encode(kind, **members).decode())

    def drop(self, code: int = 1006) -> None:
        """Lose the connection, or close it with a code."""
        self.to_worker.put_nowait(Closed(code))

    async def heard_from(self, kind: str) -> Message:
        """The worker's next message, which must be of this type."""
        message = await self.from_worker.get()
        assert message.type == kind, message
        return message

    async def opening(self, **more: Any) -> Message:
        """Take the hello and answer with a welcome."""
        hello = await self.heard_from("hello")
        self.tell("welcome", **{"session": "s", "resume": "r", "worker": "w", "timeout_ms": 7000, **more})
        return hello

    def assign(self, task: str = "t1", attempt: int = 1, kind: str = "work", **more: Any) -> None:
        self.tell("assign", task=task, attempt=attempt, kind=kind, group="g", **{"input": protocol.Raw("null"), **more})


class PipeWorker(Worker):
    """A worker whose connections are pipes."""

    def __init__(self, **more: Any) -> None:
        super().__init__("http://test.example", "secret", **{"name": "w", "slots": 2, "sdk": "", **more})
        self.pipes: asyncio.Queue[Pipe] = asyncio.Queue()
        self.refusals: list[Exception] = []  # of the next tries
        self.tries: list[float] = []  # when

    async def _dial(self, timeout: float) -> Pipe:
        self.tries.append(asyncio.get_running_loop().time())
        if self.refusals:
            raise self.refusals.pop(0)
        pipe = Pipe()
        self.pipes.put_nowait(pipe)
        return pipe


class Recorder:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.lines: list[tuple[Stream, str]] = []
        self.checkpoints: list[Any] = []

    def progress(self, told: dict[str, Any]) -> None:
        self.told.append(told)

    def log(self, stream: Stream, lines: list[str]) -> None:
        self.lines += [(stream, line) for line in lines]

    def checkpoint(self, text: str) -> None:
        self.checkpoints.append(protocol.decode(text))


def context(input_json: str, checkpoint: Any = None) -> tuple[Context, Recorder]:
    """A context for a handler that is called by the test."""
    saved = None if checkpoint is None else protocol.dumps(checkpoint)
    recorder = Recorder()
    return Context(Assignment("t1", 1, "work", "g", input_json, saved), recorder), recorder
