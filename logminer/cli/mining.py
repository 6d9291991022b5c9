"""`logminer mine`: flags to a request, and the words in which mining speaks of itself."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from logminer.archive import EngineName, Options, Phase, Tally, check, estimate, mine
from logminer.cli import values
from logminer.cli.summary import FEW, STATES
from logminer.cli.talk import counted
from logminer.cli.watch import LogFormat, Volume, Watch, watch
from logminer.errors import LogminerError, UsageError
from logminer.gitlab import instance_of, named_url
from logminer.model import Depth
from logminer.reference import Upstreams
from logminer.store import Store, new_run_id, open_store, shelf_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the flags of `logminer mine` ask for."""

    paths: Sequence[str]
    instance: str | None
    jobs: Path | None
    projects: Sequence[str]
    max_project_id: int
    workers: int | None
    engine: str
    scheduler: str | None
    mirrors: Path | None
    depth: str
    max_trace_size: str | None
    dry_run: bool
    log_format: LogFormat
    volume: Volume

    def options(self) -> Options:
        """Return what a run is asked for; raises UsageError for what cannot be."""
        if (self.engine == EngineName.DASK) != (self.scheduler is not None):
            raise UsageError(
                "--engine dask and --scheduler tcp://HOST:8786 go together: give both or neither"
            )
        return Options(
            jobs=self.jobs,
            projects=tuple(int(each) if each.isdecimal() else each for each in self.projects),
            max_project_id=self.max_project_id,
            workers=self.workers or len(os.sched_getaffinity(0)),
            scheduler=self.scheduler,
            upstreams=Upstreams.load(self.mirrors) if self.mirrors else Upstreams.default(),
            depth=Depth(self.depth),
            max_trace_bytes=(
                values.size(self.max_trace_size, flag="--max-trace-size")
                if self.max_trace_size is not None
                else None
            ),
        )

    def named_instance(self) -> str:
        """Return the host that the logs are of; raises UsageError where nobody names it."""
        given = self.instance or named_url()
        if not given:
            raise UsageError(
                "whose logs are these? Give the host of their GitLab as --instance"
                " gitlab.example.com, or set GITLAB_URL"
            )
        return instance_of(given if "://" in given else f"https://{given}")


def run(location: str, asked: Asked) -> int:
    """Mine what is asked for, say what was done, and return the exit code."""
    run_id = new_run_id(dt.datetime.now(dt.UTC))
    progress = watch(asked.log_format, run_id=run_id, volume=asked.volume, words=MineWords())
    try:
        return _run(location, asked, run_id, progress)
    except LogminerError as error:
        progress.error(error)
        return error.exit_code


def _run(location: str, asked: Asked, run_id: str, progress: Watch) -> int:
    began = time.monotonic()
    instance = asked.named_instance()
    source_of(instance)  # knows what is no instance
    options = asked.options()
    check(asked.paths)  # before a store is made for nothing
    if asked.dry_run:
        return _estimate(location, asked.paths, instance, options, progress)
    with progress:
        tally = mine(
            Store.create(location),
            asked.paths,
            instance=instance,
            options=options,
            progress=progress,
            run_id=run_id,
        )
    progress.summary(tally, store=location, seconds=time.monotonic() - began)
    return tally.exit_code


def _estimate(
    location: str, paths: Sequence[str], instance: str, options: Options, progress: Watch
) -> int:
    """Say what a run would do."""
    source = source_of(instance)
    with contextlib.ExitStack() as opened:
        view = None
        if shelf_of(location).exists() and (store := open_store(location)).has_ledger(source):
            view = opened.enter_context(store.read_ledger(source))
        aside = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="logminer-")))
        guess = estimate(view, paths, options=options, aside=aside / "jobs.sqlite")
    tally = guess.tally
    progress.line(
        f"mining would read {counted(guess.logs, 'log')} with {guess.bytes / 1e6:,.1f} MB"
        f" ({tally.known:,} done before, {counted(tally.without_log, 'job')} without a log,"
        f" {counted(tally.others, 'other file')})"
    )
    for line in _problems(tally):
        progress.line(line)
    return tally.exit_code


class MineWords:
    """How mining speaks of its tally."""

    def begin(self, phase: StrEnum, tally: Tally) -> str | None:  # noqa: ARG002 -- every run's
        """Return that it begins."""
        return "mining" if phase is Phase.MINE else None

    def moved(self, tally: Tally) -> str:
        """Return how far the run has come."""
        return (
            f"read {counted(tally.jobs_done, 'log')} of {tally.found:,} found,"
            f" {tally.known:,} done before, {tally.read / 1e6:,.0f} MB, {tally.images:,} images"
        )

    def figures(self, tally: Tally) -> dict[str, int | None]:
        """Return how far the run has come, by names."""
        return {
            "found": tally.found,
            "known": tally.known,
            "jobs_done": tally.jobs_done,
            "images": tally.images,
            "read": tally.read,
            "failed": tally.failed,
        }

    def bars(self, tally: Tally) -> Iterator[tuple[str, int, int | None, str]]:
        """Yield how many logs are read; how many there are, nobody knows before the end."""
        done = tally.jobs_done + tally.known + tally.twice
        yield "reading logs", done, None, f"{tally.images:,} images, {tally.read / 1e6:,.0f} MB"

    def summary(
        self, tally: Tally, *, store: str, seconds: float, only_problems: bool
    ) -> Iterator[str]:
        """Yield what was done, and what could not be done; or only the latter."""
        if not only_problems:
            yield from _done(tally, store=store, seconds=seconds)
        yield from _problems(tally)
        if tally.days_left:
            yield f"{counted(tally.days_left, 'day')} recorded, and published by the next run"
        if tally.interrupted:
            yield "Interrupted; everything read so far is kept. Mine again to go on."


def _done(tally: Tally, *, store: str, seconds: float) -> Iterator[str]:
    yield (
        f"{counted(tally.jobs_done, 'log')} mined, {counted(tally.images, 'image use')} found,"
        f" {tally.known:,} done before"
    )
    if tally.traces:
        yield "logs: " + ", ".join(f"{n:,} {STATES[s]}" for s, n in tally.traces.most_common())
    yield (
        f"{tally.read / 1e6:,.1f} MB read, {counted(tally.days, 'day')} written to {store},"
        f" {seconds:,.1f} s"
    )
    if tally.undescribed:
        yield (
            f"without name, status and times: {counted(tally.undescribed, 'job')} that --jobs did"
            " not describe (--jobs-sql prints the query that gives such a file)"
        )
    left = {
        "of jobs that have not ended, or may still grow": tally.waiting,
        "found a second time": tally.twice,
        "deleted meanwhile": tally.gone,
        "cut at --max-trace-size": tally.traces_cut,
        "of no known runner": tally.not_understood,
        "of docker or kubernetes without an image": tally.without_image,
    }
    for what, number in left.items():
        if number:
            yield f"{counted(number, 'log')} {what}"
    if tally.without_log or tally.others:
        yield (
            f"let be: {counted(tally.others, 'file')} that are no job logs,"
            f" {counted(tally.without_log, 'job')} with other artifacts only"
        )


def _problems(tally: Tally) -> Iterator[str]:
    if not tally.found and not tally.failed:
        yield (
            "No job log was found: GitLab keeps them as HASH/YYYY_MM_DD/JOB/ARTIFACT/job.log below"
            " its artifacts directory or bucket, and live ones as YYYY_MM/PROJECT/JOB.log"
        )
    for line in tally.failures[:FEW]:
        yield f"failed: {line}"
    if tally.failed:
        more = tally.failed - FEW
        yield (
            f"failed: {more:,} more. " if more > 0 else ""
        ) + "What failed was not recorded: mine again."
