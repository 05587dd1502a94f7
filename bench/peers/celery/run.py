"""Celery alone on Redis, with a task that does nothing: TASKS of them, then PICKUPS one
at a time for an idle worker. It prints a line of JSON for bench/alone.go.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from redis import Redis
from tasks import app, noop, stamp

TASKS = int(os.environ["TASKS"])
PICKUPS = int(os.environ["PICKUPS"])
redis = Redis(port=int(os.environ["REDIS_PORT"]))


def enqueue() -> None:
    with app.producer_or_acquire() as producer:
        for _ in range(TASKS):
            noop.apply_async(producer=producer)


def drain() -> None:
    """Wait until no task is queued or held by a worker that has not begun it."""
    while redis.llen("celery") + redis.hlen("unacked") > 0:
        time.sleep(0.005)


def rate(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return TASKS / (time.perf_counter() - began)


def pickup() -> float:
    time.sleep(0.03)  # idle
    stamp.apply_async()
    sent = time.time()
    _, started = redis.blpop(["stamps"])
    return max((float(started) - sent) * 1000, 0)


def both() -> None:
    enqueue()
    drain()


result = {"enqueue": rate(enqueue)}
worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "ERROR"]
    + ["--without-gossip", "--without-mingle", "--without-heartbeat"],
    cwd=os.path.dirname(__file__),
    stdout=subprocess.DEVNULL,
)
try:
    while redis.llen("celery") == TASKS:  # it starts
        time.sleep(0.001)
    result["process"] = rate(drain)
    result["both"] = rate(both)
    pickup()
    result["pickup_ms"] = [pickup() for _ in range(PICKUPS)]
finally:
    worker.terminate()
    worker.wait()
print(json.dumps(result))
