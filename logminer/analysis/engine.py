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
class _Shared:
    """A database for many questions."""

    connection: duckdb.DuckDBPyConnection
    readable: frozenset[str]
    loaded: frozenset[str]
    """Those of the files whose rows lie in it already, in tables of their own."""


_SHARED: ContextVar[_Shared | None] = ContextVar("_SHARED", default=None)
"""The innermost `shared`."""


@contextmanager
def shared(tables: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Let all questions about the files of these tables be asked of one database while this lasts.

    A report asks many: the database is made once and every file's footer is read once; where there
    are few rows, they are read once, too.
    """
    files = [file for paths in tables.values() for file in paths]
    with _made(files, LESS_MEMORY, "SET parquet_metadata_cache = true") as connection:
        held = _Shared(
            connection=connection,
            readable=frozenset(files),
            loaded=frozenset(files if _load(connection, tables) else ()),
        )
        token = _SHARED.set(held)
        try:
            yield
        finally:
            _SHARED.reset(token)


def loaded(files: Sequence[str]) -> bool:
    """Return whether the rows of these files, and others, lie in the shared database's tables."""
    held = _SHARED.get()
    return held is not None and bool(files) and held.loaded.issuperset(files)


def _load(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[str]]) -> bool:
    """Copy the rows of the files into tables, where they are few; returns whether it was done."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    origin = "FROM read_parquet($files, hive_partitioning = false)"
    given = {table: {"files": list(files)} for table, files in tables.items() if files}
    try:
        for files in given.values():
            ((rows,),) = connection.execute(f"SELECT count(*) {origin}", files).fetchall()
            if rows > _FEW:
                return False
        for table, files in given.items():
            connection.execute(f'CREATE TABLE "{table}" AS {origin}', files)
    except duckdb.Error:
        return False  # taken away by a harvest, or damaged: the question that reads it will say so
    return True


@contextmanager
def database(files: Sequence[str], *, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty database that can read these files, and close it."""
    held = _SHARED.get()
    if held is not None and held.readable.issuperset(files):
        with held.connection.cursor() as cursor:
            yield cursor
        return
    with _made(files, memory) as connection:
        yield connection


@contextmanager
def _made(files: Sequence[str], memory: str, *settings: str) -> Iterator[duckdb.DuckDBPyConnection]:
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
