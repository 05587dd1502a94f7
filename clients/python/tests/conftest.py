"""A real server for the tests: TEST_SERVER names its program, make test-python builds it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings

settings.load_profile("ci")  # also by hand: without deadlines, a busy machine is not a fault

TOP = Path(__file__).parents[3]
TESTDATA = TOP / "protocol" / "testdata"
SERVER = os.environ.get("TEST_SERVER", str(TOP / "bin" / "server"))
GO_WORKER = os.environ.get("TEST_WORKER", str(TOP / "bin" / "worker"))


def free_address() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def eventually(what: str, ok: Callable[[], Any], patience: float = 30) -> Any:
    """Wait until ok gives something true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if got := ok():
            return got
        time.sleep(0.02)
    pytest.fail(f"not within {patience} s: {what}")


@dataclass
class Server:
    """A running server with a user, a group, and tokens of both kinds."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address = free_address()
        self.url = f"http://{self.address}"
        self.api = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start()
        person = {"username": "ada", "email": "ada@example.org", "password": "a long password"}
        self.api.headers["Authorization"] = f"Bearer {self.post('/auth/register', person)['access_token']}"
        self.group: str = self.post("/groups", {"name": "Analytical engines"})["id"]
        self.token: str = self.post("/tokens", {"name": "w", "kind": "worker"})["secret"]
        self.api_token: str = self.post("/tokens", {"name": "a", "kind": "api"})["secret"]

    def start(self) -> None:
        """Start it, on the same address and data if it ran before."""
        env = {"FIRMLIGHT_LISTEN": self.address, "FIRMLIGHT_DATA_DIR": str(self.folder / "data"), **self.env}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen([SERVER], env={**os.environ, **env}, stdout=log, stderr=log)

        def ready() -> bool:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                return httpx.get(f"{self.url}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        eventually("server ready", ready)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.api.close()
        for process in self.processes:
            process.kill()
            process.wait()
        self.kill()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.api.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        answer = self.api.get(path)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def submit(self, kind: str, input_: Any = None, **more: Any) -> str:
        given = {} if "inputs" in more else {"input": input_}
        task_id: str = self.post(f"/groups/{self.group}/tasks", {"kind": kind, **given, **more})["id"]
        return task_id

    def task(self, task_id: str) -> Any:
        return self.get(f"/tasks/{task_id}")

    def wait(self, task_id: str, status: str = "succeeded", patience: float = 30) -> Any:
        """The task once it has ended, which must be so."""
        ended = ("succeeded", "failed", "cancelled")
        task = eventually(f"task {task_id} ended", lambda: (t := self.task(task_id))["status"] in ended and t, patience)
        assert task["status"] == status, task
        return task

    def output(self, task_id: str) -> Any:
        return self.get(f"/tasks/{task_id}/result")["output"]

    def result(self, kind: str, input_: Any = None, **more: Any) -> Any:
        """Submit, wait, and read the output."""
        task_id = self.submit(kind, input_, **more)
        self.wait(task_id)
        return self.output(task_id)

    def running(self, task_id: str) -> Any:
        return eventually("task runs", lambda: (t := self.task(task_id))["status"] == "running" and t)

    def working(self, task_id: str) -> Any:
        """The task's progress, once its handler has told some."""
        return eventually("handler has begun", lambda: self.task(task_id).get("progress"))

    def spawn(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker process of this server."""
        variables = {"FIRMLIGHT_SERVER": self.url, "FIRMLIGHT_TOKEN": self.token, **env}
        log = (self.folder / f"process{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                command, env={**os.environ, **variables}, stdout=log, stderr=log, cwd=Path(__file__).parent
            )
        self.processes.append(process)
        return process

    def log(self, index: int = -1) -> str:
        """What a process has written."""
        return (self.folder / f"process{range(len(self.processes))[index]}.log").read_text()

    def python_worker(self, *args: str, of: str = "firmlight.workloads:worker", **env: str) -> subprocess.Popen[bytes]:
        """Start a firmlight-worker."""
        return self.spawn(str(Path(sys.executable).with_name("firmlight-worker")), of, *args, **env)

    def go_worker(self, *args: str) -> subprocess.Popen[bytes]:
        return self.spawn(GO_WORKER, *args)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test's own, which may be killed."""
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of a module that leave it as it is."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()
