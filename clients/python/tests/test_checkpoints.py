"""A factorization is begun in one language, killed, and goes on in the other."""

from __future__ import annotations

import subprocess

import pytest
from conftest import Server, eventually

# Seconds in Go, half a minute in Python; the smaller prime stands at 71 % of the range.
PRIMES = (2147483659, 4294967311)


@pytest.mark.parametrize("first", ["python", "go"])
def test_goes_on_in_the_other_language(server: Server, first: str) -> None:
    n = str(PRIMES[0] * PRIMES[1])

    def start(language: str, name: str) -> subprocess.Popen[bytes]:
        worker = server.python_worker if language == "python" else server.go_worker
        return worker("--name", name, "--slots", "1", "--kinds", "factorize")

    process = start(first, "first")
    task_id = server.submit("factorize", {"n": n}, timeout_s=600)

    def percent() -> float:
        progress = server.task(task_id).get("progress") or {}
        return float(progress.get("percent") or 0)

    enough = 6.0 if first == "python" else 20.0  # some checkpoints later
    eventually("a good part is done", lambda: percent() > enough, 60)
    before = percent()
    process.kill()
    second = start("go" if first == "python" else "python", "second")
    eventually("the second has begun", lambda: server.task(task_id)["attempt"] == 2, 30)
    later = eventually("it makes progress", lambda: server.task(task_id)["attempt"] == 2 and percent(), 30)
    assert later > before / 3  # a second of work is done again
    if first == "go":  # which is quicker to the end
        second.kill()
        start("go", "third")
    server.wait(task_id, patience=90)
    assert server.output(task_id)["factors"] == [[str(p), 1] for p in PRIMES]
