"""The HTTP API for programs that submit tasks: `AsyncClient`, and `Client` for code without asyncio.

with Client("https://firmlight.example", token="…") as client:
    task = client.submit(group, "factorize", {"n": "1000036000099"}, split={"parts": 4})
    print(client.wait(task, progress=True).status, client.result(task))
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from . import protocol

if TYPE_CHECKING:
    from ._live import Watch

API = "/api/v1"
ENDED = ("succeeded", "failed", "cancelled")
BATCH = 5000  # tasks in one request
TRIES = 5  # of a request that the server is too busy for, or that got no answer
POLL_FIRST, POLL_MOST = 0.05, 1.0  # seconds between two looks at a task whose end is not announced
POLL_LIVE = 30.0  # and at one of which live events tell: they may be lost
TOGETHER = 16  # tasks that gather looks at, at the same time

_T = TypeVar("_T")


class ApiError(Exception):
    """The server refused: HTTP status, stable code, a text for people, and the fields that are wrong."""

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[Mapping[str, str]] = ()) -> None:
        fields = "; ".join(f"{e.get('field')}: {e.get('message')}" for e in errors)
        super().__init__(f"{status} {code}: {detail}" + (f" ({fields})" if fields else ""))
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)


class TaskFailed(Exception):
    """A task ended without a result. `task` has its status and error."""

    def __init__(self, task: Task) -> None:
        error = task.error or {}
        super().__init__(
            f"task {task.id} {task.status}: {error.get('code', '')} {error.get('message', '')}".rstrip(": ")
        )
        self.task = task


@dataclass(frozen=True)
class Task:
    """A task as the server shows it; `raw` has all its fields."""

    id: str
    kind: str
    status: str
    attempt: int
    progress: Mapping[str, Any]  # percent and message, as far as known
    error: Mapping[str, Any] | None  # code, message, retryable
    worker: str | None  # name of the one that has or had it
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Task:
        """Read a task of the API."""
        worker = raw.get("worker") or {}
        return cls(
            id=raw["id"],
            kind=raw["kind"],
            status=raw["status"],
            attempt=raw.get("attempt", 0),
            progress=raw.get("progress") or {},
            error=raw.get("error"),
            worker=worker.get("name"),
            raw=raw,
        )

    @property
    def ended(self) -> bool:
        """Is it at its end?"""
        return self.status in ENDED


class AsyncClient:
    """One person's or token's way into the API. Use it as a context manager, or call `close`."""

    def __init__(self, server: str = "http://127.0.0.1:8080", token: str = "", *, timeout: float = 30.0) -> None:
        """Token: an API token, or none before `login`. timeout: seconds a request may take."""
        self.server = server.rstrip("/")
        self._token = token
        self._refresh_token = ""
        self._refreshing = asyncio.Lock()
        self._watch: Watch | None = None
        self._http = httpx.AsyncClient(
            base_url=self.server + API, timeout=timeout, headers={"User-Agent": protocol.SDK}
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back the connections."""
        if self._watch is not None:
            await self._watch.close()
        await self._http.aclose()

    async def login(self, login: str, password: str) -> None:
        """Log in with a username or email address; the login is kept fresh from then on. Raises ApiError."""
        self._token = ""
        self._adopt(await self.request("POST", "/auth/login", {"login": login, "password": password}))

    def _adopt(self, answer: Any) -> None:
        self._token, self._refresh_token = answer["access_token"], answer["refresh_token"]

    async def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, Any] | None = None, again: bool = False
    ) -> Any:
        """Send a request below /api/v1 and return the JSON that it is answered with, None for none.

        It is sent again when the server is too busy, and without an answer where it is safe: for GET,
        or with `again`. Raises ApiError, httpx.TransportError.
        """
        for tries in range(1, TRIES + 1):
            token = self._token
            try:
                answer = await self._http.request(
                    method,
                    path,
                    json=body,
                    params=params,
                    headers={"Authorization": f"Bearer {token}"} if token else {},
                )
            except httpx.TransportError:
                if tries == TRIES or not (again or method == "GET"):
                    raise
                await asyncio.sleep(2**tries / 10)
                continue
            if answer.status_code == 401 and self._refresh_token and tries == 1:
                await self._refresh(token)
            elif answer.status_code == 429 and "Retry-After" in answer.headers and tries < TRIES:
                await asyncio.sleep(min(float(answer.headers["Retry-After"]), 30))
            else:
                return _read(answer)
        raise AssertionError("unreachable")  # the last try returns or raises

    async def _refresh(self, used: str) -> None:
        async with self._refreshing:
            if self._token == used:  # nobody else did
                answer = await self._http.post("/auth/refresh", json={"refresh_token": self._refresh_token})
                self._adopt(_read(answer))

    async def groups(self) -> list[Any]:
        """The groups that one is a member of, as the API shows them."""
        return [group async for group in self._pages("/groups")]

    async def _pages(self, path: str, **params: Any) -> AsyncIterator[Any]:
        cursor: str | None = ""
        while cursor is not None:
            page = await self.request(
                "GET", path, params={**params, "limit": 200, **({"cursor": cursor} if cursor else {})}
            )
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")

    async def submit(self, group: str, kind: str, input: Any = None, **options: Any) -> Task:  # noqa: A002
        """Submit a task to a group (its id). It is safe to lose the connection: no task is made twice.

        options as in docs/http-api.md: title, priority, max_attempts, timeout_s, run_at,
        result_retention_s, idempotency_key, and split, inputs or broadcast with reduce and
        allow_failures. Raises ApiError.
        """
        body = _spec({"kind": kind, "input": input, **options})
        return Task.of(await self.request("POST", f"/groups/{group}/tasks", body, again=True))

    async def fan_out(self, group: str, kind: str, inputs: Sequence[Any], **options: Any) -> Task:
        """Submit one task with a part for each input (1-10,000). Its result, unless `reduce` says otherwise,
        is the list of the parts' outputs.
        """
        return await self.submit(group, kind, inputs=list(inputs), **options)

    async def batch(self, group: str, tasks: Sequence[Mapping[str, Any]]) -> list[Task | ApiError]:
        """Submit many tasks, each a mapping with kind, input and options: for each, it or why it was refused."""
        results: list[Task | ApiError] = []
        for start in range(0, len(tasks), BATCH):
            body = {"tasks": [_spec(task) for task in tasks[start : start + BATCH]]}
            answer = await self.request("POST", f"/groups/{group}/tasks:batch", body, again=True)
            results += [Task.of(r["task"]) if r.get("task") else _error(r["status"], r.get("problem") or {})
                        for r in answer["results"]]  # fmt: skip
        return results

    async def get(self, task: Task | str) -> Task:
        """Read a task. Raises ApiError."""
        return Task.of(await self.request("GET", f"/tasks/{_id(task)}"))

    async def children(self, task: Task | str) -> list[Task]:
        """Read the parts of a fan-out, by index."""
        return [Task.of(raw) async for raw in self._pages(f"/tasks/{_id(task)}/children")]

    async def tasks(self, group: str, **filters: Any) -> AsyncIterator[Task]:
        """The tasks of a group, newest first; filters: status, kind, q, worker, member, created_after, …"""
        async for raw in self._pages(f"/groups/{group}/tasks", **filters):
            yield Task.of(raw)

    async def logs(self, task: Task | str) -> list[Any]:
        """The log of a task: seq, at, attempt, stream and line of each."""
        items: list[Any] = (await self.request("GET", f"/tasks/{_id(task)}/logs", params={"limit": 1000}))["items"]
        return items

    async def result(self, task: Task | str) -> Any:
        """The output of a task that succeeded. Raises ApiError: 404 before the end, 410 after its retention."""
        return (await self.request("GET", f"/tasks/{_id(task)}/result"))["output"]

    async def cancel(self, task: Task | str) -> None:
        """Cancel a task, also one that runs. Raises ApiError."""
        await self.request("POST", f"/tasks/{_id(task)}/cancel", again=True)

    async def wait(self, task: Task | str, *, timeout: float | None = None, progress: bool = False) -> Task:
        """Wait until a task has ended, however it did: live events tell, and without them it is looked at.

        timeout in seconds: raises TimeoutError. progress: shows a bar (needs tqdm: firmlight[progress]).
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with _Bar(progress) as bar:
            seen = await self.get(task)
            if seen.ended:
                bar.show(seen.status, seen.progress)
                return seen
            async with self._news().on(seen.id, bar.show) as news:
                pause = POLL_FIRST
                while not seen.ended:
                    bar.show(seen.status, seen.progress)
                    rest = deadline - time.monotonic()
                    if rest <= 0:
                        raise TimeoutError(f"task {seen.id} is still {seen.status}")
                    await news.wait(min(POLL_LIVE if news.live else pause, rest))
                    pause = min(pause * 1.5, POLL_MOST)
                    seen = await self.get(seen)
            bar.show(seen.status, seen.progress)
            return seen

    def _news(self) -> Watch:
        if self._watch is None:
            from ._live import Watch, connect

            self._watch = Watch(lambda: connect(self.server, self._token))
        return self._watch

    async def run(self, group: str, kind: str, input: Any = None, **options: Any) -> Any:  # noqa: A002
        """Submit a task, wait for it and return its output. Cancelled, it cancels the task.

        Raises ApiError, TaskFailed.
        """
        task = await self.submit(group, kind, input, **options)
        try:
            return await self._output(task)
        except asyncio.CancelledError:
            with contextlib.suppress(ApiError, httpx.TransportError):
                await self.cancel(task)
            raise

    async def gather(self, *tasks: Task | str) -> list[Any]:
        """The outputs of tasks, in the order given, once all have succeeded.

        Raises TaskFailed for the first that did not.
        """
        at_once = asyncio.Semaphore(TOGETHER)

        async def one(task: Task | str) -> Any:
            async with at_once:
                return await self._output(task)

        return list(await asyncio.gather(*map(one, tasks)))

    async def _output(self, task: Task | str) -> Any:
        seen = await self.wait(task)
        if seen.status != "succeeded":
            raise TaskFailed(seen)
        return await self.result(seen)

    async def events(self, *topics: str) -> AsyncIterator[Mapping[str, Any]]:
        """What happens, as it happens (docs/http-api.md, Live): `task:<id>`, `group:<id>`, `me`, …

        Ends when the server closes the connection. Raises ApiError if it refuses it or a topic.
        """
        from ._live import live

        await self.request("GET", "/me" if self._refresh_token else "/groups", params=None)  # a fresh token
        async for event in live(self.server, self._token, topics):
            yield event


class Client:
    """AsyncClient for code without asyncio: the same methods, which wait. May be used by several threads."""

    def __init__(self, server: str = "http://127.0.0.1:8080", token: str = "", *, timeout: float = 30.0) -> None:
        """As AsyncClient; requests are made in a thread of the client's own."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="firmlight-client")
        self._thread.start()

        async def make() -> AsyncClient:
            return AsyncClient(server, token, timeout=timeout)

        self._client = self._wait(make())

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # also Ctrl-C
            future.cancel()
            raise

    def _iterate(self, items: AsyncIterator[_T]) -> Iterator[_T]:
        async def following() -> tuple[_T] | None:
            try:
                return (await items.__anext__(),)
            except StopAsyncIteration:
                return None

        while (item := self._wait(following())) is not None:
            yield item[0]

    def close(self) -> None:
        """Give back the connections and end the thread."""
        if self._thread.is_alive():
            self._wait(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def login(self, login: str, password: str) -> None:
        """See AsyncClient."""
        self._wait(self._client.login(login, password))

    def request(self, method: str, path: str, body: Any = None, *, params: Mapping[str, Any] | None = None) -> Any:
        """See AsyncClient."""
        return self._wait(self._client.request(method, path, body, params=params))

    def groups(self) -> list[Any]:
        """See AsyncClient."""
        return self._wait(self._client.groups())

    def submit(self, group: str, kind: str, input: Any = None, **options: Any) -> Task:  # noqa: A002
        """See AsyncClient."""
        return self._wait(self._client.submit(group, kind, input, **options))

    def fan_out(self, group: str, kind: str, inputs: Sequence[Any], **options: Any) -> Task:
        """See AsyncClient."""
        return self._wait(self._client.fan_out(group, kind, inputs, **options))

    def batch(self, group: str, tasks: Sequence[Mapping[str, Any]]) -> list[Task | ApiError]:
        """See AsyncClient."""
        return self._wait(self._client.batch(group, tasks))

    def get(self, task: Task | str) -> Task:
        """See AsyncClient."""
        return self._wait(self._client.get(task))

    def children(self, task: Task | str) -> list[Task]:
        """See AsyncClient."""
        return self._wait(self._client.children(task))

    def tasks(self, group: str, **filters: Any) -> Iterator[Task]:
        """See AsyncClient."""
        return self._iterate(self._client.tasks(group, **filters))

    def logs(self, task: Task | str) -> list[Any]:
        """See AsyncClient."""
        return self._wait(self._client.logs(task))

    def result(self, task: Task | str) -> Any:
        """See AsyncClient."""
        return self._wait(self._client.result(task))

    def cancel(self, task: Task | str) -> None:
        """See AsyncClient."""
        self._wait(self._client.cancel(task))

    def wait(self, task: Task | str, *, timeout: float | None = None, progress: bool = False) -> Task:
        """See AsyncClient."""
        return self._wait(self._client.wait(task, timeout=timeout, progress=progress))

    def run(self, group: str, kind: str, input: Any = None, **options: Any) -> Any:  # noqa: A002
        """See AsyncClient."""
        return self._wait(self._client.run(group, kind, input, **options))

    def gather(self, *tasks: Task | str) -> list[Any]:
        """See AsyncClient."""
        return self._wait(self._client.gather(*tasks))

    def events(self, *topics: str) -> Iterator[Mapping[str, Any]]:
        """See AsyncClient."""
        return self._iterate(self._client.events(*topics))


class _Bar:
    """A progress bar, or nothing."""

    def __init__(self, shown: bool) -> None:
        self._bar: Any = None
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {postfix} [{elapsed}]")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, status: str, progress: Mapping[str, Any]) -> None:
        if self._bar is not None:
            self._bar.n = 100 if status == "succeeded" else progress.get("percent") or 0
            self._bar.set_postfix_str(status if status in ENDED else progress.get("message") or status)


def _id(task: Task | str) -> str:
    return task if isinstance(task, str) else task.id


def _spec(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task to submit, with a key that makes it safe to send it again."""
    spec = {"idempotency_key": uuid.uuid4().hex, **task}
    if "inputs" in spec:
        spec.pop("input", None)
    return spec


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:  # a proxy may answer in another form
        problem = {}
    raise _error(answer.status_code, problem if isinstance(problem, dict) else {})


def _error(status: int, problem: Mapping[str, Any]) -> ApiError:
    detail = problem.get("detail") or problem.get("title") or "no explanation"
    return ApiError(status, problem.get("code", "unknown"), detail, problem.get("errors") or ())
