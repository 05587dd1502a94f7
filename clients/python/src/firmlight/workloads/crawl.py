"""Reads web pages and follows their links, breadth first, one page at a time.

So the order, and with it the result, depends on the pages alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import protocol
from ..context import Context
from . import _html, _input, _pace
from ._settings import settings
from ._urls import MAX_URL, Url, normal, parse, too_long

if TYPE_CHECKING:
    from ._fetch import Answer, Fetcher

MAX_START = 1000
MAX_PAGES = 1000
DEFAULT_PAGES = 100
MAX_SKIPPED = 1000
MAX_OUTPUT = (1 << 20) - (1 << 10)  # bytes of JSON, of the 1 MiB a task may return
HTML = ("text/html", "application/xhtml+xml")

_fetchers: dict[asyncio.AbstractEventLoop, Fetcher] = {}


async def crawl(ctx: Context) -> dict[str, Any]:
    """{"urls", "max_pages", "same_host"} → pages and skipped, sorted by URL."""
    from ._fetch import Fetcher  # late: the other kinds' processes need no HTTP

    task = read(_input.fields(ctx, "urls", "max_pages", "same_host"))
    loop = asyncio.get_running_loop()
    if loop not in _fetchers:  # all crawls of a worker share one pace per host
        _fetchers.clear()
        _fetchers[loop] = Fetcher(settings)
    return await run(ctx, _fetchers[loop], task)


@dataclass
class Input:
    """Start URLs are normal, each once."""

    urls: list[str]
    max_pages: int
    same_host: bool


def read(values: dict[str, Any]) -> Input:
    """Check an input. Raises BadInput."""
    items = values.get("urls")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_START:
        raise _input.bad("urls", f"must be an array of 1 to {MAX_START} URLs")
    if not all(item is None or isinstance(item, str) for item in items):
        raise _input.bad("urls", f"must be an array of 1 to {MAX_START} URLs")
    urls: dict[str, None] = {}
    for i, item in enumerate(items):
        if item is None or len(protocol.scrub(item).encode()) > MAX_URL:
            raise _input.bad(f"urls[{i}]", f"must be a URL of at most {MAX_URL} bytes")
        try:
            url = parse(item)
        except ValueError:
            url = Url()
        if not url.scheme or (url.is_http and not url.hostname):
            raise _input.bad(f"urls[{i}]", "must be an absolute URL")
        urls[str(normal(url))] = None
    pages = DEFAULT_PAGES
    if "max_pages" in values:
        pages = _input.integer(values, "max_pages", 1, MAX_PAGES)
    return Input(list(urls), pages, _input.boolean(values, "same_host", True))


@dataclass
class State:
    """A crawl under way, and its checkpoint."""

    waiting: list[str]  # in the order in which they were met
    pages: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        done = [*self.pages, *self.skipped]
        self._seen = {*(entry["url"] for entry in done), *self.waiting}
        self._size = sum(_size(entry) for entry in done)  # bytes of the output so far

    @classmethod
    def of(cls, task: Input, saved: Any) -> State:
        """Start from a checkpoint, or from the start URLs without one."""
        try:
            return cls([*saved["waiting"]], [*saved["pages"]], [*saved["skipped"]])
        except (TypeError, KeyError):
            return cls([*task.urls])

    def goes_on(self, task: Input) -> bool:
        """Is there another page to visit?"""
        return bool(self.waiting) and len(self.pages) < task.max_pages and len(self.skipped) < MAX_SKIPPED

    async def visit(self, fetcher: Fetcher, task: Input) -> None:
        """Take the next URL; a page that cannot be had is skipped."""
        url = self.waiting[0]
        target = parse(url)
        answer = await fetcher.page(target, task.same_host)
        if isinstance(answer, str):
            self.skip(url, answer)
            return
        title, links = await asyncio.to_thread(read_page, answer)
        page = {"url": url, "status": answer.status, "title": title, "links": links, "bytes": len(answer.body)}
        size = _size(page)
        if self._size + size > MAX_OUTPUT:
            self.skip(url, "output_full")
            self.waiting.clear()
            return
        del self.waiting[0]
        self._size += size
        self.pages.append(page)
        self.follow(links, target.host, task)

    def skip(self, url: str, reason: str) -> None:
        """Note why the first waiting URL gives no page; there is always room for it, or the crawl is over."""
        entry = {"url": url, "reason": reason}
        del self.waiting[0]
        self._size += _size(entry)
        if self._size > MAX_OUTPUT:
            self.waiting.clear()
        else:
            self.skipped.append(entry)

    def follow(self, links: list[str], host: str, task: Input) -> None:
        """Add new links to those waiting, no more than could ever be visited."""
        room = task.max_pages - len(self.pages) + MAX_SKIPPED - len(self.skipped)
        for link in links:
            if len(self.waiting) >= room:
                return
            if link not in self._seen and (not task.same_host or parse(link).host == host):
                self._seen.add(link)
                self.waiting.append(link)

    def save(self, ctx: Context) -> None:
        """Store the state; one that has grown too large leaves the last in place."""
        data = {"pages": self.pages, "skipped": self.skipped, "waiting": self.waiting}
        if _size(data) <= protocol.MAX_CHECKPOINT:
            _pace.save(ctx, data)


async def run(ctx: Context, fetcher: Fetcher, task: Input) -> dict[str, Any]:
    """Visit until nothing waits or a limit is reached."""
    state = State.of(task, ctx.restored)
    save, tell = _pace.Ticker(_pace.CHECKPOINT_EVERY), _pace.Ticker(_pace.PROGRESS_EVERY)
    while state.goes_on(task):
        await state.visit(fetcher, task)
        if tell.due():
            done = len(state.pages)
            ctx.progress(100 * done / task.max_pages, f"{done} pages, {len(state.waiting)} waiting")
        if save.due():
            state.save(ctx)
    return {
        "pages": sorted(state.pages, key=lambda p: str(p["url"]).encode()),
        "skipped": sorted(state.skipped, key=lambda s: s["url"].encode()),
    }


def read_page(answer: Answer) -> tuple[str, list[str]]:
    """The title and the http links of an HTML page, absolute, normal, sorted, each once."""
    if answer.content_type.partition(";")[0].strip().lower() not in HTML:
        return "", []
    page = _html.scan(answer.body)
    source = answer.url
    with contextlib.suppress(ValueError):
        base = source.join(page.base)
        if not too_long(base):  # all links would cost its length
            source = base
    links = set()
    for href in dict.fromkeys(page.hrefs):
        try:
            url = source.join(href)
        except ValueError:
            continue
        if url.is_http and url.hostname:
            link = normal(url)
            if not too_long(link):
                links.add(protocol.scrub(str(link)))
    return page.title, sorted(links, key=str.encode)


def _size(value: Any) -> int:
    """Its length as an element of an array, in bytes of JSON."""
    return len(protocol.dumps(value).encode()) + 1
