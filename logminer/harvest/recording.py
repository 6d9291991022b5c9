"""What was read into the ledger: one transaction for all that came within a third of a second.

A night in which every trace is empty is not believed: GitLab 18.0 lost the sight of all logs on
some servers until a setting was changed back, and they were all still there (issue 549701). So as
long as no trace of the run had a byte, empty ones are held back, and their jobs stay queued.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from logminer.model import Harvested, TraceState
from logminer.store import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from logminer.model import Job
    from logminer.store import Ledger

_BATCH: Final = 200
"""Jobs in a transaction: a commit flushes the disk. After a kill at most twice as many are read
again: those that were being written, and those that waited."""

_PAUSE: Final = 0.3
"""Seconds in which results are gathered for a transaction, unless a whole batch is there before:
one for each handful cost a tenth of a harvest."""

_MOST_HELD: Final = 1_000
"""Empty traces held back in memory; those of further ones are read again."""

_SUSPICIOUS: Final = 10
"""Empty traces, and no other, that are no coincidence; fewer are taken for what they are, unless
the job itself states a size."""


class Recorder:
    """Takes in results as they come and writes them in batches."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        recorded: Callable[[Sequence[Harvested]], None],
        alarm: Callable[[str], None],
    ) -> None:
        """Tell `recorded` of each batch that is safe, and `alarm` why empty ones are not."""
        self._ledger = ledger
        self._recorded = recorded
        self._alarm = alarm
        self._results: asyncio.Queue[Harvested | Job | None] = asyncio.Queue(maxsize=_BATCH)
        self._due = asyncio.Event()
        """Set where nothing is gained by gathering more: a batch is whole, or all is there."""
        self._ended = False
        self._empty: list[Harvested] = []
        self._believed = False
        """Whether a trace of this run had a byte."""

    async def put(self, result: Harvested | Job) -> None:
        """Take in an outcome, or a job that stays queued as it is described here."""
        await self._results.put(result)
        if self._results.full():
            self._due.set()

    async def end(self) -> None:
        """Take in that nothing more will come."""
        self._ended = True
        self._due.set()
        await self._results.put(None)

    async def run(self) -> None:
        """Write until the end; cut off, write what was read: it is worth more than a second read.

        What is held back then is read again.
        """
        ended = False
        batch: list[Harvested | Job] = []
        try:
            while not ended:
                batch = []
                try:
                    ended = not await self._gather(batch)
                finally:  # cut off while it gathers, too
                    batch = self._believable(batch)
                if batch:
                    await asyncio.to_thread(self._ledger.write, _rows(batch))
                self._tell(batch)
                batch = []
            batch = self._last()
        finally:
            while not self._results.empty():
                left = self._results.get_nowait()
                if left is not None:
                    batch += self._believable([left])
            # The same batch twice is the same as once.
            if batch:
                self._ledger.write(_rows(batch))
            self._tell(batch)

    async def _gather(self, batch: list[Harvested | Job]) -> bool:
        """Gather results into a batch; return whether more may come."""
        result = await self._results.get()
        if result is None:
            return False
        batch.append(result)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), _PAUSE)
        if not self._ended:
            self._due.clear()
        while len(batch) < _BATCH and not self._results.empty():
            result = self._results.get_nowait()
            if result is None:
                return False
            batch.append(result)
        return True

    def _believable(self, batch: list[Harvested | Job]) -> list[Harvested | Job]:
        """Return what is to be written now."""
        if not self._believed:
            self._believed = any(_state(each) is TraceState.OK for each in batch)
        if self._believed:
            batch = [*self._empty, *batch]
            self._empty = []
            return batch
        empty = [
            each for each in batch if isinstance(each, Harvested) and each.state is TraceState.EMPTY
        ]
        self._empty += empty[: _MOST_HELD - len(self._empty)]
        return [each for each in batch if _state(each) is not TraceState.EMPTY]

    def _last(self) -> list[Harvested | Job]:
        """Return what was held back and may be written after all."""
        held, self._empty = self._empty, []
        if len(held) < _SUSPICIOUS and not any(each.job.trace_size for each in held):
            return list(held)
        self._alarm(
            f"not one of {len(held):,} logs has a byte, which points to a fault of the server (18.0"
            " lost sight of its logs so): none was recorded, their jobs stay queued."
            " Look at one in the browser, and harvest again."
        )
        return []

    def _tell(self, batch: Sequence[Harvested | Job]) -> None:
        self._recorded([each for each in batch if isinstance(each, Harvested)])


def _rows(batch: Sequence[Harvested | Job]) -> Batch:
    """Return what the ledger keeps of a batch."""
    return Batch.of(
        [each for each in batch if isinstance(each, Harvested)],
        requeue=[each for each in batch if not isinstance(each, Harvested)],
    )


def _state(result: Harvested | Job) -> TraceState | None:
    return result.state if isinstance(result, Harvested) else None
