"""The whole run: list every project and read every queued job side by side, commit, publish.

Listing and reading overlap: the jobs list has a limit of its own (600 a minute), and a budget that
listing alone would use up must still read something. Projects that were looked at longest ago come
first, so that runs with a small budget go round.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from logminer.errors import (
    BudgetSpentError,
    FatalError,
    ForbiddenError,
    LogminerError,
    NotFoundError,
    ServerError,
)
from logminer.gitlab import Budget, Client, Pacer
from logminer.harvest.handout import Handout
from logminer.harvest.listing import Lister
from logminer.harvest.progress import Tally
from logminer.harvest.reading import Reader, refreshed
from logminer.harvest.recording import Recorder
from logminer.harvest.rules import may_grow
from logminer.model import Depth, Job, TraceState
from logminer.reference import Upstreams
from logminer.running import Phase, Run, Silence, gather
from logminer.store import Listing, new_run_id, publish, remembered, source_of
from logminer.trace import prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterator, Sequence

    from logminer.gitlab import Settings
    from logminer.model import Harvested, Project
    from logminer.running import Progress
    from logminer.store import Ledger, OldJob, Store

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

LISTERS: Final = 8
"""Projects listed at a time: the list has a limit of its own, and each row costs the server."""

_GONE: Final = frozenset({TraceState.MISSING, TraceState.ERASED})
"""What a log is that will not come back; an empty or a forbidden one may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may ask of a run."""

    since: dt.datetime | None = None
    """Jobs created at or after this moment; None for all there are."""
    until: dt.datetime | None = None
    """Jobs created before this moment; None for all there are."""
    concurrency: int = 32
    """Traces read at a time."""
    rps: float | None = None
    """Most requests a second, below 1 allowed; None for as many as the server allows."""
    upstreams: Upstreams = field(default_factory=Upstreams.default)
    """The mirrors and caches to see through."""
    depth: Depth = Depth.FULL
    max_trace_bytes: int | None = None
    """Of a longer trace only so much is read, and the job is marked `truncated`."""
    keep: bool = False
    """Whether the part of each trace is kept from which it can be read again."""


def harvest(  # noqa: PLR0913 -- what a run works on and with, each named by the caller
    store: Store,
    settings: Settings,
    projects: Sequence[Project],
    *,
    options: Options | None = None,
    progress: Progress[Tally] | None = None,
    ledger: Ledger | None = None,
    pacer: Pacer | None = None,
    budget: Budget | None = None,
    run_id: str | None = None,
) -> Tally:
    """Harvest projects into a store and return what was done.

    SIGINT and SIGTERM end the run early with everything committed and published (`interrupted`);
    so does a budget that is spent (`spent`), which may have served discovery before, as the pacer.
    `ledger` is the source's, where it is already open; it stays so.
    Raises BusyError where another harvest writes this source, AuthorisationError, ServerError and
    StoreError; whatever was committed until then is published.
    """
    began = dt.datetime.now(dt.UTC)
    with contextlib.ExitStack() as opened:
        if ledger is None:
            ledger = opened.enter_context(store.open_ledger(source_of(settings.instance)))
        options = options or Options()
        run = HarvestRun(
            ledger,
            settings,
            options,
            progress or Silence(),
            pacer or Pacer(rps=options.rps),
            budget or Budget(),
        )
        run.tally.run_id = run_id or new_run_id(began)
        with remembered(ledger, run.tally, began):
            try:
                asyncio.run(run.work(projects))
            finally:
                run.publish(store)
        return run.tally


class HarvestRun(Run[Tally, Client]):
    """The state of one harvest."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a run works on and with
        self,
        ledger: Ledger,
        settings: Settings,
        options: Options,
        progress: Progress[Tally],
        pacer: Pacer,
        budget: Budget,
        tally: Tally | None = None,
    ) -> None:
        """Prepare; `tally` goes on counting where something was done before."""
        client = Client(
            settings,
            connections=options.concurrency + LISTERS,
            pacer=pacer,
            budget=budget,
        )
        super().__init__(client, tally or Tally(), progress=progress, budget=budget)
        self._ledger = ledger
        self._options = options
        self._handout = Handout(ledger)
        self._lister = Lister(
            self._client,
            ledger,
            self.tally,
            since=options.since,
            until=options.until,
            queued=self._queued,
        )
        self._reader = Reader(
            self._client,
            instance=settings.instance,
            upstreams=self._options.upstreams,
            depth=options.depth,
            max_bytes=options.max_trace_bytes,
            keep=options.keep,
        )
        self._recorder = Recorder(ledger, recorded=self._count, alarm=self._alarm)
        self._turned = False
        """Whether so many logs could not be read that the queue is read from its other end."""
        self._timed = asyncio.Event()
        self._started = time.monotonic()
        self._now: dt.datetime | None = None
        self._known = 0
        """Projects listed of which jobs were known."""
        self._emptied = 0
        """Those of them of which the server lists none any more."""

    async def work(self, projects: Sequence[Project]) -> None:
        """List and read until all is done, a signal comes or the budget is spent."""
        self.tally.projects = len(projects)
        self.tally.jobs_queued = self._ledger.count_queued()
        await self._work(self._both(projects))

    async def work_again(self, old: Iterator[OldJob]) -> None:
        """Read these jobs' logs again until all is done, a signal comes or the budget is spent."""
        await self._work(gather((self._reread(old), self._recorder.run())))

    async def _work(self, work: Coroutine[None, None, None]) -> None:
        """Work with an open client and signals of our own."""
        self._progress.begin(Phase.HARVEST, self.tally)
        await self._until_done(work)
        self.tally.jobs_open = self._ledger.count_open()

    def publish(self, store: Store) -> None:
        """Publish what is recorded; after a signal, as much as there is time for."""
        self._progress.begin(Phase.PUBLISH, self.tally)
        published = publish(store, self._ledger, proceed=self._proceed)
        self.tally.days, self.tally.days_left = published.days, published.left

    async def _both(self, projects: Sequence[Project]) -> None:
        """List projects, read jobs and write results, side by side."""
        await gather((self._list(projects), self._read(), self._recorder.run()))

    # -- ending early --------------------------------------------------------------------------

    def _end(self) -> None:
        super()._end()
        self._timed.set()
        self._handout.stop()

    # -- listing -------------------------------------------------------------------------------

    async def _list(self, projects: Sequence[Project]) -> None:
        known = await asyncio.to_thread(self._ledger.projects)
        listings = {project.id: listing for project, listing in known.items()}
        waiting = iter(sorted(projects, key=lambda project: _turn(listings.get(project.id))))

        async def worker() -> None:
            for project in waiting:
                if self._stop.is_set():
                    return
                listing = listings.get(project.id) or Listing()
                await self._list_one(project, known=listing.watermark is not None)

        try:
            await gather(worker() for _ in range(LISTERS))
            if self._emptied and self._emptied == self._known:
                self._alarm(
                    f"the server lists no job of any of the {self._known:,} projects that had some"
                    " before, which points to a fault of the server: nothing was changed, and the"
                    " next harvest looks again. If they were deleted, leave those projects out."
                )
        finally:
            self._timed.set()
            self._handout.complete()

    async def _list_one(self, project: Project, *, known: bool) -> None:
        """List one project; what is wrong with it alone is counted and named."""
        tally = self.tally
        if not project.ci_enabled:
            tally.skipped_projects.append(f"{project.path}: CI is disabled")
            self._moved()
            return
        try:
            believed = await self._lister.update(project)
        except BudgetSpentError as error:
            self._spend(str(error))
            return
        except FatalError:
            raise
        except (ForbiddenError, NotFoundError) as error:
            reason = "forbidden" if isinstance(error, ForbiddenError) else "not found"
            tally.skipped_projects.append(f"{project.path}: {reason}")
        except LogminerError as error:
            self._failed(f"{project.path}: {error}")
        else:
            self._failures_in_a_row = 0
            self._known += known
            self._emptied += not believed
        tally.projects_listed += 1
        self._learn_time()
        self._moved()

    def _learn_time(self) -> None:
        """Take over the server's clock, once: reading waits for it."""
        if not self._timed.is_set() and self._lister.server_time is not None:
            self._now, self._started = self._lister.server_time, time.monotonic()
            self._timed.set()

    def _queued(self, job_ids: list[int]) -> None:
        self.tally.jobs_queued += len(job_ids)
        self._learn_time()
        self._handout.queued(job_ids)

    # -- reading ---------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read every queued job with a fixed number of workers."""

        async def worker() -> None:
            while (job := await self._handout.next()) is not None:
                result = await self._read_one(job)
                if result is not None:
                    await self._recorder.put(result)

        await asyncio.to_thread(prepare)  # while the first lists come
        await self._timed.wait()
        await gather(worker() for _ in range(self._options.concurrency))
        await self._recorder.end()

    async def _read_one(self, job: Job) -> Harvested | Job | None:
        """Read one job; the job itself if its trace may still grow, None if it failed this time."""
        now = self._server_now()

        async def read() -> Harvested | Job:
            fresh = await refreshed(self._client, job) if may_grow(job, now) else job
            if may_grow(fresh, now):
                self.tally.jobs_waiting += 1
                return fresh
            return await self._reader.read(fresh, now=now)

        return await self._attempt(job, read())

    async def _attempt(self, job: Job, reading: Awaitable[_T]) -> _T | None:
        """Wait for a reading; None if it failed, which is counted."""
        turned = self._turned
        try:
            result = await reading
        except BudgetSpentError as error:
            self._spend(str(error))
            return None
        except FatalError:
            raise
        except LogminerError as error:
            failure = f"job {job.id} of {job.project_path}: {error}"
            await self._unread(failure, counts=turned == self._turned)
            return None
        except Exception as error:  # noqa: BLE001 -- see below
            # A fault of ours: it must not cost the other jobs their night. This one stays queued.
            _LOG.exception("job %d", job.id)
            self._failed(f"job {job.id} of {job.project_path}: internal error, {error!r}")
            return None
        if not isinstance(result, Job):  # one that may still grow says nothing of the server
            self._failures_in_a_row = 0
        return result

    async def _unread(self, failure: str, *, counts: bool) -> None:
        """Count a log that could not be read; many in a row end the run, at the second time.

        A server may answer everything but the logs of one spring, night after night. So if it is
        there at all, the queue is first read from its other end; what was being read when it turned
        round no more `counts`.
        """
        if not counts:
            self._alarm(failure)
            return
        try:
            self._failed(failure)
        except ServerError:
            if self._turned:
                raise
            self._failures_in_a_row = 0
            await self._handout.turn_round()
            self._turned = True
            await self._client.version()

    async def _reread(self, old: Iterator[OldJob]) -> None:
        """Read the logs of jobs again with a fixed number of workers."""
        turn = asyncio.Lock()

        async def worker() -> None:
            while not self._stop.is_set():
                async with turn:
                    each = await asyncio.to_thread(next, old, None)
                if each is None:
                    return
                await self._reread_one(each)

        await gather(worker() for _ in range(self._options.concurrency))
        await self._recorder.end()

    async def _reread_one(self, old: OldJob) -> None:
        """Read a log again; where it tells less than it did, what is stored stays."""
        reading = self._reader.read(old.job, now=self._server_now(), depth=old.depth)
        harvested = await self._attempt(old.job, reading)
        if harvested is None:
            return
        summary = harvested.summary
        if summary is not None and (old.depth is Depth.PREPARE or summary.bytes >= old.size):
            await self._recorder.put(harvested)
            return
        self.tally.jobs_kept += 1
        if harvested.state in _GONE:
            await asyncio.to_thread(self._ledger.lose, [old.job.id])
        self._moved()

    def _server_now(self) -> dt.datetime:
        """Return the server's time, kept going by our monotonic clock."""
        if self._now is None:  # no list was answered: what is read now was queued long ago
            return dt.datetime.now(dt.UTC)
        return self._now + dt.timedelta(seconds=time.monotonic() - self._started)

    # -- counting --------------------------------------------------------------------------------

    def _count(self, batch: Sequence[Harvested]) -> None:
        """Count what jobs contribute, and tell."""
        self._handout.recorded(each.job.id for each in batch)
        for each in batch:
            self.tally.count(each, limit=self._options.max_trace_bytes, keep=self._options.keep)
        self._moved()


def _turn(listing: Listing | None) -> tuple[bool, dt.datetime]:
    """Return when a project is listed: unfinished ones first, then by their last look."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    if listing is None:
        return True, never
    return listing.cursor is None, listing.checked_at or never
