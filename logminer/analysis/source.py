"""One door between the verbs and their data: a store's files or a DataFrame become SQL rows.

Strategy: every question runs in a DuckDB of its own, in memory, that may open the files it was
given and nothing else, and whose configuration is locked before any of them is read.
A file name is data, never SQL, and so is every bound in time.
Only the columns a question names are read.

Rows are first chosen by day (which files are opened at all) and then exactly by the moment a job
started, or was created if it never started: a period may begin in the middle of a day.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from logminer.analysis.when import Span, When, span
from logminer.errors import StoreError, UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    import duckdb
    import pandas as pd
    import pyarrow as pa

Table: TypeAlias = Literal["images", "jobs", "declared"]
Parameter: TypeAlias = "str | int | dt.datetime | dt.date | list[str] | None"

_MOMENTS = ("created_at", "started_at")
"""Needed by every question, to tell when a job was."""

_FILES = "read_parquet($files, hive_partitioning = false)"
"""The hive path repeats the day, which no question reads; a directory above the store that looks
like a partition must not add a column."""

_TYPES = {
    "created_at": "timestamp",
    "started_at": "timestamp",
    "project_id": "int64",
    "job_id": "int64",
    "ordinal": "int64",
    "line": "int64",
    "images": "int64",
    "date": "day",
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
            return _run(connection, self.statement(origin), values)
        finally:
            connection.close()

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column the statement reads, in a fixed order."""
        always = _SNAPSHOT if self.table == "declared" else _MOMENTS
        return tuple(dict.fromkeys((*always, *self.columns)))

    def statement(self, origin: str) -> str:
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
    table: pa.Table | None
    if isinstance(source, pd.DataFrame):
        table = _from_frame(source, question)
    else:
        files = source.files(question.table, *bounds.days)
        table = None if files else _empty(source, question)
    connection.execute("SET allowed_paths = ?", [files])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    if table is None:
        return _FILES, {"files": files}
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
        "day": pa.date32(),
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


Frames: TypeAlias = "tuple[pd.DataFrame, pd.DataFrame]"
"""Frames with the columns of `Store.images()` and of `Store.declared()`."""

_SNAPSHOT = ("instance", "project_id", "date")
"""Needed of every declaration, to tell which snapshot it belongs to."""

_STATED = r"""(
    SELECT *, regexp_extract(filename, 'date=([0-9-]{10})/[^/]*$', 1)::DATE AS date
    FROM read_parquet($stated, hive_partitioning = false, filename = true)
)"""
"""Files of declarations, each with the day of its own directory, whatever lies above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One SQL statement over `rows`, as a `Question`'s are, and over `declared`.

    `declared` holds one snapshot of each project: its newest one up to the last day of the asked
    time, or where it has none, its first one after that.
    """

    images: tuple[str, ...]
    declared: tuple[str, ...]
    sql: str

    def ask(
        self, source: Source | Frames, when: When, **parameters: str | int | None
    ) -> pd.DataFrame:
        """Return the answer as a frame; raises as `Question.ask` does."""
        bounds = span(when)
        used = Question(table="images", columns=self.images, sql="")
        stated = Question(table="declared", columns=self.declared, sql="")
        files: dict[str, list[str]] = {}
        connection = _connect()
        try:
            if isinstance(source, tuple):
                given = [_from_frame(source[0], used), _from_frame(source[1], stated)]
            else:
                files = {
                    "files": source.files("images", *bounds.days),
                    "stated": source.files("declared", None, None),
                }
                given = [_empty(source, used), _empty(source, stated)]
            connection.execute("SET allowed_paths = ?", [[*itertools.chain(*files.values())]])
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            connection.register("given", given[0])
            connection.register("told", given[1])
            files = {name: paths for name, paths in files.items() if paths}
            values: dict[str, Parameter] = {
                **parameters,
                **files,
                "since": bounds.since,
                "until": bounds.until,
            }
            origin = _FILES if "files" in files else "given"
            rest = self._rest(stated, _STATED if "stated" in files else "told")
            return _run(connection, replace(used, sql=rest).statement(origin), values)
        finally:
            connection.close()

    def _rest(self, stated: Question, origin: str) -> str:
        """Return what follows `rows`; every part of it is a constant of this package."""
        columns = ", ".join(f'"{name}"' for name in stated.needed)
        return f"""
            , declared AS (
                SELECT {columns}
                FROM {origin}
                WINDOW snapshots AS (PARTITION BY instance, project_id)
                QUALIFY date = coalesce(
                    max(date) FILTER (
                        date <= coalesce(
                            ($until::TIMESTAMPTZ - INTERVAL 1 MICROSECOND)::DATE, 'infinity'::DATE
                        )
                    ) OVER snapshots,
                    min(date) OVER snapshots
                )
            )
            {self.sql}
        """  # noqa: S608 -- see the docstring: values are parameters
