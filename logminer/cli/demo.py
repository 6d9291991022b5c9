"""`logminer demo`: the whole product in one command, without an account."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from logminer.cli.talk import say
from logminer.cli.watch import summarise, watch
from logminer.errors import NotAStoreError
from logminer.gitlab import Settings, discover
from logminer.harvest import harvest
from logminer.period import Period
from logminer.report import Format, report
from logminer.simulator import Company, serve
from logminer.store import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from logminer.simulator import Server

_PROJECTS: Final = 240
_JOBS: Final = 4_000
_TABLES: Final = ("images", "jobs", "state")
_PERIOD: Final = "last-quarter"


def run(path: Path, *, keep: bool, seed: int) -> None:
    """Simulate a company, harvest it, report on its last quarter; with `keep`, stay until Ctrl-C."""
    began = time.monotonic()
    today = dt.datetime.now(dt.UTC).date()
    quarter = Period.parse(_PERIOD, today=today)
    days = (today - quarter.previous().since.date()).days
    store = _emptied(path)
    company = Company.generate(seed=seed, today=today, days=days, projects=_PROJECTS, jobs=_JOBS)
    with serve(company) as server:
        say(
            f"A simulated GitLab with {_PROJECTS} projects and {_JOBS:,} jobs runs at {server.url}."
        )
        settings = Settings(url=server.url, token=server.token)
        projects = discover(settings, everything=True)
        with watch() as progress:
            tally = harvest(store, settings, projects, progress=progress)
        summarise(tally, store=str(path), seconds=time.monotonic() - began)
        say()
        report(store, quarter, format=Format.TABLE, out=sys.stdout)
        sys.stdout.flush()
        _what_next(path)
        if keep:
            _stay(server)


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


def _stay(server: Server) -> None:
    """Leave the simulator up, for other tools, until somebody presses Ctrl-C."""
    say()
    say("The simulated GitLab stays up until Ctrl-C. Point a tool at it:")
    say(f"  export GITLAB_URL={server.url} GITLAB_TOKEN={server.token}")
    say("  logminer harvest --all --store my-store")
    forever = threading.Event()
    try:
        forever.wait()
    except KeyboardInterrupt:
        say()
