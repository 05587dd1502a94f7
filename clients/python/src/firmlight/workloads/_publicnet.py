"""Which addresses are of the public internet, and connections that reach no other.

The ranges are those of the server's internal/publicnet: what users name must not lead into the network
of the machine that asks for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore
import httpx

REFUSED = [
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip


class PrivateAddressError(Exception):
    """A name or address leads into a network that is not public."""


def public(text: str) -> bool:
    """Is an address one of the public internet?"""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not any(address in network for network in REFUSED if network.version == address.version)


class _Backend(httpcore.AsyncNetworkBackend):
    """Resolves, checks and then connects to the very address that was checked: no rebinding."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
        except (OSError, UnicodeError) as err:
            raise httpcore.ConnectError(str(err)) from None
        first: Exception | None = None
        for address in dict.fromkeys(str(info[4][0]) for info in found):
            try:
                if not self._allow_private and not public(address):
                    raise PrivateAddressError(address)
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (PrivateAddressError, httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                first = first or err
        raise first or httpcore.ConnectError(f"{host} has no address")


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._answer.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


class Transport(httpx.AsyncBaseTransport):
    """HTTP without proxies, and without keeping connections, so that every request is checked."""

    def __init__(self, allow_private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Backend(allow_private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore.Request(request.method, url, headers=request.headers.raw, extensions=request.extensions)
        answer = await self._pool.handle_async_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), request=request)

    async def aclose(self) -> None:
        await self._pool.aclose()
