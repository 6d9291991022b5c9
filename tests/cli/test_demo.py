"""`logminer demo`: the whole product without an account, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from typer.testing import Result

import logminer
from logminer.cli import demo

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
Digests = Callable[[Path], dict[str, str]]
Ended = subprocess.CompletedProcess[str]
Keeping = Callable[[], AbstractContextManager[tuple[subprocess.Popen[str], str]]]

SMALL = """
from logminer.cli import demo, main
demo._PROJECTS, demo._JOBS = 8, 40
main()
"""
"""The command line with a demo that is over in a moment."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that is over in a moment."""
    monkeypatch.setattr(demo, "_PROJECTS", 8)
    monkeypatch.setattr(demo, "_JOBS", 40)


@pytest.fixture
def keeping(tmp_path: Path, environment: dict[str, str]) -> Keeping:
    """Run a small demo that stays; gives the process and the URL once it says that it does."""

    @contextmanager
    def stay() -> Iterator[tuple[subprocess.Popen[str], str]]:
        with subprocess.Popen(  # noqa: S603 -- our own interpreter, code from above
            [sys.executable, "-c", SMALL, "demo", "--keep"],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("  export GITLAB_URL="):
                    yield process, line.split("=")[1].split()[0]
                    break

    return stay


def _answers(url: str) -> bool:
    """Whether a server is there; a refusal of the token is an answer."""
    try:
        urllib.request.urlopen(f"{url}/api/v4/version", timeout=5)  # noqa: S310 -- a simulator
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True


def _gone(url: str) -> bool:
    """Wait until no server is there any more; False after ten seconds."""
    tick = threading.Event()
    return any(not _answers(url) or tick.wait(0.05) for _ in range(200))


@pytest.fixture
def demonstrated(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Ended]:
    """Run the command line, with a small demo, to its end."""

    def run(*arguments: str) -> Ended:
        return subprocess.run(  # noqa: S603 -- our own interpreter, code from above
            [sys.executable, "-c", SMALL, *arguments],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            text=True,
            timeout=100,
        )

    return run


def test_the_demo(demonstrated: Callable[..., Ended], tmp_path: Path) -> None:
    """One command: a report on stdout, a store, and what to type next, which works.

    Of its full size, with the figures that it shows: tests/test_readme.py.
    """
    end = demonstrated("demo", "--store", "a demo's store")

    store = tmp_path / "a demo's store"
    lines = end.stderr.splitlines()
    following = [shlex.split(line) for line in lines[lines.index("Next:") + 1 :]]
    assert end.returncode == 0
    assert end.stdout.startswith("Container images pulled by CI jobs\nlast-quarter: ")
    assert len(logminer.open(store).images()) > 10
    assert lines[0].startswith("A simulated GitLab with 8 projects and 40 jobs is at http://")
    assert [words[:3] for words in following] == [
        ["logminer", "report", "--store"],
        ["logminer", "report", "--store"],
        ["python", "-c", following[2][2]],
        ["python", "-c", following[3][2]],
        ["logminer", "schema", "every"],
        ["logminer", "harvest", "--help"],
    ]
    assert demonstrated(*following[1][1:]).returncode == 0
    assert (tmp_path / "pulls.csv").stat().st_size > 1_000
    shown = subprocess.run(  # noqa: S603 -- what the demo says to type
        [sys.executable, "-c", following[3][2]],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    assert "127.0.0.1:" in shown.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_again_begins_anew(invoke: Invoke, tmp_path: Path, digests: Digests) -> None:
    """The store of an earlier demo is filled anew, with this one's server only."""
    first = invoke("demo")
    before = digests(tmp_path / "logminer-demo" / "images")
    again = invoke("demo", "--seed", "2")

    after = digests(tmp_path / "logminer-demo" / "images")
    assert first.exit_code == again.exit_code == 0
    assert before
    assert after
    assert not set(before.values()) & set(after.values())
    assert len(logminer.open(tmp_path / "logminer-demo").sources()) == 1


@pytest.mark.usefixtures("small")
def test_what_is_not_a_demos_is_refused(
    invoke: Invoke,
    complaint: Complaint,
    harvested: Path,
    tmp_path: Path,
    digests: Digests,
) -> None:
    """A file, somebody's directory, and a harvest, also one through a forwarded port."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("miaow")
    before = digests(tmp_path), digests(harvested)
    ends = [invoke("demo", "-s", name) for name in ("file", "photos", harvested)]

    assert [end.exit_code for end in ends] == [2, 2, 2]
    assert complaint(ends[0]).startswith("file is no logminer store")
    assert complaint(ends[1]).startswith("photos is no logminer store")
    assert "holds a real harvest (127.0.0.1_" in complaint(ends[2])
    assert (digests(tmp_path), digests(harvested)) == before


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 0),
        pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_kept_until_stopped(
    keeping: Keeping,
    number: signal.Signals,
    code: int,
) -> None:
    """The server stays for other tools, and never longer than the demo, however that ends."""
    with keeping() as (process, url):
        there = _answers(url)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=10)

    assert there
    assert process.returncode == code
    assert "Traceback" not in said
    assert _gone(url)
