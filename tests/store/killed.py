"""Run as a program: a piece of work, killed at every single step, and each time once more.

    python killed.py harvest DIRECTORY
    python killed.py migrate DIRECTORY

To be harvested: `DIRECTORY/outcomes.jsonl`, one encoded Harvested for each line. To be migrated:
copies of the store `DIRECTORY/given`.
For n = 1, 2, … a child does the work in the store `DIRECTORY/n` and kills itself at step n; a
second child finishes it. Steps lie before and after every rename and flush, and before
the beginning and the end of every transaction. Ends with the first n that was never reached, and
prints those that were.

One process imports the libraries and forks the children: starting Python anew for each step would
take minutes. It does nothing else, so that it has no threads when it forks.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from logminer.model import Project
from logminer.store.codec import decode_harvested
from logminer.store.dataset import Store, open_store
from logminer.store.ledger import Ledger, Listing
from logminer.store.migration import migrate, outdated
from logminer.store.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Callable


def migrated(directory: Path) -> None:
    """Migrate a copy of the store that is given, made by the first to come."""
    if not directory.exists():
        shutil.copytree(directory.parent / "given", directory)
    store = open_store(directory)
    migrate(store, outdated(store))


def harvest(directory: Path) -> None:
    """Do what a run does: list, take, record in batches of two, publish."""
    outcomes = directory.parent / "outcomes.jsonl"
    given = [decode_harvested(line) for line in outcomes.read_text().splitlines()]
    by_id = {each.job.id: each for each in given}
    project = Project(id=given[0].job.project_id, path=given[0].job.project_path)
    store = Store.create(directory)
    with Ledger.open(store.ledger_path("gitlab.example.com")) as ledger:
        listing = ledger.listing(project)
        if listing.watermark is None:
            jobs, last = [each.job for each in given], Listing(watermark=max(by_id))
            if listing.cursor is None:
                ledger.store_page(project, jobs[1:], Listing(ceiling=max(by_id), cursor="2"))
            ledger.store_page(project, jobs[:1], last)
        while jobs := ledger.take(2):
            ledger.commit([by_id[job.id] for job in jobs])
        publish(store, ledger)


def kill_at(step: int) -> None:
    """Make this process kill itself at the given step."""
    count = itertools.count(1)

    def tick() -> None:
        if next(count) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(statement: str) -> None:
        if statement.startswith(("BEGIN", "COMMIT")):
            tick()

    def between(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:  # noqa: ANN401 -- whatever the wrapped call takes
            tick()
            result = call(*arguments)
            tick()
            return result

        return wrapped

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 -- the same
        connection = sqlite3.Connection(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    # The original is overloaded; its double need not be.
    sqlite3.connect = connect  # type: ignore[assignment]
    os.replace = between(os.replace)
    os.fsync = between(os.fsync)


def in_a_child(*work: Callable[[], None]) -> int:
    """Return how a forked process that does this work ended, as `waitpid` says it."""
    child = os.fork()
    if child == 0:
        try:
            for part in work:
                part()
        except BaseException:  # noqa: BLE001 -- a child never returns into its parent's loop
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def main(work: Callable[[Path], None], directory: Path) -> None:
    """Kill at every step, finish each time, and print the steps."""
    steps: list[int] = []
    for step in itertools.count(1):
        finish = partial(work, directory / str(step))
        end = in_a_child(partial(kill_at, step), finish)
        if end == 0:
            sys.stdout.write(" ".join(map(str, steps)))
            return
        if not os.WIFSIGNALED(end) or in_a_child(finish) != 0:
            raise SystemExit(f"step {step} failed")
        steps.append(step)


if __name__ == "__main__":
    work = {"harvest": harvest, "migrate": migrated}[sys.argv[1]]
    main(work, Path(sys.argv[2]))
