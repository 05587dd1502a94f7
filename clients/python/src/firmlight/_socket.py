"""A connection as sessions want it."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from . import protocol
from .errors import ConfigError


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
