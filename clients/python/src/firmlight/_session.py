"""One connection: hello and welcome, then a reader, a writer and a watch on the silence.

What goes out comes from the ledger, so a new connection goes on where the last one broke off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import _ledger, protocol
from ._socket import Closed, Conn
from ._times import ABORT_WAIT, CLOSE_WAIT, OPEN_TIMEOUT
from .context import Assignment
from .protocol import Message, ProtocolError, Ref

if TYPE_CHECKING:
    from .worker import Core

log = logging.getLogger("firmlight")


class Left(Closed):
    """This side closed the connection, owing nothing."""


@dataclass(frozen=True)
class Welcome:
    """The server's answer to hello, as far as it is used. Times in seconds."""

    session: str = ""
    resume: str = ""
    worker: str = ""
    groups: list[str] = field(default_factory=list)
    timeout: float = 0.0
    limit: int = protocol.MAX_MESSAGE  # bytes of a frame
    resumed: list[Ref] = field(default_factory=list)
    dropped: list[Ref] = field(default_factory=list)

    @classmethod
    def of(cls, m: Message) -> Welcome:
        """Read a welcome. Raises ProtocolError."""
        welcome = cls(
            session=m.text("session"),
            resume=m.text("resume"),
            worker=m.text("worker"),
            groups=m.texts("groups"),
            timeout=m.integer("timeout_ms") / 1000,
            limit=m.integer("max_message_bytes") or protocol.MAX_MESSAGE,
            resumed=m.refs("resumed"),
            dropped=m.refs("dropped"),
        )
        if m.type != "welcome" or not welcome.session or welcome.timeout <= 0:
            raise ProtocolError("the server did not answer hello with welcome")
        return welcome


class Session:
    """See the module."""

    def __init__(self, core: Core, conn: Conn) -> None:
        self._core = core
        self._conn = conn
        self._welcome = Welcome()
        self._pong = False  # owed
        self._server_drains = False
        self._left: Left | None = None
        # What the server was told last:
        self._told_slots = 0
        self._told_drain = False

    async def open(self) -> None:
        """Say hello and wait for welcome. Raises Closed or ProtocolError."""
        hello = self._core.hello()
        self._told_slots = hello["slots"]
        await self._conn.send(protocol.encode("hello", **hello))
        try:
            frame = await asyncio.wait_for(self._conn.recv(), OPEN_TIMEOUT)
        except asyncio.TimeoutError:
            raise Closed(reason="no answer to hello") from None
        first, *rest = protocol.messages(frame)
        self._welcome = Welcome.of(first)
        self._core.adopt(self._welcome)
        for message in rest:
            self._handle(message)

    async def serve(self) -> Exception:
        """Work until the connection ends; returns why. Cancelled, it closes the connection."""
        parts = [asyncio.ensure_future(part) for part in (self._read(), self._write(), self._watch())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            parts[1].cancel()  # nothing more is said: a task given back by the close costs it no attempt
            await self._conn.close(protocol.GOING_AWAY, "stopped", ABORT_WAIT)
            raise
        finally:
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
        errors = [e for e in ended if isinstance(e, Exception)]
        for err in errors:
            if not isinstance(err, (Closed, ProtocolError)):
                log.error("connection given up", exc_info=err)
        if self._left is None:
            await self._conn.close(protocol.NORMAL if not errors else 1002, "", ABORT_WAIT)
        return self._left or (errors[0] if errors else Closed())

    async def _read(self) -> None:
        while True:
            for message in protocol.messages(await self._conn.recv()):
                if self._left is None:
                    self._handle(message)
            self._core.wake()

    async def _write(self) -> None:
        while True:
            self._core.asleep()
            frame = bytearray()
            wait = self._next(frame)
            if frame:
                await self._conn.send(bytes(frame))
            elif self._leaves():
                await self._leave()
            else:
                await self._core.woken(wait)

    async def _watch(self) -> None:
        """A peer that has received nothing for so long treats the connection as lost (section 5)."""
        loop = asyncio.get_running_loop()
        while True:
            rest = self._conn.heard + self._welcome.timeout - loop.time()
            if rest <= 0:
                raise Closed(reason="the server is silent")
            await asyncio.sleep(rest)

    def _next(self, frame: bytearray) -> float | None:
        """The next frame, and if that is empty, how long until there may be one."""
        if self._pong:
            self._pong = False
            _ledger.append(frame, protocol.encode("pong"))
        if self._core.draining and not self._told_drain:
            self._told_drain = True
            _ledger.append(frame, protocol.encode("drain"))
        slots = self._core.slots
        if slots != self._told_slots:
            self._told_slots = slots
            _ledger.append(frame, protocol.encode("slots", slots=slots))
        return self._core.ledger.take(frame, asyncio.get_running_loop().time(), self._welcome.limit)

    def _leaves(self) -> bool:
        """Does one side want to go, with nothing owed?"""
        return (self._core.draining or self._server_drains) and self._core.ledger.empty

    async def _leave(self) -> None:
        code = protocol.NORMAL if self._core.draining else protocol.GOING_AWAY
        self._left = Left(code, "drained")
        await self._conn.close(code, "drained", CLOSE_WAIT)
        raise self._left

    def _handle(self, m: Message) -> None:
        """Never waits for anything. Raises ProtocolError."""
        use = _HANDLERS.get(m.type)
        if use is None:
            log.debug("message of an unknown type ignored: %s", m.type)
        else:
            use(self, m)

    def _on_ping(self, _: Message) -> None:
        self._pong = True

    def _on_assign(self, m: Message) -> None:
        task, attempt = m.ref()
        self._core.assign(
            Assignment(
                id=task,
                attempt=attempt,
                kind=m.text("kind"),
                group=m.text("group"),
                input_json=m.raw.get("input", "null"),
                checkpoint_json=m.raw.get("checkpoint"),
                parent=m.text("parent") or None,
                index=m.integer("index") if "index" in m.fields else None,
                count=m.integer("count") or None,
                deadline=m.text("deadline") or None,
                timeout=m.integer("timeout_ms") / 1000,
                trace=m.text("trace") or None,
            )
        )

    def _on_ack(self, m: Message) -> None:
        if self._core.ledger.ack(m.ref()) and not m.boolean("accepted"):
            log.warning("result of task %s attempt %d not accepted: %s", *m.ref(), m.text("reason"))

    def _on_cancel(self, m: Message) -> None:
        self._core.ledger.cancel(m.ref(), m.text("reason"))

    def _on_groups(self, m: Message) -> None:
        self._core.groups = m.texts("groups")
        log.info("groups changed: %s", self._core.groups)

    def _on_drain(self, _: Message) -> None:
        self._server_drains = True
        log.info("the server is going away: finishing what runs")

    def _on_error(self, m: Message) -> None:
        log.warning("the server did not use a message: %s: %s", m.text("code"), m.text("message"))


_HANDLERS: dict[str, Callable[[Session, Message], None]] = {
    "ping": Session._on_ping,
    "assign": Session._on_assign,
    "ack": Session._on_ack,
    "cancel": Session._on_cancel,
    "groups": Session._on_groups,
    "drain": Session._on_drain,
    "error": Session._on_error,
}
