"""`logminer inventory` against a server: flags to a run, and what it would do."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer import __version__
from logminer.cli import values
from logminer.cli.asking import RunAsked, early_store
from logminer.cli.summary import FEW, skipped, traffic
from logminer.cli.talk import INTERRUPTED, counted
from logminer.cli.watch import Watch, watch
from logminer.errors import LogminerError
from logminer.gitlab import Pacer
from logminer.running import Phase
from logminer.snapshot import SnapshotOptions, SnapshotTally, take_inventory
from logminer.store import Snapshots, Store, new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from enum import StrEnum

    from logminer.model import Project
    from logminer.store import Taken

_A_LOOK: Final = 1
"""Requests for a project whose default branch did not move."""
_A_READ: Final = 3
"""Requests for one that did: the branch, the merged configuration, the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(RunAsked):
    """What the flags of `logminer inventory` ask of a server."""

    max_archive: str | None
    again: bool

    def options(self) -> SnapshotOptions:
        """Return what a run is asked for; raises UsageError for what cannot be."""
        Pacer(rps=self.rps)  # knows what is no ceiling
        usual = SnapshotOptions()
        return SnapshotOptions(
            concurrency=self.concurrency,
            rps=self.rps,
            upstreams=self.upstreams(),
            max_archive=(
                values.size(self.max_archive, flag="--max-archive")
                if self.max_archive is not None
                else usual.max_archive
            ),
            again=self.again,
        )


def run(location: str, asked: Asked) -> int:
    """Take the inventory that is asked for, say what was done, and return the exit code."""
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    progress = watch(asked.log_format, run_id=run_id, volume=asked.volume, words=InventoryWords())
    try:
        return _run(location, asked, run_id, progress)
    except LogminerError as error:
        progress.error(error, exit_code=error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        progress.error("interrupted", exit_code=INTERRUPTED)
        return INTERRUPTED


def _run(location: str, asked: Asked, run_id: str, progress: Watch) -> int:
    began = time.monotonic()
    options = asked.options()
    budget, pacer = asked.budget(began), Pacer(rps=options.rps)
    asked.scope()
    settings = asked.server.settings()
    with contextlib.ExitStack() as opened:
        # Also for a dry run: what is known of each project decides what is to be asked.
        store, ledger = early_store(location, settings, opened, locked=True)
        with progress:
            progress.begin(Phase.DISCOVER, SnapshotTally())
            found = asked.discovered(settings, pacer, budget, progress, sizes=True)
            if asked.dry_run:
                taken = Snapshots(ledger).taken() if ledger is not None else {}
                _estimate(found, taken, progress, again=asked.again)
                return 0
            tally = take_inventory(
                store or Store.create(location),
                settings,
                found,
                options=options,
                progress=progress,
                ledger=ledger,
                pacer=pacer,
                budget=budget,
                run_id=run_id,
            )
    progress.summary(tally, store=location, seconds=time.monotonic() - began)
    return tally.exit_code


def _estimate(
    projects: Sequence[Project],
    known: Mapping[int, Taken],
    progress: Watch,
    *,
    again: bool,
) -> None:
    """Say what a run would do."""
    filled = [project for project in projects if not project.repository.empty]
    looks = [
        project
        for project in filled
        if project.id in known and known[project.id].tool_version == __version__ and not again
    ]
    requests = _A_LOOK * len(looks) + _A_READ * (len(filled) - len(looks))
    progress.line(
        f"an inventory would look at {counted(len(projects), 'project')} with at least"
        f" {counted(requests, 'request')}: {_A_LOOK} for each of {len(looks):,} that are known,"
        f" {_A_READ} for each new one"
    )
    progress.line(
        "A known project whose default branch moved costs as much as a new one, one that is too"
        " large for an archive a request for each of its files."
    )


class InventoryWords:
    """How an inventory speaks of its tally."""

    def begin(self, phase: StrEnum, tally: SnapshotTally) -> str | None:
        """Return what there is to do; before that, whoever mistyped a flag gets one line."""
        if phase is not Phase.INVENTORY:
            return None
        return f"taking the inventory of {counted(tally.projects, 'project')}"

    def moved(self, tally: SnapshotTally) -> str:
        """Return how far the run has come."""
        left = tally.requests_left
        limit = f", {left:,} requests left in the limit" if left is not None else ""
        return (
            f"looked at {tally.projects_done:,} of {counted(tally.projects, 'project')},"
            f" {tally.unchanged:,} unchanged, {counted(tally.declarations, 'declaration')}{limit}"
        )

    def figures(self, tally: SnapshotTally) -> dict[str, int | None]:
        """Return how far the run has come, by names."""
        return {
            "projects": tally.projects,
            "projects_done": tally.projects_done,
            "unchanged": tally.unchanged,
            "declarations": tally.declarations,
            "requests": tally.requests,
            "requests_left": tally.requests_left,
        }

    def bars(self, tally: SnapshotTally) -> Iterator[tuple[str, int, int | None, str]]:
        """Yield how many projects are done."""
        found = counted(tally.declarations, "declaration")
        yield "reading files", tally.projects_done, tally.projects, found

    def summary(
        self, tally: SnapshotTally, *, store: str, seconds: float, only_problems: bool
    ) -> Iterator[str]:
        """Yield what was done, and what could not be done; or only the latter."""
        if not only_problems:
            yield from _done(tally)
            yield traffic(tally, store=store, seconds=seconds)
            yield from skipped(tally)
        for line in tally.failures[:FEW]:
            yield f"failed: {line}"
        if tally.failures:
            yield f"What failed ({len(tally.failures):,}) is left to the next inventory."
        if tally.days_left:
            yield f"{counted(tally.days_left, 'day')} recorded, and published by the next inventory"
        if tally.interrupted:
            yield "Interrupted; everything read so far is kept. Take it again to go on."
        elif tally.spent is not None:
            yield tally.spent


def _done(tally: SnapshotTally) -> Iterator[str]:
    yield (
        f"{counted(tally.projects_done, 'project')} looked at, {tally.unchanged:,} of them"
        f" unchanged, {counted(tally.declarations, 'declaration')} found"
    )
    if tally.unresolved or tally.gaps:
        yield (
            f"{counted(tally.unresolved, 'declaration')} not resolved,"
            f" {counted(tally.gaps, 'gap')} where something was not read"
        )
    if tally.merged or tally.not_merged:
        yield (
            f"CI configurations: {tally.merged:,} merged by the server,"
            f" {tally.not_merged:,} read from the file"
        )
