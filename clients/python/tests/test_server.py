"""Against the real server, with real processes and real SIGKILLs."""

from __future__ import annotations

import signal

import pytest
from conftest import Server, eventually


@pytest.fixture(scope="module")
def lab(shared: Server) -> Server:
    """A server with a worker of the built-in kinds and one of `handlers`."""
    shared.python_worker("--name", "built-in", "--slots", "4")
    shared.python_worker("--name", "own", "--slots", "4", of="handlers:worker")
    return shared


def test_builtin_kinds(lab: Server) -> None:
    assert lab.result("echo", {"a": [1, None]}) == {"a": [1, None]}
    assert lab.result("sleep", {"ms": 10}) == {"slept_ms": 10}
    assert lab.result("mean", {"numbers": [0.1] * 10}) == {"mean": 0.1, "count": 10, "min": 0.1, "max": 0.1}
    refused = lab.result("crawl", {"urls": ["http://127.0.0.1/"]})
    assert refused["skipped"] == [{"url": "http://127.0.0.1/", "reason": "private_address"}]


def test_fan_out(lab: Server) -> None:
    got = lab.result("factorize", {"n": "1000036000099"}, split={"parts": 4})
    assert got == {"n": "1000036000099", "factors": [["1000003", 1], ["1000033", 1]], "prime": False}
    assert lab.result("greet", inputs=["a", "b"]) == ["hello a", "hello b"]


def test_errors(lab: Server) -> None:
    def error(kind: str, input_: object = None, attempts: int = 1) -> tuple[int, dict[str, object]]:
        task = lab.wait(lab.submit(kind, input_, max_attempts=attempts), "failed")
        return task["attempt"], task["error"]

    assert error("mean", {"numbers": []}, 3)[0] == 1
    assert error("final", None, 3) == (1, {"code": "no_paper", "message": "no paper", "retryable": False})
    assert error("retry", None, 2) == (2, {"code": "busy", "message": "try again", "retryable": True})
    assert error("greet", 7)[1]["message"] == "input: must be str"
    assert error("object", {"x": 1, "z": 2})[1]["message"] == "z: unknown field"
    assert error("exit")[1]["code"] == "error"
    assert error("dies")[1]["code"] == "process_died"
    assert error("no-json")[1]["code"] == "bad_output"
    assert error("large")[1]["code"] == "message_too_large"


def test_an_exception_shows_its_traceback(lab: Server) -> None:
    task_id = lab.submit("raises", max_attempts=1)
    lab.wait(task_id, "failed")
    lines = [item["line"] for item in lab.get(f"/tasks/{task_id}/logs")["items"]]
    assert any("ZeroDivisionError" in line for line in lines)
    assert any("handlers.py" in line for line in lines)


def test_typed_inputs(lab: Server) -> None:
    assert lab.result("object", {"x": 1, "y": [2.5]}) == {"x": 1, "y": [2.5], "sum": 3.5}
    assert lab.result("model", {"name": "ada"}) == {"name": "ada", "n": 3}


def test_what_a_handler_says(lab: Server) -> None:
    task_id = lab.submit("talks")
    lab.wait(task_id)
    got = lab.get(f"/tasks/{task_id}/logs")["items"]
    assert [(item["stream"], item["line"]) for item in got] == [("log", "one"), ("log", "two"), ("stderr", "three")]


@pytest.mark.parametrize("kind", ["waits", "waits-async", "waits-process", "spins-process"])
def test_cancel_reaches_a_handler(lab: Server, kind: str) -> None:
    task_id = lab.submit(kind)
    lab.working(task_id)
    lab.post(f"/tasks/{task_id}/cancel")
    lab.wait(task_id, "cancelled")
    # The server gives up by itself after 5 s, but the worker writes this only when the handler has ended.
    ended = f"task {task_id} attempt 1 ({kind}): cancelled"
    eventually("the handler has ended", lambda: any(ended in lab.log(i) for i in range(len(lab.processes))))
    assert lab.result("greet", "again") == "hello again"


def test_a_busy_cpu_does_not_stop_heartbeats(tmp_path: object, server: Server) -> None:
    """Four handlers in threads keep the interpreter busy for much longer than the server's patience."""
    server.kill()
    server.env = {"FIRMLIGHT_WORKER_PING": "500ms", "FIRMLIGHT_WORKER_TIMEOUT": "4s", "FIRMLIGHT_WORKER_GRACE": "1s"}
    server.start()
    server.python_worker("--slots", "4", of="handlers:worker")
    tasks = [server.submit("spins", 10.0) for _ in range(4)]
    for task_id in tasks:
        assert server.wait(task_id)["attempt"] == 1


def test_a_killed_worker_loses_its_task_to_another(server: Server) -> None:
    first = server.python_worker("--name", "first", "--slots", "1")
    task_id = server.submit("sleep", {"ms": 4000})
    server.working(task_id)
    first.kill()
    server.python_worker("--name", "second", "--slots", "1")
    task = server.wait(task_id)
    assert (task["attempt"], task["reassignments"]) == (2, 1)
    assert task["worker"]["name"] == "second"


def test_a_killed_worker_takes_its_processes_along(server: Server) -> None:
    worker = server.python_worker("--slots", "1", of="handlers:worker")
    task_id = server.submit("waits-process")
    pid = server.working(task_id)["message"]
    assert alive(int(pid))
    worker.kill()
    eventually("the task's process has ended", lambda: not alive(int(pid)))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_comes_back_finds_the_worker_at_work(server: Server) -> None:
    server.python_worker("--slots", "2")
    long, waiting = server.submit("sleep", {"ms": 4000}), ""
    server.working(long)
    waiting = server.submit("echo", "after")
    server.kill()
    server.start()
    assert server.wait(long)["attempt"] == 1
    server.wait(waiting)


def test_sigterm_drains(server: Server) -> None:
    worker = server.python_worker("--slots", "1")
    task_id = server.submit("sleep", {"ms": 2000})
    server.working(task_id)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert server.wait(task_id)["attempt"] == 1


@pytest.mark.parametrize("kind", ["waits", "deaf", "deaf-async", "deaf-process"])
def test_a_second_sigterm_ends(server: Server, kind: str) -> None:
    worker = server.python_worker("--slots", "1", of="handlers:worker")
    task_id = server.submit(kind)
    server.working(task_id)
    worker.send_signal(signal.SIGTERM)
    eventually("it drains", lambda: "draining" in server.log())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 1
    eventually("the task is given back", lambda: server.task(task_id)["status"] == "queued")


def test_a_wrong_token_ends_the_worker(shared: Server) -> None:
    worker = shared.python_worker(FIRMLIGHT_TOKEN="nonsense")
    assert worker.wait(20) == 1
    assert "does not accept the token" in shared.log()
    worker = shared.python_worker(FIRMLIGHT_TOKEN=shared.api_token)
    assert worker.wait(20) == 1
    assert "not a worker token" in shared.log()


def test_a_revoked_token_ends_the_worker(shared: Server) -> None:
    made = shared.post("/tokens", {"name": "brief", "kind": "worker"})
    worker = shared.python_worker("--name", "brief", FIRMLIGHT_TOKEN=made["secret"])
    eventually("it is connected", lambda: "connected as worker" in shared.log())
    shared.api.delete(f"/tokens/{made['id']}")
    assert worker.wait(20) == 1
    assert "expired or was revoked" in shared.log()
