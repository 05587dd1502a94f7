"""The golden transcripts of protocol/testdata are acted out with this SDK."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import fakes
import pytest
from conftest import TESTDATA

from firmlight import ClosedError, Context, FinalError, Raw, RetryableError, protocol
from firmlight._times import AWAY_MOST
from firmlight.protocol import Message, Ref

PATHS = sorted((TESTDATA / "transcripts").glob("*.txt"))
# The worker's side of these is not something this SDK says.
PLAYED = [p for p in PATHS if p.stem not in ("errors", "unknown_fields")]


class Player:
    """Sends the server's lines, makes the worker say its own, and compares."""

    def __init__(self) -> None:
        self.worker: fakes.PipeWorker | None = None
        self.pipe: fakes.Pipe | None = None
        self.serving: asyncio.Task[None] | None = None
        self.steps: dict[Ref, asyncio.Queue[Message]] = {}
        self.traces: dict[Ref, str | None] = {}
        self.ended: set[Ref] = set()
        self.code = 0  # of the last close
        self.gone: float | None = None  # when that was
        self.least = 0.0  # seconds until the next connection

    async def play(self, text: str) -> None:
        mark = ""
        frame: list[str] = []
        for line in [*text.splitlines(), "# end"]:
            sign, _, rest = line.partition(" ")
            if sign != "+":
                mark = sign
                if frame:
                    assert self.pipe is not None
                    self.pipe.say(*frame)
                    frame = []
            if mark == "<":
                self.note(rest)
                frame.append(rest)
            elif mark == ">":
                await self.from_worker(rest)
            else:
                await self.event(rest)

    def note(self, text: str) -> None:
        """Get a handler's script ready before its task is assigned."""
        (message,) = protocol.messages(text)
        if message.type == "assign":
            self.steps[message.ref()] = asyncio.Queue()
            self.traces[message.ref()] = message.fields.get("trace")
            self.ended.discard(message.ref())

    async def from_worker(self, text: str) -> None:
        (want,) = protocol.messages(text)
        await settle()
        if want.type == "hello":
            return await self.hello(want)
        assert self.worker is not None
        assert self.pipe is not None
        if want.type == "slots":
            self.worker.slots = want.integer("slots")
        elif want.type == "drain":
            self.worker.drain()
        elif want.type in ("progress", "log", "checkpoint", "result") and want.ref() not in self.ended:
            if want.type == "result":
                self.ended.add(want.ref())
            if want.ref() in self.steps:
                self.steps[want.ref()].put_nowait(want)
        got = await self.pipe.from_worker.get()
        assert got.fields == want.fields
        return None

    async def hello(self, want: Message) -> None:
        h = want.fields
        if self.worker is None:
            more = {"groups": h.get("groups", ()), "labels": h.get("labels")}
            self.worker = fakes.PipeWorker(name=h["name"], slots=h["slots"], sdk=h.get("sdk", ""), **more)
            for kind in h["kinds"]:
                self.worker.kind(kind)(self.handle)
            self.serving = asyncio.create_task(self.worker.serve())
        self.pipe = await self.worker.pipes.get()
        got = await self.pipe.from_worker.get()
        assert got.fields == want.fields
        if self.gone is not None:
            assert self.least <= self.worker.tries[-1] - self.gone <= self.least + max(self.least, AWAY_MOST) + 0.1

    async def event(self, text: str) -> None:
        if not text.startswith(("close ", "-- ", "10 s", "end")):
            return
        assert self.pipe is not None
        assert self.serving is not None
        assert self.worker is not None
        if text.startswith("close "):
            self.code, self.gone = int(text.split()[2]), asyncio.get_running_loop().time()
        if text.startswith("-- reconnect"):
            self.least = 5.0 if text.endswith("after 5 s") else 0.0
        elif text == "-- no reconnect":
            with pytest.raises(ClosedError) as caught:
                await self.serving
            assert caught.value.code == self.code
            for ref, steps in self.steps.items():  # what ran was left behind
                steps.put_nowait(Message("result", {**ref._asdict(), "status": "cancelled"}, {}))
        elif text.startswith(("close lost", "close server")):
            self.pipe.drop(self.code)
        elif text == "close worker 1000":
            assert await self.pipe.closed == protocol.NORMAL
            await self.serving
        elif text == "close worker 1001":
            assert await self.pipe.closed == protocol.GOING_AWAY
        elif text == "10 s pass":
            for _ in range(4):  # the rest passes with the wait for the result
                await asyncio.sleep(2)
                self.pipe.tell("ping")
                await self.pipe.heard_from("pong")
        else:
            self.worker.stop()
            await asyncio.gather(self.serving, return_exceptions=True)

    async def handle(self, ctx: Context) -> Any:
        """Every kind's handler does what the transcript says."""
        steps = self.steps[Ref(ctx.id, ctx.attempt)]
        assert ctx.trace == self.traces[Ref(ctx.id, ctx.attempt)]
        while True:
            try:
                step = await steps.get()
            except asyncio.CancelledError:
                continue  # the transcript says what comes of it
            match step.type:
                case "progress":
                    ctx.progress(step.fields.get("percent"), step.text("message"))
                case "log":
                    for line in step.texts("lines"):
                        ctx.log(line, step.fields["stream"])
                case "checkpoint":
                    ctx.checkpoint(step.fields["data"])
                case _:
                    return await outcome(ctx, step)


async def outcome(ctx: Context, result: Message) -> Any:
    status = result.fields["status"]
    if status == "succeeded":
        return Raw(result.raw["output"])
    if status == "failed":
        error = result.fields["error"]
        raise (RetryableError if error["retryable"] else FinalError)(error["message"], error["code"])
    assert ctx.cancelled
    raise asyncio.CancelledError


async def settle() -> None:
    """What the server said has arrived."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_there_are_transcripts() -> None:
    assert len(PLAYED) >= 28


@pytest.mark.parametrize("path", PLAYED, ids=lambda p: p.stem)
def test_transcript(path: Path) -> None:
    fakes.run(Player().play(path.read_text()))
