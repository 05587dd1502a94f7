"""The title and the links of an HTML page.

Tokens only, no tree, in one pass forward: pages are hostile, and html.parser takes hours for some of
5 MiB. The rules are those of the standard's tokenizer, as golang.org/x/net/html has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from html.entities import html5

MAX_TITLE = 500  # characters

_RAW = ("iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp")
_OPEN = re.compile(r"<(?=[A-Za-z/!?])")
_NAME = re.compile(r"[^ \n\r\t\f/>]*")
_SPACE = re.compile(r"[ \n\r\t\f]*")
_KEY = re.compile(r"=?[^ \n\r\t\f/>=]*")
_UNQUOTED = re.compile(r"[^ \n\r\t\f>]*")
_COMMENT_AT_ONCE = re.compile(r"-*>")
_COMMENT_END = re.compile(r"--!?>")
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z0-9]+;?)")
_BLANK = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_BLANKS = re.compile(f"[{_BLANK}]+")
_LONG_NUMBER = re.compile("&#0*([0-9]{8})[0-9]*")
_INVALID = re.compile("[\ud800-\udfff]+")


@dataclass
class Page:
    """What crawl wants of a page. Text that was not UTF-8 is in surrogates."""

    title: str = ""
    base: str = ""
    hrefs: list[str] = field(default_factory=list)


def scan(body: bytes) -> Page:
    """Read a page."""
    text = body.decode(errors="surrogateescape")
    page = Page()
    titled = False
    at = 0
    while match := _OPEN.search(text, at):
        at = match.end()
        sign = text[at]
        if sign in "!?":
            at = _declaration(text, at)
        elif sign == "/":
            at = _end_tag(text, at + 1)
        else:
            name, attributes, at = _tag(text, at)
            if at < 0:
                break  # cut off within a tag, which then is none
            if name == "a" and "href" in attributes:
                page.hrefs.append(attributes["href"])
            elif name == "base" and not page.base:
                page.base = attributes.get("href", "")
            elif name in _RAW:
                start, at = at, _raw_end(text, at, name)
                if name == "title" and not titled and at > start:
                    page.title, titled = _clean(text[start:at]), True
        if at < 0:
            break
    return page


def _declaration(text: str, at: int) -> int:
    """Past a comment or declaration; -1 if it does not end."""
    if not text.startswith("!--", at):
        return text.find(">", at) + 1 or -1
    end = _COMMENT_AT_ONCE.match(text, at + 3) or _COMMENT_END.search(text, at + 3)
    return end.end() if end else -1


def _end_tag(text: str, at: int) -> int:
    if not text[at : at + 1].isascii() or not text[at : at + 1].isalpha():
        return text.find(">", at) + 1 or -1
    return _tag(text, at)[2]


def _tag(text: str, at: int) -> tuple[str, dict[str, str], int]:
    """A tag from its name on: name, the attributes href, and where it ends (-1: cut off)."""
    at, name = _take(_NAME, text, at)
    attributes: dict[str, str] = {}
    at = _take(_SPACE, text, at)[0]
    while at < len(text) and text[at] != ">":
        at, key = _take(_KEY, text, at)
        at = _take(_SPACE, text, at)[0]
        if text.startswith("/", at):
            at += 1
            value = ""
        elif text.startswith("=", at):
            at, value = _value(text, _take(_SPACE, text, at + 1)[0])
            if at < 0:
                break
        else:
            value = ""
        if key.lower() == "href" and "href" not in attributes:
            attributes["href"] = _attribute(value).strip(_BLANK)
        at = _take(_SPACE, text, at)[0]
    return name.lower(), attributes, -1 if at >= len(text) else at + 1 if at >= 0 else -1


def _value(text: str, at: int) -> tuple[int, str]:
    quote = text[at : at + 1]
    if quote not in ('"', "'"):
        return _take(_UNQUOTED, text, at)
    end = text.find(quote, at + 1)
    return (end + 1, text[at + 1 : end]) if end >= 0 else (-1, "")


def _take(pattern: re.Pattern[str], text: str, at: int) -> tuple[int, str]:
    match = pattern.match(text, at)
    return (match.end(), match[0]) if match else (at, "")


def _raw_end(text: str, at: int, name: str) -> int:
    """Where the text within an element ends that knows no tags."""
    if name == "plaintext":
        return len(text)
    match = re.compile(rf"</{name}[ \n\r\t\f/>]", re.IGNORECASE).search(text, at)
    return match.start() if match else len(text)


def _attribute(text: str) -> str:
    """A value with its character references replaced; &copy=1 is none."""

    def replaced(match: re.Match[str]) -> str:
        name = match[0][1:]
        if name.startswith("#"):
            return _unescape(match[0])
        if not name.endswith(";") and text.startswith("=", match.end()):
            return match[0]
        return html5.get(name, match[0])

    return _ENTITY.sub(replaced, _newlines(text))


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unescape(text: str) -> str:
    """html.unescape, which takes numbers of thousands of digits for an error."""
    return unescape(_LONG_NUMBER.sub(r"&#\1", text))


def _clean(text: str) -> str:
    """The title on one line, in valid UTF-8."""
    text = _INVALID.sub("\ufffd", _unescape(_newlines(text)))
    return _BLANKS.sub(" ", text).strip(_BLANK)[:MAX_TITLE]
