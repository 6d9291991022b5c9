"""`--metrics-file`: what a run measured, for the node exporter's textfile collector.

Written aside and renamed, also when the run failed: a collector never reads half a file, and the
last success is kept from before.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from logminer.cli.output import opened
from logminer.errors import LogminerError, UsageError
from logminer.harvest.metrics import Backlog, Measured, last_success, openmetrics
from logminer.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "unknown"
"""The source of a run that failed before it knew its server, and was the first one."""


def check(path: Path) -> None:
    """Raise UsageError where no metrics can be written, before anything is harvested."""
    if path.suffix != ".prom":
        raise UsageError(f"--metrics-file {path}: node exporter reads only files named *.prom")
    if not path.parent.is_dir():
        raise UsageError(f"--metrics-file {path}: {path.parent} is no directory")


def write(  # noqa: PLR0913 -- what is known of a run that has ended, each named by the caller
    path: Path, *, location: str, source: str | None, run_id: str, exit_code: int, seconds: float
) -> None:
    """Write what a run that has just ended measured; raises UsageError where that cannot be."""
    before = _before(path)
    if source is None:
        source = next(iter(before)) if len(before) == 1 else UNKNOWN
    kept = before.get(source)
    measured = Measured(
        source=source,
        exit_code=exit_code,
        ended=dt.datetime.now(dt.UTC),
        seconds=seconds,
        last_success=dt.datetime.fromtimestamp(kept, dt.UTC) if kept is not None else None,
    )
    text = openmetrics(_with_ledger(measured, location, run_id))
    with opened(path) as file:
        file.write(text)


def _with_ledger(measured: Measured, location: str, run_id: str) -> Measured:
    """Add what the ledger knows; a ledger that cannot be read adds nothing."""
    try:
        with open_store(location).read_ledger(measured.source) as ledger:
            last = ledger.last_success()
            runs = ledger.runs(1)
            return Measured(
                source=measured.source,
                exit_code=measured.exit_code,
                ended=measured.ended,
                seconds=measured.seconds,
                last_success=last.ended if last else measured.last_success,
                tally=runs[0].tally if runs and runs[0].id == run_id else {},
                backlog=Backlog.of(ledger),
            )
    except LogminerError:
        return measured


def _before(path: Path) -> dict[str, float]:
    """Return the last successes that the file tells of, by source."""
    try:
        return last_success(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}
