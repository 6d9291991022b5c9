"""One writer for each source, proven with real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from logminer.errors import BusyError, StoreError
from logminer.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDER = """
import sys
from pathlib import Path
from logminer.store.ledger import Ledger
with Ledger.open(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger lies."""
    return tmp_path / "gitlab.example.com.sqlite"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return another process, which has the ledger open until its input ends."""
    with subprocess.Popen(  # noqa: S603 -- a constant, run by this interpreter
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_second_process(path: Path, holder: subprocess.Popen[str]) -> None:
    """A second writer is turned away at once and told who holds the lock."""
    with pytest.raises(BusyError) as error:
        Ledger.open(path)

    assert re.fullmatch(
        rf"gitlab\.example\.com is being harvested by process {holder.pid} on \S+ since "
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: wait for it to end, or stop it, and try again",
        str(error.value),
    )


def test_other_source(path: Path, holder: subprocess.Popen[str]) -> None:
    """Two sources share a store and no lock."""
    assert holder.poll() is None
    with Ledger.open(path.with_name("gitlab.example.org.sqlite")) as ledger:
        assert ledger.source == "gitlab.example.org"


def test_reader_needs_no_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    """Status can be asked while a harvest runs."""
    assert holder.poll() is None
    with Ledger.read(path) as view:
        assert view.counts() == []


def test_killed_holder(path: Path, holder: subprocess.Popen[str]) -> None:
    """A killed writer leaves no lock, whatever its lock file says."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Ledger.open(path):
        content = path.with_suffix(".lock").read_text()

    assert content.startswith(f"process {os.getpid()} on ")


def test_same_process(path: Path) -> None:
    """Two writers in one process are two writers; a closed one lets the next in."""
    with Ledger.open(path) as ledger:
        with pytest.raises(BusyError, match=f"process {os.getpid()} on"):
            Ledger.open(path)
        ledger.close()
        ledger.close()
        Ledger.open(path).close()


def test_orphaned_worker(path: Path) -> None:
    """A forked worker that outlives its parent does not keep the lock."""
    code = """
import os, signal, sys
from pathlib import Path
from logminer.store.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
if os.fork() == 0:
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen(  # noqa: S603 -- a constant, run by this interpreter
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.wait()
        os.kill(worker, 0)  # still there
        Ledger.open(path).close()


def test_no_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks is named as the reason, and nothing stays open."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(StoreError, match=r"^cannot lock .*: No locks available; the store"):
            Ledger.open(path)

    assert before == len(list(Path("/proc/self/fd").iterdir()))
