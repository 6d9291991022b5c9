"""Jobs whose rows were made by older rules, and what was kept of their traces.

The dataset itself says which they are, so nothing has to remember how far a reparse has come: what
was read again says so by its version.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logminer.model import Depth, TraceState
from logminer.store.dataset import data_file, readable
from logminer.store.publishing import read_rows
from logminer.store.schema import job_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator

    from logminer.model import Job
    from logminer.store.dataset import Store

_SLICE: Final = 2_000
"""Rows that are objects at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldJob:
    """A job whose trace was read by older rules."""

    instance: str
    job: Job
    depth: Depth
    size: int
    """Bytes that were read of its trace."""
    kept: bytes | None
    """What was kept of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are to be read again."""

    older_than: str
    """A version of the rules: rows of older ones are wanted."""
    project_ids: Collection[int] | None = None
    """None for all."""
    since: dt.datetime | None = None
    """Created from here on."""
    until: dt.datetime | None = None
    """Created before."""


def count_old(store: Store, source: str, wanted: Wanted) -> int:
    """Return how many jobs are wanted; reads a few columns only."""
    return sum(
        pc.sum(_mask(store, name, wanted)).as_py() or 0 for _, name in _days(store, source, wanted)
    )


def old_jobs(store: Store, source: str, wanted: Wanted) -> Iterator[OldJob]:
    """Yield the jobs that are wanted, oldest day first; of one day at a time are rows in memory."""
    for day, name in _days(store, source, wanted):
        mask = _mask(store, name, wanted)
        rows = read_rows(store, name, "jobs") if pc.any(mask).as_py() else None
        if rows is None:
            continue
        rows = rows.filter(mask)
        kept = _Kept(read_rows(store, data_file("preambles", day, source), "preambles"))
        for begin in range(0, rows.num_rows, _SLICE):
            for row in rows.slice(begin, _SLICE).to_pylist():
                yield OldJob(
                    instance=row["instance"],
                    job=job_of(row),
                    depth=Depth(row["depth"]),
                    size=row["trace_bytes"],
                    kept=kept.of(row["job_id"]),
                )


def _days(store: Store, source: str, wanted: Wanted) -> list[tuple[dt.date, str]]:
    """Return the days that may hold such jobs: none starts before it was created."""
    since = wanted.since.date() if wanted.since is not None else None
    return [
        (day, name) for day, name in store.days("jobs", since) if PurePosixPath(name).stem == source
    ]


_COLUMNS: Final = ["project_id", "created_at", "trace_state", "extractor_version"]


def _mask(store: Store, name: str, wanted: Wanted) -> pa.Array:
    """Return which rows of a file are wanted."""
    seen = store.shelf.find(name)
    if seen is None:
        return pa.array([], pa.bool_())
    with readable(store.shelf.location(name)), pq.ParquetFile(seen.content) as file:
        rows = file.read(columns=_COLUMNS)
    versions = rows["extractor_version"]
    older = [v for v in pc.unique(versions).to_pylist() if is_older(v, wanted.older_than)]
    mask = pc.and_(
        pc.equal(rows["trace_state"], TraceState.OK.value),
        pc.is_in(versions, pa.array(older, pa.string())),
    )
    if wanted.project_ids is not None:
        ids = pa.array(wanted.project_ids, pa.int64())
        mask = pc.and_(mask, pc.is_in(rows["project_id"], ids))
    if wanted.since is not None:
        mask = pc.and_(mask, pc.greater_equal(rows["created_at"], pa.scalar(wanted.since)))
    if wanted.until is not None:
        mask = pc.and_(mask, pc.less(rows["created_at"], pa.scalar(wanted.until)))
    return mask


def is_older(version: str, than: str) -> bool:
    """Whether rules of one version are older than those of another; of a foreign one, always."""
    return not version.isdecimal() or int(version) < int(than)


class _Kept:
    """What was kept of the traces of a day."""

    def __init__(self, rows: pa.Table | None) -> None:
        self._rows = rows
        ids = rows["job_id"].to_pylist() if rows is not None else []
        self._places = {job_id: place for place, job_id in enumerate(ids)}

    def of(self, job_id: int) -> bytes | None:
        """Return what was kept of one."""
        place = self._places.get(job_id)
        if self._rows is None or place is None:
            return None
        kept: bytes = self._rows["kept"][place].as_py()
        return kept
