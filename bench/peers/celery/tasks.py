"""Celery as its guide on optimizing has it for many short tasks."""

import os
import time

from celery import Celery

app = Celery("tasks", broker=f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0")
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=128,
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop() -> None:
    """Do nothing."""


@app.task
def stamp() -> None:
    """Say when it started."""
    now = time.time()
    with app.connection_for_write() as connection:
        connection.default_channel.client.rpush("stamps", repr(now))
