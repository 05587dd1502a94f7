"""Firmlight shares work out inside groups of people: its workers and its client, in Python.

`Worker` takes tasks (firmlight.worker); `Client` and `AsyncClient` submit them (firmlight.client).
"""

from .client import ApiError, AsyncClient, Client, Task, TaskFailed
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
    "ApiError",
    "AsyncClient",
    "BadInput",
    "Cancelled",
    "Client",
    "ClosedError",
    "ConfigError",
    "Context",
    "FinalError",
    "HandshakeError",
    "Raw",
    "Reject",
    "RetryableError",
    "StoppedError",
    "Task",
    "TaskError",
    "TaskFailed",
    "Worker",
    "WorkerError",
    "__version__",
]
