"""Workers: programs that connect to a Firmlight server, take tasks and send results.

    worker = Worker(server="https://firmlight.example", token="…", slots=4)

    @worker.kind("greet")
    def greet(name: str) -> str:
        return f"hello {name}"

    worker.run()

The connection is made again whenever it is lost; running tasks and results that were not acknowledged
survive that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from . import _reconnect, protocol
from ._ledger import Ledger
from ._run import Handler, Run, Runner
from ._session import Left, Session, Welcome
from ._socket import Closed, Conn, socket_url
from ._times import KILL_WAIT
from .context import Assignment
from .errors import ConfigError, HandshakeError, StoppedError
from .protocol import ProtocolError

log = logging.getLogger("firmlight")

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


class Worker:
    """Takes tasks for the kinds it has handlers for. See the module; settings may be set until it runs."""

    def __init__(
        self,
        server: str = "http://127.0.0.1:8080",
        token: str = "",
        *,
        name: str = "",
        slots: int = 0,
        groups: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        sdk: str = protocol.SDK,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare a worker; what is wrong with the settings, `run` tells.

        server: http, https, ws or wss URL. token: of a worker. name: 1-64 characters, the same after a
        restart (default: the host's). slots: tasks at a time, 1-1024 (default: the number of CPUs).
        groups: ids of those to work for (default: all of the token). tls: default the system's roots.
        """
        self.server = server
        self.token = token
        self.name = name or platform.node()
        self.groups = list(groups)
        self.labels = dict(labels or {})
        self.sdk = sdk
        self.tls = tls
        self._slots = slots or min(os.cpu_count() or 1, protocol.MAX_SLOTS)
        self._handlers: dict[str, Handler] = {}
        self._core: Core | None = None

    def kind(self, kind: str, *, run: Run = "thread") -> Callable[[_F], _F]:
        """Decorate a function that does the tasks of a kind.

        It takes the input (converted to what the parameter's annotation says), and the Context if a
        parameter is annotated with it or named ctx; it returns the output, JSON of at most 1 MiB.
        An async function runs in the worker's loop and must not block it; a plain one in a thread, or
        with run="process" in a process of its own, for work that keeps a CPU busy.
        Raises ConfigError for a name or function that cannot be.
        """
        if not protocol.KIND.match(kind):
            raise ConfigError(f"{kind!r} is not the name of a kind (a-z, 0-9, '.', '_', '-', at most 64)")

        def register(fn: _F) -> _F:
            self._handlers[kind] = Handler.of(kind, fn, run)
            return fn

        return register

    @property
    def kinds(self) -> list[str]:
        """The kinds it has handlers for, in the order they were given."""
        return list(self._handlers)

    def keep(self, kinds: Sequence[str]) -> None:
        """Take these kinds only. Raises ConfigError for one without a handler."""
        for kind in kinds:
            if kind not in self._handlers:
                raise ConfigError(f"no handler for kind {kind!r}; there are {', '.join(self._handlers)}")
        self._handlers = {kind: self._handlers[kind] for kind in kinds}

    @property
    def slots(self) -> int:
        """Tasks at a time. May be set while it runs, 0-1024; 0 pauses. What runs goes on."""
        return self._slots

    @slots.setter
    def slots(self, n: int) -> None:
        self._slots = min(max(n, 0), protocol.MAX_SLOTS)
        if self._core is not None:
            self._core.slots = self._slots
            self._core.wake()

    @property
    def worked_groups(self) -> list[str] | None:
        """Ids of the groups it now works for; None before the first connection."""
        return None if self._core is None else self._core.groups

    def drain(self) -> None:
        """Take nothing new, finish what runs, then leave. From any thread."""
        if self._core is not None:
            self._core.drain()

    def stop(self) -> None:
        """End at once: running tasks are given back, results without ack are lost. From any thread."""
        if self._core is not None:
            self._core.stop()

    def run(self) -> None:
        """Work until told to leave; the main thread's way in.

        The first SIGTERM or SIGINT drains, a second one stops. Raises as `serve` does.
        """
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._run())
        finally:
            loop.close()  # asyncio.run would wait for coroutines that ignore being cancelled

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)

        def leave() -> None:
            if self._core is not None and self._core.draining:
                for number in numbers:
                    signal.signal(number, signal.SIG_DFL)
                self.stop()
            else:
                self.drain()

        def signalled(*_: object) -> None:  # what the loop itself has for this is not there on Windows
            loop.call_soon_threadsafe(leave)

        before = {number: signal.signal(number, signalled) for number in numbers}
        try:
            await self.serve()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    async def serve(self) -> None:
        """Work until drained or stopped, in a loop of the caller's.

        Raises ConfigError, ClosedError and HandshakeError, after which trying again would not help,
        and StoppedError if work was left behind. May be called again once it has ended.
        """
        core = Core(self, asyncio.get_running_loop())
        core.check()
        self._core = core
        await core.serve()

    async def _dial(self, timeout: float) -> Conn:
        """Make a connection; tests give another one."""
        from ._websocket import dial

        return await dial(socket_url(self.server), self.token, timeout, self.tls)


class Core:
    """A running worker: what outlives a connection. Belongs to one loop."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._loop = loop
        self.ledger = Ledger()
        self._runner = Runner(self.ledger, self.wake)
        self.slots = worker.slots
        self.draining = False
        self.groups: list[str] | None = None  # it now works for
        self._welcome = Welcome()  # the latest
        self._stopped = asyncio.Event()
        self._awake = asyncio.Event()  # something to send, or a reason to look whether all is done
        self._waking = False  # an awakening is on its way

    def check(self) -> None:
        """Raise ConfigError for settings that no server would take."""
        w = self._worker
        socket_url(w.server)
        if not w.token:
            raise ConfigError("no worker token")
        if not 1 <= len(w.name) <= protocol.MAX_NAME or not w.name.isprintable():
            raise ConfigError(f"name: 1 to {protocol.MAX_NAME} printable characters")
        if not 1 <= len(w.kinds) <= protocol.MAX_KINDS:
            raise ConfigError(f"{len(w.kinds)} kinds, 1 to {protocol.MAX_KINDS} allowed")
        if not 0 <= w.slots <= protocol.MAX_SLOTS:
            raise ConfigError(f"slots: {w.slots}, 0 to {protocol.MAX_SLOTS} allowed")
        if len(w.groups) > protocol.MAX_GROUPS or len(w.labels) > protocol.MAX_LABELS:
            raise ConfigError(f"at most {protocol.MAX_GROUPS} groups and {protocol.MAX_LABELS} labels")
        for name, value in w.labels.items():
            if not 1 <= len(name) <= protocol.MAX_NAME or len(value) > protocol.MAX_LABEL:
                raise ConfigError(
                    f"label {name}: a name of 1 to {protocol.MAX_NAME} characters, "
                    f"a value of at most {protocol.MAX_LABEL}"
                )

    # Waking the one who waits: the session's writer, or whoever waits for the next try.

    def wake(self) -> None:
        """Have the state looked at again. From any thread."""
        if not self._waking:  # two at once only wake twice
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._awake.set)
            except RuntimeError:
                log.debug("the worker's loop has ended")

    def asleep(self) -> None:
        """Say, before looking at the state, that what changes from now on must wake."""
        self._waking = False
        self._awake.clear()

    async def woken(self, wait: float | None) -> None:
        """Return when woken, or after some seconds."""
        try:
            await asyncio.wait_for(self._awake.wait(), wait)
        except asyncio.TimeoutError:
            return

    @property
    def done(self) -> bool:
        """It was asked to leave, and owes nothing any more."""
        return self.draining and self.ledger.empty

    async def _unless_done(self, work: asyncio.Future[_T]) -> _T | None:
        """What `work` gives, or None as soon as there is nothing left to do it for."""
        work.add_done_callback(lambda _: self.wake())
        try:
            while True:
                self.asleep()
                if work.done():
                    return work.result()
                if self.done:
                    return None
                await self.woken(None)
        finally:
            work.cancel()

    def drain(self) -> None:
        """See Worker."""
        self.draining = True
        log.info("draining: finishing what runs")
        self.wake()

    def stop(self) -> None:
        """See Worker."""
        try:
            self._loop.call_soon_threadsafe(self._stopped.set)
        except RuntimeError:
            log.debug("the worker has ended already")

    async def serve(self) -> None:
        """See Worker."""
        connections = asyncio.ensure_future(self._connections())
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([connections, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            connections.cancel()
            await asyncio.wait([connections])
            left = not self.ledger.empty
            self.ledger.cancel_all("stopped")
            if not await self._runner.wait(KILL_WAIT):
                log.warning("handlers still run: they ignore being cancelled")
        if not connections.cancelled():
            connections.result()  # or why it ended
        elif left:
            raise StoppedError

    async def _connections(self) -> None:
        """One connection after the other."""
        again = _reconnect.Schedule(self._loop.time())
        while not self.done:
            welcomed, err = await self._connection(again.begin(self._loop.time()))
            if self.done:
                return
            end = _reconnect.final(err)
            if end is not None:
                raise end
            wait = again.pause(self._loop.time(), welcomed, err)
            log.warning("not connected to %s: %s; next try in %.1f s", self._worker.server, err, wait)
            await self._unless_done(asyncio.ensure_future(asyncio.sleep(wait)))

    async def _connection(self, timeout: float) -> tuple[bool, Exception]:
        """Make one connection and serve it to its end: was it fully open, and why did it end?"""
        try:
            session = await self._unless_done(asyncio.ensure_future(self._open(timeout)))
            if session is None:
                return False, Closed()
        except (Closed, ProtocolError, HandshakeError, OSError, asyncio.TimeoutError) as err:
            return False, err
        end = await session.serve()
        if isinstance(end, Left):
            self._welcome = Welcome()  # the next hello opens a new session: this one was closed for good
        elif isinstance(end, Closed) and end.code == protocol.TOO_LARGE:
            self.ledger.oversized()
        return True, end

    async def _open(self, timeout: float) -> Session:
        conn = await self._worker._dial(timeout)
        try:
            session = Session(self, conn)
            await session.open()
        except BaseException:
            await conn.close(protocol.GOING_AWAY, "", 0.2)
            raise
        return session

    def hello(self) -> dict[str, Any]:
        """What opens a connection; it resumes if there was one before."""
        w = self._worker
        hello: dict[str, Any] = {
            "name": w.name,
            "kinds": w.kinds,
            "slots": self.slots,
            "groups": self._allowed_groups() or None,
            "labels": w.labels or None,
            "sdk": w.sdk or None,
        }
        if self._welcome.session:
            running = [ref._asdict() for ref in self.ledger.refs()]
            hello.update(session=self._welcome.session, resume=self._welcome.resume, running=running or None)
        return hello

    def _allowed_groups(self) -> list[str]:
        """Leave out groups that were taken away while connected: asking for them would end the worker.

        With none left it asks as at first, and that is the right end.
        """
        wanted = self._worker.groups
        if self.groups is None:
            return wanted
        return [g for g in wanted if g in self.groups] or wanted

    def adopt(self, welcome: Welcome) -> None:
        """Take over what a welcome says."""
        self._welcome = welcome
        self.groups = welcome.groups
        self.ledger.connected()
        for ref in welcome.dropped:
            self.ledger.cancel(ref, "reassigned")
        log.info(
            "connected as worker %s, session %s: %d groups, %d tasks resumed, %d dropped",
            welcome.worker,
            welcome.session,
            len(welcome.groups),
            len(welcome.resumed),
            len(welcome.dropped),
        )

    def assign(self, assignment: Assignment) -> None:
        """Start a task, or reject it."""
        handler = self._worker._handlers.get(assignment.kind)
        self._runner.start(assignment, handler, self.slots, self.draining)
