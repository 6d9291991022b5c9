"""A server that means harm: it can neither hold a run, nor exhaust it, nor learn or leak the token.

Raw sockets, because no library would send what these servers do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from logminer.errors import (
    ConnectionFailedError,
    LogminerError,
    NotGitLabError,
    UnexpectedAnswerError,
)
from logminer.gitlab import Client, RetryPolicy, discover
from logminer.model import Job, Project

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from logminer.gitlab import Settings

    Script = Callable[[asyncio.StreamWriter], Awaitable[None]]

Answers = dict[str, list[tuple[int, dict[str, str], bytes]]]
Asked = list[tuple[str, dict[str, str]]]

API = "/api/v4"
JSON = {"content-type": "application/json"}
VERSION = (200, JSON, b'{"version":"17.4.1"}')
PROJECT = Project(id=5, path="g/p")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ONCE = RetryPolicy(attempts=1)


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    """Send headers until nobody listens any more."""
    writer.write(HEAD)
    while True:
        writer.write(b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(1_000)))
        await writer.drain()


async def one_great_header(writer: asyncio.StreamWriter) -> None:
    """Send a header that does not end."""
    writer.write(HEAD + b"X: ")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def dripping_headers(writer: asyncio.StreamWriter) -> None:
    """Send a byte of the headers now and then."""
    while True:
        writer.write(b"H")
        await writer.drain()
        await asyncio.sleep(0.02)


async def dripping_body(writer: asyncio.StreamWriter) -> None:
    """Send a byte of the body now and then."""
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n[")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_body(writer: asyncio.StreamWriter) -> None:
    """Send JSON that does not end."""
    writer.write(HEAD + b"\r\n[")
    while True:
        writer.write(b"1," * 65_536)
        await writer.drain()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Say nothing."""
    del writer
    await asyncio.sleep(60)


SCRIPTS = [
    endless_headers,
    one_great_header,
    dripping_headers,
    dripping_body,
    endless_body,
    silence,
]


@contextmanager
def acting(script: Script) -> Iterator[str]:
    """Answer every connection by a script, on a thread of its own; give the URL."""
    port: list[int] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    end = asyncio.Event()

    async def main() -> None:
        tasks: set[asyncio.Task[None] | None] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())
            with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await script(writer)
            writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        await end.wait()
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{port[0]}"
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


class Counting:
    """A sink that keeps nothing."""

    def feed(self, data: bytes, /) -> None:
        """Take a piece."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.parametrize("kind", ["list", "trace", "discovery"])
def test_neither_held_nor_exhausted(
    settings: Settings, job: Job, script: Script, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it sends, for however long, the answer ends in time, in memory, in an error."""
    for limit in ("wire.ANSWER_SECONDS", "wire.LONG_SECONDS", "guard.ANSWER_SECONDS"):
        monkeypatch.setattr(f"logminer.gitlab.{limit}", 0.15)
    monkeypatch.setattr("logminer.gitlab.patience._LOOK", 0.05)

    async def ask(at: Settings) -> None:
        async with Client(at, policy=ONCE) as client:
            if kind == "list":
                await client.jobs_page(PROJECT)
            else:
                await client.read_trace(job, Counting)

    with acting(script) as url:
        at = dataclasses.replace(settings, url=url)
        tracemalloc.start()
        began = time.monotonic()
        with pytest.raises(LogminerError) as caught:
            asyncio.run(ask(at)) if kind != "discovery" else discover(at, projects=[1], policy=ONCE)
        took = time.monotonic() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert took < 5
    assert peak < 64 * 2**20
    assert settings.token not in shown(caught.value)


def shown(error: BaseException) -> str:
    """Return everything that an error and what it hangs on can be made to show."""
    links = [error]
    for each in links:
        links += [more for more in (each.__cause__, each.__context__) if more and more not in links]
    return "".join(f"{each!s} {each!r} {each.args!r} {vars(each)!r}" for each in links)


@pytest.mark.parametrize(
    "target",
    [
        "http://10.255.255.1/secret",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:9/",
        "http://127.0.0.1:1/other-port",
        "https://127.0.0.1/other-scheme",
        "//localhost/other-name",
        "file:///etc/passwd",
        "http://127.0.0.1\\@evil.example/",
        "http://token@127.0.0.1/",
    ],
)
@pytest.mark.parametrize("kind", ["trace", "discovery"])
def test_redirects_stay_home(  # noqa: PLR0913, PLR0917 -- fixtures
    settings: Settings,
    read: Callable[..., Any],
    answers: Answers,
    asked: Asked,
    target: str,
    kind: str,
) -> None:
    """A redirect off the origin is followed by nobody, private addresses included."""
    answers[f"{API}/version"] = [VERSION]
    for path in ("/projects/5/jobs/12/trace", "/projects/5"):
        answers[API + path] = [(302, {"location": target}, b"")]

    with pytest.raises((UnexpectedAnswerError, NotGitLabError)):
        read() if kind == "trace" else discover(settings, projects=[5])
    assert len(asked) <= 2


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 1_000_000, id="a million brackets"),
        pytest.param(b"[" * 150_000 + b"]" * 150_000, id="deep"),
        pytest.param(b"[" + b"{}," * 1_000_000 + b"{}]", id="a million objects"),
        pytest.param(b"[" + b"9" * 1_000_000 + b"]", id="a number of a million digits"),
    ],
)
def test_json_that_is_a_weapon(
    settings: Settings, run: Callable[..., Any], answers: Answers, body: bytes
) -> None:
    """Depth, width and length of JSON are bounded, for both clients."""
    answers[f"{API}/version"] = [VERSION]
    for path in ("/projects/5/jobs", "/groups/5/projects"):
        answers[API + path] = [(200, JSON, body)]

    with pytest.raises(LogminerError):
        run(lambda client: client.jobs_page(PROJECT))
    with pytest.raises(LogminerError):
        discover(settings, groups=[5], policy=ONCE)


def test_discovery_without_end(
    settings: Settings, answers: Answers, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of projects that always lead on come to an end, whether they repeat or not."""
    monkeypatch.setattr("logminer.gitlab.discovery.MAX_STALE", 3)
    path = f"{API}/groups/5/projects"
    row = b'[{"id":1,"path_with_namespace":"g/p"}]'
    answers[f"{API}/version"] = [VERSION]
    answers[path] = [(200, JSON | {"link": f'<{settings.url}{path}?page=2>; rel="next"'}, row)]

    with pytest.raises(NotGitLabError, match="do not come to an end"):
        discover(settings, groups=[5])
    assert len(asked) == 1 + 5


def test_more_projects_than_there_are(
    settings: Settings,
    by_hand: Callable[..., None],
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids that rise for ever are bounded by their number."""
    monkeypatch.setattr("logminer.gitlab.discovery.MAX_PROJECTS", 3)
    answers[f"{API}/version"] = [VERSION]

    async def more(request: web.BaseRequest) -> web.StreamResponse | None:
        if "projects" not in request.path:
            return None
        page = int(request.rel_url.query.get("page", "1"))
        link = f'<{settings.url}{request.path}?page={page + 1}>; rel="next"'
        row = {"id": page, "path_with_namespace": "g/p"}
        return web.json_response([row], headers={"Link": link})

    by_hand(more)

    with pytest.raises(NotGitLabError, match="do not come to an end"):
        discover(settings, groups=[5])


def test_the_token_is_in_no_error_and_no_log(
    settings: Settings, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that are no HTTP make aiohttp show the request: not even its error is kept."""

    async def noise(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 abc OK\r\n\r\n")
        await writer.drain()

    async def ask(at: Settings) -> None:
        async with Client(at, policy=ONCE) as client:
            await client.read_trace(job, Counting)

    caplog.set_level(logging.DEBUG)
    with acting(noise) as url, pytest.raises(ConnectionFailedError) as caught:
        asyncio.run(ask(dataclasses.replace(settings, url=url)))

    assert caught.value.__cause__ is None
    assert settings.token not in shown(caught.value) + caplog.text
