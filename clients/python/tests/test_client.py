"""The client against the real server."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from conftest import Server

from firmlight import ApiError, AsyncClient, Client, Task, TaskFailed
from firmlight.client import POLL_LIVE, POLL_MOST


@pytest.fixture(scope="module")
def lab(shared: Server) -> Server:
    shared.python_worker("--slots", "4")
    return shared


@pytest.fixture
def client(lab: Server) -> Any:
    with Client(lab.url, lab.api_token) as client:
        yield client


def test_submit_wait_result(lab: Server, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    task = client.submit(lab.group, "sleep", {"ms": 300}, title="a nap", priority="high")
    assert task.status in ("queued", "running")
    ended = client.wait(task, progress=True)
    assert (ended.status, ended.attempt, ended.error) == ("succeeded", 1, None)
    assert ended.raw["title"] == "a nap"
    assert client.result(task) == {"slept_ms": 300}
    assert "succeeded" in capsys.readouterr().err


class Looking(AsyncClient):
    """Counts how often it looks at a task."""

    looks = 0

    async def get(self, task: Task | str) -> Task:
        self.looks += 1
        return await super().get(task)


def test_wait_hears_of_the_end(lab: Server) -> None:
    """With live events a task is looked at when they say so, not again and again."""

    async def main() -> None:
        client = Looking(lab.url, lab.api_token)
        async with client:
            task = await client.submit(lab.group, "sleep", {"ms": 600_000})
            async with client._news().on(task.id, lambda *_: None) as news:
                while not news.live:
                    await news.wait(POLL_LIVE)
                waiting = [asyncio.create_task(client.wait(task)) for _ in range(3)]
                await asyncio.sleep(2 * POLL_MOST)
                assert client.looks <= 6
                await client.cancel(task)
                ended = await asyncio.wait_for(asyncio.gather(*waiting), POLL_LIVE / 2)
            assert [t.status for t in ended] == ["cancelled"] * 3
            assert not client._news()._news

    asyncio.run(main())


def test_wait_goes_on_without_live_events(server: Server) -> None:
    """The server goes away while a task is waited for, and comes back."""
    server.python_worker("--slots", "1")
    with Client(server.url, server.api_token) as client:
        task = client.submit(server.group, "sleep", {"ms": 3000})
        server.working(task.id)

        def restart() -> None:
            server.kill()
            server.start()

        again = threading.Timer(0.5, restart)
        again.start()
        assert client.wait(task, timeout=30).status == "succeeded"
        again.join()


def test_fan_out_and_children(lab: Server, client: Client) -> None:
    task = client.fan_out(lab.group, "echo", [1, 2, 3], reduce="sum")
    assert client.wait(task).status == "succeeded"
    assert client.result(task) == 6
    assert [child.raw["index"] for child in client.children(task)] == [0, 1, 2]
    assert client.run(lab.group, "factorize", {"n": "999966000289"}, split={"parts": 2})["prime"] is False


def test_batch_says_what_is_wrong_with_each(lab: Server, client: Client) -> None:
    good, bad = client.batch(lab.group, [{"kind": "echo", "input": 1}, {"kind": "No Kind"}])
    assert isinstance(good, Task)
    assert isinstance(bad, ApiError)
    assert bad.status == 422
    assert client.gather(good) == [1]
    assert good.id in [task.id for task in client.tasks(lab.group, kind="echo")]


def test_a_key_makes_one_task(lab: Server, client: Client) -> None:
    first, again = (client.submit(lab.group, "echo", 1, idempotency_key="once") for _ in range(2))
    assert first.id == again.id


def test_cancel_and_failure(lab: Server, client: Client) -> None:
    task = client.submit(lab.group, "sleep", {"ms": 600_000})
    with pytest.raises(TimeoutError):
        client.wait(task, timeout=0.1)
    client.cancel(task)
    assert client.wait(task).status == "cancelled"
    with pytest.raises(TaskFailed, match="bad_input"):
        client.run(lab.group, "mean", {"numbers": []})
    with pytest.raises(ApiError) as caught:
        client.result(task)
    assert caught.value.status == 404


def test_login(lab: Server) -> None:
    with Client(lab.url) as client:
        with pytest.raises(ApiError) as caught:
            client.login("ada", "wrong password")
        assert caught.value.code == "bad_credentials"
        client.login("ada", "a long password")
        assert [group["id"] for group in client.groups()] == [lab.group]
        client._client._token = "expired"
        assert client.run(lab.group, "echo", "fresh again") == "fresh again"


def test_gather_in_asyncio(lab: Server) -> None:
    async def main() -> None:
        async with AsyncClient(lab.url, lab.api_token) as client:
            tasks = [await client.submit(lab.group, "echo", n) for n in range(20)]
            assert await client.gather(*tasks) == list(range(20))
            both = asyncio.gather(*(client.run(lab.group, "echo", n) for n in "ab"))
            assert await both == ["a", "b"]

    asyncio.run(main())


def test_a_cancelled_run_cancels_its_task(lab: Server) -> None:
    async def main() -> None:
        async with AsyncClient(lab.url, lab.api_token) as client:
            running = asyncio.create_task(client.run(lab.group, "sleep", {"ms": 3000}, title="never"))
            async for event in client.events(f"group:{lab.group}"):
                if event["type"] == "progress" and [t async for t in client.tasks(lab.group, q="never")]:
                    running.cancel()
                    break
            with pytest.raises(asyncio.CancelledError):
                await running
            (task,) = [t async for t in client.tasks(lab.group, q="never")]
            assert (await client.wait(task)).status == "cancelled"

    asyncio.run(main())


def test_events(lab: Server, client: Client) -> None:
    seen = []
    task: Task | None = None
    for event in client.events(f"group:{lab.group}"):
        seen.append(event["type"])
        if event["type"] == "subscribed":
            task = client.submit(lab.group, "echo", 1)
        elif event["type"] == "task" and task and event["task"]["id"] == task.id and Task.of(event["task"]).ended:
            break
    assert seen[0] == "subscribed"
    with pytest.raises(ApiError):
        next(iter(client.events("group:nonsense")))


def test_errors_name_the_field(lab: Server, client: Client) -> None:
    with pytest.raises(ApiError, match="priority") as caught:
        client.submit(lab.group, "echo", 1, priority="urgent")
    assert caught.value.status == 422
    with Client(lab.url, "nonsense") as stranger, pytest.raises(ApiError) as caught:
        stranger.groups()
    assert caught.value.status == 401


def test_a_submit_survives_the_servers_restart(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmlight.client.TRIES", 8)  # half a minute: a busy machine starts it slowly
    with Client(server.url, server.api_token) as client:
        server.kill()
        again = threading.Timer(0.3, server.start)
        again.start()
        task = client.submit(server.group, "echo", 1)
        again.join()
        assert [t.id for t in client.tasks(server.group)] == [task.id]


def test_a_server_that_is_not_there() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(httpx.ConnectError):
        client.request("POST", "/auth/login", {})
