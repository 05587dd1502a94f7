"""What can go wrong: errors for handlers to raise, and those that end a worker."""

from __future__ import annotations


class TaskError(Exception):
    """Fails the attempt. `code` (1-64 characters) is stable, the message for people."""

    retryable = True

    def __init__(self, message: str, code: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __reduce__(self) -> tuple[type[TaskError], tuple[str, str]]:
        return type(self), (self.message, self.code)


class RetryableError(TaskError):
    """The attempt failed; the task gets another one as long as it has some left.

    So does any other exception, with code "error".
    """


class FinalError(TaskError):
    """The task failed for good: another attempt would not help."""

    retryable = False


class BadInput(FinalError):
    """The input is not one of this kind; the message names the field."""

    def __init__(self, message: str, code: str = "bad_input") -> None:
        super().__init__(message, code)


class Reject(Exception):
    """This worker cannot take the task now: it goes to another without counting as a failure.

    The worker is offered none of the kind for some seconds. The reason is only logged here.
    """


class Cancelled(Exception):
    """The task was taken back; raised by Context.check and Context.wait in plain functions.

    Coroutines get asyncio.CancelledError instead.
    """

    def __init__(self, reason: str = "cancelled") -> None:
        super().__init__(reason)
        self.reason = reason  # requested, timeout, reassigned, or stopped: this worker ends


class WorkerError(Exception):
    """A worker had to end."""


class ConfigError(WorkerError):
    """The worker's settings are wrong; it never connected."""


class StoppedError(WorkerError):
    """The worker was stopped before its work was done; the server gives the tasks to others."""

    def __init__(self) -> None:
        super().__init__("worker stopped before its work was done")


class ClosedError(WorkerError):
    """The server closed with a code after which a worker may not come back (section 6)."""

    def __init__(self, code: int, reason: str) -> None:
        text = {
            4400: "the server could not read what this worker sent",
            4401: "the token has expired or was revoked",
            4403: "the token does not allow one of the groups",
            4409: "another process has taken over this session",
        }.get(code, "the server does not want this worker back")
        super().__init__(f"{text}: {reason} (close code {code})" if reason else f"{text} (close code {code})")
        self.code = code
        self.reason = reason


class HandshakeError(WorkerError):
    """The server answered, but not with a WebSocket. 401 and 403 end a worker."""

    def __init__(self, status: int, detail: str) -> None:
        text = {
            401: "the server does not accept the token",
            403: "the token is not a worker token",
        }.get(status, "the server refused the connection")
        super().__init__(f"{text}: {detail} (HTTP {status})" if detail else f"{text} (HTTP {status})")
        self.status = status
        self.detail = detail
