"""Reading again, by today's rules, what older ones have read.

The dataset says which jobs those are, by their `extractor_version`; so nothing is queued, and a
reparse that was ended anywhere is simply run again. It never takes a fact away: a log that the
server no longer has, or has less of, leaves its rows as they are.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import time
from typing import TYPE_CHECKING, Final

from logminer.gitlab import Budget, Pacer
from logminer.harvest.progress import Tally
from logminer.harvest.reading import read_kept
from logminer.harvest.run import HarvestRun, Options
from logminer.running import OUT_OF_TIME, Phase, Silence
from logminer.store import Wanted, count_old, new_run_id, old_jobs, publish, remembered
from logminer.trace import VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from logminer.gitlab import Settings
    from logminer.model import Harvested
    from logminer.running import Progress
    from logminer.store import Ledger, OldJob, Store

_BATCH: Final = 200
"""Jobs in a transaction, or looked up at a time."""


def reparse(  # noqa: PLR0913 -- what a run works on and with, each named by the caller
    store: Store,
    ledger: Ledger,
    settings: Settings | None,
    *,
    project_ids: Collection[int] | None,
    options: Options | None = None,
    progress: Progress[Tally] | None = None,
    budget: Budget | None = None,
    run_id: str | None = None,
) -> Tally:
    """Read again what older rules have read, and return what was done; list nothing new.

    First from what was kept of the logs, then from the server, where `settings` name one. A log
    that is gone, erased or shorter by now changes nothing: its rows stay as they are.
    It ends early as `harvest` does; run again, it goes on with what is still old.
    Raises AuthorisationError, ServerError and StoreError.
    """
    began = dt.datetime.now(dt.UTC)
    options, progress, budget = options or Options(), progress or Silence(), budget or Budget()
    wanted = wanted_of(options, project_ids)
    tally = Tally(run_id=run_id or new_run_id(began), reparse=True)
    with remembered(ledger, tally, began):
        # What a killed run has recorded is not to be read once more.
        _publish(store, ledger, tally, progress)
        tally.jobs_queued = count_old(store, ledger.source, wanted)
        try:
            _reread_kept(store, ledger, wanted, options, progress, budget, tally)
        finally:
            _publish(store, ledger, tally, progress)
        if settings is not None and tally.spent is None:
            pacer = Pacer(rps=options.rps)
            run = HarvestRun(ledger, settings, options, progress, pacer, budget, tally)
            try:
                asyncio.run(run.work_again(_not_lost(store, ledger, wanted)))
            finally:
                run.publish(store)
    return tally


def wanted_of(options: Options, project_ids: Collection[int] | None) -> Wanted:
    """Return which jobs a reparse is about: None is every project."""
    return Wanted(
        older_than=VERSION, project_ids=project_ids, since=options.since, until=options.until
    )


def _publish(store: Store, ledger: Ledger, tally: Tally, progress: Progress[Tally]) -> None:
    """Publish what is recorded."""

    def proceed(done: int, of: int) -> bool:
        progress.published(done, of)
        return True

    tally.days += publish(store, ledger, proceed=proceed).days


def _reread_kept(  # noqa: PLR0913, PLR0917 -- the parts of a run
    store: Store,
    ledger: Ledger,
    wanted: Wanted,
    options: Options,
    progress: Progress[Tally],
    budget: Budget,
    tally: Tally,
) -> None:
    """Read again what was kept, without a request."""
    progress.begin(Phase.HARVEST, tally)
    batch: list[Harvested] = []

    def record() -> None:
        ledger.commit(batch)
        for each in batch:
            tally.count(each, limit=options.max_trace_bytes, keep=options.keep)
        tally.from_kept += len(batch)
        batch.clear()
        progress.moved(tally)

    for old in old_jobs(store, ledger.source, wanted):
        if budget.seconds_left(time.monotonic()) == 0:
            tally.spent = OUT_OF_TIME
            break
        harvested = read_kept(old, options.upstreams, now=dt.datetime.now(dt.UTC))
        if harvested is not None:
            batch.append(harvested)
        if len(batch) == _BATCH:
            record()
    record()


def _not_lost(store: Store, ledger: Ledger, wanted: Wanted) -> Iterator[OldJob]:
    """Yield the jobs that are wanted and whose logs are not known to be gone."""
    old = old_jobs(store, ledger.source, wanted)
    while some := list(itertools.islice(old, _BATCH)):
        lost = ledger.lost(each.job.id for each in some)
        yield from (each for each in some if each.job.id not in lost)
