"""`logminer harvest`: flags to a request, checked here before any server is asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from logminer.cli import metrics, values
from logminer.cli.again import reread
from logminer.cli.asking import RunAsked, early_store
from logminer.cli.talk import INTERRUPTED, complain, counted
from logminer.cli.watch import Volume, Watch, watch
from logminer.errors import LogminerError, UsageError
from logminer.gitlab import Pacer
from logminer.harvest import Options, Phase, Tally, estimate, harvest
from logminer.model import Depth
from logminer.period import parse_moment
from logminer.store import Store, new_run_id, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from logminer.gitlab import Budget, Settings
    from logminer.model import Project
    from logminer.store import LedgerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(RunAsked):
    """What the flags of `logminer harvest` ask for."""

    since: str | None
    until: str | None
    depth: str
    max_trace_size: str | None
    metrics_file: Path | None
    keep_preamble: bool
    reparse: bool
    offline: bool

    def options(self) -> Options:
        """Return what a run is asked for; raises UsageError for what cannot be."""
        since, until = moments(self.since, self.until)
        Pacer(rps=self.rps)  # knows what is no ceiling
        return Options(
            since=since,
            until=until,
            concurrency=self.concurrency,
            rps=self.rps,
            depth=Depth(self.depth),
            max_trace_bytes=(
                values.size(self.max_trace_size, flag="--max-trace-size")
                if self.max_trace_size is not None
                else None
            ),
            upstreams=self.upstreams(),
            keep=self.keep_preamble,
        )


def run(location: str, asked: Asked) -> int:
    """Harvest what is asked for, say what was done, and return the exit code."""
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    progress = watch(asked.log_format, run_id=run_id, volume=asked.volume)
    with _measured(location, asked, run_id) as end:
        try:
            if asked.reparse:
                end.code = reread(location, asked, run_id, progress, end)
            elif asked.offline:
                raise UsageError("--offline reads again what was kept of logs: give --reparse, too")
            else:
                end.code = _run(location, asked, run_id, progress, end)
        except LogminerError as error:
            progress.error(error, exit_code=error.exit_code)
            end.code = error.exit_code
        except KeyboardInterrupt:
            progress.error("interrupted", exit_code=INTERRUPTED)
            end.code = INTERRUPTED
    return end.code


@dataclass(slots=True)
class End:
    """How a run ended; until it has, it failed."""

    code: int = 1
    source: str | None = None
    """None where the run did not come to know its server."""


@contextlib.contextmanager
def _measured(location: str, asked: Asked, run_id: str) -> Iterator[End]:
    """Write the metrics that are asked for, however the run inside ends."""
    began = time.monotonic()
    end = End()
    file = None if asked.dry_run else asked.metrics_file
    if file is not None:
        metrics.check(file)
    try:
        yield end
    finally:
        if file is not None:
            try:
                metrics.write(
                    file,
                    location=location,
                    source=end.source,
                    run_id=run_id,
                    exit_code=end.code,
                    seconds=time.monotonic() - began,
                )
            except UsageError as error:
                complain(error)
                end.code = end.code or 3


def _run(location: str, asked: Asked, run_id: str, progress: Watch, end: End) -> int:
    began = time.monotonic()
    options = asked.options()
    budget, pacer = asked.budget(began), Pacer(rps=options.rps)
    asked.scope()
    settings = asked.server.settings()
    end.source = source_of(settings.instance)
    with contextlib.ExitStack() as opened:
        store, ledger = early_store(location, settings, opened, locked=not asked.dry_run)
        with progress:
            progress.begin(Phase.DISCOVER, Tally())
            found = asked.discovered(settings, pacer, budget, progress)
            if asked.dry_run:
                _estimate(store, settings, found, options, budget, progress)
                return 0
            store = store or Store.create(location)
            tally = harvest(
                store,
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
    versions = store.versions()
    if versions.oldest < versions.newest and asked.volume is not Volume.QUIET:
        progress.line(f"files of schema version {versions.oldest} remain: run `logminer migrate`")
    return tally.exit_code


def _estimate(  # noqa: PLR0913, PLR0917 -- the parts of a run that does not happen
    store: Store | None,
    settings: Settings,
    projects: Sequence[Project],
    options: Options,
    budget: Budget,
    progress: Watch,
) -> None:
    """Say what a run would do."""
    with contextlib.ExitStack() as opened:
        view: LedgerView | None = None
        source = source_of(settings.instance)
        if store is not None and store.has_ledger(source):
            view = opened.enter_context(store.read_ledger(source))
        known = view.projects() if view is not None else {}
        guess = estimate(
            settings,
            projects,
            known={project.id: listing for project, listing in known.items()},
            queued=view.count_queued() if view is not None else 0,
            options=options,
            budget=budget,
        )
    least = "at least " if guess.is_lower_bound else "about "
    progress.line(
        f"a harvest would read {least}{counted(guess.jobs, 'job')} of"
        f" {counted(guess.projects, 'project')} with {least}{counted(guess.requests, 'request')},"
        f" in {least}{_minutes(guess.seconds)}"
    )
    progress.line(
        f"An estimate, from the newest jobs of {counted(guess.asked, 'project')}"
        + (
            "; older ones cannot be counted in advance. With --since it says more."
            if guess.is_lower_bound
            else "."
        )
    )


def _minutes(seconds: float) -> str:
    return "a minute" if seconds <= 60 else counted(round(seconds / 60), "minute")  # noqa: PLR2004


def moments(since: str | None, until: str | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return the two ends of a period; raises UsageError where nothing lies between them."""
    now = dt.datetime.now(dt.UTC)
    begin = parse_moment(since, now=now) if since is not None else None
    end = parse_moment(until, now=now) if until is not None else None
    if begin and end and begin >= end:
        raise UsageError(
            f"nothing lies from {since} until {until}: --since must be earlier than --until"
        )
    return begin, end
