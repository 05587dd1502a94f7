"""crawl against a site of the test's own, and against hostile pages and addresses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fakes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmlight.workloads import _html, _publicnet, _urls
from firmlight.workloads._fetch import MAX_ROBOTS, Answer, Fetcher
from firmlight.workloads._settings import Settings
from firmlight.workloads.crawl import read, read_page, run


class Site(BaseHTTPRequestHandler):
    pages: dict[str, tuple[int, str, str]]  # path: status, content type or location, body
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, what, body = self.pages.get(self.path, (404, "text/plain", "none"))
        self.send_response(status)
        self.send_header("Location" if 300 <= status < 400 else "Content-Type", what)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, type[Site]]]:
    handler = type("Handler", (Site,), {"pages": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def crawl(private: bool = True, **values: Any) -> Any:
    async def main() -> Any:
        fetcher = Fetcher(Settings(crawl_delay=0, crawl_allow_private=private))
        try:
            return await run(fakes.context("null")[0], fetcher, read(values))
        finally:
            await fetcher.close()

    return asyncio.run(main())


HTML = "text/html; charset=utf-8"


def test_follows_links_of_one_host(site: tuple[str, type[Site]]) -> None:
    url, handler = site
    home = (
        '<html><title> The\n home </title><a href="/b#x">b</a><a href="a">a</a><A HREF=\'/gone\'>x</A>'
        '<a href="http://zzz.example">other</a><a href="mailto:x@example.com">mail</a><!-- <a href="/no"> -->'
    )
    handler.pages = {
        "/": (200, HTML, home),
        "/a": (200, HTML, '<base href="/deep/"><a href="c?q=1&amp;r=2&copy=3">c</a>'),
        "/b": (200, "text/plain", '<a href="/never">never</a>'),
        "/deep/c?q=1&r=2&copy=3": (302, "/end/", ""),
        "/end/": (200, HTML, '<title>End</title><a href="up">up</a>'),
    }
    got = crawl(urls=[url], max_pages=5)
    assert [(p["url"].removeprefix(url), p["status"], p["title"]) for p in got["pages"]] == [
        ("/", 200, "The home"),
        ("/a", 200, ""),
        ("/b", 200, ""),
        ("/deep/c?q=1&r=2&copy=3", 200, "End"),
        ("/gone", 404, ""),
    ]
    assert got["pages"][0]["links"] == [f"{url}/a", f"{url}/b", f"{url}/gone", "http://zzz.example/"]
    assert handler.asked == ["/robots.txt", "/", "/a", "/b", "/gone", "/deep/c?q=1&r=2&copy=3", "/end/"]


@pytest.mark.parametrize(
    ("status", "robots", "skips"),
    [
        (200, "User-agent: *\nDisallow: /page", True),
        (200, "User-agent: *\nDisallow:\n\nUser-agent: firmlight\nDisallow: /", True),
        (200, "User-agent: other\nDisallow: /", False),
        (200, "User-agent: *\nDisallow: /\nAllow: /page", False),
        (200, "Disallow: /x", True),
        (200, "User-agent: other\nUser-agent: FIRM*\nDisallow: /\n\nUser-agent: more\nAllow: /", True),
        (200, "User-agent: *\nDisallow: /p\n\nUser-agent: other\nAllow: /\nUser-agent: firmlight\nAllow: /", False),
        (200, "User-agent: other\nDisallow: /\nUser-agent: *\nCrawl-delay: 1\nDisallow: /x", False),
        (404, "", False),
        (503, "", True),
    ],
)
def test_obeys_robots(site: tuple[str, type[Site]], status: int, robots: str, skips: bool) -> None:
    url, handler = site
    handler.pages = {"/page": (200, HTML, "x"), "/robots.txt": (status, "text/plain", robots)}
    got = crawl(urls=[f"{url}/page"])
    assert got["skipped"] == ([{"url": f"{url}/page", "reason": "robots"}] if skips else [])
    assert ("/page" in handler.asked) is not skips


def test_checks_every_redirect_and_no_private_address(site: tuple[str, type[Site]]) -> None:
    url, handler = site
    handler.pages = {
        "/file": (302, "file:///etc/passwd", ""),
        "/loop": (302, "/loop", ""),
        "/o": (302, "http://x.y/", ""),
    }
    got = crawl(urls=[f"{url}/file", f"{url}/loop", f"{url}/o"])
    assert [s["reason"] for s in got["skipped"]] == ["not_http", "redirects", "other_host"]
    handler.asked.clear()
    assert crawl(private=False, urls=[url])["skipped"] == [{"url": f"{url}/", "reason": "private_address"}]
    assert handler.asked == []


def test_public_addresses() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "172.32.0.1"):
        assert _publicnet.public(address)
    for address in (
        "172.31.0.1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "255.255.255.255",
    ):
        assert not _publicnet.public(address)


@pytest.mark.parametrize(
    ("href", "want"),
    [
        ("../x/./y", "http://a.example/x/y"),
        ("?q=ü", "http://a.example/b/c?q=ü"),
        ("d e", "http://a.example/b/d%20e"),
        ("//B.example:80", "http://b.example/"),
        ("/%7e", "http://a.example/%7e"),
        ("ä", "http://a.example/b/%C3%A4"),
    ],
)
def test_links_have_one_form(href: str, want: str) -> None:
    base = _urls.parse("http://a.example/b/c")
    assert str(_urls.normal(base.join(href))) == want


@given(st.text(alphabet="<>/='\" \nabhref!-&;titlescript", max_size=200))
def test_any_page_can_be_read(text: str) -> None:
    page = _html.scan(text.encode())
    assert all(isinstance(href, str) for href in page.hrefs)


HOSTILE = {  # a page of 1 MiB: what it begins with, what is repeated, what it ends with
    "comments": ("", "<!--", ""),
    "tags": ("", "<a ", ""),
    "attributes": ("<a", " b", ""),
    "open values": ("", "<a href='", ""),
    "end tags": ("", "</", ""),
    "titles": ("", "<title>", ""),
    "references": ("", "&amp", ""),
    "declarations": ("", "<!", ""),
    "ends of scripts": ("", "<script></scrip", ""),
    "dashes": ("<!--", "-", ""),
    "a long number": ('<a href="&#', "9", ';">'),
    "a long number in the title": ("<title>&#", "9", ";</title>"),
    "references in a link": ('<a href="', "&amp", '">'),
    "blanks before": ('<a href="', " ", 'x">'),
    "blanks behind": ('<a href="x', " ", '">'),
    "blanks in the title": ("<title>x", " \t", "</title>"),
    "links": ("", "<a href=b>", ""),
    "dots": ('<a href="', "../", '">'),
    "a long base": ('<base href="/' + "a/" * (200 << 10) + '">', " ", "".join(f"<a href={n}>" for n in range(20_000))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_take_no_time(name: str) -> None:
    """What is read in one pass takes a second; where each byte costs another pass it is minutes at least."""
    start, piece, end = HOSTILE[name]
    room = (1 << 20) - len((start + end).encode())
    body = (start + piece * (room // len(piece.encode())) + end).encode()
    answer = Answer(_urls.parse("http://a.example/b/c"), 200, "text/html", body)
    with at_most(15):
        read_page(answer)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Of this process's own time; what takes longer is broken off."""

    def too_slow(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


AGENTS = "".join(f"User-agent: a{n}\n" for n in range(12_000))


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (AGENTS + "User-agent: firmlight\n" * 2000 + "Disallow: /x\n" * 15_000, False),
        ("".join(f"User-agent: {'*' * n}f{'*' * n}\n" for n in range(400)) + "Disallow: /x\n" * 15_000, False),
        (
            AGENTS.replace("-agent", " agent") + AGENTS.replace(":", "") + "User-agent: *\n" + "Disallow: /x\n" * 5000,
            False,
        ),
        ("User-agent: *\n" + "".join(f"Disallow: /{'*a' * 1000}b{n}\n" for n in range(240)), True),
    ],
    ids=["many agents", "stars", "agents by other names", "wildcards"],
)
def test_hostile_robots_take_no_time(site: tuple[str, type[Site]], robots: str, allowed: bool) -> None:
    """Each rule times each agent would be 10^8 and more."""
    url, handler = site
    handler.pages = {"/robots.txt": (200, "text/plain", robots), f"/{'a' * 1900}": (200, HTML, "x")}
    assert len(robots) < MAX_ROBOTS
    with at_most(15):
        got = crawl(urls=[f"{url}/{'a' * 1900}", f"{url}/x"])
    assert [page["status"] for page in got["pages"]] == ([200, 404] if allowed else [200])
    assert [skip["reason"] for skip in got["skipped"]] == ([] if allowed else ["robots"])


@pytest.mark.parametrize(
    ("href", "want"),
    [
        ("&#" + "9" * 5000 + ";", "http://a.example/%EF%BF%BD"),
        ("&#" + "0" * 5000 + "98;", "http://a.example/b"),
        ("&#12345678abc", "http://a.example/%EF%BF%BDabc"),
        ("\u3000 b \u2003", "http://a.example/b"),
    ],
)
def test_numbers_and_blanks_in_links(href: str, want: str) -> None:
    answer = Answer(_urls.parse("http://a.example/"), 200, "text/html", f'<a href="{href}">'.encode())
    assert read_page(answer) == ("", [want])


def test_a_base_that_is_too_long_is_none() -> None:
    for length, want in ((2000, f"http://a.example/{'a' * 2000}/b"), (2048, "http://a.example/b")):
        body = f'<base href="/{"a" * length}/"><a href=b>'.encode()
        answer = Answer(_urls.parse("http://a.example/"), 200, "text/html", body)
        assert read_page(answer)[1] == [want]


def test_input_is_checked_like_gos() -> None:
    assert read(json.loads('{"urls":["HTTP://A.example:80#x","http://a.example/"]}')).urls == ["http://a.example/"]
