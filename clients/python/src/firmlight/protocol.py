"""The worker protocol, version 1 (docs/worker-protocol.md): frames, messages, limits, close codes.

A frame is text with one or more JSON objects separated by newlines. `messages` takes a frame apart,
`encode` writes one message. Nothing here knows of sockets or time.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

__version__ = "0.1.0"

SDK = f"firmlight-python/{__version__}"
SUBPROTOCOL = "firmlight.worker.v1"
PATH = "/api/v1/worker"

# Limits, in bytes of UTF-8 unless said otherwise.
MAX_MESSAGE = 4 << 20  # one frame; told in welcome
MAX_PAYLOAD = 1 << 20  # input or output of one task
MAX_CHECKPOINT = 256 << 10
MAX_LOG_LINE = 4 << 10
MAX_TEXT = 500  # characters of a progress message or an error
MAX_NAME = 64  # characters
MAX_KINDS = 64
MAX_SLOTS = 1024
MAX_GROUPS = 256
MAX_LABELS = 64
MAX_LABEL = 200  # characters
MAX_NESTING = 64  # JSON nesting of a message

# Close codes (section 6).
NORMAL = 1000
GOING_AWAY = 1001
TOO_LARGE = 1009
MALFORMED = 4400
UNAUTHORIZED = 4401
GROUP = 4403
RESUMED = 4409
TOO_MANY = 4429
DISCONNECTED = 4503

KIND = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class ProtocolError(Exception):
    """The other side sent something that is not version 1."""


class Ref(NamedTuple):
    """One attempt of one task: the fence of section 4."""

    task: str
    attempt: int


@dataclass(frozen=True)
class Message:
    """One object of a frame. `raw` has the JSON text of each member, as it was sent."""

    type: str  # empty if the object has none
    fields: Mapping[str, Any]
    raw: Mapping[str, str]

    def text(self, name: str) -> str:
        """A string; a missing one is empty. Raises ProtocolError."""
        return _member(self, name, str, "")

    def integer(self, name: str) -> int:
        """A whole number; a missing one is 0. Raises ProtocolError."""
        value = _member(self, name, int, 0)
        if isinstance(value, bool):
            raise ProtocolError(f"{self.type}.{name}: not a number")
        return value

    def boolean(self, name: str) -> bool:
        """True or false; a missing one is false. Raises ProtocolError."""
        return _member(self, name, bool, False)

    def texts(self, name: str) -> list[str]:
        """A list of strings; a missing one is empty. Raises ProtocolError."""
        values: list[Any] = _member(self, name, list, [])
        if not all(isinstance(v, str) for v in values):
            raise ProtocolError(f"{self.type}.{name}: not strings")
        return values

    def ref(self) -> Ref:
        """Which attempt the message is about. Raises ProtocolError."""
        return Ref(self.text("task"), self.integer("attempt"))

    def refs(self, name: str) -> list[Ref]:
        """A list of attempts; a missing one is empty. Raises ProtocolError."""
        values: list[Any] = _member(self, name, list, [])
        if not all(isinstance(v, dict) for v in values):
            raise ProtocolError(f"{self.type}.{name}: not objects")
        return [Message(self.type, v, {}).ref() for v in values]


_T = TypeVar("_T")


def _member(m: Message, name: str, kind: type[_T], missing: _T) -> _T:
    value = m.fields.get(name)
    if value is None:
        return missing
    if not isinstance(value, kind):
        raise ProtocolError(f"{m.type}.{name}: not {kind.__name__}")
    return value


_SPACE = re.compile(r"[ \t\n\r]*")


def _int(text: str) -> int | float:
    """Python refuses to read integers of thousands of digits, which JSON allows."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_int=_int, parse_constant=_constant)


def decode(text: str) -> Any:
    """One JSON value. Raises ValueError for anything else, also NaN and too deep nesting."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def messages(frame: str) -> Iterator[Message]:
    """The messages of one frame, in order. Raises ProtocolError where the frame is malformed."""
    at = _skip(frame, 0)
    try:
        while True:
            message, end = _message(frame, at)
            yield message
            at = _skip(frame, end)
            if at == len(frame):
                return
            if "\n" not in frame[end:at]:
                raise ProtocolError("objects are separated by newlines")
    except (ValueError, RecursionError, IndexError) as err:
        raise ProtocolError(f"malformed frame: {err}") from None


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr] # it matches nothing, too


def _message(text: str, at: int) -> tuple[Message, int]:
    """One object, member by member: the decoder alone would not say where a member's text stands."""
    if text[at] != "{":
        raise ValueError("not an object")
    fields: dict[str, Any] = {}
    raw: dict[str, str] = {}
    at = _skip(text, at + 1)
    while text[at] != "}" or fields:
        name, at = _decoder.raw_decode(text, at)
        if not isinstance(name, str):
            raise ValueError("a name must be a string")
        at = _expect(text, _skip(text, at), ":")
        fields[name], end = _decoder.raw_decode(text, at)
        raw[name] = text[at:end]
        at = _skip(text, end)
        if text[at] == "}":
            break
        at = _expect(text, at, ",")
    kind = fields.get("type")
    return Message(kind if isinstance(kind, str) else "", fields, raw), at + 1


def _expect(text: str, at: int, sign: str) -> int:
    if text[at] != sign:
        raise ValueError(f"{sign} expected at character {at}")
    return _skip(text, at + 1)


class Raw(str):
    """JSON text that is sent as it stands."""

    __slots__ = ()


def dumps(value: Any) -> str:
    """JSON text without blanks; Raw text as it stands. Dataclasses and pydantic models become objects.

    Raises ValueError or TypeError for what JSON cannot hold.
    """
    if isinstance(value, Raw):
        decode(value)
        return scrub(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return scrub(text)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


_SURROGATES = re.compile("[\ud800-\udfff]")


def scrub(text: str) -> str:
    """The text without what UTF-8 cannot hold."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def payload(value: Any, limit: int) -> str:
    """JSON text of a member (output, checkpoint).

    Raises ValueError or TypeError for what is no JSON or nested too deeply, TooLargeError above
    `limit` bytes.
    """
    text = dumps(value)
    if text.count("[") + text.count("{") >= MAX_NESTING and _depth(text) >= MAX_NESTING:
        raise ValueError("nested too deeply")
    size = len(text.encode())
    if size > limit:
        raise TooLargeError(size, limit)
    return text


class TooLargeError(ValueError):
    """A payload has more bytes than allowed."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, {limit} are allowed")


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def _depth(text: str) -> int:
    depth = most = 0
    for match in _BRACKETS.finditer(text):
        if match[1]:
            depth += 1
            most = max(most, depth)
        elif match[2]:
            depth -= 1
    return most


def encode(kind: str, /, **members: Any) -> bytes:
    """One message as UTF-8. Members that are None are left out; Raw ones are copied."""
    parts = [f'"type":"{kind}"']
    parts += (
        f'"{name}":{value.replace(chr(10), " ") if isinstance(value, Raw) else dumps(value)}'
        for name, value in members.items()
        if value is not None
    )
    return scrub("{" + ",".join(parts) + "}").encode()


def clip(text: str, chars: int) -> str:
    """The text cut to so many characters; the last one of a cut text is "…"."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


def reconnects(code: int) -> bool:
    """May a worker that was closed with this code connect again?"""
    return code == TOO_MANY or (code != NORMAL and not 4400 <= code < 4500)
