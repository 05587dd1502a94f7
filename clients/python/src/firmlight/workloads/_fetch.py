"""Gets pages politely: every request keeps its host's pace and passes the address check.

Pages also obey robots.txt, before each redirect anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpcore
import httpx
from protego import Protego

from ._publicnet import PrivateAddressError, Transport
from ._settings import Settings
from ._urls import Url, normal, too_long

PAGE_TIMEOUT = 10.0  # seconds of one request, from connecting to the last byte
MAX_PAGE = 5 << 20  # bytes
MAX_ROBOTS = 500 << 10  # bytes; the rest of a longer robots.txt is ignored (RFC 9309)
MAX_REDIRECTS = 5
ROBOTS_KEPT = 3600.0  # seconds
ROBOTS_FAIL_KEPT = 60.0
MANY = 1000  # hosts or robots.txt remembered
REDIRECTS = (301, 302, 303, 307, 308)
AGENT = ("user-agent", "useragent")  # fields of robots.txt
RULES = ("allow", "disallow", "crawl-delay", "crawldelay")
ACCEPT = "text/html,application/xhtml+xml,*/*;q=0.5"


class Skip(Exception):
    """Why a URL was skipped; the list stands in docs/workloads.md."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Answer:
    """A page with its body read, or a redirect."""

    url: Url  # where it came from, after redirects
    status: int
    content_type: str = ""
    body: bytes = b""
    redirect: Url | None = None
    cut: bool = False  # the body was longer than allowed


@dataclass
class _Host:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    next: float = 0.0  # earliest next request; belongs to the holder of turn
    users: int = 0  # requests waiting or under way


@dataclass
class _Robots:
    rules: Protego | None  # None: all is allowed
    error: str  # reason to skip everything, or empty
    expires: float


class Fetcher:
    """One for all crawls of a worker. Belongs to one loop."""

    def __init__(self, settings: Settings) -> None:
        self._delay = settings.crawl_delay
        self._name = settings.user_agent.partition("/")[0].lower()
        self._client = httpx.AsyncClient(
            transport=Transport(settings.crawl_allow_private),
            headers={"User-Agent": settings.user_agent, "Accept": ACCEPT, "Accept-Encoding": "gzip"},
            timeout=PAGE_TIMEOUT,
            follow_redirects=False,
        )
        self._hosts: dict[str, _Host] = {}
        self._robots: dict[str, _Robots] = {}
        self.timeout = PAGE_TIMEOUT
        self.max_page = MAX_PAGE

    async def close(self) -> None:
        """Give back what it holds."""
        await self._client.aclose()

    async def page(self, target: Url, same_host: bool) -> Answer | str:
        """Get a page, or the reason why it is skipped. Redirects may leave the host only if not same_host."""
        try:
            return await self._page(target, same_host)
        except Skip as skip:
            return skip.reason

    async def _page(self, target: Url, same_host: bool) -> Answer:
        host = target.host
        for _ in range(MAX_REDIRECTS + 1):
            if not target.is_http:
                raise Skip("not_http")
            if same_host and target.host != host:
                raise Skip("other_host")
            await self._allowed(target)
            answer = await self._get(target, self.max_page)
            if answer.cut:
                raise Skip("too_large")
            if answer.redirect is None:
                return answer
            target = answer.redirect
        raise Skip("redirects")

    async def _allowed(self, target: Url) -> None:
        origin = f"{target.scheme}://{target.host}"
        known = self._robots.get(origin)
        if known is None or time.monotonic() > known.expires:
            known = await self._ask_robots(Url(target.scheme, host=target.host, path="/robots.txt"))
            if len(self._robots) >= MANY:
                self._robots.clear()
            self._robots[origin] = known
        if known.error:
            raise Skip(known.error)
        if known.rules is not None and not known.rules.can_fetch(str(target), self._name):
            raise Skip("robots")

    async def _ask_robots(self, target: Url) -> _Robots:
        """Get robots.txt as RFC 9309 has it: missing (4xx) allows all, a server's error (5xx) nothing.

        Neither does a text that makes no sense.
        """
        now = time.monotonic()
        failed = _Robots(None, "robots", now + ROBOTS_FAIL_KEPT)
        for _ in range(MAX_REDIRECTS + 1):
            if not target.is_http:
                return failed
            try:
                answer = await self._get(target, MAX_ROBOTS)
            except Skip as skip:
                return _Robots(None, skip.reason, now + ROBOTS_FAIL_KEPT)
            if answer.redirect is not None:
                target = answer.redirect
                continue
            if 400 <= answer.status < 500:
                return _Robots(None, "", now + ROBOTS_KEPT)
            text = answer.body.decode(errors="replace").removeprefix("\ufeff")
            if not 200 <= answer.status < 300 or not _makes_sense(text):
                return failed
            rules = await asyncio.to_thread(Protego.parse, _ours(text, self._name))
            return _Robots(rules, "", now + ROBOTS_KEPT)
        return failed

    async def _get(self, target: Url, most: int) -> Answer:
        """Make one request in the host's turn and read at most so many bytes. Raises Skip."""
        async with self._turn(target.hostname):
            try:
                return await asyncio.wait_for(self._request(target, most), self.timeout)
            except PrivateAddressError:
                raise Skip("private_address") from None
            except (asyncio.TimeoutError, httpx.TimeoutException, httpcore.TimeoutException):
                raise Skip("timeout") from None
            except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, httpcore.ProtocolError,
                    OSError, ValueError):  # fmt: skip
                raise Skip("unreachable") from None

    async def _request(self, target: Url, most: int) -> Answer:
        async with self._client.stream("GET", str(target)) as response:
            answer = Answer(target, response.status_code, response.headers.get("Content-Type", ""))
            answer.redirect = _redirect(target, response)
            if answer.redirect is None:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > most:
                        answer.cut = True
                        break
                answer.body = bytes(body[:most])
            return answer

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """To each host one request at a time, begun at least the delay after the one before."""
        if len(self._hosts) >= MANY:
            now = time.monotonic()
            self._hosts = {n: h for n, h in self._hosts.items() if h.users or h.next > now}
        host = self._hosts.setdefault(name, _Host())
        host.users += 1
        try:
            async with host.turn:
                await asyncio.sleep(max(host.next - time.monotonic(), 0))
                host.next = time.monotonic() + self._delay
                yield
        finally:
            host.users -= 1


def _redirect(source: Url, response: httpx.Response) -> Url | None:
    location = response.headers.get("Location", "")
    if response.status_code not in REDIRECTS or not location:
        return None
    try:
        target = normal(source.join(location))
    except ValueError:
        return None
    return None if too_long(target) else target


def _makes_sense(robots: str) -> bool:
    """Rules stand below a User-agent, and a delay is a number."""
    agent = False
    for line in robots.splitlines():
        name, colon, value = line.partition("#")[0].partition(":")
        name = name.strip().lower()
        if not colon:
            continue
        if name in AGENT:
            agent = agent or bool(value.strip())
        elif name in RULES:
            if not agent and value.strip():
                return False
            if name.startswith("crawl") and not value.strip().replace(".", "", 1).isdigit():
                return False
    return True


def _ours(robots: str, name: str) -> str:
    """The groups that may be meant for this agent, each agent of a row once.

    Protego keeps every rule for every agent above it: of a hostile text that would be more than any memory holds.
    """
    lines: list[str] = []
    agents: set[str] = set()
    row = False  # the line before names an agent
    for line in robots.splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field in AGENT:
            if not row:
                agents, row = set(), True
            agent = value.lower().replace("*", "")
            if name.startswith(agent) and agent not in agents:
                agents.add(agent)
                lines.append(f"user-agent: {agent or value}")
        elif field in RULES:
            row = False
            if agents:
                lines.append(f"{field}: {value}")
    return "\n".join(lines)
