"""Firmlight shares work out inside groups of people: its workers and its client, in Python.

`Worker` takes tasks (firmlight.worker); `Client` and `AsyncClient` submit them (firmlight.client).
"""

from .context import Context
from .errors import (
    BadInput,
    Cancelled,
    ClosedError,
    ConfigError,
    FinalError,
    HandshakeError,
    Reject,
    RetryableError,
    StoppedError,
    TaskError,
    WorkerError,
)
from .protocol import Raw, __version__
from .worker import Worker

__all__ = [
    "BadInput",
    "Cancelled",
    "ClosedError",
    "ConfigError",
    "Context",
    "FinalError",
    "HandshakeError",
    "Raw",
    "Reject",
    "RetryableError",
    "StoppedError",
    "TaskError",
    "Worker",
    "WorkerError",
    "__version__",
]
