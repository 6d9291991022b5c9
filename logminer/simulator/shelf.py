"""Where written logs are kept: the latest few, or a stock that is ready before anybody asks.

A log is written whole to learn its size, and a list of jobs tells sizes shortly before the logs are
fetched. For benchmarks even one writing is too much beside the client: there every job is given a
log from a stock, whose truth is then the job's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from logminer.simulator.life import Job
    from logminer.simulator.planted import Planted

Trace = tuple[bytes, "tuple[Planted, ...]"]
_NOTHING: Trace = (b"", ())

_KEPT = 16 * 2**20
"""Bytes of logs kept."""
_STOCK = 1_000
"""Logs in the stock."""


class Shelf:
    """Keeps the latest logs; more than one thread may ask."""

    def __init__(self, write: Callable[[Job], Trace]) -> None:
        """Keep what this writes."""
        self._write = write
        self._sizes: dict[int, int] = {}
        self._kept: OrderedDict[int, Trace] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()  # a test may read logs beside the server's thread

    def text(self, job: Job) -> bytes:
        """Return the finished log."""
        return self._of(job)[0]

    def size(self, job: Job) -> int:
        """Return the size of the finished log in bytes."""
        size = self._sizes.get(job.id)
        return len(self.text(job)) if size is None else size

    def planted(self, job: Job) -> tuple[Planted, ...]:
        """Return the image uses the finished log shows."""
        return self._of(job)[1]

    def _of(self, job: Job) -> Trace:
        with self._lock:
            kept = self._kept.get(job.id)
        if kept is not None:
            return kept
        trace = self._write(job)
        with self._lock:
            self._sizes[job.id] = len(trace[0])
            if job.id not in self._kept:
                self._kept[job.id] = trace
                self._bytes += len(trace[0])
            while self._bytes > _KEPT:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped[0])
        return trace

    def forget(self, job: Job) -> None:
        """Forget a log that is to be written anew: the job lives differently."""
        with self._lock:
            self._sizes.pop(job.id, None)
            self._bytes -= len(self._kept.pop(job.id, _NOTHING)[0])


class Stock(Shelf):
    """Gives each job its own log if that is in the stock, else one of the others."""

    def __init__(self, write: Callable[[Job], Trace], jobs: Sequence[Job]) -> None:
        """Write the stock: the logs of the first of these jobs whose scripts began."""
        super().__init__(write)
        chosen = [job for job in jobs if job.ran][:_STOCK]
        self._traces = {job.id: write(job) for job in chosen}
        self._ids = list(self._traces)

    def text(self, job: Job) -> bytes:
        """Return the job's log, or another job's."""
        return self._from_stock(job)[0]

    def size(self, job: Job) -> int:
        """Return the size of what `text` returns."""
        return len(self.text(job))

    def planted(self, job: Job) -> tuple[Planted, ...]:
        """Return the image uses of what `text` returns, as this job's."""
        return tuple(replace(row, job_id=job.id) for row in self._from_stock(job)[1])

    def _from_stock(self, job: Job) -> Trace:
        own = self._traces.get(job.id)
        if own is not None or not self._ids:
            return own or self._of(job)
        return self._traces[self._ids[job.id % len(self._ids)]]
