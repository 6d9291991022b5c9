"""One door between the verbs and their data: a store's files or a DataFrame become SQL rows.

Strategy: every question runs in a DuckDB of its own, in memory, that may open the files it was
given and nothing else, and whose configuration is locked before any of them is read.
A file name is data, never SQL, and so is every bound in time.
Only the columns a question names are read.

Rows are first chosen by day (which files are opened at all) and then exactly by the moment a job
started, or was created if it never started: a period may begin in the middle of a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from logminer.analysis.when import Span, When, span
from logminer.errors import StoreError, UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import duckdb
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

Table: TypeAlias = Literal["images", "jobs"]
Parameter: TypeAlias = "str | int | dt.datetime | list[str] | None"

_MOMENTS = ("created_at", "started_at")
"""Needed by every question, to tell when a job was."""

_TYPES = {
    "created_at": "timestamp",
    "started_at": "timestamp",
    "project_id": "int64",
    "job_id": "int64",
    "images": "int64",
    "truncated": "bool",
    "recognised": "bool",
}
"""Arrow types of the columns that are not text: a column of nothing but None shows no type."""


class Source(Protocol):
    """What a verb needs of a store; `logminer.store.Store` is one."""

    def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
        """Return the Parquet files of the days from `since` up to, not including, `until`."""
        ...

    def schema(self, table: Table) -> pa.Schema:
        """Return the columns and types of a table, for the time when it has no file."""
        ...


@runtime_checkable
class Anywhere(Source, Protocol):
    """A source whose files may lie where DuckDB cannot open them."""

    @property
    def is_local(self) -> bool:
        """Whether it can."""
        ...

    def dataset(self, table: Table, since: dt.date | None, until: dt.date | None) -> ds.Dataset:
        """Return the same files as an Arrow dataset."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One SQL statement over `rows`, with the columns of a table that it reads.

    `rows` holds these columns of the rows in the asked time, and `moment`, when the job was.
    The bounds themselves are the parameters `$since` and `$until` (timestamps or null).
    """

    table: Table
    columns: tuple[str, ...]
    sql: str

    def ask(
        self, source: Source | pd.DataFrame, when: When, **parameters: str | int
    ) -> pd.DataFrame:
        """Return the answer as a frame.

        Raises UsageError for a time that cannot be understood and for a frame that is not one of
        this table; StoreError for a file that cannot be read.
        """
        bounds = span(when)
        connection = _connect()
        try:
            origin, files = _attach(connection, source, self, bounds)
            values: dict[str, Parameter] = {
                **parameters,
                **files,
                "since": bounds.since,
                "until": bounds.until,
            }
            return _run(connection, self._statement(origin), values)
        finally:
            connection.close()

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column the statement reads, in a fixed order."""
        return tuple(dict.fromkeys((*_MOMENTS, *self.columns)))

    def _statement(self, origin: str) -> str:
        """Return the whole statement; every part of it is a constant of this package."""
        columns = ", ".join(f'"{name}"' for name in self.needed)
        return f"""
            WITH rows AS (
                SELECT {columns}, coalesce(started_at, created_at) AS moment
                FROM {origin}
                WHERE ($since::TIMESTAMPTZ IS NULL OR moment >= $since::TIMESTAMPTZ)
                  AND ($until::TIMESTAMPTZ IS NULL OR moment < $until::TIMESTAMPTZ)
            )
            {self.sql}
        """  # noqa: S608 -- see the docstring: values are parameters


def _connect() -> duckdb.DuckDBPyConnection:
    """Return an empty database whose days are days in UTC, wherever it runs."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _attach(
    connection: duckdb.DuckDBPyConnection,
    source: Source | pd.DataFrame,
    question: Question,
    bounds: Span,
) -> tuple[str, Mapping[str, list[str]]]:
    """Make the data readable and nothing else; return its SQL name and that name's parameters."""
    import pandas as pd  # noqa: PLC0415 -- heavy, see the package docstring

    files: list[str] = []
    table: pa.Table | ds.Dataset | None
    if isinstance(source, pd.DataFrame):
        table = _from_frame(source, question)
    elif isinstance(source, Anywhere) and not source.is_local:
        # DuckDB asks it for the columns that the question reads.
        table = source.dataset(question.table, *bounds.days)
    else:
        files = source.files(question.table, *bounds.days)
        table = None if files else _empty(source, question)
    connection.execute("SET allowed_paths = ?", [files])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    if table is None:
        # The hive path repeats the day, which no question reads; a directory above the store
        # that looks like a partition must not add a column.
        return "read_parquet($files, hive_partitioning = false)", {"files": files}
    connection.register("given", table)
    return "given", {}


def _empty(source: Source, question: Question) -> pa.Table:
    """Return no rows with the types the store would have given."""
    schema = source.schema(question.table)
    _require(question, schema.names, whose="the store's schema")
    return schema.empty_table().select(list(question.needed))


def _from_frame(frame: pd.DataFrame, question: Question) -> pa.Table:
    """Return the needed columns with the types of the store, whatever pandas made of them."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see the package docstring

    _require(question, [str(name) for name in frame.columns], whose="this frame")
    named = {
        "timestamp": pa.timestamp("us", tz="UTC"),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "text": pa.string(),
    }
    schema = pa.schema([(name, named[_TYPES.get(name, "text")]) for name in question.needed])
    try:
        return pa.Table.from_pandas(
            frame[list(question.needed)], schema=schema, preserve_index=False
        )
    except (ValueError, TypeError, NotImplementedError) as error:  # Arrow's errors are these
        raise UsageError(
            f"this frame does not hold {question.table} as Store.{question.table}() gives them: "
            f"{_first_line(error)}"
        ) from error


def _require(question: Question, present: list[str], *, whose: str) -> None:
    """Raise UsageError unless every needed column is there."""
    missing = [name for name in question.needed if name not in present]
    if missing:
        raise UsageError(
            f"{whose} has no column {', '.join(missing)}: this question is about "
            f"{question.table}, with the columns of Store.{question.table}()"
        )


def _run(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Mapping[str, Parameter]
) -> pd.DataFrame:
    """Return the answer to a statement, through Arrow: it keeps types where no row shows them."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    try:
        frame: pd.DataFrame = connection.sql(statement, params=values).to_arrow_table().to_pandas()
    except duckdb.Error as error:
        raise StoreError(f"the harvested files cannot be read: {_first_line(error)}") from error
    return frame


def _first_line(error: Exception) -> str:
    """Return what an error says, without the excerpts that follow it."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.partition("\n")[0].strip()
