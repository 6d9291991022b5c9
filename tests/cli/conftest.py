"""The command line as a process of its own, a small company on loopback, servers that are none."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import logminer
from logminer.cli.app import app
from logminer.simulator import Company, Server, serve

TRACES = Path(__file__).parents[1] / "traces"
Invoke = Callable[..., Result]


@pytest.fixture(scope="session")
def traces() -> Path:
    """The folder of golden traces."""
    return TRACES


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nobody has set anything, with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": os.defpath,
        "PYTHONPATH": str(Path(logminer.__file__).parents[1]),
        "COLUMNS": "80",
    }


@pytest.fixture
def command() -> list[str]:
    """What starts the command line as a process of its own."""
    return [sys.executable, "-m", "logminer"]


@pytest.fixture
def run(
    tmp_path: Path, environment: dict[str, str], command: list[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line to its end; keywords are more of the environment."""

    def run_it(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 -- our own interpreter, our own module
            [*command, *map(str, arguments)],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=environment | more,
            text=True,
            timeout=100,
        )

    return run_it


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command within this process, in an empty directory, with nothing set.

    Whatever is no `LogminerError` comes out as it is: a traceback fails the test.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in os.environ:
        if name.startswith(("GITLAB_", "GL_", "LOGMINER_", "PYTHON_GITLAB")):
            monkeypatch.delenv(name)

    def invoke_it(*arguments: object, input: bytes | None = None, **more: str) -> Result:  # noqa: A002 -- the runner's word
        return CliRunner(env=more).invoke(
            app, [str(each) for each in arguments], input=input, catch_exceptions=False
        )

    return invoke_it


@pytest.fixture(scope="session")
def company() -> Company:
    """A company of three quarters, few of whose days have jobs; read only."""
    return Company.generate(seed=3, today=dt.date(2026, 11, 23), days=240, projects=12, jobs=110)


@pytest.fixture(scope="session")
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


@pytest.fixture(scope="session")
def harvested(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with everything in it that the server has; read only."""
    store = tmp_path_factory.mktemp("harvested") / "store"
    end = CliRunner(env={"GITLAB_TOKEN": server.token}).invoke(
        app,
        ["harvest", "--all", "--store", str(store), "--url", server.url],
        catch_exceptions=False,
    )
    assert end.exit_code == 0
    return store


@pytest.fixture(scope="session")
def complaint() -> Callable[..., str]:
    """Return what a command complained of: one line on stderr, nothing on stdout."""

    def of(end: Any) -> str:  # noqa: ANN401 -- a process that has ended, or the runner's result
        assert end.stdout == ""
        assert end.stderr.startswith("logminer: ")
        assert end.stderr.count("\n") == 1
        return str(end.stderr).removeprefix("logminer: ").rstrip()

    return of


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a port that nobody listens to, nor can while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def answering() -> Callable[..., Any]:
    """Serve fixed answers: by path, (status, media type, body); `None` is for every other path."""

    @contextmanager
    def server_of(answers: dict[str | None, tuple[int, str, bytes]]) -> Iterator[str]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                status, kind, body = answers.get(path) or answers[None]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- as above
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    return server_of
