"""The WebSocket below a session. Imported when it is needed: processes of handlers start sooner."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from . import protocol
from ._socket import Closed, Conn
from ._times import CLOSE_WAIT, WRITE_TIMEOUT
from .errors import HandshakeError


class _Line(ws.ClientConnection):
    """A connection that notes when bytes arrive."""

    heard = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        super().data_received(data)


class Connect(ws.connect):
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
    connect = Connect(
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
