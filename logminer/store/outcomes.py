"""Outcomes that wait in a ledger, as rows, cut into days: what a harvest has recorded one by one.

Rows are made of as many outcomes at a time, however few each day has: to begin with a table costs
as much as the rows of a hundred jobs. What was read from an archive waits as rows: see `sheaf`.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from logminer.store.rows import rows_of
from logminer.store.schema import FILES, Table

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from logminer.store.ledger import Ledger
    from logminer.store.sheaf import Rows

_SLICE: Final = 500
"""Jobs read from the ledger at a time: bounds the Python objects alive at once."""


class Outcomes:
    """What waits in a ledger as outcomes, as rows, day by day."""

    def __init__(self, ledger: Ledger) -> None:
        """Read from this ledger."""
        self._ledger = ledger
        self._parts: deque[tuple[dt.date, list[int], Rows]] = deque()
        """What was read and not yet asked for: a day, jobs of it, and their rows."""
        self._last: tuple[dt.date, int] | None = None
        """The day and the id of the job that was read last."""
        self._ended = False

    def of(self, day: dt.date, proceed: Callable[[], bool]) -> tuple[list[int], list[Rows]] | None:
        """Return the jobs of a day and their rows; None as soon as `proceed` says so.

        Days are asked for in their order, each once.
        """
        job_ids: list[int] = []
        parts = []
        while proceed():
            while self._parts and self._parts[0][0] == day:
                _, more, rows = self._parts.popleft()
                job_ids += more
                parts.append(rows)
            if self._parts or self._ended:
                return job_ids, parts
            self._read(day)
        return None

    def _read(self, day: dt.date) -> None:
        """Read on, from this day at the earliest, and cut what comes into days."""
        first, after = self._last or (day, None)
        batch = self._ledger.pending(first, _SLICE, after=after)
        self._ended = len(batch) < _SLICE
        if not batch:
            return
        self._last = batch[-1][0], batch[-1][1].job.id
        tables = rows_of([outcome for _, outcome in batch])
        ends = dict.fromkeys(FILES, 0)
        for each, of_day in groupby(batch, key=itemgetter(0)):
            some = [outcome for _, outcome in of_day]
            sizes: dict[Table, int] = {
                "jobs": len(some),
                "images": sum(len(one.uses) for one in some),
                "preambles": sum(one.kept is not None for one in some),
            }
            rows = {table: tables[table].slice(ends[table], sizes[table]) for table in FILES}
            ends = {table: ends[table] + sizes[table] for table in FILES}
            self._parts.append((each, [one.job.id for one in some], rows))
