"""From what a handler returned or raised to the attempt's result."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

from . import protocol
from .context import Context
from .errors import Cancelled, FinalError, Reject, TaskError
from .protocol import Raw, Ref

# What a result says besides which attempt it is: picklable members of the message.
Outcome = dict[str, Any]


def succeeded(output: Any) -> Outcome:
    """The outcome of a handler that returned."""
    try:
        return {"status": "succeeded", "output": Raw(protocol.payload(output, protocol.MAX_PAYLOAD))}
    except protocol.TooLargeError as err:
        return failed(FinalError(f"the output has {err}", "message_too_large"))
    except (ValueError, TypeError) as err:
        return failed(FinalError(str(err), "bad_output"))


def raised(ctx: Context, err: BaseException) -> Outcome:
    """The outcome of a handler that raised; what it did not mean to raise goes to the task's log."""
    if isinstance(err, Reject):
        return {"status": "rejected"}
    if ctx.cancelled and isinstance(err, (Cancelled, asyncio.CancelledError)):
        return {"status": "cancelled"}
    if not isinstance(err, TaskError):
        ctx.log("".join(traceback.format_exception(err)), "stderr")
    return failed(err)


def failed(err: BaseException) -> Outcome:
    """The outcome of an error."""
    told = err if isinstance(err, TaskError) else TaskError(str(err) or type(err).__name__)
    error = {
        "code": protocol.clip(told.code or "error", protocol.MAX_NAME),
        "message": protocol.clip(told.message, protocol.MAX_TEXT),
        "retryable": told.retryable,
    }
    return {"status": "failed", "error": error}


def encode(ref: Ref, outcome: Outcome) -> bytes:
    """The result message."""
    return protocol.encode("result", **ref._asdict(), **outcome)
