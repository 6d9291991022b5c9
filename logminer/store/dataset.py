"""The dataset: plain Parquet files by day, which need no library of ours to be read.

    STORE/images/date=2026-09-14/<source>.parquet     one file for each day and source
    STORE/jobs/date=2026-09-14/<source>.parquet
    STORE/declared/date=2026-09-14/<source>.parquet   snapshots that were taken on that day
    STORE/preambles/date=2026-09-14/<source>.parquet  only where parts of traces are kept
    STORE/state/store.json                            says that this is a store
    STORE/state/                                      the ledger and its lock

STORE is a directory or a URL (see `shelf`). `pd.read_parquet(store / "images")` is always right.
What this module adds for Python: it opens only the files of the days in question, reads only the
columns asked for, cuts exactly at a moment within a day, and gives the same types whatever the rows
are, also when there are none.

Arrow and pandas are imported by what reads rows: a report over plain files does without them.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from logminer.errors import NewerStoreError, NotAStoreError, StoreError, UsageError
from logminer.period import Period, parse_moment
from logminer.store.directory import Directory
from logminer.store.schema import (
    PARTITION,
    SCHEMA_VERSION,
    Table,
    schema,
)
from logminer.store.shelf import Shelf, shelf_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds

    from logminer.store.ledger import Ledger, LedgerView

Moment: TypeAlias = dt.datetime | dt.date | str
"""A point in time: a datetime (naive means UTC), a date (its first moment in UTC) or text."""

_FORMAT: Final = "logminer store"
_MARKER: Final = "state/store.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Between which versions of the schema the files of a store lie."""

    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class Store:
    """A directory or a bucket of harvested facts; `open_store` and `Store.create` give one."""

    shelf: Shelf

    def __str__(self) -> str:
        """Return the path or the URL."""
        return str(self.shelf)

    @classmethod
    def create(cls, location: Path | str) -> Store:
        """Make a store at a path or a URL, or open the one that is there.

        Raises NotAStoreError for a place that holds anything else, StoreError where it cannot be
        written.
        """
        shelf = shelf_of(location)
        if shelf.read(_MARKER) is None:
            marker = {"format": _FORMAT, "schema_version": SCHEMA_VERSION}
            shelf.lay_out(_MARKER, json.dumps(marker).encode() + b"\n")
        return _opened(shelf)

    @property
    def path(self) -> Path:
        """The directory; raises UsageError for a store that has none."""
        return self._directory.path

    @property
    def _directory(self) -> Directory:
        if not isinstance(self.shelf, Directory):
            raise UsageError(f"{self} is no directory: this is to be had of a local store only")
        return self.shelf

    def ledger_path(self, source: str) -> Path:
        """Return where the ledger of a source lies in a directory, whether or not there is one."""
        return self._directory.ledger_path(source)

    def has_ledger(self, source: str) -> bool:
        """Whether a source has a ledger here."""
        return self.shelf.has_ledger(source)

    def open_ledger(self, source: str) -> Ledger:
        """Open the ledger of a source for writing; create it if there is none.

        Raises BusyError, which names the holder, where another writer has it, and StoreError for
        one that is damaged, foreign or from a newer logminer.
        """
        return self.shelf.open_ledger(source)

    def read_ledger(self, source: str) -> LedgerView:
        """Open the ledger of a source to look at it, also while a harvest is writing.

        Raises StoreError if there is none or it cannot be read.
        """
        return self.shelf.read_ledger(source)

    def sources(self) -> list[str]:
        """Return the names of the sources that have a ledger here, sorted."""
        return self.shelf.sources()

    def versions(self) -> Versions:
        """Return between which versions of the schema the files lie, by what the marker says.

        Raises NotAStoreError if there is no store, NewerStoreError if it is from a newer logminer.
        """
        try:
            marker = json.loads(self.shelf.read(_MARKER) or b"")
            newest = marker["schema_version"] if marker["format"] == _FORMAT else None
            oldest = marker.get("oldest_version", newest)
        except (ValueError, KeyError, TypeError):
            newest = oldest = None
        if not (isinstance(newest, int) and isinstance(oldest, int)):
            raise NotAStoreError(
                f"{self} is no logminer store: `logminer harvest --store {self}` makes one"
            )
        if newest > SCHEMA_VERSION:
            raise NewerStoreError(
                f"{self} was written by a newer logminer (schema version {newest}, this one "
                f"knows {SCHEMA_VERSION}): upgrade logminer"
            )
        return Versions(oldest=oldest, newest=newest)

    def announce(self, ledger: Ledger) -> None:
        """Say that files of this version will be written, unless the marker says so already."""
        versions = self.versions()
        if versions.newest < SCHEMA_VERSION:
            self.mark(ledger, oldest=versions.oldest)

    def mark(self, ledger: Ledger, *, oldest: int) -> None:
        """Say that from now on files of this version are written; `oldest` may still lie there.

        Said before the first of them is written, so that an older logminer refuses the store
        rather than its files.
        """
        marker = {"format": _FORMAT, "schema_version": SCHEMA_VERSION}
        if oldest < SCHEMA_VERSION:
            marker["oldest_version"] = oldest
        aside = ledger.aside / "store.json"
        seen = self.shelf.find(_MARKER)
        with self.shelf.replacing(_MARKER, seen=seen, aside=aside, confirm=ledger.confirm) as file:
            file.write_text(json.dumps(marker) + "\n", encoding="utf-8")

    def schema(self, table: Table) -> pa.Schema:
        """Return what readers of a table see: every column, the partition last."""
        return schema(table)

    def files(
        self, table: Table, since: dt.date | None = None, until: dt.date | None = None
    ) -> list[str]:
        """Return the Parquet files of the days from `since` up to, not including, `until`.

        Paths or URLs, sorted by day, then by source; None leaves that side open.
        """
        return [self.shelf.location(name) for _, name in self.days(table, since, until)]

    def dataset(
        self, table: Table, since: dt.date | None = None, until: dt.date | None = None
    ) -> ds.Dataset:
        """Return these files as an Arrow dataset: columns and days are read when they are asked."""
        return self._scan(table, self.days(table, since, until))

    @property
    def is_plain(self) -> bool:
        """Whether `files` are paths that any program can open, each with every column of today."""
        return isinstance(self.shelf, Directory) and self.versions().oldest == SCHEMA_VERSION

    def images(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        columns: Sequence[str] | None = None,
        *,
        period: Period | str | None = None,
    ) -> pd.DataFrame:
        """Return the image uses of the jobs in a period or between two moments, `until` excluded.

        A job is where it started, or where it was created if it never started. Times are UTC;
        texts are dates, RFC 3339 times or `7d`; None leaves that side open. A period is one, or its
        text (`last-quarter`), and leaves nothing for `since` and `until` to say.
        Only the named columns are read; without any, all of them.
        Types do not depend on the rows: numbers and booleans that can be null are pandas' `Int64`
        and `boolean`, the others `int64` and `bool`; `date` is the day as `datetime64`.
        Raises UsageError for a moment or a column there is none of, StoreError for a file that
        cannot be read.
        """
        return self._frame("images", since, until, columns, period)

    def jobs(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        columns: Sequence[str] | None = None,
        *,
        period: Period | str | None = None,
    ) -> pd.DataFrame:
        """Return the jobs in a period or between two moments; everything else as `images` does."""
        return self._frame("jobs", since, until, columns, period)

    def declared(
        self, as_of: Moment | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return what every project declares as of a day: the rows of its newest snapshot up to it.

        None is the newest of all. A project whose default branch did not move since has the rows of
        an earlier day. Rows without an image are gaps, or say that a project declares nothing.
        Everything else as `images` does.
        """
        names = list(schema("declared").names if columns is None else dict.fromkeys(columns))
        last = _moment(as_of, dt.datetime.now(dt.UTC))
        until = last.date() + dt.timedelta(days=1) if last is not None else None
        key = ["instance", "project_id"]
        frame = self._frame("declared", None, until, [*key, "date", *names], None)
        newest = frame.groupby(key)["date"].transform("max")
        return frame[frame["date"] == newest][names].reset_index(drop=True)

    def days(
        self, table: Table, since: dt.date | None = None, until: dt.date | None = None
    ) -> list[tuple[dt.date, str]]:
        """Return the name of every file of the asked days, with its day."""
        found = []
        for name in self.shelf.names(table):
            directory, _, file = name.removeprefix(f"{table}/").partition("/")
            if directory.startswith(f"{PARTITION}="):
                day = self._day(table, directory)
                asked = (since is None or since <= day) and (until is None or day < until)
                if asked and file.endswith(".parquet"):
                    found.append((day, name))
        return sorted(found)

    def _day(self, table: Table, directory: str) -> dt.date:
        """Return the day that a partition's name says."""
        try:
            return dt.date.fromisoformat(directory.removeprefix(f"{PARTITION}="))
        except ValueError as error:
            raise StoreError(
                f"{self.shelf.location(f'{table}/{directory}')} is no day of a logminer store:"
                " move it away"
            ) from error

    def _scan(self, table: Table, days: list[tuple[dt.date, str]]) -> ds.Dataset:
        """Return some days' files as one dataset.

        Each file is given its day by us, not by its path: a directory above the store may be named
        like a partition, too.
        """
        import pyarrow as pa  # noqa: PLC0415 -- heavy, see the module's docstring
        import pyarrow.dataset as ds  # noqa: PLC0415

        from logminer.store.streamed import Streamed  # noqa: PLC0415 -- Arrow's, too

        parquet = ds.ParquetFileFormat()
        files = self.shelf.filesystem()
        fragments = [
            parquet.make_fragment(
                self.shelf.location(name),
                filesystem=files,
                partition_expression=ds.field(PARTITION) == pa.scalar(day),
            )
            for day, name in days
        ]
        return Streamed(fragments, schema(table), parquet, files)

    def _frame(
        self,
        table: Table,
        since: Moment | None,
        until: Moment | None,
        columns: Sequence[str] | None,
        period: Period | str | None,
    ) -> pd.DataFrame:
        """Return the rows of a table between two moments as a frame."""
        names = list(schema(table).names if columns is None else dict.fromkeys(columns))
        unknown = [name for name in names if name not in schema(table).names]
        if unknown:
            raise UsageError(
                f"{table} has no column {', '.join(unknown)}: `logminer schema` lists them"
            )
        now = dt.datetime.now(dt.UTC)
        if period is not None:
            if since is not None or until is not None:
                raise UsageError("give a period, or since and until, not both")
            if isinstance(period, str):
                period = Period.parse(period, today=now.date())
            since, until = period.since, period.until
        begin, end = _moment(since, now), _moment(until, now)
        days = self.days(table, begin and begin.date(), end and _day_after(end))
        with readable(self.shelf.location(table)):
            rows = self._scan(table, days).to_table(columns=names, filter=_between(begin, end))
            return _pandas(rows)


def open_store(location: Path | str) -> Store:
    """Return the store at a path or a URL.

    Raises NotAStoreError if there is none, NewerStoreError if it is from a newer logminer.
    """
    return _opened(shelf_of(location))


def _opened(shelf: Shelf) -> Store:
    """Return the store that lies there."""
    store = Store(shelf)
    store.versions()
    return store


def source_of(instance: str) -> str:
    """Return the name that an instance's files have: its host and port, safe as a file name.

    Never begins with a dot or an underscore: readers of Parquet skip such files.
    Raises UsageError for text without any letter or digit.
    """
    source = re.sub(r"[^a-z0-9.-]+", "_", instance.lower()).strip("._-")
    if not source:
        raise UsageError(f"{instance!r} names no GitLab instance: give its host, and port if any")
    return source


def _between(begin: dt.datetime | None, end: dt.datetime | None) -> ds.Expression | None:
    """Return the exact filter; none where whole days are asked for, whose files are chosen."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see the module's docstring
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.dataset as ds  # noqa: PLC0415

    moment = pc.coalesce(ds.field("started_at"), ds.field("created_at"))
    bounds = [
        compare(moment, pa.scalar(bound, pa.timestamp("us", tz="UTC")))
        for bound, compare in ((begin, pc.greater_equal), (end, pc.less))
        if bound is not None and bound.time() != dt.time.min
    ]
    return (bounds[0] & bounds[-1]) if bounds else None


def _pandas(rows: pa.Table) -> pd.DataFrame:
    """Return a frame whose types do not depend on the rows."""
    import pandas as pd  # noqa: PLC0415 -- heavy, see the module's docstring
    import pyarrow as pa  # noqa: PLC0415

    for index, field in enumerate(rows.schema):
        if field.type == pa.date32():
            day = rows.column(index).cast(pa.timestamp("us"))
            rows = rows.set_column(index, pa.field(field.name, day.type, nullable=False), day)
    # Two conversions of whole tables: column by column, text without a value would lose its type.
    optional = [field.name for field in rows.schema if field.nullable]
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    parts: list[pd.DataFrame] = [
        rows.drop_columns(optional).to_pandas(),
        rows.select(optional).to_pandas(types_mapper=nullable.get),
    ]
    names: list[str] = rows.column_names
    return pd.concat(parts, axis="columns")[names]


def _moment(moment: Moment | None, now: dt.datetime) -> dt.datetime | None:
    """Return a point in time as an aware datetime in UTC."""
    if moment is None:
        return None
    if isinstance(moment, str):
        return parse_moment(moment, now=now)
    if not isinstance(moment, dt.datetime):
        return dt.datetime.combine(moment, dt.time.min, dt.UTC)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _day_after(end: dt.datetime) -> dt.date:
    """Return the first day that holds nothing before `end`."""
    return end.date() if end.time() == dt.time.min else end.date() + dt.timedelta(days=1)


def data_file(table: Table, day: dt.date, source: str) -> str:
    """Return the name of the file of one day of one source."""
    return f"{table}/{PARTITION}={day}/{source}.parquet"


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn what Arrow says of a file that it cannot read into one line."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see the module's docstring

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"cannot read {path} ({reason}): restore it from a copy") from error
