"""The whole run: find logs, leave out what the ledger knows, have the rest read, record, publish.

The ledger alone says how far mining has come. What has come back is recorded every second, in one
transaction, so the run may end anywhere, by SIGKILL too: what was not recorded is read again, and
nothing is missing or there twice. An archive that was mined before is walked through, and nothing
is read.

A job is taken once, by whoever reads it first. What a harvest has recorded stays as it is; a job
that a harvest has listed and not yet read is read here and described as the server described it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import signal
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logminer.archive.engines import Engine, dask, local
from logminer.archive.listing import check
from logminer.archive.logs import size_of
from logminer.archive.progress import Phase, Silence, Tally
from logminer.archive.reading import Order, Reaped, read
from logminer.archive.selection import MAX_PROJECT_ID, Selection
from logminer.errors import FatalError, SkippableError
from logminer.model import Depth
from logminer.reference import Upstreams
from logminer.store import new_run_id, publish, remembered, source_of
from logminer.store.sheaf import MOST
from logminer.trace import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from logminer.archive.logs import Log
    from logminer.archive.progress import Progress
    from logminer.store import Ledger, LedgerView, Store

_BATCH: Final = 512
"""Logs in an order: some 50 MB, a fifth of a second. Rows of half as many cost a fifth more each;
of more, a signal would have to wait where the disk is slow."""

_BATCH_BYTES: Final = 32 * 2**20
"""Bytes in an order, where sizes are known before: they may be held in memory."""

_HELD: Final = 16
"""Batches of logs that are held back at most, to be given out in smaller ones at the end."""

_LEAST: Final = 64
"""Logs in the smallest of these, but for the last: making their rows costs a millisecond."""

_SUSPICIOUS: Final = 10
"""Logs of one batch, and none besides, that are no coincidence where they have vanished."""

_RECORD: Final = 1.0
"""Seconds between two transactions. Ids come in any order, so each of them touches most pages of
the ledger; what is not recorded yet when a run is killed is read again."""

_LOOK: Final = 0.5
"""Seconds between two looks whether somebody wants the run to end, while nothing comes back."""

_PATIENCE: Final = 4.0
"""Seconds that batches under way get to end after a signal; the rest is read by the next run."""

_PUBLISHING: Final = 3.0
"""Seconds for publishing after a signal: whoever sent it kills what is still there after ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person may ask of a run."""

    jobs: Path | None = None
    """A CSV or Parquet file that describes the jobs; see `description`."""
    projects: tuple[int | str, ...] = ()
    """Ids, or full paths where `jobs` or the ledger knows them; all projects without any."""
    max_project_id: int = MAX_PROJECT_ID
    workers: int = 1
    """Processes that read; with one, it is this one."""
    scheduler: str | None = None
    """Address of a Dask scheduler, whose workers read instead."""
    upstreams: Upstreams = field(default_factory=Upstreams.default)
    """The mirrors and caches to see through."""
    depth: Depth = Depth.FULL
    max_trace_bytes: int | None = None
    """Of a longer log only so much is read, and the job is marked `truncated`."""

    def engine(self) -> Engine:
        """Return who reads."""
        return dask(self.scheduler) if self.scheduler is not None else local(self.workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would do."""

    logs: int
    """To read."""
    bytes: int
    """Of them, as they lie there."""
    tally: Tally
    """What was found on the way."""


def mine(  # noqa: PLR0913 -- what a run works on and with, each named by the caller
    store: Store,
    paths: Sequence[str],
    *,
    instance: str,
    options: Options | None = None,
    progress: Progress | None = None,
    run_id: str | None = None,
    now: dt.datetime | None = None,
) -> Tally:
    """Read the logs of an archive of a GitLab instance into a store, and return what was done.

    `paths` are directories, files and URLs of buckets. `now` becomes `harvested_at`.
    SIGINT and SIGTERM end the run early with everything committed and published (`interrupted`).
    Raises BusyError where somebody else writes this source, UsageError for a path that is not there
    and a file of jobs that is none, StoreError; whatever was committed until then is published.
    """
    check(paths)
    options, progress = options or Options(), progress or Silence()
    now = now or dt.datetime.now(dt.UTC)
    with store.open_ledger(source_of(instance)) as ledger:
        run = _Run(ledger, instance, options, progress, now)
        run.tally.run_id = run_id or new_run_id(now)
        with remembered(ledger, run.tally, now), _signals(run.interrupt):
            try:
                run.work(paths)
            finally:
                run.publish(store)
        return run.tally


def estimate(
    view: LedgerView | None, paths: Sequence[str], *, options: Options, aside: Path
) -> Estimate:
    """Walk through an archive and return what a run would read; no log is opened.

    `aside` is a place for a file that may be needed meanwhile.
    """
    check(paths)
    tally = Tally()
    logs = size = 0
    with Selection(view, tally, failed=tally.fail, jobs=options.jobs, aside=aside) as selection:
        for log in selection.choose(
            paths, only=options.projects, max_project_id=options.max_project_id
        ):
            selection.release([log])
            try:
                size += size_of(log)
            except SkippableError:
                tally.without_log += 1
            else:
                logs += 1
    return Estimate(logs=logs, bytes=size, tally=tally)


class _Run:
    """The state of one run."""

    def __init__(
        self,
        ledger: Ledger,
        instance: str,
        options: Options,
        progress: Progress,
        now: dt.datetime,
    ) -> None:
        self.tally = Tally()
        self._ledger = ledger
        self._instance = instance
        self._options = options
        self._progress = progress
        self._now = now
        self._stopped_at: float | None = None
        self._reaped: list[tuple[Order, Reaped]] = []
        """What has come back and is not recorded yet."""
        self._recorded_at = time.monotonic()
        self._selection = Selection(
            ledger,
            self.tally,
            failed=self._failed,
            jobs=options.jobs,
            aside=ledger.aside / "jobs.sqlite",
        )

    def interrupt(self) -> None:
        """End the run soon, in good order."""
        self.tally.interrupted = True
        self._stopped_at = time.monotonic()

    def work(self, paths: Sequence[str]) -> None:
        """Read and record until all is done, or somebody wants it to end."""
        self._progress.begin(Phase.MINE, self.tally)
        with self._selection, self._options.engine() as engine:
            try:
                self._read(paths, engine)
            except (OSError, EOFError):
                # A service manager's SIGTERM reaches the server of the workers, too; what it was to
                # begin is read by the next run.
                if self._stopped_at is None:
                    raise

    def _read(self, paths: Sequence[str], engine: Engine) -> None:
        """Have everything read, as long as nobody wants it to end."""
        running: dict[Future[Reaped], Order] = {}
        try:
            for order in self._orders(paths, engine.workers):
                if self._stopped_at is not None:
                    break
                running[engine.submit(read, order)] = order
                while len(running) >= engine.ahead:
                    self._take(running, engine)
            while running and not self._out_of_patience():
                self._take(running, engine)
        finally:
            self._record()

    def publish(self, store: Store) -> None:
        """Publish what is recorded; after a signal, as much as there is time for."""
        self._progress.begin(Phase.PUBLISH, self.tally)
        end = self._stopped_at + _PATIENCE + _PUBLISHING if self._stopped_at is not None else None

        def proceed(done: int, of: int) -> bool:
            self._progress.published(done, of)
            return end is None or time.monotonic() < end

        if end is not None and self._ledger.count_bound() > MOST:
            self.tally.days_left = len(self._ledger.pending_days())
            return  # to go through all that waits would take longer than there is time for
        published = publish(store, self._ledger, proceed=proceed)
        self.tally.days, self.tally.days_left = published.days, published.left

    def _orders(self, paths: Sequence[str], workers: int) -> Iterator[Order]:
        """Yield what is to be read, a batch at a time."""
        options = self._options
        chosen = self._selection.choose(
            paths, only=options.projects, max_project_id=options.max_project_id
        )
        for logs in _batches(chosen, workers):
            yield Order(
                logs=logs,
                instance=self._instance,
                mirrors=options.upstreams.mirrors,
                depth=options.depth,
                max_bytes=options.max_trace_bytes,
                now=self._now,
            )

    def _take(self, running: dict[Future[Reaped], Order], engine: Engine) -> None:
        """Take what has come back, and record it in time; send again what was lost on the way."""
        done, _ = wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
        lost = False
        for future in done:
            if isinstance(future.exception(), BrokenExecutor):
                lost = True
            else:
                self._reaped.append((running.pop(future), self._checked(future)))
        if time.monotonic() > self._recorded_at + _RECORD:
            self._record()
        if lost and self._stopped_at is not None:
            running.clear()  # so does a SIGTERM to all processes reach the workers
        elif lost:
            engine.renew()
            again = list(running.values())
            running.clear()
            running.update((engine.submit(read, order), order) for order in again)

    def _record(self) -> None:
        """Record in one transaction what has come back."""
        reaped, self._reaped = self._reaped, []
        if reaped:
            self._ledger.store_sheaves(each.sheaf for _, each in reaped if each.sheaf is not None)
        for order, each in reaped:
            self._count(order, each.tally)
        self._recorded_at = time.monotonic()

    def _checked(self, future: Future[Reaped]) -> Reaped:
        """Return what came back, where it was read as it would have been read here."""
        try:
            reaped = future.result()
        except Exception as error:
            if self._options.scheduler is None:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise FatalError(
                f"the cluster could not read a batch ({reason}): each of its workers needs the same"
                " logminer as this one"
            ) from error
        if reaped.version != VERSION:
            raise FatalError(
                f"a worker reads logs with extractor version {reaped.version}, this logminer with"
                f" {VERSION}: install the same one everywhere"
            )
        return reaped

    def _count(self, order: Order, part: Tally) -> None:
        """Count a batch that is recorded."""
        self._selection.release(order.logs)
        if part.gone == len(order.logs) >= _SUSPICIOUS:
            part.gone = 0
            self._failed(
                f"{order.logs[0].path}: gone when it was to be read, and {len(order.logs) - 1:,}"
                " more with it: does every worker see the archive under this path?"
            )
        for failure in part.failures:
            self._failed(failure)
        self.tally.failed += part.failed - len(part.failures)
        self.tally.add(part)
        self._progress.moved(self.tally)

    def _failed(self, failure: str) -> None:
        self.tally.fail(failure)
        self._progress.failed(failure)

    def _out_of_patience(self) -> bool:
        return self._stopped_at is not None and time.monotonic() > self._stopped_at + _PATIENCE


def _batches(logs: Iterable[Log], workers: int) -> Iterator[tuple[Log, ...]]:
    """Yield logs together that are read together.

    Where several workers read, the first batches are smaller, so that all begin soon, and so are
    the last, for which some logs are held back: else one worker would read a last batch while the
    others have nothing to do.
    """
    waiting: deque[Log] = deque()
    weight = given = 0
    size, enough = _sizes(given, workers)
    for log in logs:
        waiting.append(log)
        weight += _weight(log)
        while weight >= enough:
            batch, taken = _first(waiting, size)
            weight -= taken
            given += 1
            size, enough = _sizes(given, workers)
            yield batch
    while waiting:
        share = weight // (2 * workers) if workers > 1 else _BATCH
        batch, taken = _first(waiting, min(max(share, _LEAST), _BATCH))
        weight -= taken
        yield batch


def _sizes(given: int, workers: int) -> tuple[int, int]:
    """Return the weight of the next batch, and of what must wait before it is given out."""
    if workers == 1:
        return _BATCH, _BATCH
    held = min(max(given - workers, 0), 2 * workers, _HELD)
    size = _BATCH // 4 if given < 2 * workers else _BATCH
    return size, size + _BATCH * held


def _first(waiting: deque[Log], most: int) -> tuple[tuple[Log, ...], int]:
    """Take logs of this weight from the front, one at least; return them and their weight."""
    batch: list[Log] = []
    weight = 0
    while waiting:
        more = _weight(waiting[0])
        if batch and weight + more > most:
            break
        weight += more
        batch.append(waiting.popleft())
    return tuple(batch), weight


def _weight(log: Log) -> int:
    """Return for how many logs this one counts in a batch: those whose bytes fill it, for more."""
    return -(-log.size * _BATCH // _BATCH_BYTES) if log.size else 1


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM end the run in good order, and a second one at once.

    Off the main thread they are not ours.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(_number: int, _frame: object) -> None:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        stop()

    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
