"""One door between the verbs and their data: a store's files or a DataFrame become SQL rows.

Strategy: every question runs in a DuckDB of its own (`engine`), which sees nothing else.
A file name is data, never SQL, and so is every bound in time.
Only the columns a question names are read.

An answer is a DataFrame, for analysts, or plain rows, for pages: these need neither pandas nor
Arrow, whose import alone takes longer than all the questions of a report on a small store.

Rows are first chosen by day (which files are opened at all) and then exactly by the moment a job
started, or was created if it never started: a period may begin in the middle of a day.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    runtime_checkable,
)

from logminer.analysis.engine import LESS_MEMORY, database, loaded, patiently, reason
from logminer.analysis.when import When, span
from logminer.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    from typing_extensions import TypeIs

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_P = ParamSpec("_P")
_FILES = "read_parquet($files, hive_partitioning = false)"
"""The hive path repeats the day, which no question reads; a directory above the store that looks
like a partition must not add a column."""

Row: TypeAlias = "dict[str, Any]"
"""A row of an answer: texts, numbers, datetimes in UTC, and None for what is missing."""
Rows: TypeAlias = "list[Row]"
Table: TypeAlias = Literal["images", "jobs", "declared"]
TABLES: tuple[Table, ...] = ("images", "jobs")
Parameter: TypeAlias = "str | int | dt.datetime | list[str] | list[str | None] | None"

_MOMENTS = ("created_at", "started_at")
"""Needed by every question, to tell when a job was."""

_TYPES = {
    "created_at": "timestamp",
    "started_at": "timestamp",
    "project_id": "int64",
    "job_id": "int64",
    "runner_id": "int64",
    "ordinal": "int64",
    "pull_attempts": "int64",
    "line": "int64",
    "date": "day",
    "images": "int64",
    "downloaded": "bool",
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
    """A source whose files DuckDB may not be able to open: far away, or of an older version."""

    @property
    def is_plain(self) -> bool:
        """Whether it can open them all, and finds every column in each."""
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
    optional: tuple[str, ...] = ()
    """Columns that a frame may lack: they are null then. A store has every column."""

    def ask(self, source: Source | pd.DataFrame, when: When, **parameters: Parameter) -> Asked:
        """Return the question with what it is asked of."""
        return Asked(question=self, source=source, when=when, parameters=parameters)

    def answer(
        self,
        source: Source | pd.DataFrame,
        when: When,
        parameters: Mapping[str, Parameter],
        taken: Taken[_T],
    ) -> _T:
        """Return the answer as `taken` makes it of a statement; raises as `Asked` does."""
        bounds = span(when)
        values = {**parameters, "since": bounds.since, "until": bounds.until}
        if _is_frame(source):
            return self._of(_from_frame(source, self), values, taken)
        with loaded(source, bounds.days, self.table, self.read) as connection:
            if connection is not None:
                return taken(connection, self.statement(self.table), values)
        if isinstance(source, Anywhere) and not source.is_plain:
            # DuckDB asks it for the columns that the question reads.
            return self._of(source.dataset(self.table, *bounds.days), values, taken, far=True)
        return steady(
            lambda: source.files(self.table, *bounds.days),
            lambda files: (
                self._read(files, values, taken)
                if files
                else self._of(_empty(source, self), values, taken)
            ),
        )

    def _of(
        self,
        table: pa.Table | ds.Dataset,
        values: Mapping[str, Parameter],
        taken: Taken[_T],
        *,
        far: bool = False,
    ) -> _T:
        """Return the answer about the rows of a table."""
        with database([], memory=LESS_MEMORY) as connection:
            connection.register("given", table)
            return taken(connection, self.statement("given", far=far), values)

    def _read(self, files: list[str], values: Mapping[str, Parameter], taken: Taken[_T]) -> _T:
        """Return the answer about the rows in some files."""
        with database(files, memory=LESS_MEMORY) as connection:
            return taken(connection, self.statement(_FILES), {**values, "files": files})

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that must be there, in a fixed order."""
        return tuple(dict.fromkeys((*_MOMENTS, *self.columns)))

    @property
    def read(self) -> tuple[str, ...]:
        """Every column the statement reads, in a fixed order."""
        return tuple(dict.fromkeys((*self.needed, *self.optional)))

    def statement(self, origin: str, *, far: bool = False) -> str:
        """Return the whole statement; every part of it is a constant of this package.

        Wherever it names `rows` they are read again, each time only those columns that are needed
        there: a copy would hold all of them, and seldom fit into memory. What is far away is read
        once all the same.
        """
        columns = ", ".join(f'"{name}"' for name in self.read)
        copied = far and self.sql.lstrip().startswith(",")  # else it names them once
        return f"""
            WITH rows AS {"" if copied else "NOT"} MATERIALIZED (
                SELECT {columns}, coalesce(started_at, created_at) AS moment
                FROM {origin}
                WHERE ($since::TIMESTAMPTZ IS NULL OR moment >= $since::TIMESTAMPTZ)
                  AND ($until::TIMESTAMPTZ IS NULL OR moment < $until::TIMESTAMPTZ)
            )
            {self.sql}
        """  # noqa: S608 -- see the docstring: values are parameters


class _Answers(Protocol):
    """A question, or a comparison."""

    def answer(
        self,
        source: Any,  # noqa: ANN401 -- each takes its own
        when: When,
        parameters: Mapping[str, Parameter],
        taken: Taken[_T],
    ) -> _T:
        """Return the answer as `taken` makes it of a statement."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with what it is asked of; nothing is read before an answer is wanted.

    Both answers raise UsageError for a time that cannot be understood and for a frame that is not
    one of the question's table; StoreError for a file that cannot be read.
    """

    question: _Answers
    source: object
    when: When
    parameters: Mapping[str, Parameter]
    added: tuple[int, str, Callable[[Row], str | None]] | None = None
    """A column of texts that SQL does not make: its place, its name and what it says of a row."""

    def frame(self) -> pd.DataFrame:
        """Return the answer as a frame."""
        frame = self.question.answer(self.source, self.when, self.parameters, _frame)
        if self.added is not None:
            import pandas as pd  # noqa: PLC0415 -- here it is there already: the frame is one

            place, name, says = self.added
            texts = [says(cast("Row", row)) for row in frame.to_dict("records")]
            # Behind a text, because pandas takes no rows, or nulls alone, for numbers.
            frame.insert(place, name, pd.Series(["", *texts]).array[1:])
        return frame

    def rows(self) -> Rows:
        """Return the answer as plain rows."""
        rows = self.question.answer(self.source, self.when, self.parameters, _rows)
        if self.added is None:
            return rows
        place, name, says = self.added
        return [
            dict([*list(row.items())[:place], (name, says(row)), *list(row.items())[place:]])
            for row in rows
        ]


class Verb(Protocol[_P]):
    """A question under its name: called, it answers with a frame."""

    def __call__(self, *arguments: _P.args, **options: _P.kwargs) -> pd.DataFrame:
        """Return the answer as a frame."""
        ...

    def rows(self, *arguments: _P.args, **options: _P.kwargs) -> Rows:
        """Return the answer as plain rows."""
        ...


def verb(asked: Callable[_P, Asked]) -> Verb[_P]:
    """Make a verb of a function that says what is asked."""

    @functools.wraps(asked)
    def frame(*arguments: _P.args, **options: _P.kwargs) -> pd.DataFrame:
        return asked(*arguments, **options).frame()

    def rows(*arguments: _P.args, **options: _P.kwargs) -> Rows:
        return asked(*arguments, **options).rows()

    frame.__annotations__ = {**asked.__annotations__, "return": "pd.DataFrame"}
    made = cast("Verb[_P]", frame)
    made.rows = rows  # type: ignore[method-assign]
    return made


def at_least_one(limit: int) -> int:
    """Return a limit of rows; raises UsageError for one below 1."""
    if limit < 1:
        raise UsageError(f"limit is 1 or more, not {limit}")
    return limit


def steady(listed: Callable[[], list[str]], work: Callable[[list[str]], _T]) -> _T:
    """Return what some work makes of the files that are there, also while a harvest publishes.

    A published day is replaced whole, and open files stay whole; but one that was listed may be
    taken away before it is opened. Then all is listed anew.
    """
    files = listed()
    while True:
        try:
            return work(files)
        except StoreError:
            again = listed()
            if set(files) <= set(again):
                raise
            files = again


def _empty(source: Source, question: Question) -> pa.Table:
    """Return no rows with the types the store would have given."""
    schema = source.schema(question.table)
    _require(question.read, question, schema.names, whose="the store's schema")
    return schema.empty_table().select(list(question.read))


def _is_frame(source: object) -> TypeIs[pd.DataFrame]:
    """Return whether rows are given as a frame; where nobody imported pandas, none can be."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(source, pandas.DataFrame)


def _from_frame(frame: pd.DataFrame, question: Question) -> pa.Table:
    """Return the needed columns with the types of the store, whatever pandas made of them."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see the package docstring

    present = [str(name) for name in frame.columns]
    _require(question.needed, question, present, whose="this frame")
    named = {
        "timestamp": pa.timestamp("us", tz="UTC"),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "day": pa.date32(),
        "text": pa.string(),
    }
    schema = pa.schema([(name, named[_TYPES.get(name, "text")]) for name in question.read])
    lacking = {name: None for name in question.read if name not in present}
    try:
        return pa.Table.from_pandas(
            frame[[name for name in question.read if name in present]].assign(**lacking),
            schema=schema,
            preserve_index=False,
        )
    except (ValueError, TypeError, NotImplementedError) as error:  # Arrow's errors are these
        raise UsageError(
            f"this frame does not hold {question.table} as Store.{question.table}() gives them: "
            f"{reason(error)}"
        ) from error


def _require(
    needed: tuple[str, ...], question: Question, present: list[str], *, whose: str
) -> None:
    """Raise UsageError unless every needed column is there."""
    missing = [name for name in needed if name not in present]
    if missing:
        raise UsageError(
            f"{whose} has no column {', '.join(missing)}: this question is about "
            f"{question.table}, with the columns of Store.{question.table}()"
        )


class Taken(Protocol[_T_co]):
    """How an answer is taken from a database."""

    def __call__(
        self, connection: duckdb.DuckDBPyConnection, statement: str, values: Mapping[str, Parameter]
    ) -> _T_co:
        """Return what the statement answers."""
        ...


def _frame(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Mapping[str, Parameter]
) -> pd.DataFrame:
    """Return the answer to a statement, through Arrow: it keeps types where no row shows them."""
    table = _told(connection, lambda: connection.sql(statement, params=values).to_arrow_table())
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _rows(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Mapping[str, Parameter]
) -> Rows:
    """Return the answer to a statement, row by row."""

    def work() -> Rows:
        asked = connection.sql(statement, params=values)
        kinds = zip(asked.columns, map(str, asked.types), strict=True)
        times = {name for name, kind in kinds if kind == "TIMESTAMP WITH TIME ZONE"}
        # As they are, older DuckDBs hand them over only where there is a package for time zones.
        shown = ", ".join(f'"{name}"' + "::TIMESTAMP" * (name in times) for name in asked.columns)
        return [
            {
                name: cell.replace(tzinfo=dt.UTC) if name in times and cell else cell
                for name, cell in zip(asked.columns, row, strict=True)
            }
            for row in asked.project(shown).fetchall()
        ]

    return _told(connection, work)


def _told(connection: duckdb.DuckDBPyConnection, work: Callable[[], _T]) -> _T:
    """Return what some work makes; what DuckDB says of it becomes one line."""
    import duckdb  # noqa: PLC0415 -- heavy, see the package docstring

    try:
        return patiently(connection, work)
    except duckdb.Error as error:
        raise StoreError(f"the harvested files cannot be read: {reason(error)}") from error


Frames: TypeAlias = "tuple[pd.DataFrame, pd.DataFrame]"
"""Frames with the columns of `Store.images()` and of `Store.declared()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated(Question):
    """The columns of `declared` that a comparison reads."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column, with those that tell which snapshot a declaration belongs to."""
        return tuple(dict.fromkeys(("instance", "project_id", "date", *self.columns)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One SQL statement over `rows`, as a `Question`'s are, and over `declared`.

    `declared` holds one snapshot of each project: its newest one up to the last day of the asked
    time, or where it has none, its first one after that.
    """

    images: tuple[str, ...]
    declared: tuple[str, ...]
    sql: str

    def ask(self, source: Anywhere | Frames, when: When, **parameters: str | int | None) -> Asked:
        """Return the comparison with what it is asked of."""
        return Asked(question=self, source=source, when=when, parameters=parameters)

    def answer(
        self,
        source: Anywhere | Frames,
        when: When,
        parameters: Mapping[str, Parameter],
        taken: Taken[_T],
    ) -> _T:
        """Return the answer as `taken` makes it of a statement; raises as `Asked` does."""
        bounds = span(when)
        values = {**parameters, "since": bounds.since, "until": bounds.until}
        if isinstance(source, tuple):
            used, stated = source
            return self._of(
                _from_frame(used, self._used), _from_frame(stated, self._stated), values, taken
            )
        told = source.dataset("declared", None, None)
        with loaded(source, bounds.days, "images", self._used.read) as connection:
            if connection is not None:
                connection.register("stated", told)
                return taken(connection, self._used.statement("images"), values)
        if not source.is_plain:
            far = source.dataset("images", *bounds.days)
            return self._of(far, told, values, taken, far=True)
        return steady(
            lambda: source.files("images", *bounds.days),
            lambda files: (
                self._read(files, told, values, taken)
                if files
                else self._of(_empty(source, self._used), told, values, taken)
            ),
        )

    def _of(
        self,
        used: pa.Table | ds.Dataset,
        stated: pa.Table | ds.Dataset,
        values: Mapping[str, Parameter],
        taken: Taken[_T],
        *,
        far: bool = False,
    ) -> _T:
        """Return the answer about the rows of two tables."""
        with database([], memory=LESS_MEMORY) as connection:
            connection.register("given", used)
            connection.register("stated", stated)
            return taken(connection, self._used.statement("given", far=far), values)

    def _read(
        self,
        files: list[str],
        stated: ds.Dataset,
        values: Mapping[str, Parameter],
        taken: Taken[_T],
    ) -> _T:
        """Return the answer about the rows in some files, and declarations."""
        with database(files, memory=LESS_MEMORY) as connection:
            connection.register("stated", stated)
            return taken(connection, self._used.statement(_FILES), {**values, "files": files})

    @property
    def _stated(self) -> Question:
        return _Stated(table="declared", columns=self.declared, sql="")

    @property
    def _used(self) -> Question:
        """The question with all that follows `rows`; every part is a constant of this package."""
        columns = ", ".join(f'"{name}"' for name in self._stated.needed)
        rest = f"""
            , declared AS (
                SELECT {columns}
                FROM stated
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
        return Question(table="images", columns=self.images, sql=rest)
