"""The WebSocket below a session, as narrow as a session needs it."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, Protocol
from urllib.parse import urlsplit

import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from . import protocol
from ._times import CLOSE_WAIT, WRITE_TIMEOUT
from .errors import ConfigError, HandshakeError


class Closed(Exception):
    """The connection has ended. `code` is that of the server's close frame, 1006 without one."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"connection closed: {reason or 'lost'} ({code})")
        self.code = code
        self.reason = reason


class Conn(Protocol):
    """One connection. Only one task receives, and one sends."""

    @property
    def heard(self) -> float:
        """When something last arrived, be it a part of a frame; seconds of the loop's clock."""

    async def recv(self) -> str:
        """The next frame. Raises Closed; ProtocolError for a binary one."""

    async def send(self, frame: bytes) -> None:
        """Send one text frame. Raises Closed, also when the server does not take it in time."""

    async def close(self, code: int, reason: str, wait: float) -> None:
        """Tell the server if it can, within `wait` seconds; the connection ends either way."""


class _Line(ws.ClientConnection):
    """A connection that notes when bytes arrive."""

    heard = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        super().data_received(data)


class _Connect(ws.connect):
    """A handshake that follows no redirect: the token is for this server alone."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Socket:
    """A Conn over the network."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    @property
    def heard(self) -> float:
        return self._line.heard

    async def recv(self) -> str:
        try:
            frame = await self._line.recv()
        except ConnectionClosed as err:
            raise _closed(err) from None
        except UnicodeDecodeError as err:
            raise protocol.ProtocolError(str(err)) from None
        if isinstance(frame, bytes):
            raise protocol.ProtocolError("the server sent a binary frame")
        return frame

    async def send(self, frame: bytes) -> None:
        try:
            await asyncio.wait_for(self._line.send(frame, text=True), WRITE_TIMEOUT)
        except ConnectionClosed as err:
            raise _closed(err) from None
        except asyncio.TimeoutError:
            raise Closed(reason="the server does not read") from None

    async def close(self, code: int, reason: str, wait: float) -> None:
        try:
            await asyncio.wait_for(self._line.close(code, reason), wait)
        except asyncio.TimeoutError:
            self._line.transport.abort()


def _closed(err: ConnectionClosed) -> Closed:
    if err.rcvd is None:
        return Closed()
    return Closed(err.rcvd.code, err.rcvd.reason)


async def dial(address: str, token: str, timeout: float, tls: ssl.SSLContext | None) -> Conn:
    """Connect to a server. Raises HandshakeError, OSError or Closed."""
    more: dict[str, Any] = {"ssl": tls} if tls and address.startswith("wss:") else {}
    connect = _Connect(
        address,
        additional_headers={"Authorization": f"Bearer {token}"},
        user_agent_header=protocol.SDK,
        subprotocols=[protocol.SUBPROTOCOL],  # type: ignore[list-item] # a NewType of str
        compression=None,
        open_timeout=timeout,
        close_timeout=CLOSE_WAIT,
        ping_interval=None,  # the protocol has its own
        max_size=protocol.MAX_MESSAGE,
        create_connection=_Line,
        **more,
    )
    try:
        line = await connect
    except InvalidStatus as err:
        raise HandshakeError(err.response.status_code, _detail(err.response.body)) from None
    except (InvalidHandshake, EOFError, ConnectionClosed) as err:
        raise Closed(reason=str(err)) from None
    assert isinstance(line, _Line)  # noqa: S101 # create_connection made it
    line.heard = asyncio.get_running_loop().time()
    if line.subprotocol != protocol.SUBPROTOCOL:
        await Socket(line).close(1002, "no subprotocol", CLOSE_WAIT)
        raise Closed(reason="the server does not speak this protocol")
    return Socket(line)


def _detail(body: bytes | bytearray | None) -> str:
    """What a problem+json says."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("detail") or problem.get("title") or "")
    except (ValueError, AttributeError):
        return ""


def socket_url(server: str) -> str:
    """The protocol's address from a server's. Raises ConfigError."""
    try:
        url = urlsplit(server)
        host = url.netloc.rpartition("@")[2]
        valid = bool(url.hostname) and (url.port is None or url.port >= 0)
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"{server!r} is not the URL of a server")
    scheme = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}.get(url.scheme)
    if scheme is None:
        raise ConfigError(f"a server's URL begins with http, https, ws or wss, not {url.scheme!r}")
    path = url.path.rstrip("/").removesuffix(protocol.PATH)
    return f"{scheme}://{host}{path}{protocol.PATH}"
