"""A server on loopback that answers what a test tells it to, and remembers what it was asked.

`answers` maps a path (with or without query) to the answers it gives, in turn, the last one again
and again; an answer is (status, headers, body). The header `x-cut: N` is not sent: it breaks the
connection after N bytes of the body. Whatever is not in the map is 404, as GitLab says it.
`by_hand` puts a handler of the test's own before all that, for servers that have a mind.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from logminer.gitlab import Client
from logminer.gitlab.settings import Settings
from logminer.model import Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

Answer = tuple[int, dict[str, str], bytes]
Asked = tuple[str, dict[str, str]]

MISSING: Answer = (404, {"content-type": "application/json"}, b'{"message":"404 Not Found"}')
TOKEN = "glpat-test-secret-0123456789"  # noqa: S105 -- opens nothing


@dataclass
class _Server:
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    handler: Handler | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path_qs
        self.asked.append((path, {key.lower(): value for key, value in request.headers.items()}))
        if self.handler and (answer := await self.handler(request)):
            return answer
        turn = self.answers.get(path) or self.answers.get(request.rel_url.raw_path) or [MISSING]
        status, headers, body = turn.pop(0) if len(turn) > 1 else turn[0]
        sent = {name: value for name, value in headers.items() if name != "x-cut"}
        response = web.StreamResponse(status=status, headers=sent)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: int(headers.get("x-cut", len(body)))])
        if "x-cut" in headers:
            # Let the bytes leave before the connection does.
            await asyncio.sleep(0)
            assert request.transport is not None
            request.transport.close()
        return response


@contextmanager
def _serving() -> Iterator[_Server]:
    """Run a server on a thread of its own, so that blocking clients can ask it too."""
    server = _Server()
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        end = asyncio.Event()
        stop.append((asyncio.get_running_loop(), end))
        ready.set()
        await end.wait()
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop, end = stop[0]
        loop.call_soon_threadsafe(end.set)
        thread.join()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own proxies out of every test."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def running() -> Iterator[_Server]:
    """Give the server itself; tests use the three fixtures below."""
    with _serving() as server:
        yield server


@pytest.fixture
def settings(running: _Server) -> Settings:
    """Point at the server, with a token."""
    return Settings(url=running.url, token=TOKEN, timeout=5.0)


@pytest.fixture
def answers(running: _Server) -> dict[str, list[Answer]]:
    """Hold what the server answers."""
    return running.answers


@pytest.fixture
def asked(running: _Server) -> list[Asked]:
    """List what the server was asked: path with query, headers in lower case."""
    return running.asked


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[Asked]]]:
    """Give a second server, on another origin: its URL, and what it was asked."""
    with _serving() as server:
        yield server.url, server.asked


@pytest.fixture
def by_hand(running: _Server) -> Callable[[Handler], None]:
    """Let a handler answer; where it returns None, the answers in the map do."""

    def use(handler: Handler) -> None:
        running.handler = handler

    return use


class _Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        wake = self.now + seconds
        # As with a real sleep, what is under way arrives meanwhile, and others sleep, too.
        await asyncio.sleep(0.02)
        self.now = max(self.now, wake)


@pytest.fixture
def passing() -> _Time:
    """The time of the fixtures below."""
    return _Time()


@pytest.fixture
def clock(passing: _Time) -> Callable[[], float]:
    """Tell the seconds that the client has slept."""
    return passing.clock


@pytest.fixture
def sleeps(passing: _Time) -> list[float]:
    """List the client's sleeps."""
    return passing.sleeps


@pytest.fixture
def nap(passing: _Time) -> Callable[[float], None]:
    """Let the same time pass for discovery, which does not wait for anybody."""

    def nap(seconds: float) -> None:
        passing.now += seconds

    return nap


@pytest.fixture
def run(settings: Settings, passing: _Time) -> Callable[..., Any]:
    """Run one use of a client whose sleeps take no time; options go to the client."""

    def run(
        use: Callable[[Client], Awaitable[Any]],
        *,
        at: Settings = settings,
        **options: Any,  # noqa: ANN401 -- those of the client
    ) -> Any:  # noqa: ANN401 -- what the use returns
        async def main() -> Any:  # noqa: ANN401 -- as above
            async with Client(
                at, clock=passing.clock, sleep=passing.sleep, chance=lambda: 0.0, **options
            ) as client:
                return await use(client)

        return asyncio.run(main())

    return run


@pytest.fixture
def read(run: Callable[..., Any], sink: type[Sink], job: Job) -> Callable[..., Any]:
    """Read the trace of the job, of which another size may be known; options of `read_trace`."""

    def read(*, trace_size: int | None = None, **options: Any) -> Any:  # noqa: ANN401 -- as above
        asked = replace(job, trace_size=trace_size)
        return run(lambda client: client.read_trace(asked, sink, **options))

    return read


class Sink:
    """Keeps what it is fed."""

    def __init__(self) -> None:
        """Begin empty."""
        self.chunks: list[bytes] = []

    def feed(self, data: bytes, /) -> None:
        """Take a chunk."""
        self.chunks.append(data)


@pytest.fixture
def sink() -> type[Sink]:
    """What takes in traces, to be made for each."""
    return Sink


@pytest.fixture
def log() -> bytes:
    """A long log: no two lines alike."""
    return b"".join(b"line %d\r\n" % number for number in range(40_000))


@pytest.fixture
def job() -> Job:
    """The job 12 of project 5, of whose trace's size nothing is known."""
    then = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    return Job(
        project_id=5,
        project_path="g/p",
        pipeline_id=77,
        id=12,
        name="n",
        stage="s",
        ref=None,
        ref_is_tag=False,
        status="success",
        failure_reason=None,
        created_at=then,
        started_at=then,
        finished_at=then,
        erased_at=None,
        queued_duration=None,
        duration=None,
        runner_id=None,
        runner_description=None,
        tag_list=(),
        url=None,
        trace_size=None,
    )
