"""A server on loopback that answers what a test tells it to, and remembers what it was asked.

`answers` maps a path (with or without query) to the answers it gives, in turn, the last one again
and again; an answer is (status, headers, body). The header `x-cut: N` is not sent: it breaks the
connection after N bytes of the body. Whatever is not in the map is 404, as GitLab says it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from logminer.gitlab.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = tuple[int, dict[str, str], bytes]
Asked = tuple[str, dict[str, str]]

MISSING: Answer = (404, {"content-type": "application/json"}, b'{"message":"404 Not Found"}')
TOKEN = "glpat-test-secret-0123456789"  # noqa: S105 -- opens nothing


@dataclass
class _Server:
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path_qs
        self.asked.append((path, {key.lower(): value for key, value in request.headers.items()}))
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
