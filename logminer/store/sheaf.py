"""A sheaf: what a batch of logs contributes, already as rows, bound together by whoever read them.

A harvest waits for a server, so its outcomes may be taken apart and put together again one by one.
Mining waits for nothing: there the process that writes the ledger would be what everybody waits
for. So rows are made where logs are read, pass through the ledger as one piece, and are laid open
again only to be sorted into days.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, islice, pairwise
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from logminer.store.rows import rows_of
from logminer.store.schema import TABLES, file_schema, no_rows

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from logminer.model import Harvested
    from logminer.store.ledger import Ledger
    from logminer.store.schema import Table

MOST: Final = 50_000
"""Jobs whose rows are laid open at a time, unless a single day has more: some 300 MB."""

_TOGETHER: Final = 256
"""Sheaves gone through at a time: some 30,000 jobs, so that what is laid aside has a size."""

Rows: TypeAlias = "dict[Table, pa.Table]"


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
            jobs=tuple((each.job.id, each.job.project_id, _iso(each.job.date)) for each in batch),
            projects=tuple(
                sorted({(each.job.project_id, each.job.project_path) for each in batch})
            ),
            rows=(_pack(tables["images"]), _pack(tables["jobs"])),
        )


@lru_cache(1024)
def _iso(day: dt.date) -> str:
    """Return a day as the ledger has it; most jobs of a batch are of the same few."""
    return day.isoformat()


def _pack(rows: pa.Table) -> bytes:
    """Return rows as a compressed Arrow stream; the texts of their schema stay here."""
    sink = pa.BufferOutputStream()
    # Compressed as a whole: by itself each of the small columns hardly shrinks.
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        bare = pa.schema([field.remove_metadata() for field in rows.schema])
        with pa.ipc.new_stream(packed, bare) as stream:
            stream.write_table(pa.table(rows.columns, schema=bare))
    return bytes(sink.getvalue())


def _unpack(packed: bytes, table: Table) -> pa.Table:
    """Return the rows that `_pack` was given."""
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as source:
        rows = pa.ipc.open_stream(source).read_all()
    schema = file_schema(table)
    return pa.table([rows[name] for name in schema.names], schema=schema)


class Bound:
    """What waits in a ledger's sheaves, laid open for as many days at a time as memory holds.

    An archive is read project by project, so a sheaf has rows of any days. Where there is more than
    memory holds, all sheaves are first gone through once and their rows are laid aside by spans of
    days.
    """

    def __init__(self, ledger: Ledger, threads: Executor) -> None:
        """Read from this ledger; `threads` unpack and sort, which needs no interpreter."""
        self._ledger = ledger
        self._threads = threads
        self._spans: list[_Span] | None = None
        self._open: dict[dt.date, tuple[list[int], Rows]] = {}

    def of(self, day: dt.date) -> tuple[list[int], Rows]:
        """Return the jobs of a day whose rows wait in sheaves, and these rows, by their key.

        Days are asked for in their order, each once.
        """
        if self._spans is None:
            self._spans = _spans(self._ledger.bound_days(day))
            if len(self._spans) > 1:
                self._scatter(self._spans)
        if self._spans and self._spans[0].first <= day:
            self._open = self._lay_open(self._spans.pop(0))
        nothing = {table: no_rows(table) for table in TABLES}
        return self._open.pop(day, ([], nothing))

    def _lay_open(self, span: _Span) -> dict[dt.date, tuple[list[int], Rows]]:
        """Return the days of a span with their jobs and rows."""
        if span.aside is not None:
            parts: Iterable[Rows] = [{table: _read(span.aside[table]) for table in TABLES}]
        else:
            parts = self._threads.map(self._rows, self._ledger.bound_sheaves())
        days = self._ledger.bound(span.first, span.last)
        order = pa.array(list(chain.from_iterable(days.values())), pa.int64())
        rows = _joined(parts)
        ends = list(accumulate(map(len, days.values())))
        of_days = self._threads.map(lambda table: _cut(rows[table], order, ends), TABLES)
        cut = dict(zip(TABLES, of_days, strict=True))
        return {
            day: (job_ids, {table: cut[table][at] for table in TABLES})
            for at, (day, job_ids) in enumerate(days.items())
        }

    def _scatter(self, spans: list[_Span]) -> None:
        """Go through all sheaves and lay their rows aside, each where its span will look."""
        self._ledger.aside.mkdir(parents=True, exist_ok=True)
        lasts = [span.last.isoformat() for span in spans]
        with contextlib.ExitStack() as opened:
            writers = []
            for at, span in enumerate(spans):
                span.aside = {table: self._ledger.aside / f"{table}-{at}.arrow" for table in TABLES}
                writers.append(
                    {
                        table: opened.enter_context(pa.ipc.new_stream(path, file_schema(table)))
                        for table, path in span.aside.items()
                    }
                )
            sheaves = iter(self._ledger.bound_sheaves())
            while some := list(islice(sheaves, _TOGETHER)):
                rows = _joined(self._threads.map(self._rows, some))
                days = self._ledger.days_bound(rows["jobs"]["job_id"].to_pylist())
                ids = pa.array(days, pa.int64())
                place = pa.array([bisect_left(lasts, day) for day in days.values()], pa.int64())
                for table in TABLES:
                    where = pc.take(place, pc.index_in(rows[table]["job_id"], ids)).to_numpy()
                    for at in np.unique(where).tolist():
                        writers[at][table].write_table(rows[table].filter(where == at))

    def _rows(self, sheaf: tuple[int, int]) -> Rows:
        """Return those rows of a sheaf that wait, so many jobs'; others were read again since."""
        number, waiting = sheaf
        packed = self._ledger.sheaf(number)
        rows = {table: _unpack(each, table) for table, each in zip(TABLES, packed, strict=True)}
        if waiting == rows["jobs"].num_rows:
            return rows
        job_ids = rows["jobs"]["job_id"].to_pylist()
        asked = pa.array(self._ledger.days_bound(job_ids, sheaf=number), pa.int64())
        return {
            table: rows[table].filter(pc.is_in(rows[table]["job_id"], asked)) for table in TABLES
        }


@dataclass(slots=True, kw_only=True)
class _Span:
    """Days that are laid open together."""

    first: dt.date
    last: dt.date
    aside: dict[Table, Path] | None = None
    """Where its rows were laid aside; None where all sheaves are of this span."""


def _spans(days: list[tuple[dt.date, int]]) -> list[_Span]:
    """Return days, of which so many jobs wait, as spans that memory holds."""
    spans: list[_Span] = []
    jobs = 0
    for day, more in days:
        jobs += more
        if not spans or jobs > MOST:
            spans.append(_Span(first=day, last=day))
            jobs = more
        spans[-1].last = day
    return spans


def _joined(parts: Iterable[Rows]) -> Rows:
    """Return the rows of all parts."""
    found: dict[Table, list[pa.Table]] = {table: [] for table in TABLES}
    for part in parts:
        for table in TABLES:
            found[table].append(part[table])
    return {table: pa.concat_tables(found[table]) for table in TABLES}


def _read(path: Path) -> pa.Table:
    """Return what was laid aside, which is gone then."""
    with pa.OSFile(str(path)) as file:
        rows = pa.ipc.open_stream(file).read_all()
    path.unlink()
    return rows


def _cut(rows: pa.Table, order: pa.Array, ends: Sequence[int]) -> list[pa.Table]:
    """Return rows in the order of these jobs, cut where so many of the jobs are passed."""
    place = "place"
    rows = rows.append_column(place, pc.index_in(rows["job_id"], order))
    keys = [(name, "ascending") for name in (place, "ordinal") if name in rows.column_names]
    rows = rows.sort_by(keys)
    stops = np.searchsorted(rows[place].to_numpy(), ends).tolist()
    rows = rows.drop_columns(place)
    return [rows.slice(start, stop - start) for start, stop in pairwise([0, *stops])]
