"""Answers with its input."""

from ..context import Context
from ..protocol import Raw


async def echo(ctx: Context) -> Raw:
    """Any JSON, to the letter."""
    return Raw(ctx.input_json)
