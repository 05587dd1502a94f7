"""Live events over a WebSocket: to be followed, or to know when a task is worth a look."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ._websocket import Connect
from .client import API, ENDED, ApiError

SUBPROTOCOL = "firmlight.live.v1"
MAX_TOPICS = 256  # of one connection
AGAIN_FIRST, AGAIN_MOST = 1.0, 30.0  # seconds between two tries to connect

log = logging.getLogger("firmlight")

# Gets a task's status and its progress, as they come.
Show = Callable[[str, Mapping[str, Any]], None]


def connect(server: str, token: str) -> Connect:
    """A live connection, to be entered; its errors are those of websockets."""
    subprotocol: Any = SUBPROTOCOL  # a NewType of str
    return Connect(
        "ws" + server.removeprefix("http") + API + "/live",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[subprotocol],
    )


async def live(server: str, token: str, topics: Sequence[str]) -> AsyncIterator[Mapping[str, Any]]:
    """Subscribe and yield every event, `subscribed` first. Raises ApiError."""
    try:
        async with connect(server, token) as socket:
            await _say(socket, "subscribe", topics)
            async for frame in socket:
                event = json.loads(frame)
                if event["type"] == "error":
                    raise ApiError(403, event.get("code", ""), event.get("message", ""))
                yield event
    except InvalidStatus as err:
        raise ApiError(err.response.status_code, "refused", "the server refused the connection") from None
    except ConnectionClosed as err:
        if err.rcvd is not None and err.rcvd.code == 4401:
            raise ApiError(401, "unauthorized", "the token has expired or was revoked") from None


async def _say(socket: ClientConnection, kind: str, topics: Sequence[str]) -> None:
    await socket.send(json.dumps({"type": kind, "topics": list(topics)}))


class News:
    """What is heard of one task."""

    def __init__(self, task: str, show: Show) -> None:
        self.live = False  # its end will be heard: there is no need to ask
        self._task = task
        self._show = show
        self._look = asyncio.Event()

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the task's topic, be it of one of its parts."""
        kind = event["type"]
        about = event.get(kind) or {}
        if kind == "progress" and about["task_id"] == self._task:
            self._show("running", about)
        elif kind == "task" and about["id"] == self._task:
            self._show(about["status"], about.get("progress") or {})
            if about["status"] in ENDED:
                self._look.set()
        elif kind in ("subscribed", "unsubscribed", "error", "resync"):
            self.look(kind in ("subscribed", "resync"))

    def look(self, live: bool) -> None:
        """Say that something may have been missed, and whether what comes will be heard."""
        self.live = live
        self._look.set()

    async def wait(self, seconds: float) -> None:
        """Return when it is time to look at the task, after so many seconds at most."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._look.wait(), seconds)
        self._look.clear()


class Watch:
    """One connection for all tasks that a client waits for, made when there is one. Belongs to one loop.

    Without it, or beyond MAX_TOPICS, news are not live, and who waits has to ask now and then.
    """

    def __init__(self, dial: Callable[[], Connect]) -> None:
        self._dial = dial
        self._news: dict[str, list[News]] = {}  # by topic
        self._socket: ClientConnection | None = None
        self._work: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def on(self, task: str, show: Show) -> AsyncIterator[News]:
        """The news of a task from now on."""
        news, topic = News(task, show), f"task:{task}"
        others = self._news.get(topic, [])
        if not others and len(self._news) >= MAX_TOPICS:
            yield news
            return
        if any(other.live for other in others):
            news.look(live=True)
        self._news[topic] = [*others, news]
        try:
            if self._work is None or self._work.done():
                self._work = asyncio.get_running_loop().create_task(self._run())
            elif not others:
                await self._tell("subscribe", topic)
            yield news
        finally:
            self._news[topic] = [other for other in self._news[topic] if other is not news]
            if not self._news[topic]:
                del self._news[topic]
                await self._tell("unsubscribe", topic)

    async def close(self) -> None:
        """End the connection."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _tell(self, kind: str, *topics: str) -> None:
        if self._socket is not None and topics:
            with contextlib.suppress(ConnectionClosed):  # as the reader sees, too
                await _say(self._socket, kind, topics)

    async def _run(self) -> None:
        """One connection after the other, as long as somebody waits."""
        pause = AGAIN_FIRST
        while self._news:
            try:
                async with self._dial() as self._socket:
                    await self._tell("subscribe", *self._news)
                    async for frame in self._socket:
                        pause = AGAIN_FIRST
                        self._hear(json.loads(frame))
            except (OSError, InvalidHandshake, ConnectionClosed) as err:
                log.debug("no live events: %s", err)
            finally:
                self._socket = None
                for news in self._all():
                    news.look(live=False)
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_MOST)

    def _hear(self, event: Mapping[str, Any]) -> None:
        for news in self._news.get(event.get("topic", ""), []):
            news.hear(event)

    def _all(self) -> list[News]:
        return [news for several in self._news.values() for news in several]
