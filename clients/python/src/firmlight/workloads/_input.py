"""Reading inputs as the Go kinds do: values are taken literally, 1.0 is no integer.

All raise BadInput that names the field.
"""

from __future__ import annotations

import json
from typing import Any

from .. import protocol
from ..context import Context
from ..errors import BadInput


def bad(field: str, text: str) -> BadInput:
    """The error for an input that no attempt can ever run."""
    return BadInput(f"{field}: {text}")


def fields(ctx: Context, *known: str) -> dict[str, Any]:
    """The input, an object with no fields but the known ones."""
    try:
        value = protocol.decode(ctx.input_json)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad("input", "must be a JSON object")
    for name in value:
        if name not in known:
            raise bad(json.dumps(name, ensure_ascii=False), "unknown field")
    return value


def integer(values: dict[str, Any], name: str, least: int, most: int) -> int:
    """A whole number from least to most; a missing one is an error."""
    value = values.get(name)
    if type(value) is not int or not least <= value <= most:
        raise bad(name, f"must be an integer from {least} to {most}")
    return value


def boolean(values: dict[str, Any], name: str, fallback: bool) -> bool:
    """True or false; missing is the fallback."""
    value = values.get(name, fallback)
    if type(value) is not bool:
        raise bad(name, "must be true or false")
    return value


def text(values: dict[str, Any], name: str) -> str:
    """A string; a missing one is an error."""
    value = values.get(name)
    if not isinstance(value, str):
        raise bad(name, "must be a string")
    return value
