"""The whole run: list every project, read every queued job, commit in batches, publish.

What has to survive is in the ledger before anything is called done, so the run may end anywhere:
by an error, by a signal, by SIGKILL. The next one goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.errors import (
    FatalError,
    ForbiddenError,
    LogminerError,
    NotFoundError,
    ServerError,
    SkippableError,
)
from logminer.gitlab import Client, Pacer
from logminer.harvest.listing import Lister
from logminer.harvest.progress import Silence, Tally
from logminer.harvest.reading import Reader
from logminer.harvest.rules import may_grow
from logminer.model import Harvested, Job, Project
from logminer.reference import Upstreams
from logminer.store import Ledger, publish, source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable, Iterator, Sequence

    from logminer.gitlab import Settings
    from logminer.harvest.progress import Progress
    from logminer.model import TraceSummary
    from logminer.store import Store

_LOG = logging.getLogger(__name__)

_LISTERS: Final = 8
"""Projects listed at a time: the list has a limit of its own, and each row costs the server."""

_BATCH: Final = 200
"""Jobs in a transaction: a commit flushes the disk, and at most this many traces are read twice."""

_SLICE: Final = 500
"""Queued jobs in memory."""

_HOPELESS: Final = 20
"""Failures without a success between them, each after the client's retries: the server is down."""

_PATIENCE: Final = 5.0
"""Seconds that traces under way get to end after a signal; the rest is read by the next run."""


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


def harvest(
    store: Store,
    settings: Settings,
    projects: Sequence[Project],
    *,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Tally:
    """Harvest projects into a store and return what was done.

    SIGINT and SIGTERM end the run early with everything committed and published (`interrupted`).
    Raises BusyError where another harvest writes this source, AuthorisationError, ServerError and
    StoreError; whatever was committed until then is published.
    """
    with Ledger.open(store.ledger_path(source_of(settings.instance))) as ledger:
        run = _Run(ledger, settings, options or Options(), progress or Silence())
        try:
            asyncio.run(run.work(projects))
        finally:
            run.tally.days = publish(store, ledger).days
        return run.tally


class _Run:
    """The state of one run."""

    def __init__(
        self, ledger: Ledger, settings: Settings, options: Options, progress: Progress
    ) -> None:
        self.tally = Tally()
        self._ledger = ledger
        self._settings = settings
        self._options = options
        self._progress = progress
        self._stop = asyncio.Event()
        self._started = time.monotonic()
        self._now = dt.datetime.now(dt.UTC)
        self._failures_in_a_row = 0

    async def work(self, projects: Sequence[Project]) -> None:
        """List, then read, until all is done or a signal comes."""
        self.tally.projects = len(projects)
        options = self._options
        client = Client(
            self._settings,
            connections=options.concurrency + _LISTERS,
            pacer=Pacer(rps=options.rps),
        )
        with _signals(self._stop):
            async with client:
                try:
                    await self._until_stopped(self._list(client, projects))
                    await self._until_stopped(self._read(client))
                finally:
                    self.tally.requests = client.counts.requests.total()
                    self.tally.received = client.counts.received
        self.tally.interrupted = self._stop.is_set()

    async def _until_stopped(self, work: Awaitable[None]) -> None:
        """Wait for a phase; after a signal its workers have `_PATIENCE` to leave by themselves."""
        phase = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({phase, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not phase.done():
                await asyncio.wait({phase}, timeout=_PATIENCE)
        finally:
            stopped.cancel()
            if not phase.done():
                phase.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await phase

    # -- listing -------------------------------------------------------------------------------

    async def _list(self, client: Client, projects: Sequence[Project]) -> None:
        lister = Lister(
            client,
            self._ledger,
            self.tally,
            since=self._options.since,
            until=self._options.until,
        )
        waiting = iter(projects)

        async def worker() -> None:
            for project in waiting:
                if self._stop.is_set():
                    return
                await self._list_one(lister, project)

        await _gather(worker() for _ in range(_LISTERS))
        self._now = lister.server_time or self._now
        self._started = time.monotonic()

    async def _list_one(self, lister: Lister, project: Project) -> None:
        """List one project; what is wrong with it alone is counted and named."""
        if not project.ci_enabled:
            self.tally.skipped_projects.append(f"{project.path}: CI is disabled")
            self._progress.listed(project, self.tally)
            return
        try:
            await lister.update(project)
        except FatalError:
            raise
        except (ForbiddenError, NotFoundError) as error:
            reason = "forbidden" if isinstance(error, ForbiddenError) else "not found"
            self.tally.skipped_projects.append(f"{project.path}: {reason}")
        except LogminerError as error:
            self._failed(f"{project.path}: {error}")
        else:
            self._failures_in_a_row = 0
        self.tally.projects_listed += 1
        self._progress.listed(project, self.tally)

    # -- reading ---------------------------------------------------------------------------------

    async def _read(self, client: Client) -> None:
        """Read every queued job with a fixed number of workers; commit as their results come."""
        reader = Reader(client, instance=self._settings.instance, upstreams=Upstreams.default())
        counts = self._ledger.counts()
        self.tally.jobs_queued = sum(each.queued for each in counts)
        self.tally.jobs_open = sum(each.open for each in counts)
        queue = _Queue(self._ledger)
        results: asyncio.Queue[Harvested | Job | None] = asyncio.Queue(maxsize=_BATCH)

        async def worker() -> None:
            while not self._stop.is_set() and (job := queue.next()) is not None:
                result = await self._read_one(client, reader, job)
                if result is not None:
                    await results.put(result)

        async def read_all() -> None:
            await _gather(worker() for _ in range(self._options.concurrency))
            await results.put(None)

        await _gather((read_all(), self._commit(results)))

    async def _read_one(self, client: Client, reader: Reader, job: Job) -> Harvested | Job | None:
        """Read one job; the job itself if its trace may still grow, None if it failed this time."""
        now = self._server_now()
        try:
            if may_grow(job, now):
                job = await _refreshed(client, job)
                if may_grow(job, now):
                    self.tally.jobs_waiting += 1
                    return job
            harvested = await reader.read(job, now=now)
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
        self._failures_in_a_row = 0
        self._count(harvested)
        return harvested

    def _failed(self, failure: str) -> None:
        """Count a failure; many without any success between them are the server's."""
        self.tally.failures.append(failure)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _HOPELESS:
            raise ServerError(
                f"{self._settings.instance} failed {_HOPELESS} times in a row, last: {failure}"
                " What was read until then is kept; try again later."
            )

    def _count(self, harvested: Harvested) -> None:
        """Count what a job contributes, and tell."""
        tally = self.tally
        tally.jobs_done += 1
        tally.traces[harvested.state] += 1
        tally.images += len(harvested.uses)
        if harvested.summary is not None:
            if not harvested.summary.recognised:
                tally.not_understood += 1
            elif not harvested.uses and names_images(harvested.summary):
                tally.without_image += 1
        self._progress.done(harvested, tally)

    async def _commit(self, results: asyncio.Queue[Harvested | Job | None]) -> None:
        """Record results: all that have come while the last transaction was written."""
        ended = False
        batch: list[Harvested | Job] = []
        try:
            while not ended:
                batch = []
                result = await results.get()
                while True:
                    if result is None:
                        ended = True
                        break
                    batch.append(result)
                    if results.empty() or len(batch) == _BATCH:
                        break
                    result = results.get_nowait()
                await asyncio.to_thread(self._record, batch)
                batch = []
        finally:
            # Cut off by an error or a signal: what was read is worth more than its second reading.
            while not results.empty():
                left = results.get_nowait()
                if left is not None:
                    batch.append(left)
            self._record(batch)

    def _record(self, batch: list[Harvested | Job]) -> None:
        """Write one transaction; the same batch twice is the same as once."""
        if batch:
            self._ledger.commit(
                [each for each in batch if isinstance(each, Harvested)],
                requeue=[each for each in batch if isinstance(each, Job)],
            )

    def _server_now(self) -> dt.datetime:
        """Return the server's time, kept going by our monotonic clock."""
        return self._now + dt.timedelta(seconds=time.monotonic() - self._started)


class _Queue:
    """The queued jobs, each given out once, a slice of them in memory."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._slice: list[Job] = []
        self._last: int | None = None

    def next(self) -> Job | None:
        """Return the next job; None when all were given out."""
        if not self._slice:
            self._slice = self._ledger.take(_SLICE, after=self._last)
            if not self._slice:
                return None
            self._last = self._slice[-1].id
            self._slice.reverse()
        return self._slice.pop()


def names_images(summary: TraceSummary) -> bool:
    """Whether a job of this executor always names an image: with none, our grammar has a gap."""
    executor = summary.executor or ""
    return executor == "kubernetes" or executor.startswith("docker")


async def _refreshed(client: Client, job: Job) -> Job:
    """Return the job as it is now: listed long ago, its trace may be archived since."""
    project = Project(id=job.project_id, path=job.project_path)
    with contextlib.suppress(SkippableError):
        return await client.job(project, job.id)
    return job


async def _gather(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run side by side; the first error ends all of them and comes out as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the run in good order, and then what they ended before.

    Off the main thread they are not ours.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
