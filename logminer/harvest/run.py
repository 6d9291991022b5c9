"""The whole run: list every project and read every queued job side by side, commit, publish.

What has to survive is in the ledger before anything is called done, so the run may end anywhere:
by an error, by a signal, by SIGKILL. The next one goes on from there.

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
from logminer.harvest.progress import Phase, Silence, Tally
from logminer.harvest.reading import Reader, refreshed
from logminer.harvest.recording import Recorder
from logminer.harvest.rules import may_grow
from logminer.harvest.stopping import signals, until_stopped
from logminer.harvest.together import together
from logminer.model import Depth, Job, TraceState
from logminer.reference import Upstreams
from logminer.store import Listing, new_run_id, publish, remembered, source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterator, Sequence

    from logminer.gitlab import Counts, Settings
    from logminer.harvest.progress import Progress
    from logminer.model import Harvested, Project
    from logminer.store import Ledger, OldJob, Store

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

LISTERS: Final = 8
"""Projects listed at a time: the list has a limit of its own, and each row costs the server."""

_HOPELESS: Final = 20
"""Failures without a success between them, each after the client's retries: the server is down."""

_PATIENCE: Final = 4.0
"""Seconds that traces under way get to end after a signal; the rest is read by the next run."""

_EVER: Final = 1e9
"""Seconds: thirty years."""

OUT_OF_TIME: Final = (
    "The time for this run (--max-duration) is used up."
    " What was read is kept; the next run goes on from there."
)

_GONE: Final = frozenset({TraceState.MISSING, TraceState.ERASED})
"""What a log is that will not come back; an empty or a forbidden one may."""

_PUBLISHING: Final = 3.0
"""Seconds for publishing after a signal: whoever sent it kills what is still there after ten."""


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
    progress: Progress | None = None,
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
        run = Run(
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


class Run:
    """The state of one run."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a run works on and with
        self,
        ledger: Ledger,
        settings: Settings,
        options: Options,
        progress: Progress,
        pacer: Pacer,
        budget: Budget,
        tally: Tally | None = None,
    ) -> None:
        """Prepare; `tally` goes on counting where something was done before."""
        self.tally = tally or Tally()
        self._ledger = ledger
        self._settings = settings
        self._options = options
        self._progress = progress
        self._budget = budget
        self._client = Client(
            settings,
            connections=options.concurrency + LISTERS,
            pacer=pacer,
            budget=budget,
        )
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
        self._stop = asyncio.Event()
        self._stopped_at: float | None = None
        self._timed = asyncio.Event()
        self._started = time.monotonic()
        self._now: dt.datetime | None = None
        self._failures_in_a_row = 0
        self._known = 0
        """Projects listed of which jobs were known."""
        self._emptied = 0
        """Those of them of which the server lists none any more."""

    async def work(self, projects: Sequence[Project]) -> None:
        """List and read until all is done, a signal comes or the budget is spent."""
        self.tally.projects = len(projects)
        self.tally.jobs_queued = self._ledger.count_queued()
        await self._until_stopped(self._both(projects))

    async def work_again(self, old: Iterator[OldJob]) -> None:
        """Read these jobs' logs again until all is done, a signal comes or the budget is spent."""
        await self._until_stopped(together((self._reread(old), self._recorder.run())))

    async def _until_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Work with an open client and signals of our own."""
        self._progress.begin(Phase.HARVEST, self.tally)
        with signals(self._interrupt):
            async with self._client:
                timer = self._start_timer()
                try:
                    await until_stopped(work, self._stop, patience=_PATIENCE)
                finally:
                    timer.cancel()
                    self._measure()
        self.tally.jobs_open = self._ledger.count_open()

    def publish(self, store: Store) -> None:
        """Publish what is recorded; after a signal, as much as there is time for."""
        self._progress.begin(Phase.PUBLISH, self.tally)
        end = self._stopped_at + _PATIENCE + _PUBLISHING if self._stopped_at is not None else None

        def proceed(done: int, of: int) -> bool:
            self._progress.published(done, of)
            return end is None or time.monotonic() < end

        published = publish(store, self._ledger, proceed=proceed)
        self.tally.days, self.tally.days_left = published.days, published.left

    async def _both(self, projects: Sequence[Project]) -> None:
        """List projects, read jobs and write results, side by side."""
        await together((self._list(projects), self._read(), self._recorder.run()))

    # -- ending early --------------------------------------------------------------------------

    def _start_timer(self) -> asyncio.TimerHandle:
        """End the run at its deadline, also while it waits for an answer."""
        left = self._budget.seconds_left(time.monotonic())
        return asyncio.get_running_loop().call_later(
            left if left is not None else _EVER, self._spend, OUT_OF_TIME
        )

    def _interrupt(self) -> None:
        self.tally.interrupted = True
        self._stopped_at = time.monotonic()
        self._end()

    def _spend(self, what: str) -> None:
        """End the run because something is used up."""
        self.tally.spent = self.tally.spent or what
        self._end()

    def _end(self) -> None:
        self._stop.set()
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
            await together(worker() for _ in range(LISTERS))
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

        await self._timed.wait()
        await together(worker() for _ in range(self._options.concurrency))
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
        try:
            result = await reading
        except BudgetSpentError as error:
            self._spend(str(error))
            return None
        except FatalError:
            raise
        except LogminerError as error:
            self._failed(f"job {job.id} of {job.project_path}: {error}")
            return None
        except Exception as error:  # noqa: BLE001 -- see below
            # A fault of ours: it must not cost the other jobs their night. This one stays queued.
            _LOG.exception("job %d", job.id)
            self._failed(f"job {job.id} of {job.project_path}: internal error, {error!r}")
            return None
        if not isinstance(result, Job):  # one that may still grow says nothing of the server
            self._failures_in_a_row = 0
        return result

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

        await together(worker() for _ in range(self._options.concurrency))
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

    def _failed(self, failure: str) -> None:
        """Count a failure; many without any success between them are the server's."""
        self._alarm(failure)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _HOPELESS:
            raise ServerError(
                f"{self._settings.instance} failed {_HOPELESS} times in a row, last: {failure}"
                " What was read until then is kept; try again later."
            )

    def _alarm(self, failure: str) -> None:
        self.tally.failures.append(failure)
        self._progress.failed(failure)

    def _count(self, batch: Sequence[Harvested]) -> None:
        """Count what jobs contribute, and tell."""
        self._handout.recorded(each.job.id for each in batch)
        for each in batch:
            self.tally.count(each, limit=self._options.max_trace_bytes, keep=self._options.keep)
        self._moved()

    def _moved(self) -> None:
        self._measure()
        self._progress.moved(self.tally)

    def _measure(self) -> None:
        """Take over what the client counts."""
        counts, tally = self._client.counts, self.tally
        tally.requests = self._budget.spent
        tally.answers = _answers(counts, spent=self._budget.spent)
        tally.retries = counts.retries
        tally.rate_limited = counts.rate_limited
        tally.received = counts.received
        limit = self._client.limit
        tally.requests_left = limit.remaining if limit is not None else None


def _turn(listing: Listing | None) -> tuple[bool, dt.datetime]:
    """Return when a project is listed: unfinished ones first, then by their last look."""
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    if listing is None:
        return True, never
    return listing.cursor is None, listing.checked_at or never


def _answers(counts: Counts, *, spent: int) -> dict[str, dict[str, int]]:
    """Return how many requests of each endpoint were answered how.

    What the budget was spent on beyond the client's own requests was discovery.
    """
    answers: dict[str, dict[str, int]] = {}
    for (kind, status), number in sorted(counts.answers.items()):
        answers.setdefault(kind, {})[status] = number
    for kind, number in sorted(counts.requests.items()):
        unanswered = number - sum(answers.get(kind, {}).values())
        if unanswered:
            answers.setdefault(kind, {})["none"] = unanswered
    discovery = spent - counts.requests.total()
    if discovery > 0:
        answers["discovery"] = {"any": discovery}
    return answers
