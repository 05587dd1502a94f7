"""The built-in kinds, the same as in Go (docs/workloads.md): firmlight-worker firmlight.workloads:worker."""

from ..worker import Worker
from ._settings import settings
from .crawl import crawl
from .echo import echo
from .factorize import factorize
from .mean import mean
from .sleep import sleep

__all__ = ["add", "settings", "worker"]


def add(to: Worker) -> Worker:
    """Give a worker the built-in kinds."""
    to.kind("echo")(echo)
    to.kind("sleep")(sleep)
    to.kind("factorize", run="process")(factorize)
    to.kind("mean", run="process")(mean)
    to.kind("crawl")(crawl)
    return to


worker = add(Worker())
