"""A sheaf: what a batch of logs contributes, already as rows, bound together by whoever read them.

A harvest waits for a server, so its outcomes may be taken apart and put together again one by one.
Mining waits for nothing: there the process that writes the ledger would be what everybody waits
for. So rows are made where logs are read, pass through the ledger as one piece, and are laid open
again only to be sorted into days.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logminer.store.rows import rows_of
from logminer.store.schema import TABLES, file_schema

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from logminer.model import Harvested
    from logminer.store.ledger import LedgerView
    from logminer.store.schema import Table

_MOST: Final = 200_000
"""Jobs whose rows are laid open at a time, unless a single day has more: some 200 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheaf:
    """The rows of a batch, and which jobs they are of; cheap to send to another process."""

    jobs: tuple[tuple[int, int, str], ...]
    """Of each job its id, its project's id, and its day."""
    projects: tuple[tuple[int, str], ...]
    """Id and path of each project."""
    rows: tuple[bytes, bytes]
    """Of `images` and of `jobs`, packed."""

    @classmethod
    def of(cls, batch: Sequence[Harvested]) -> Self:
        """Return a batch bound together."""
        tables = rows_of(batch)
        return cls(
            jobs=tuple(
                (each.job.id, each.job.project_id, each.job.date.isoformat()) for each in batch
            ),
            projects=tuple(
                sorted({(each.job.project_id, each.job.project_path) for each in batch})
            ),
            rows=(_pack(tables["images"]), _pack(tables["jobs"])),
        )


def _pack(rows: pa.Table) -> bytes:
    """Return rows as a compressed Arrow stream; the texts of their schema stay here."""
    sink = pa.BufferOutputStream()
    # Compressed as a whole: by itself each of the small columns hardly shrinks.
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        bare = rows.schema.remove_metadata()
        bare = pa.schema([field.remove_metadata() for field in bare])
        with pa.ipc.new_stream(packed, bare) as stream:
            stream.write_table(rows.cast(bare))
    return bytes(sink.getvalue())


def _unpack(packed: bytes, table: Table) -> pa.Table:
    """Return the rows that `_pack` was given."""
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as source:
        return pa.ipc.open_stream(source).read_all().cast(file_schema(table))


class Bound:
    """What waits in a ledger's sheaves, laid open for as many days at a time as memory holds."""

    def __init__(self, ledger: LedgerView) -> None:
        """Read from this ledger."""
        self._ledger = ledger
        self._open: dict[dt.date, tuple[list[int], dict[Table, pa.Table]]] = {}
        self._last: dt.date | None = None
        """Up to which day the sheaves were laid open."""

    def of(self, day: dt.date) -> tuple[list[int], dict[Table, pa.Table]]:
        """Return the jobs of a day whose rows wait in sheaves, and these rows, by their key.

        Days are asked for in their order, each once.
        """
        if self._last is None or day > self._last:
            self._open, self._last = self._lay_open(day)
        nothing = {table: file_schema(table).empty_table() for table in TABLES}
        return self._open.pop(day, ([], nothing))

    def _lay_open(
        self, first: dt.date
    ) -> tuple[dict[dt.date, tuple[list[int], dict[Table, pa.Table]]], dt.date]:
        """Return the days from `first` on with their jobs and rows, and the last day so looked at.

        In a sheaf lie rows of any days, so it is opened once for each such span of days.
        """
        last, jobs = first, 0
        for day, more in self._ledger.bound_days(first):
            jobs += more
            if jobs > _MOST and day > first:
                break
            last = day
        bound = self._ledger.bound(first, last)
        sheaves: dict[int, list[int]] = {}
        days: dict[dt.date, list[int]] = {}
        for day, job_id, sheaf in bound:
            sheaves.setdefault(sheaf, []).append(job_id)
            days.setdefault(day, []).append(job_id)
        parts = {table: [file_schema(table).empty_table()] for table in TABLES}
        for number, job_ids in sheaves.items():
            asked = pa.array(job_ids, pa.int64())
            for table, packed in zip(TABLES, self._ledger.sheaf(number), strict=True):
                rows = _unpack(packed, table)
                parts[table].append(rows.filter(pc.is_in(rows["job_id"], asked)))
        order = pa.array([job_id for _, job_id, _ in bound], pa.int64())
        ends = list(accumulate(map(len, days.values())))
        cut = {table: _cut(pa.concat_tables(parts[table]), order, ends) for table in TABLES}
        return {
            day: (job_ids, {table: cut[table][at] for table in TABLES})
            for at, (day, job_ids) in enumerate(days.items())
        }, last


def _cut(rows: pa.Table, order: pa.Array, ends: Sequence[int]) -> list[pa.Table]:
    """Return rows in the order of these jobs, cut where so many of the jobs are passed."""
    place = "place"
    rows = rows.append_column(place, pc.index_in(rows["job_id"], order))
    keys = [(name, "ascending") for name in (place, "ordinal") if name in rows.column_names]
    rows = rows.sort_by(keys)
    stops = np.searchsorted(rows[place].to_numpy(), ends).tolist()
    rows = rows.drop_columns(place)
    return [rows.slice(start, stop - start) for start, stop in pairwise([0, *stops])]
