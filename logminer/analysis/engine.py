"""A DuckDB of one's own: in memory, bounded, and blind to everything but the files it was given.

Whatever a statement says, it can open these files and no other, load nothing, and change no
setting: the configuration is locked before it is read. What does not fit into memory goes into a
directory of its own, which disappears with the database.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb

_T = TypeVar("_T")

MEMORY: Final = "512MB"
"""For sorting and grouping; what is more goes to disk, where the statement allows it."""

LESS_MEMORY: Final = "256MB"
"""For the verbs, whose statements are known to go to disk: a report stays below 500 MB in all."""

_SETTINGS: Final = (
    "SET TimeZone = 'UTC'",  # days are days in UTC, wherever it runs
    "SET GLOBAL TimeZone = 'UTC'",  # for cursors, too
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET GLOBAL python_enable_replacements = false",  # no variable of ours is a table
)


_FEW: Final = 50_000
"""Rows that take some 30 MB of memory at most: about half a kilobyte each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Whose rows many questions are about, of which days, and which columns of them."""

    source: object
    days: tuple[dt.date | None, dt.date | None]
    """The second one exclusive; None leaves that side open."""
    columns: Mapping[str, Sequence[str]]
    """By table."""

    def encloses(self, source: object, days: tuple[dt.date | None, dt.date | None]) -> bool:
        """Return whether these are some of its days."""
        (since, until), (first, last) = self.days, days
        return (
            self.source is source
            and (since is None or (first is not None and since <= first))
            and (until is None or (last is not None and last <= until))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """A database for many questions."""

    connection: duckdb.DuckDBPyConnection
    readable: frozenset[str]
    extent: Extent
    loaded: frozenset[str]
    """Tables that hold the columns of all rows of the extent."""


_SHARED: ContextVar[_Shared | None] = ContextVar("_SHARED", default=None)
"""The innermost `shared`."""


@contextmanager
def shared(extent: Extent, tables: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Let all questions about an extent be asked of one database while this lasts.

    `tables` are the files that hold it. A report asks many questions: the database is made once and
    every file's footer is read once; where there are few rows, they are read once, too.
    """
    files = [file for paths in tables.values() for file in paths]
    settings = ("SET parquet_metadata_cache = true", "SET preserve_insertion_order = false")
    with _made(files, *settings, memory=LESS_MEMORY) as connection:
        held = _Shared(
            connection=connection,
            readable=frozenset(files),
            extent=extent,
            loaded=_loaded(connection, extent, tables),
        )
        token = _SHARED.set(held)
        try:
            yield
        finally:
            _SHARED.reset(token)


def _loaded(
    connection: duckdb.DuckDBPyConnection, extent: Extent, tables: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Copy an extent's rows into tables where they are few; returns the names of these."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    loaded = set()
    for table, files in tables.items():
        columns = ", ".join(f'"{name}"' for name in extent.columns.get(table, ()))
        if not files or not columns:
            continue
        copied = (
            f'CREATE TABLE "{table}" AS SELECT {columns} FROM '  # noqa: S608 -- names of ours
            f"read_parquet($files, hive_partitioning = false) LIMIT {_FEW + 1}"
        )
        try:
            ((rows,),) = connection.execute(copied, {"files": list(files)}).fetchall()
        except duckdb.Error:
            continue  # taken away by a harvest, or damaged: the question that reads it will say so
        if rows <= _FEW:
            loaded.add(table)
        else:
            connection.execute(f'DROP TABLE "{table}"')
    return frozenset(loaded)


@contextmanager
def loaded(
    source: object,
    days: tuple[dt.date | None, dt.date | None],
    table: str,
    columns: Sequence[str],
) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Yield the shared database if its table of this name holds all these rows, None otherwise.

    It may hold other days' rows, too.
    """
    held = _SHARED.get()
    if (
        held is None
        or table not in held.loaded
        or not held.extent.encloses(source, days)
        or not set(columns) <= set(held.extent.columns[table])
    ):
        yield None
        return
    with held.connection.cursor() as cursor:
        yield cursor


@contextmanager
def database(files: Sequence[str], *, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty database that can read these files, and close it."""
    held = _SHARED.get()
    if held is not None and held.readable.issuperset(files):
        with held.connection.cursor() as cursor:
            yield cursor
        return
    with _made(files, memory=memory) as connection:
        yield connection


@contextmanager
def _made(files: Sequence[str], *settings: str, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a new database that can read these files, and close it."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    with tempfile.TemporaryDirectory(prefix="logminer-") as aside:
        connection = duckdb.connect(":memory:")
        try:
            for setting in (*_SETTINGS, *settings):
                connection.execute(setting)
            connection.execute("SET memory_limit = ?", [memory])
            connection.execute("SET temp_directory = ?", [aside])
            connection.execute("SET allowed_paths = ?", [list(files)])
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield connection
        finally:
            connection.close()


def patiently(connection: duckdb.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
    """Return what some work with a database makes, and let Ctrl-C end it.

    DuckDB does not look for signals, and Python cannot before it returns: so it works in a thread,
    and is told to stop.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        working = thread.submit(work)
        try:
            return working.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def reason(error: Exception) -> str:
    """Return what an error says in one line, without the excerpts that follow it."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.partition("\n\n")[0].split())
