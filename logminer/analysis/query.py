"""Questions of one's own: a SELECT over the views `images` and `jobs`, and nothing beside them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.analysis.engine import MEMORY, database, patiently, reason
from logminer.analysis.source import TABLES, Anywhere, steady
from logminer.errors import FatalError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb
    import pandas as pd
    import pyarrow as pa

    from logminer.analysis.source import Source, Table

_BATCH: Final = 8_192
"""Rows that are handed on at a time."""

_LONGEST: Final = 1_000_000
"""Characters of a statement: more is a file that was taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a statement, to be read once, from front to back."""

    schema: pa.Schema
    _next: Callable[[], pa.RecordBatch | None]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, some thousands at a time; raises as `stream` does."""
        while (batch := self._next()) is not None:
            yield batch


@contextmanager
def stream(source: Source, sql: str) -> Iterator[Answer]:
    """Yield the answer to a SELECT, batch by batch: what is not yet read is not yet computed.

    `images` and `jobs` are views with the columns of the data dictionary; a filter on `date` opens
    only the files of those days.
    Raises UsageError for what is no SELECT, or a wrong one, or would read anything else;
    StoreError for a file that cannot be read; FatalError where the memory does not suffice.
    """
    far = source if isinstance(source, Anywhere) and not source.is_local else None
    files = {} if far else {table: source.files(table, None, None) for table in TABLES}
    with database([path for paths in files.values() for path in paths]) as connection:
        with _told():
            _check(connection, sql)
            for table, paths in files.items():
                _view(connection, source, table, paths)
            if far:
                for table in TABLES:
                    connection.register(table, far.dataset(table, None, None))
            reader = patiently(connection, lambda: connection.sql(sql).to_arrow_reader(_BATCH))

        def following() -> pa.RecordBatch | None:
            with _told(), suppress(StopIteration):
                return patiently(connection, reader.read_next_batch)
            return None

        yield Answer(schema=reader.schema, _next=following)


def query(source: Source, sql: str) -> pd.DataFrame:
    """Return the answer to a SELECT over the views `images` and `jobs` of a store as a frame.

    The whole answer is held in memory; raises as `stream` does.
    """
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see the package docstring

    def answer(_files: list[str]) -> pd.DataFrame:
        with stream(source, sql) as batches:
            frame: pd.DataFrame = pa.Table.from_batches(batches, batches.schema).to_pandas()
        return frame

    return steady(
        lambda: [path for table in TABLES for path in source.files(table, None, None)], answer
    )


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError unless the text is one SELECT."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    if len(sql) > _LONGEST:
        raise UsageError(f"the statement is longer than {_LONGEST:,} characters: write a SELECT")
    statements = connection.extract_statements(sql)
    if not statements:
        raise UsageError('there is no statement: write a SELECT, as in "select * from jobs"')
    if len(statements) > 1:
        raise UsageError(f"these are {len(statements)} statements: write one SELECT")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError(
            f"a query only reads, and {statements[0].type.name} does not: write a SELECT over the "
            "views images and jobs"
        )


def _view(
    connection: duckdb.DuckDBPyConnection, source: Source, table: Table, files: list[str]
) -> None:
    """Make a table readable under its name."""
    if not files:
        connection.register(table, source.schema(table).empty_table())
        return
    # A view takes no parameters, so the names stand in it as literals. The day is taken from the
    # last directory: one above the store may be named like a partition, too.
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
    connection.execute(f"""
        CREATE VIEW {table} AS
        SELECT
            * EXCLUDE (filename),
            regexp_extract(filename, 'date=([0-9-]+)/[^/]*$', 1)::DATE AS date
        FROM read_parquet(
            [{listed}], hive_partitioning = false, filename = true, union_by_name = true
        )
    """)  # noqa: S608 -- a constant and quoted names


@contextmanager
def _told() -> Iterator[None]:
    """Turn what DuckDB says into one line, by what the caller must do.

    Arrow hands on what DuckDB says while it computes as errors of its own.
    """
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    try:
        yield
    except (duckdb.Error, OSError, RuntimeError) as error:
        said = reason(error)
        if isinstance(error, duckdb.OutOfMemoryException) or said.startswith("Out of Memory"):
            raise FatalError(
                f"the statement needs more than {MEMORY} of memory: ask for fewer columns or rows, "
                "or read the files with a tool of your own"
            ) from error
        if isinstance(error, duckdb.PermissionException):
            raise UsageError(
                f"a query reads the views images and jobs and nothing else: {said}"
            ) from error
        if isinstance(error, duckdb.IOException) or ".parquet" in said:
            raise StoreError(f"the harvested files cannot be read: {said}") from error
        raise UsageError(f"the statement cannot be answered: {said}") from error
