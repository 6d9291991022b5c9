"""A store is opened or refused in one line; its frames are exact, typed, and what others read."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

import logminer
from logminer.errors import NotAStoreError, StoreError, UsageError
from logminer.store.dataset import Store, open_store, source_of
from logminer.store.ledger import Ledger
from logminer.store.publishing import publish
from logminer.store.schema import Table, schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.model import Harvested, Job

SOURCE = "gitlab.example.com"
LAYOUT = {"images", "jobs", "state", "state/store.json", "state/tmp"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store.create(tmp_path / "store")


@pytest.fixture
def filled(store: Store, make_harvested: Callable[..., Harvested]) -> Store:
    """Return a store of three days with one, two and three image uses."""
    outcomes = [make_harvested(day, day=day, uses=day - 12) for day in (13, 14, 15)]
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit(outcomes)
        publish(store, ledger)
    return store


def listing(path: Path) -> set[str]:
    """Return everything below a directory, by relative path."""
    return {str(entry.relative_to(path)) for entry in path.rglob("*")}


class TestCreate:
    """A store is made where there is nothing, and nowhere else."""

    @pytest.mark.parametrize("where", ["store", "a/b/store"])
    def test_new(self, tmp_path: Path, where: str) -> None:
        """A new store has its directories and its marker."""
        store = Store.create(tmp_path / where)

        assert listing(store.path) == LAYOUT
        assert open_store(tmp_path / where) == store

    def test_again(self, filled: Store) -> None:
        """Making a store that is there opens it."""
        before = listing(filled.path)

        assert filled == Store.create(str(filled.path))
        assert before == listing(filled.path)

    def test_fresh_volume(self, tmp_path: Path) -> None:
        """The root of a new volume is as good as empty."""
        (tmp_path / "lost+found").mkdir()

        assert Store.create(tmp_path).path == tmp_path

    def test_half_made(self, tmp_path: Path) -> None:
        """A creation that was killed does not stand in the way of the next one."""
        (tmp_path / "images").mkdir()
        (tmp_path / "state" / "tmp").mkdir(parents=True)
        (tmp_path / "state" / "tmp" / "store.json").touch()

        assert Store.create(tmp_path).path == tmp_path
        assert listing(tmp_path) == LAYOUT

    @pytest.mark.parametrize("name", ["thesis.tex", "images/cat.jpeg", "images/date=2026-09-14/x"])
    def test_not_empty(self, tmp_path: Path, name: str) -> None:
        """A directory with anything in it is refused and left as it was."""
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        before = listing(tmp_path)
        with pytest.raises(
            NotAStoreError, match=r"and not empty \((thesis.tex|images) lies in it\)"
        ):
            Store.create(tmp_path)

        assert before == listing(tmp_path)

    def test_a_file(self, tmp_path: Path) -> None:
        """A file in the place of the store is told in one line."""
        (tmp_path / "store").touch()
        with pytest.raises(StoreError, match=r"store is no directory: name a new"):
            Store.create(tmp_path / "store")


class TestOpen:
    """A store is known by its marker."""

    def test_missing(self, tmp_path: Path) -> None:
        """A path that is not there is no store, and how to get one is said."""
        with pytest.raises(NotAStoreError, match="is no logminer store: `logminer harvest --store"):
            open_store(tmp_path / "nowhere")

    @pytest.mark.parametrize(
        "marker", ["", "[]", "null", '{"format": "other", "schema_version": 1}', '{"format": "x"}']
    )
    def test_foreign(self, store: Store, marker: str) -> None:
        """A marker that is not ours marks nothing."""
        (store.path / "state" / "store.json").write_text(marker)
        with pytest.raises(NotAStoreError, match="is no logminer store"):
            open_store(store.path)

    def test_a_file(self, tmp_path: Path) -> None:
        """A file is no store."""
        (tmp_path / "store").touch()
        with pytest.raises(NotAStoreError):
            open_store(tmp_path / "store")

    def test_newer(self, store: Store) -> None:
        """A store of a newer logminer asks for an upgrade."""
        marker = store.path / "state" / "store.json"
        marker.write_text(json.dumps(json.loads(marker.read_text()) | {"schema_version": 3}))
        with pytest.raises(
            StoreError, match=r"newer logminer \(schema version 3, this one knows 2"
        ):
            open_store(store.path)

    def test_unreadable(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A marker that may not be read is a matter of permissions, not of a missing store."""

        def refuse(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StoreError, match=r"^cannot read \S+: Permission denied$") as error:
            open_store(store.path)

        assert not isinstance(error.value, NotAStoreError)

    def test_by_the_front_door(self, store: Store) -> None:
        """`logminer.open` is how users open a store."""
        assert store == logminer.open(store.path)


@pytest.mark.parametrize(
    ("instance", "source"),
    [
        ("gitlab.example.com", "gitlab.example.com"),
        ("GitLab.Example.com", "gitlab.example.com"),
        ("127.0.0.1:8080", "127.0.0.1_8080"),
        ("[::1]:8080", "1_8080"),
        ("example.com/gitlab", "example.com_gitlab"),
        ("../../etc/passwd", "etc_passwd"),
        ("_hidden", "hidden"),
    ],
)
def test_source_of(instance: str, source: str) -> None:
    """A source is a file name that no reader skips and no shell misreads."""
    actual = source_of(instance)

    assert source == actual


def test_source_of_nothing() -> None:
    """An instance without a name has no file."""
    with pytest.raises(UsageError, match="names no GitLab instance"):
        source_of("://")


def test_sources(filled: Store) -> None:
    """A store knows its sources by their ledgers."""
    with Ledger.open(filled.ledger_path("gitlab.example.org")):
        pass

    assert filled.sources() == ["gitlab.example.com", "gitlab.example.org"]


class TestFiles:
    """Files are chosen by day."""

    @pytest.mark.parametrize(
        ("since", "until", "days"),
        [
            (None, None, [13, 14, 15]),
            (14, None, [14, 15]),
            (None, 14, [13]),
            (13, 15, [13, 14]),
            (14, 14, []),
        ],
    )
    def test_days(
        self, filled: Store, since: int | None, until: int | None, days: list[int]
    ) -> None:
        """`since` is the first day given, `until` the first one left out."""
        bounds = [dt.date(2026, 9, day) if day else None for day in (since, until)]
        actual = filled.files("images", *bounds)

        assert actual == [
            str(filled.path / "images" / f"date=2026-09-{day}" / f"{SOURCE}.parquet")
            for day in days
        ]

    def test_not_a_day(self, filled: Store) -> None:
        """A directory that is no day is named, not guessed at."""
        (filled.path / "images" / "date=soon").mkdir()
        with pytest.raises(StoreError, match=r"date=soon is no day of a logminer store"):
            filled.files("images")


READ_BY_PYTHON = """
import sys
from pathlib import Path
import duckdb, pyarrow as pa, pyarrow.fs as fs
from logminer.store import open_store
from logminer.store.directory import Directory

class Files(fs.FSSpecHandler):
    def __init__(self): super().__init__(None)
    def get_type_name(self): return "python"
    def normalize_path(self, path): return path
    def open_input_file(self, path): return pa.PythonFile(open(path, "rb", buffering=0), mode="r")

Directory.filesystem = lambda self: fs.PyFileSystem(Files())
store = open_store(sys.argv[1])
for _ in range(int(sys.argv[2])):
    connection = duckdb.connect()
    connection.register("given", store.dataset("jobs"))
    (rows,) = connection.execute(
        "select count(job_id) from given where date >= '2026-09-02'"
    ).fetchone()
print(rows)
"""


@pytest.mark.slow
def test_duckdb_reads_what_python_opens(
    store: Store, make_harvested: Callable[..., Harvested]
) -> None:
    """Files that Arrow reads through Python, as those of a bucket, are no trap for two locks."""
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(day, day=day, uses=0) for day in range(1, 31)])
        publish(store, ledger)
    done = subprocess.run(  # noqa: S603 -- our own interpreter; it would never come back
        [sys.executable, "-c", READ_BY_PYTHON, store.path, "30"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )

    assert done.stdout == "29\n"


class TestFrames:
    """`images` and `jobs` give exact rows with types that do not depend on them."""

    def test_rows(self, filled: Store) -> None:
        """Every row is there, by day, job and ordinal, with the day as a column."""
        frame = filled.images(columns=["job_id", "ordinal", "date"])

        assert frame.to_dict("list") == {
            "job_id": [13, 14, 14, 15, 15, 15],
            "ordinal": [1, 1, 2, 1, 2, 3],
            "date": [pd.Timestamp(2026, 9, day) for day in (13, 14, 14, 15, 15, 15)],
        }

    @pytest.mark.parametrize(
        ("since", "until", "job_ids"),
        [
            (dt.date(2026, 9, 14), None, [14, 15]),
            (None, dt.date(2026, 9, 14), [13]),
            ("2026-09-14", "2026-09-15", [14]),
            ("2026-09-14T08:01:00Z", None, [14, 15]),
            ("2026-09-14T08:01:01Z", None, [15]),
            (None, "2026-09-14T08:01:00Z", [13]),
            (None, dt.datetime(2026, 9, 14, 8, 1, 0, 1), [13, 14]),  # noqa: DTZ001 -- naive is UTC
            (
                dt.datetime(2026, 9, 14, 10, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
                dt.datetime(2026, 9, 14, 10, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
                [14],
            ),
            (pd.Timestamp("2026-09-15", tz="UTC"), None, [15]),
            ("2026-09-16", None, []),
            ("2026-09-15", "2026-09-14", []),
        ],
    )
    def test_bounds(
        self,
        filled: Store,
        since: dt.date | str | None,
        until: dt.date | str | None,
        job_ids: list[int],
    ) -> None:
        """`since` belongs to it, `until` does not, to the microsecond and in UTC."""
        actual = filled.jobs(since, until, ["job_id"])

        assert job_ids == actual["job_id"].tolist()

    def test_never_started(
        self, store: Store, make_harvested: Callable[..., Harvested], make_job: Callable[..., Job]
    ) -> None:
        """A job that never started is where it was created, in days and within one."""
        job = make_job(5, started_at=None)
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([replace(make_harvested(5), job=job)])
            publish(store, ledger)

        assert len(store.jobs("2026-09-14T08:00:00Z", "2026-09-14T08:00:01Z")) == 1
        assert len(store.jobs("2026-09-14T08:00:01Z")) == 0

    def test_columns(self, filled: Store) -> None:
        """Columns come in the order asked for, and none without being asked for."""
        assert list(filled.images(columns=["image", "job_id"])) == ["image", "job_id"]
        assert list(filled.jobs()) == schema("jobs").names
        assert list(filled.jobs(columns=["job_id", "job_id"])) == ["job_id"]
        assert filled.jobs(columns=[]).shape == (3, 0)

    def test_unknown_column(self, filled: Store) -> None:
        """A column there is none of is named."""
        with pytest.raises(
            UsageError, match="images has no column pulled, size: `logminer schema`"
        ):
            filled.images(columns=["pulled", "job_id", "size"])

    def test_unknown_time(self, filled: Store) -> None:
        """A text that is no time is refused."""
        with pytest.raises(UsageError, match="no moment: 'soon'"):
            filled.images(since="soon")

    @pytest.mark.parametrize("table", ["images", "jobs"])
    def test_empty(self, store: Store, filled: Store, table: Table) -> None:
        """A frame without rows has the columns and types of one with rows."""
        nothing = getattr(store, table)("2030-01-01")
        something = getattr(filled, table)()

        assert len(nothing) == 0
        assert len(something) > 0
        assert nothing.dtypes.to_dict() == something.dtypes.to_dict()

    def test_empty_store(self, tmp_path: Path) -> None:
        """A store that was never harvested into answers, too."""
        store = Store.create(tmp_path / "new")

        assert store.files("images") == []
        assert list(store.images()) == store.schema("images").names

    def test_types(self, filled: Store) -> None:
        """Ids stay whole numbers, also where some are missing; times are UTC, days are days."""
        types = {name: str(kind) for name, kind in filled.images().dtypes.items()}
        expected = {
            "job_id": "int64",
            "runner_id": "Int64",
            "ref_is_tag": "bool",
            "downloaded": "boolean",
            "started_at": "datetime64[us, UTC]",
            "seen_at": "datetime64[us, UTC]",
            "date": "datetime64[us]",
        }

        assert expected == {name: types[name] for name in expected}

    @pytest.mark.parametrize("table", ["images", "jobs"])
    def test_types_without_values(
        self, store: Store, make_harvested: Callable[..., Harvested], table: Table
    ) -> None:
        """A column in which every value is missing has the type it always has."""
        optional = [field.name for field in schema(table) if field.nullable]
        bare = dict.fromkeys(
            [
                *("pipeline_id", "pipeline_source", "ref", "finished_at", "runner_id"),
                *("runner_description", "url", "queued_duration", "duration"),
            ]
        )
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([make_harvested(1, **bare)])
            publish(store, ledger)
        something, nothing = getattr(store, table)(), getattr(store, table)("2030-01-01")

        assert something[optional].isna().any(axis=None)
        assert nothing.dtypes.to_dict() == something.dtypes.to_dict()

    def test_damaged(self, filled: Store) -> None:
        """A damaged file is told in one line."""
        Path(filled.files("images")[1]).write_bytes(b"PAR1")
        with pytest.raises(StoreError, match=r"^cannot read .*images \(.*\): restore it") as error:
            filled.images()

        assert "\n" not in str(error.value)

    def test_partition_like_parent(
        self, tmp_path: Path, make_harvested: Callable[..., Harvested]
    ) -> None:
        """A directory above the store that looks like a partition changes nothing."""
        store = Store.create(tmp_path / "date=1999-01-01" / "job_id=7" / "store")
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([make_harvested(5)])
            publish(store, ledger)
        frame = store.jobs(columns=["job_id", "date"])

        assert frame.to_dict("list") == {"job_id": [5], "date": [pd.Timestamp(2026, 9, 14)]}


class TestOtherReaders:
    """The directory is the product: readers that never heard of us read the same."""

    @pytest.mark.parametrize("table", ["images", "jobs"])
    def test_pandas(self, filled: Store, table: Table) -> None:
        """Plain `pd.read_parquet` gives every row and every column."""
        theirs = pd.read_parquet(filled.path / table)
        ours = getattr(filled, table)()

        assert list(theirs) == list(ours)
        assert theirs["date"].astype(str).tolist() == ours["date"].dt.strftime("%Y-%m-%d").tolist()
        for name in schema(table).names[:-1]:
            assert _plain(theirs[name]) == _plain(ours[name]), name

    @pytest.mark.parametrize("table", ["images", "jobs"])
    def test_duckdb(self, filled: Store, table: Table) -> None:
        """DuckDB gives the same rows, and the day as a date."""
        pattern = str(filled.path / table / "*" / "*.parquet")
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            relation = connection.read_parquet(pattern, hive_partitioning=True)
            theirs = relation.order(
                "job_id, ordinal" if table == "images" else "job_id"
            ).to_arrow_table()
        ours = getattr(filled, table)()

        assert theirs.column_names == list(ours)
        assert theirs["date"].to_pylist() == ours["date"].dt.date.tolist()
        for name in schema(table).names[:-1]:
            assert _plain(theirs[name].to_pandas()) == _plain(ours[name]), name

    def test_nothing_but_data(self, filled: Store) -> None:
        """Nothing but Parquet files lies where a reader looks."""
        names = {
            path.name
            for table in ("images", "jobs")
            for path in (filled.path / table).rglob("*")
            if path.is_file()
        }

        assert names == {f"{SOURCE}.parquet"}


def _plain(column: pd.Series) -> list[object]:
    """Return values as Python sees them, whatever type pandas gave the column."""
    if isinstance(column.iloc[0], np.ndarray):
        return [list(value) for value in column]
    return [
        None if missing else value for value, missing in zip(column, column.isna(), strict=True)
    ]
