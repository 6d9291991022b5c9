"""Publishing: outcomes leave the ledger and become rows of the day's Parquet files.

A day's file is replaced whole, so visible means complete and killed means nothing happened. What it
holds depends on the outcomes alone, not on how many runs recorded them or in which order: rows are
sorted by their key, and everything that shapes the bytes (compression, row groups, types) is fixed
here.

A day's `images` are replaced before its `jobs`: a reader in between sees image uses whose job is
not counted yet, never a job that is counted and whose images are missing. A reader of both tables
gets the same promise by reading `jobs` first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logminer.errors import ChangedError, NewerStoreError, StoreError
from logminer.store.dataset import data_file, readable
from logminer.store.rows import rows_of
from logminer.store.schema import (
    FILES,
    SCHEMA_VERSION,
    Table,
    brought_up,
    file_schema,
)
from logminer.store.sheaf import Bound

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from logminer.store.dataset import Store
    from logminer.store.ledger import Ledger
    from logminer.store.shelf import Found

_SLICE: Final = 2_000
"""Jobs read from the ledger at a time: bounds the Python objects alive at once."""

_ROW_GROUP: Final = 122_880
"""Rows: what DuckDB gives to one thread, and more than an ordinary day has."""

_TRIES: Final = 5
"""Times a file is read and written again because somebody else has replaced it in between."""

_KEYS: Final[dict[Table, list[tuple[str, str]]]] = {
    "images": [("job_id", "ascending"), ("ordinal", "ascending")],
    "jobs": [("job_id", "ascending")],
    "declared": [("project_id", "ascending"), ("ordinal", "ascending")],
    "preambles": [("job_id", "ascending")],
}
_OWNERS: Final[dict[Table, str]] = {
    "images": "job_id",
    "jobs": "job_id",
    "preambles": "job_id",
    "declared": "project_id",
}
"""Whose rows are replaced together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSummary:
    """What one call of `publish` made visible."""

    days: int
    jobs: int
    images: int
    left: int = 0
    """Days that are still to be published."""


def publish(
    store: Store,
    ledger: Ledger,
    *,
    proceed: Callable[[int, int], bool] = lambda _done, _of: True,
) -> PublishSummary:
    """Bring every pending outcome of a ledger into the Parquet files, day by day.

    `proceed` is asked before each day and often while one is read, with how many are done and how
    many there were, whether to go on; what is left then is the next call's.
    Killed anywhere and called again, it gives the same bytes: an outcome leaves the ledger only
    after all files of its day are in place.
    Raises StoreError if a file cannot be read or written.
    """
    days = jobs = images = 0
    pending = ledger.pending_days()
    bound = Bound(ledger)
    if pending:
        ledger.checkpoint()
        store.announce(ledger)
    for day in pending:
        collected = _collect(ledger, day, bound, partial(proceed, days, len(pending)))
        if collected is None:
            break
        recorded, rows = collected
        job_ids = recorded + ledger.withdrawn(day)
        for table in FILES:
            # A newer one is refused before any is replaced.
            version_of(store, data_file(table, day, ledger.source))
        for table in FILES:
            if table != "preambles":
                replace_rows(store, ledger, table, day, job_ids, rows[table])
            elif kept := rows[table]["job_id"].to_pylist():
                # What was kept of a trace stays until something newer is kept of it.
                replace_rows(store, ledger, table, day, kept, rows[table])
        ledger.published(day, job_ids)
        days, jobs, images = days + 1, jobs + len(recorded), images + rows["images"].num_rows
    ledger.forget_sheaves()
    return PublishSummary(days=days, jobs=jobs, images=images, left=len(pending) - days)


def _collect(
    ledger: Ledger, day: dt.date, bound: Bound, proceed: Callable[[], bool]
) -> tuple[list[int], dict[Table, pa.Table]] | None:
    """Return the pending jobs of a day and the rows they contribute to each table, by their key.

    None where there is no time for it: a day may hold a hundred thousand jobs.
    """
    bound_ids, bound_rows = bound.of(day)
    job_ids: list[int] = []
    parts = {table: [bound_rows.get(table, file_schema(table).empty_table())] for table in FILES}
    while True:
        if not proceed():
            return None
        batch = ledger.pending(day, _SLICE, after=job_ids[-1] if job_ids else None)
        if not batch:
            break
        job_ids += [each.job.id for each in batch]
        for table, rows in rows_of(batch).items():
            parts[table].append(rows)
    collected = {table: pa.concat_tables(parts[table]) for table in FILES}
    if job_ids and bound_ids:  # each comes in the order of the key
        collected = {table: rows.sort_by(_KEYS[table]) for table, rows in collected.items()}
    return bound_ids + job_ids, collected


def replace_rows(  # noqa: PLR0913, PLR0917 -- one file, and what becomes of it
    store: Store, ledger: Ledger, table: Table, day: dt.date, owners: list[int], rows: pa.Table
) -> None:
    """Replace one day's file by one in which these owners have these rows and no others."""
    name, shelf = data_file(table, day, ledger.source), store.shelf
    for attempt in range(_TRIES):
        seen = shelf.find(name)
        content = _merged(seen, shelf.location(name), table, owners, rows)
        if not content.num_rows and seen is None:
            return
        if not content.num_rows and shelf.can_remove:
            shelf.remove(name)
            return
        aside = ledger.aside / f"{table}-{day}.parquet"
        try:
            with shelf.replacing(name, seen=seen, aside=aside, confirm=ledger.confirm) as file:
                _write(content, file)
        except ChangedError:
            # By a predecessor that was not dead after all, and is now: see `carried`.
            ledger.conflicted()
            if attempt == _TRIES - 1:
                raise
        else:
            return


def _merged(
    seen: Found | None, path: str, table: Table, owners: list[int], rows: pa.Table
) -> pa.Table:
    """Return the rows of a file in which these owners have these rows and no others."""
    if seen is None:
        return rows
    old = _read(seen, path, table)
    kept = old.filter(pc.invert(pc.is_in(old[_OWNERS[table]], pa.array(owners, pa.int64()))))
    # Outcomes come in the order of the key: only between old rows have they to be put.
    return pa.concat_tables([kept, rows]).sort_by(_KEYS[table])


def renew(store: Store, ledger: Ledger, table: Table, day: dt.date) -> None:
    """Write a file of an older version anew, as this version would have written its rows."""
    replace_rows(store, ledger, table, day, [], file_schema(table).empty_table())


def version_of(store: Store, name: str) -> int | None:
    """Return the version of the schema that a file was written with; None if there is none.

    Raises NewerStoreError for a file of a newer logminer, StoreError for one that is none of ours.
    """
    seen = store.shelf.find(name)
    if seen is None:
        return None
    path = store.shelf.location(name)
    with readable(path), pq.ParquetFile(seen.content) as file:
        return _version(file, path)


def read_rows(store: Store, name: str, table: Table) -> pa.Table | None:
    """Return the rows of one file, whatever version wrote it; None if there is none."""
    seen = store.shelf.find(name)
    return None if seen is None else _read(seen, store.shelf.location(name), table)


def _version(file: pq.ParquetFile, path: str) -> int:
    version = (file.schema_arrow.metadata or {}).get(b"schema_version", b"")
    if not version.isdigit():
        raise StoreError(f"{path} was not written by logminer: move it away")
    if int(version) > SCHEMA_VERSION:
        raise NewerStoreError(
            f"{path} was written by a newer logminer (schema version {int(version)}, this one "
            f"knows {SCHEMA_VERSION}): upgrade logminer"
        )
    return int(version)


def _read(seen: Found, path: str, table: Table) -> pa.Table:
    """Return the rows of one file, whatever version wrote it."""
    # One file by itself: read as part of a dataset it would gain the partition's column.
    with readable(path), pq.ParquetFile(seen.content) as file:
        version = _version(file, path)
        # One thread: several gain little on a day, and each of them keeps memory for itself.
        rows = file.read(use_threads=False)
        if version == SCHEMA_VERSION:
            return rows.cast(file_schema(table))
        try:
            return brought_up(rows, table)
        except ValueError as error:
            raise StoreError(f"cannot read {path} ({error}): restore it from a copy") from error


def _write(rows: pa.Table, path: Path) -> None:
    """Write rows so that the same rows give the same bytes."""
    pq.write_table(
        # In one piece: pages end where chunks do, and chunks tell how the rows came together.
        rows.combine_chunks(),
        path,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        row_group_size=_ROW_GROUP,
        use_dictionary=True,
        write_statistics=True,
    )
