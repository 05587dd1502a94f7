"""From a task's JSON to the arguments of a handler, by its annotations.

str, int, float, bool, None, Any, list[T], dict[str, T], tuple[T, ...], Literal, unions, dataclasses
(unknown and missing fields are bad input) and pydantic models, which pydantic checks.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

from . import protocol
from .context import Context
from .errors import BadInput, ConfigError


def arguments(fn: Callable[..., Any]) -> Callable[[Context], list[Any]]:
    """How a handler's arguments follow from its context. Raises ConfigError for a signature that cannot be.

    A parameter annotated with Context, or named ctx, gets the context; at most one other the input.
    """
    try:
        hints = typing.get_type_hints(fn)
    except NameError as err:
        raise ConfigError(f"{fn.__qualname__}: annotations must be of module level: {err}") from None
    given = [p for p in inspect.signature(fn).parameters.values() if p.default is p.empty]
    if any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given):
        raise ConfigError(f"{fn.__qualname__}: takes its input and, if wanted, ctx: nothing else")
    wants = [hints.get(p.name, Context if p.name == "ctx" else Any) for p in given]
    if len([w for w in wants if w is not Context]) > 1:
        raise ConfigError(f"{fn.__qualname__}: takes one input; several values come as a dataclass")
    return lambda ctx: [ctx if want is Context else _read(ctx, want) for want in wants]


def _read(ctx: Context, want: Any) -> Any:
    try:
        value = protocol.decode(ctx.input_json)
    except ValueError as err:
        raise BadInput(f"input: {err}") from None
    return convert(value, want, "input")


def convert(value: Any, want: Any, where: str) -> Any:  # one case after the other
    """The value as a `want`. Raises BadInput that names the field."""
    origin, args = typing.get_origin(want), typing.get_args(want)
    if want is Any or want is inspect.Parameter.empty or want is object:
        return value
    if origin in (Union, types.UnionType):
        return _union(value, args, where)
    if origin is Literal:
        if not any(value == a and type(value) is type(a) for a in args):
            raise BadInput(f"{where}: must be one of {', '.join(map(repr, args))}")
        return value
    if dataclasses.is_dataclass(want) and isinstance(want, type):
        return _dataclass(value, want, where)
    if hasattr(want, "model_validate"):
        return _pydantic(value, want, where)
    kind = origin or want
    if kind in (list, tuple) and isinstance(value, list):
        inner = args[0] if args else Any
        return kind(convert(v, inner, f"{where}[{i}]") for i, v in enumerate(value))
    if kind is dict and isinstance(value, dict):
        inner = args[1] if args else Any
        return {k: convert(v, inner, f"{where}.{k}") for k, v in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if kind in (None, type(None)) and value is None:
        return None
    if kind in (str, int, float, bool) and type(value) is kind:
        return value
    raise BadInput(f"{where}: must be {getattr(want, '__name__', want)}")


def _union(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    problems = []
    for choice in choices:
        try:
            return convert(value, choice, where)
        except BadInput as err:
            problems.append(err.message)
    raise BadInput(" or ".join(problems))


def _dataclass(value: Any, want: type, where: str) -> Any:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: must be an object")
    hints = typing.get_type_hints(want)
    fields = {f.name: f for f in dataclasses.fields(want) if f.init}
    for name in value:
        if name not in fields:
            raise BadInput(f"{_below(where, name)}: unknown field")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise BadInput(f"{_below(where, name)}: missing")
    read = {name: convert(v, hints[name], _below(where, name)) for name, v in value.items()}
    try:
        return want(**read)
    except ValueError as err:  # of __post_init__
        raise BadInput(f"{where}: {err}") from None


def _below(where: str, name: str) -> str:
    return name if where == "input" else f"{where}.{name}"


def _pydantic(value: Any, want: Any, where: str) -> Any:
    try:
        return want.model_validate(value)
    except ValueError as err:  # so pydantic's own error is one
        problems = err.errors() if hasattr(err, "errors") else [{"loc": (), "msg": str(err)}]
    texts = [f"{'.'.join(map(str, p['loc'])) or where}: {p['msg']}" for p in problems]
    raise BadInput("; ".join(texts))
