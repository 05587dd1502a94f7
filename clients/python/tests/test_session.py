"""A worker against a server made of queues, with a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import fakes
import pytest

from firmlight import ClosedError, ConfigError, Context, HandshakeError, StoppedError
from firmlight._socket import Closed

Scene = Callable[[fakes.PipeWorker, "asyncio.Task[None]"], Awaitable[None]]


def play(scene: Scene, **more: object) -> None:
    """Run a scene with a worker of kind work, which echoes, and wait, which waits."""

    async def main() -> None:
        worker = fakes.PipeWorker(**more)

        @worker.kind("work")
        async def work(ctx: Context) -> str:
            return ctx.id

        @worker.kind("wait")
        async def wait(ctx: Context) -> None:
            for n in range(1000):
                ctx.progress(n / 10)
                ctx.log(f"line {n}")
                await asyncio.sleep(0.01)
            ctx.checkpoint({"n": 1000})
            await asyncio.sleep(600)

        serving = asyncio.create_task(worker.serve())
        await scene(worker, serving)
        worker.stop()
        await asyncio.gather(serving, return_exceptions=True)

    fakes.run(main())


def test_what_a_later_version_says_is_ignored() -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening(mood={"good": True}, dropped=[{"task": "x", "attempt": 1, "why": []}])
        pipe.say('{"type":"dance","steps":[1]}', '{"no":"type"}', '{"later":1,"type":"ping"}')
        await pipe.heard_from("pong")
        pipe.assign(colour="red", Attempt=7)
        assert (await pipe.heard_from("result")).fields["output"] == "t1"

    play(scene)


@pytest.mark.parametrize(
    "frame", ["nonsense", "[]", '{"type":"ping"} {"type":"ping"}', '{"type":"ping",}', "{", '{"a":NaN}']
)
def test_a_malformed_frame_ends_the_connection_only(frame: str) -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening()
        pipe.say(frame)
        again = await (await worker.pipes.get()).heard_from("hello")
        assert again.fields["session"] == "s"

    play(scene)


@pytest.mark.parametrize(("code", "least", "most"), [(1006, 0, 0.1), (4500, 0, 0.1), (4429, 5, 10.1), (4503, 5, 10.1)])
def test_when_it_comes_back(code: int, least: float, most: float) -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening()
        await settle()
        lost = asyncio.get_running_loop().time()
        pipe.drop(code)
        await worker.pipes.get()
        assert least <= worker.tries[-1] - lost <= most

    play(scene)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_it_tries_every_second_for_ten_and_then_slower() -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening()
        await settle()
        lost = asyncio.get_running_loop().time()
        worker.refusals = [OSError("refused"), HandshakeError(503, "")] * 20
        pipe.drop()
        await worker.pipes.get()
        tries = [t - lost for t in worker.tries[1:]]
        early = [t for t in tries if t < 10]
        assert all(b - a <= 1 for a, b in pairwise(early))
        assert 10 <= len(early) <= 21
        assert max(b - a for a, b in pairwise(tries)) <= 30

    play(scene)


@pytest.mark.parametrize("code", [4400, 4401, 4403, 4409, 4450])
def test_closed_for_good(code: int) -> None:
    async def scene(worker: fakes.PipeWorker, serving: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening()
        pipe.drop(code)
        with pytest.raises(ClosedError) as caught:
            await serving
        assert caught.value.code == code

    play(scene)


def test_silence_is_a_loss() -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        await (await worker.pipes.get()).opening()
        began = loop.time()
        await worker.pipes.get()
        assert 6.9 < loop.time() - began < 7.2

    play(scene)


def test_updates_are_held_down_and_the_log_is_whole() -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening(timeout_ms=600_000)
        pipe.assign(kind="wait")
        percents: list[float] = []
        lines: list[str] = []
        while len(lines) < 1000:
            message = await pipe.from_worker.get()
            if message.type == "progress":
                percents.append(message.fields["percent"])
            elif message.type == "log":
                lines += message.texts("lines")
        assert len(percents) <= 52  # ten seconds
        assert percents == sorted(percents)
        assert lines == [f"line {n}" for n in range(1000)]

    play(scene)


def test_a_message_that_was_too_large_fails_its_task() -> None:
    async def scene(worker: fakes.PipeWorker, _: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening()
        pipe.assign()
        await pipe.heard_from("result")
        pipe.drop(1009)
        pipe = await worker.pipes.get()
        await pipe.opening()
        result = await pipe.heard_from("result")
        assert result.fields["error"]["code"] == "message_too_large"

    play(scene)


def test_stop_gives_back_without_a_word() -> None:
    async def scene(worker: fakes.PipeWorker, serving: asyncio.Task[None]) -> None:
        pipe = await worker.pipes.get()
        await pipe.opening(timeout_ms=600_000)
        pipe.assign(kind="wait")
        await pipe.heard_from("log")
        worker.stop()
        with pytest.raises(StoppedError):
            await serving
        assert await pipe.closed == 1001
        assert not any(b'"result"' in frame for frame in pipe.frames)

    play(scene)


@pytest.mark.parametrize(
    ("more", "why"),
    [({"name": "x" * 65}, "name"), ({"slots": 1025}, "slots"), ({"labels": {"a": "x" * 201}}, "label")],
)
def test_wrong_settings(more: dict[str, object], why: str) -> None:
    async def main() -> None:
        worker = fakes.PipeWorker(**more)
        worker.kind("work")(lambda: None)
        with pytest.raises(ConfigError, match=why):
            await worker.serve()

    fakes.run(main())


def test_a_refusal_that_is_final() -> None:
    async def main() -> None:
        worker = fakes.PipeWorker()
        worker.kind("work")(lambda: None)
        worker.refusals = [Closed(), HandshakeError(401, "revoked")]
        with pytest.raises(HandshakeError, match="revoked"):
            await worker.serve()

    fakes.run(main())
