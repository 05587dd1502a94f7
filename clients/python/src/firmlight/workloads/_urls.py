"""URLs in the one form under which crawl knows them; parsed, joined and written as Go's net/url does.

urllib.parse is no substitute: it neither refuses what is malformed nor escapes what has to be, and the
outputs of both languages have to be the same.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_to_bytes

from .. import protocol

MAX_URL = 2048  # bytes; longer links are left out

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:@\[\]%/]*\Z")  # such a path is kept as it is
_HOST = re.compile(r"(?:[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])*\Z")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*\Z")
_PORT = re.compile(r"(:[0-9]*)?\Z")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Url:
    """A URL without user and fragment. Text that was not UTF-8 is in surrogates."""

    scheme: str = ""
    opaque: str = ""  # of mailto: and the like, instead of host and path
    host: str = ""  # with the port, unescaped
    path: str = ""  # escaped
    query: str | None = None
    omits_host: bool = False  # file:/x, not file:///x

    def __str__(self) -> str:
        query = "" if self.query is None else "?" + self.query
        scheme = self.scheme + ":" if self.scheme else ""
        if self.opaque:
            return scheme + self.opaque + query
        slashes = "" if self.omits_host and not self.host else "//" if self.host or self.path else ""
        slash = "/" if self.path and self.path[0] != "/" and self.host else ""
        host = quote(self.host, safe="!$&'()*+,;=:[]<>\"", errors="surrogateescape")
        return scheme + (slashes if scheme or self.host else "") + host + slash + self.path + query

    @property
    def hostname(self) -> str:
        """The host without port and brackets."""
        name = self.host
        if not name.endswith("]"):
            name = name.rpartition(":")[0] if ":" in name else name
        return name.removeprefix("[").removesuffix("]")

    @property
    def is_http(self) -> bool:
        """Can crawl ask for it?"""
        return self.scheme in DEFAULT_PORTS

    @property
    def target(self) -> str:
        """Path and query as robots.txt and requests have them."""
        return (self.path or "/") + ("" if self.query is None else "?" + self.query)

    def join(self, reference: str) -> Url:
        """The URL that a reference on this page means. Raises ValueError."""
        ref = parse(reference)
        if ref.scheme or ref.host:
            return replace(ref, scheme=ref.scheme or self.scheme, path=_resolve(ref.path, ""))
        if not ref.path and ref.query is None:
            ref = replace(ref, query=self.query or None)
        path = _resolve(self.path, ref.path)
        return replace(ref, scheme=self.scheme, host=self.host, path=path)


def parse(text: str) -> Url:
    """Read a URL, absolute or not. Raises ValueError."""
    rest = text.partition("#")[0]
    if _CONTROL.search(rest):
        raise ValueError("control character")
    if rest.startswith(":"):
        raise ValueError("no scheme")
    match = _SCHEME.match(rest)
    scheme = match[1].lower() if match else ""
    rest, mark, query = rest[match.end() if match else 0 :].partition("?")
    asked = query if mark and (query or "?" in mark) else None
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, opaque=rest, query=asked)
        if ":" in rest.partition("/")[0]:
            raise ValueError("a colon in the first segment")
    host = ""
    authority = (scheme or not rest.startswith("///")) and rest.startswith("//")
    if authority:
        host, slash, rest = rest[2:].partition("/")
        host, rest = _host(scheme, host), slash + rest
    omits = bool(scheme) and not authority and rest.startswith("/")
    return Url(scheme, host=host, path=_escaped(rest), query=asked, omits_host=omits)


def _host(scheme: str, authority: str) -> str:
    user, _, host = authority.rpartition("@")
    if not _USER.match(user) or _BAD_ESCAPE.search(user):
        raise ValueError("bad user")
    if "[" in host:
        name, bracket, port = host.rpartition("]")
        if not name.startswith("[") or name.rfind("[") > 0 or not bracket:
            raise ValueError("bad brackets")
        address, _, zone = name[1:].partition("%25")
        ipaddress.IPv6Address(address)
        if not _PORT.match(port):
            raise ValueError("bad port")
        return f"[{address}{'%' + _unescaped(zone) if zone else ''}]{port}"
    name, colon, port = host.partition(":") if scheme in DEFAULT_PORTS else host.rpartition(":")
    if colon and not _PORT.match(colon + port):
        raise ValueError("bad port")
    if not _HOST.match(host) or _BAD_ESCAPE.search(host):
        raise ValueError("bad host")
    return _unescaped(host)


def _unescaped(text: str) -> str:
    return unquote_to_bytes(text.encode(errors="surrogateescape")).decode(errors="surrogateescape")


def _escaped(path: str) -> str:
    if _BAD_ESCAPE.search(path):
        raise ValueError("bad escape")
    if _PATH.match(path):
        return path
    return quote(unquote_to_bytes(path.encode(errors="surrogateescape")), safe="$&+,/:;=@")


def _resolve(base: str, ref: str) -> str:
    """The path that `ref` means below `base`, without dots (RFC 3986, 5.2)."""
    full = base if not ref else ref if ref.startswith("/") else base[: base.rfind("/") + 1] + ref
    if not full:
        return ""
    done: list[str] = []
    elements = full.split("/")
    for element in elements:
        if element == "..":
            if done:
                done.pop()
        elif element != ".":
            done.append(element)
    path = "/".join(done) + ("/" if elements[-1] in (".", "..") else "")
    return path if path.startswith("/") else "/" + path


def normal(url: Url) -> Url:
    """Without default port, host in lower case, with a path."""
    host = url.host.lower().removesuffix(DEFAULT_PORTS.get(url.scheme, "\n"))
    return replace(url, host=host, path=url.path or ("/" if url.is_http else ""))


def too_long(url: Url) -> bool:
    """Does it have more bytes than crawl wants to know of?"""
    return len(protocol.scrub(str(url)).encode()) > MAX_URL
