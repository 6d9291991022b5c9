"""`logminer demo`: the whole product in one command, without an account."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from logminer.cli.talk import say
from logminer.cli.watch import summarise, watch
from logminer.errors import NotAStoreError, ServerError
from logminer.gitlab import Settings, discover
from logminer.harvest import harvest
from logminer.period import Period
from logminer.report import Format, report
from logminer.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROJECTS: Final = 300
_JOBS: Final = 3_000
_TABLES: Final = ("images", "jobs", "state")
_PERIOD: Final = "last-quarter"


def run(path: Path, *, keep: bool, seed: int, today: dt.date | None = None) -> None:
    """Simulate a company, harvest it, report on its last quarter; with `keep`, wait for Ctrl-C."""
    began = time.monotonic()
    today = today or dt.datetime.now(dt.UTC).date()
    quarter = Period.parse(_PERIOD, today=today)
    days = (today - quarter.previous().since.date()).days
    store = _emptied(path)
    with _simulator(seed=seed, today=today, days=days) as (url, token):
        say(f"A simulated GitLab with {_PROJECTS} projects and {_JOBS:,} jobs is at {url}.")
        settings = Settings(url=url, token=token)
        projects = discover(settings, everything=True)
        with watch() as progress:
            tally = harvest(store, settings, projects, progress=progress)
        summarise(tally, store=str(path), seconds=time.monotonic() - began)
        say()
        report(store, quarter, format=Format.TABLE, out=sys.stdout)
        sys.stdout.flush()
        _what_next(path)
        if keep:
            _stay(url, token)


@contextmanager
def _simulator(*, seed: int, today: dt.date, days: int) -> Iterator[tuple[str, str]]:
    """Run the simulator in a process of its own until the block ends; yields its URL and token.

    Not in a thread: server and harvest would wait for each other at every request.
    """
    command = [sys.executable, "-m", "logminer.simulator", "--port", "0", "--seed", str(seed)]
    size = ["--today", str(today), "--days", str(days)]
    size += ["--projects", str(_PROJECTS), "--jobs", str(_JOBS)]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module, numbers
        [*command, *size], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            assert child.stdout is not None  # noqa: S101 -- a pipe was asked for
            url, token = child.stdout.readline().strip(), child.stdout.readline().strip()
            if not token:
                raise ServerError("the simulated GitLab did not start: see the message above")
            yield url, token
        finally:
            child.terminate()


def _emptied(path: Path) -> Store:
    """Return an empty store; only what an earlier demo left is removed for it."""
    if path.exists() and any(path.iterdir()):
        sources = open_store(path).sources()
        if not all(source.startswith("127.0.0.1_") for source in sources):
            raise NotAStoreError(
                f"{path} holds a real harvest ({', '.join(sources)}): give the demo another --store"
            )
        for name in _TABLES:
            shutil.rmtree(path / name, ignore_errors=True)
    return Store.create(path)


def _what_next(path: Path) -> None:
    """Say what a curious person may type now."""
    say()
    say("Next:")
    say(f"  logminer report --store {path} --period this-month")
    say(f"  logminer report --store {path} --format csv -o pulls.csv")
    say(f"  python -c 'import logminer; print(logminer.open(\"{path}\").images())'")
    say(f"  python -c 'import pandas; print(pandas.read_parquet(\"{path}/images\"))'")
    say("  logminer schema                     every column and what it means")
    say("  logminer harvest --help             the same with your own GitLab")


def _stay(url: str, token: str) -> None:
    """Leave the simulator up, for other tools, until somebody presses Ctrl-C."""
    say()
    say("The simulated GitLab stays up until Ctrl-C. Point a tool at it:")
    say(f"  export GITLAB_URL={url} GITLAB_TOKEN={token}")
    say("  logminer harvest --all --store my-store")
    forever = threading.Event()
    try:
        forever.wait()
    except KeyboardInterrupt:
        say()
