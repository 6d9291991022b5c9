"""Which job is read next: those that were queued before the run, and those it queues itself.

Projects are listed while traces are read, so the queue grows at its end and at its front. Each job
is given out once in a run, whatever becomes of it; only ids and a slice of jobs are in memory.

Oldest first, because their logs are the next to be deleted. But logs that a server has lost and
will not say so lie together, too, and must not be all that a run ever gets to: then it turns round.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logminer.model import Job
    from logminer.store import Ledger

_SLICE: Final = 500
"""Queued jobs in memory."""


class Handout:
    """Gives out the queued jobs of a ledger, oldest first, then as they come."""

    def __init__(self, ledger: Ledger) -> None:
        """Give out what is in this ledger's queue."""
        self._ledger = ledger
        self._slice: deque[Job] = deque()
        self._given: set[int] = set()
        """Ids that were given out and may still be in the ledger's queue."""
        self._fresh: deque[int] = deque()
        self._last: int | None = None
        self._newest_first = False
        self._backlog = True
        """Whether jobs are left that lie behind `_last` in the ledger's queue."""
        self._complete = False
        self._stopped = False
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()

    async def next(self) -> Job | None:
        """Return the next job; None when all were given out and no more will come."""
        while not self._stopped:
            if self._slice:
                return self._slice.popleft()
            async with self._turn:
                if not self._slice and not await self._fill():
                    return None
        return None

    async def turn_round(self) -> None:
        """Go on with the newest job of the queue, down to where it was left."""
        async with self._turn:
            self.recorded(job.id for job in self._slice)
            self._slice.clear()
            self._newest_first, self._backlog, self._last = True, True, None

    def queued(self, job_ids: Iterable[int]) -> None:
        """Take in that jobs were queued."""
        before = len(self._fresh)
        self._fresh.extend(job_ids)
        if len(self._fresh) > before:
            self._news.set()

    def recorded(self, job_ids: Iterable[int]) -> None:
        """Take in that jobs have left the queue."""
        self._given.difference_update(job_ids)

    def complete(self) -> None:
        """Take in that no more jobs will be queued."""
        self._complete = True
        self._news.set()

    def stop(self) -> None:
        """Give out no more."""
        self._stopped = True
        self._news.set()

    async def _fill(self) -> bool:
        """Bring jobs into the slice; False when there are none left and none will come."""
        while not self._slice and not self._stopped:
            self._news.clear()
            if self._backlog:
                jobs = await asyncio.to_thread(self._behind, self._last)
                self._backlog = len(jobs) == _SLICE
                self._last = jobs[-1].id if jobs else self._last
            elif self._fresh:
                ids = [self._fresh.popleft() for _ in range(min(_SLICE, len(self._fresh)))]
                ids = [job_id for job_id in ids if job_id not in self._given]
                jobs = await asyncio.to_thread(self._ledger.described, ids)
            elif self._complete:
                return False
            else:
                await self._news.wait()
                continue
            self._slice.extend(job for job in jobs if job.id not in self._given)
            self._given.update(job.id for job in jobs)
        return True

    def _behind(self, last: int | None) -> list[Job]:
        """Return the next slice of the ledger's queue."""
        if self._newest_first:
            return self._ledger.take_newest(_SLICE, before=last)
        return self._ledger.take(_SLICE, after=last)
