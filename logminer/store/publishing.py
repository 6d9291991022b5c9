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

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logminer.errors import ChangedError, NewerStoreError, StoreError
from logminer.store.dataset import data_file, readable
from logminer.store.outcomes import Outcomes
from logminer.store.schema import (
    FILES,
    SCHEMA_VERSION,
    Table,
    brought_up,
    file_schema,
    no_rows,
)
from logminer.store.sheaf import Bound

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from pathlib import Path
    from types import TracebackType

    from logminer.store.dataset import Store
    from logminer.store.ledger import Ledger
    from logminer.store.shelf import Found

_ROW_GROUP: Final = 122_880
"""Rows: what DuckDB gives to one thread, and more than an ordinary day has."""

_AT_ONCE: Final = 2
"""Days of which files are made side by side."""

_LARGE: Final = 8 * 2**20
"""Bytes of rows of a day whose files are made alone: two of them would need the memory of both."""

_MERGING: Final = threading.Lock()
"""Held while an old file is read and written anew: one at a time, for the same reason. (Of a bucket
it is read before.)"""

_FORGET: Final = 1.0
"""Seconds between two transactions that forget; after a kill, the days of as many are published
again, and those under way."""

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

    `proceed` is asked before each day and often while one is read, with how many were begun before
    and how many there are, whether to go on; what is left then is the next call's.
    Killed anywhere and called again, it gives the same bytes: an outcome leaves the ledger only
    after all files of its day are in place.
    Raises StoreError if a file cannot be read or written.
    """
    pending = ledger.pending_days()
    with (
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish") as threads,
        _Days(store, ledger, threads) as days,
    ):
        # The first rows are collected meanwhile: only a file that is replaced has to wait for it.
        prepared = threads.submit(_prepare, store, ledger, pending)
        bound, outcomes = Bound(ledger, threads), Outcomes(ledger)
        for day in pending:
            collected = _collect(day, bound, outcomes, partial(proceed, days.begun, len(pending)))
            if collected is None:
                break
            prepared.result()
            days.replace(day, *collected)
        prepared.result()
    ledger.forget_sheaves()
    return PublishSummary(
        days=days.done, jobs=days.jobs, images=days.images, left=len(pending) - days.done
    )


def _prepare(store: Store, ledger: Ledger, pending: list[dt.date]) -> None:
    """Bring what is recorded to safety, and say whose files will come, before the first does."""
    if pending:
        ledger.checkpoint()
        store.announce(ledger)


class _Days:
    """Days whose files are replaced, two at a time; to be used in a `with`.

    Compressing and flushing need no interpreter. The ledger forgets what stands in the files of
    several days at once, because each transaction flushes the disk, too.
    """

    def __init__(self, store: Store, ledger: Ledger, threads: Executor) -> None:
        self._store = store
        self._ledger = ledger
        self._threads = threads
        self._under_way: deque[Future[_Day]] = deque()
        self._to_forget: dict[dt.date, list[int]] = {}
        self._forgot_at = time.monotonic()
        self.begun = 0
        self.done = 0
        self.jobs = 0
        self.images = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish what is under way, and have the ledger forget what is done, whatever happened."""
        try:
            while self._under_way and error is None:
                self._take()
        finally:  # where one has failed, that error counts, and the days that did not
            for each in self._under_way:
                if each.exception() is None:
                    self._count(each.result())
            self._forget()

    def replace(self, day: dt.date, recorded: list[int], rows: dict[Table, pa.Table]) -> None:
        """Replace a day's files by such in which these jobs have these rows and no others."""
        each = _Day(
            day=day, jobs=len(recorded), job_ids=recorded + self._ledger.withdrawn(day), rows=rows
        )
        alone = sum(table.nbytes for table in rows.values()) > _LARGE
        while self._under_way and (alone or len(self._under_way) >= _AT_ONCE):
            self._take()
        self.begun += 1
        self._under_way.append(self._threads.submit(_replace_day, self._store, self._ledger, each))
        if alone:
            self._take()

    def _take(self) -> None:
        """Wait for the day that was begun first."""
        self._count(self._under_way.popleft().result())
        if time.monotonic() > self._forgot_at + _FORGET:
            self._forget()

    def _count(self, each: _Day) -> None:
        self._to_forget[each.day] = each.job_ids
        self.done += 1
        self.jobs += each.jobs
        self.images += each.rows["images"].num_rows

    def _forget(self) -> None:
        if self._to_forget:
            self._ledger.published(self._to_forget)
        self._to_forget, self._forgot_at = {}, time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """What is to be published of a day."""

    day: dt.date
    jobs: int
    """That have rows."""
    job_ids: list[int]
    """Those, and others whose rows are taken back."""
    rows: dict[Table, pa.Table]


def _replace_day(store: Store, ledger: Ledger, each: _Day) -> _Day:
    """Replace the files of a day; return what it was."""
    day, rows = each.day, each.rows
    # What was kept of a trace stays until something newer is kept of it.
    kept = rows["preambles"]["job_id"].to_pylist()
    owners = {table: kept if table == "preambles" else each.job_ids for table in FILES}
    # A newer one is refused before any is replaced, be it one that stays.
    versions = {table: version_of(store, data_file(table, day, ledger.source)) for table in FILES}
    for table in FILES:
        if owners[table]:
            absent = versions[table] is None
            replace_rows(store, ledger, table, day, owners[table], rows[table], absent=absent)
    # Each thread keeps what it no longer needs for itself: 30 MB of a first harvest's peak.
    pa.default_memory_pool().release_unused()
    return each


def _collect(
    day: dt.date, bound: Bound, outcomes: Outcomes, proceed: Callable[[], bool]
) -> tuple[list[int], dict[Table, pa.Table]] | None:
    """Return the pending jobs of a day and the rows they contribute to each table, by their key.

    None where there is no time for it: a day may hold a hundred thousand jobs.
    """
    bound_ids, bound_rows = bound.of(day)
    found = outcomes.of(day, proceed)
    if found is None:
        return None
    job_ids, parts = found
    collected = {
        table: pa.concat_tables(
            [
                bound_rows.get(table, no_rows(table)),
                *(part[table] for part in parts),
            ]
        )
        for table in FILES
    }
    if job_ids and bound_ids:  # each comes in the order of the key
        collected = {table: rows.sort_by(_KEYS[table]) for table, rows in collected.items()}
    return bound_ids + job_ids, collected


def replace_rows(  # noqa: PLR0913, PLR0917 -- one file, and what becomes of it
    store: Store,
    ledger: Ledger,
    table: Table,
    day: dt.date,
    owners: list[int],
    rows: pa.Table,
    *,
    absent: bool = False,
) -> None:
    """Replace one day's file by one in which these owners have these rows and no others.

    `absent` says that there was none a moment ago, so that a bucket need not be asked again.
    """
    name, shelf = data_file(table, day, ledger.source), store.shelf
    for attempt in range(_TRIES):
        seen = None if absent and attempt == 0 else shelf.find(name)
        aside = ledger.aside / f"{table}-{day}.parquet"
        try:
            with _MERGING if seen is not None else nullcontext():
                content = _merged(seen, shelf.location(name), table, owners, rows)
                if not content.num_rows and seen is None:
                    return
                if not content.num_rows and shelf.can_remove:
                    shelf.remove(name)
                    return
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
    replace_rows(store, ledger, table, day, [], no_rows(table))


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
