"""A DuckDB of one's own: in memory, bounded, and blind to everything but the files it was given.

Whatever a statement says, it can open these files and no other, load nothing, and change no
setting: the configuration is locked before it is read. What does not fit into memory goes into a
directory of its own, which disappears with the database.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

_T = TypeVar("_T")

MEMORY: Final = "512MB"
"""For sorting and grouping; what is more goes to disk, where the statement allows it."""

_SETTINGS: Final = (
    "SET TimeZone = 'UTC'",  # days are days in UTC, wherever it runs
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",  # no variable of ours is a table
)


@contextmanager
def database(files: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty database that can read these files, and close it."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    with tempfile.TemporaryDirectory(prefix="logminer-") as aside:
        connection = duckdb.connect(":memory:")
        try:
            for setting in _SETTINGS:
                connection.execute(setting)
            connection.execute("SET memory_limit = ?", [MEMORY])
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
