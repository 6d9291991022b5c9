"""`logminer demo`: the whole product in one command, without an account."""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from logminer.cli.talk import say
from logminer.cli.watch import watch
from logminer.errors import NotAStoreError, ServerError
from logminer.gitlab import Settings, discover
from logminer.harvest import harvest
from logminer.period import Period
from logminer.report import Format, report
from logminer.store import Store, open_store
from logminer.store.durable import writable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROJECTS: Final = 300
_JOBS: Final = 3_000
_TABLES: Final = ("images", "jobs", "declared", "state")
_MARK: Final = "state/demo"
"""Says that a demo made the store, so that another one may throw it away."""

_PERIOD: Final = "last-quarter"


def run(path: Path, *, keep: bool, seed: int, today: dt.date | None = None) -> int:
    """Simulate a company, harvest it, report on its last quarter; with `keep`, wait for Ctrl-C.

    Returns the exit code.
    """
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
        progress.summary(tally, store=str(path), seconds=time.monotonic() - began)
        if tally.interrupted:
            return tally.exit_code
        say()
        report(store, quarter, format=Format.TABLE, out=sys.stdout)
        sys.stdout.flush()
        _what_next(path)
        if keep:
            _stay(url, token)
        return tally.exit_code


@contextmanager
def _simulator(*, seed: int, today: dt.date, days: int) -> Iterator[tuple[str, str]]:
    """Run the simulator in a process of its own until the block ends; yields its URL and token.

    Not in a thread: server and harvest would wait for each other at every request.
    It ends when its standard input does, so that it outlives us by nothing but a moment, however
    we end; in a session of its own Ctrl-C reaches us alone.
    """
    command = [sys.executable, "-m", "logminer.simulator", "--port", "0", "--until-eof"]
    size = ["--seed", str(seed), "--today", str(today), "--days", str(days)]
    size += ["--projects", str(_PROJECTS), "--jobs", str(_JOBS)]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module, numbers
        [*command, *size],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
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
    mark = path / _MARK
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        sources = open_store(path).sources()
        if sources and not (mark.exists() and all(map(_is_simulated, sources))):
            raise NotAStoreError(
                f"{path} holds a real harvest ({', '.join(sources)}): give the demo another --store"
            )
        for name in _TABLES:
            shutil.rmtree(path / name, ignore_errors=True)
    store = Store.create(path)
    with writable(mark):
        mark.touch()
    return store


def _is_simulated(source: str) -> bool:
    """Whether a source may be a simulator's; behind a forwarded port it may also be a real one."""
    return source.startswith("127.0.0.1_")


def _what_next(path: Path) -> None:
    """Say what a curious person may type now."""
    store = shlex.quote(str(path))
    see, read = (
        f"import logminer; print(logminer.open({str(path)!r}).images())",
        f"import pandas; print(pandas.read_parquet({str(path / 'images')!r}))",
    )
    say()
    say("Next:")
    say(f"  logminer report --store {store} --period this-month")
    say(f"  logminer report --store {store} --format csv -o pulls.csv")
    say(f"  python -c {_quoted(see)}")
    say(f"  python -c {_quoted(read)}")
    say("  logminer schema                     every column and what it means")
    say("  logminer harvest --help             the same with your own GitLab")


def _quoted(code: str) -> str:
    """Return code as one word of a shell; in double quotes where they do, for they read better."""
    return shlex.quote(code) if set(code) & set('"$`\\!') else f'"{code}"'


def _stay(url: str, token: str) -> None:
    """Leave the simulator up, for other tools, until somebody presses Ctrl-C."""
    try:
        say()
        say("The simulated GitLab stays up until Ctrl-C. Point a tool at it:")
        say(f"  export GITLAB_URL={url} GITLAB_TOKEN={token}")
        say("  logminer harvest --all --store my-store")
        threading.Event().wait()
    except KeyboardInterrupt:
        say()
