"""The door between verbs and data: bounds in time, frames of any make, and closed windows."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from logminer import analysis
from logminer.analysis.source import Question
from logminer.analysis.when import When
from logminer.errors import StoreError, UsageError
from logminer.period import Period

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    import pyarrow as pa

    from logminer.analysis.source import Table

    MakeFrame: TypeAlias = Callable[..., pd.DataFrame]
    MakeTable: TypeAlias = Callable[[Table, Sequence[Mapping[str, object]]], pa.Table]

SINCE = dt.datetime(2026, 7, 1, 6, 30, tzinfo=dt.UTC)
UNTIL = dt.datetime(2026, 7, 3, 6, 30, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
EDGES: list[dict[str, object]] = [
    {"started_at": SINCE - TICK},
    {"started_at": SINCE, "created_at": SINCE - dt.timedelta(days=9)},
    {"started_at": None, "created_at": SINCE},
    {"started_at": UNTIL - TICK, "created_at": UNTIL},
    {"started_at": UNTIL, "created_at": SINCE},
    {"started_at": None, "created_at": UNTIL},
]
INSIDE = 3


@dataclass
class Days:
    """A store in the layout of design.md that notes which days it was asked for."""

    root: Path
    make_table: MakeTable
    asked: list[tuple[dt.date | None, dt.date | None]] = field(default_factory=list)

    def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
        """Return the files of the asked days."""
        self.asked.append((since, until))
        return [
            str(path)
            for path in sorted(self.root.glob(f"{table}/date=*/*.parquet"))
            if (since is None or path.parent.name >= f"date={since}")
            and (until is None or path.parent.name < f"date={until}")
        ]

    def schema(self, table: Table) -> pa.Schema:
        """Return the columns of the tests' tables."""
        return self.make_table(table, []).schema

    def add(self, table: Table, day: str, rows: Sequence[Mapping[str, object]]) -> Path:
        """Write one day."""
        path = self.root / table / f"date={day}" / "gitlab.example.com.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(self.make_table(table, rows), path)
        return path


@pytest.fixture
def days(tmp_path: Path, make_table: MakeTable) -> Days:
    """Give a store without a file, in a directory whose name is a pattern and looks like a day."""
    return Days(root=tmp_path / "a [b] * ? date=1999-01-01", make_table=make_table)


@pytest.mark.parametrize(
    "when",
    [
        When(period=Period(since=SINCE, until=UNTIL)),
        When(period="2026-07-01T06:30:00Z..2026-07-03T06:30:00Z"),
        When(since=SINCE, until=UNTIL),
        When(since="2026-07-01T06:30:00Z", until="2026-07-03T06:30:00Z"),
        When(since=SINCE.replace(tzinfo=None), until=UNTIL.replace(tzinfo=None)),
        When(
            since=SINCE.astimezone(ZoneInfo("Asia/Tokyo")),
            until=UNTIL.astimezone(ZoneInfo("America/New_York")),
        ),
    ],
    ids=["period", "text", "datetimes", "moments", "naive", "zones"],
)
def test_bounds_are_half_open(when: When, images: MakeFrame) -> None:
    """`since` counts and `until` does not, however they are written."""
    answer = analysis.totals(images(*EDGES), **when)

    assert answer["uses"][0] == INSIDE


def test_only_the_days_of_the_period_are_opened(days: Days) -> None:
    """A store is asked for whole days, the last one rounded up; the borders are still exact."""
    days.add("images", "2026-07-01", EDGES[:3])
    days.add("images", "2026-07-03", EDGES[3:])
    days.add("images", "2026-07-04", []).write_bytes(b"never opened")

    answer = analysis.totals(days, since=SINCE, until=UNTIL)

    assert answer["uses"][0] == INSIDE
    assert days.asked == [(dt.date(2026, 7, 1), dt.date(2026, 7, 4))]


def test_a_midnight_needs_no_further_day(days: Days) -> None:
    """A bound that is a date is that partition."""
    analysis.totals(days, period="2026-Q3")
    analysis.totals(days, until=dt.date(2026, 7, 1))
    analysis.totals(days)

    assert [
        (dt.date(2026, 7, 1), dt.date(2026, 10, 1)),
        (None, dt.date(2026, 7, 1)),
        (None, None),
    ] == days.asked


def test_relative_times_count_from_now(images: MakeFrame) -> None:
    """The clock can be passed in, for a period as for a bound."""
    now = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
    frame = images({"started_at": SINCE})

    assert analysis.totals(frame, period="last-quarter", now=now)["uses"][0] == 1
    assert analysis.totals(frame, since="7d", now=now)["uses"][0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"registry": "object"},
        {"registry": "category"},
        {"registry": "string"},
        {"project_id": "float64"},
        {"project_id": "Int64"},
        {"started_at": "datetime64[ns, Europe/Berlin]"},
        {"started_at": "object"},
    ],
    ids=str,
)
def test_frames_of_any_make(change: dict[str, Any], images: MakeFrame) -> None:
    """What pandas made of a column on its way through a notebook does not matter."""
    frame = images(*EDGES, {"registry": None, "started_at": SINCE})
    plain = analysis.by_registry(frame, since=SINCE, until=UNTIL)

    changed = analysis.by_registry(frame.astype(change), since=SINCE, until=UNTIL)

    pd.testing.assert_frame_equal(plain, changed)


def test_booleans_of_any_make(jobs: MakeFrame) -> None:
    """A boolean that can be missing is `boolean` in a store's frame and `object` elsewhere."""
    frame = jobs({}, {"recognised": None}, {"recognised": False})

    for kind in ("boolean", "object"):
        changed = frame.astype({"recognised": kind, "truncated": kind, "images": "Int64"})
        assert analysis.coverage(changed)["not_understood"][0] == 1


def test_a_column_of_nothing_has_its_type(images: MakeFrame) -> None:
    """A column that shows no type, because nothing is in it, is still text."""
    frame = images({"outcome": "failed"}).assign(error_kind=None, registry=None)

    assert analysis.failed_pulls(frame)["failed"].tolist() == [1]


def test_the_index_and_other_columns_do_not_matter(images: MakeFrame) -> None:
    """A filtered, indexed or widened frame is a frame."""
    frame = images({}, {}, {}).assign(more=1).set_index("job_id", drop=False)

    assert analysis.totals(frame[frame["job_id"] > 1])["uses"][0] == 2


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"job_id": [1]}), "no column created_at, started_at, registry"),
        (pd.DataFrame(), "Store.images()"),
    ],
    ids=["columns", "empty"],
)
def test_a_frame_without_the_columns(frame: pd.DataFrame, words: str) -> None:
    """The error names what is missing and where such frames come from."""
    with pytest.raises(UsageError) as caught:
        analysis.totals(frame)

    assert words in str(caught.value)


def test_jobs_are_no_images(jobs: MakeFrame, images: MakeFrame) -> None:
    """Each verb knows its table by its columns."""
    with pytest.raises(UsageError, match="about images"):
        analysis.by_role(jobs({}))
    with pytest.raises(UsageError, match="about jobs"):
        analysis.coverage(images({}))


def test_a_column_of_the_wrong_kind(images: MakeFrame) -> None:
    """What cannot be what its name says is refused in one line."""
    with pytest.raises(UsageError, match=r"Store\.images") as caught:
        analysis.totals(images({}).assign(created_at=1.5))

    assert "\n" not in str(caught.value)


@dataclass
class Once:
    """A store far away, whose rows can be read a single time."""

    table: pa.Table
    is_plain: bool = False

    def dataset(self, table: Table, since: dt.date | None, until: dt.date | None) -> Any:  # noqa: ANN401 -- nearly one
        """Return the rows as what cannot be read again."""
        del table, since, until
        return self.table.to_reader()

    def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
        """Refuse: no file of it can be opened."""
        raise AssertionError(table, since, until)

    def schema(self, table: Table) -> pa.Schema:
        """Refuse: there are rows."""
        raise AssertionError(table)


@pytest.mark.parametrize(
    "verb",
    [
        analysis.totals,
        analysis.pulls_over_time,
        partial(analysis.pulls_over_time, split="runner"),
        analysis.top_repositories,
        partial(analysis.new_and_gone, period="2026-07"),
        analysis.docker_hub_pressure,
        analysis.proxy_bypass,
        analysis.bypassed,
        analysis.digest_drift,
        analysis.unpinned,
        partial(analysis.exposure, names=["docker.io"]),
    ],
    ids=lambda verb: getattr(verb, "func", verb).__name__,
)
def test_what_is_far_away_is_read_once(
    verb: Callable[..., pd.DataFrame], make_table: MakeTable
) -> None:
    """However many steps an answer takes, its rows come over the network a single time.

    Newer DuckDBs read them once whatever a statement says, older ones only where it says so.
    """
    use = {"reference": "docker.io/library/alpine:1", "tag": "1"}
    table = make_table(
        "images",
        [
            {**use, "digest": "sha256:a"},
            {**use, "digest": "sha256:b"},
            {"via": "mirror", "upstream_registry": "docker.io", "upstream_repository": "a"},
        ],
    )

    answer = verb(Once(table))

    assert len(answer)
    pd.testing.assert_frame_equal(verb(table.to_pandas()), answer)


def test_a_damaged_file(days: Days) -> None:
    """A file that is no Parquet is a StoreError of one line."""
    path = days.root / "images" / "date=2026-07-01" / "gitlab.example.com.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1, it says")

    with pytest.raises(StoreError) as caught:
        analysis.totals(days)

    assert "\n" not in str(caught.value)


def test_no_other_file_can_be_read(days: Days, tmp_path: Path) -> None:
    """A statement reaches the files of its store and nothing else, and cannot change that."""
    days.add("images", "2026-07-01", [{}])
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for place in (f"read_csv('{secret}')", f"'{secret}'"):
        sql = f"SELECT * FROM {place}"  # noqa: S608 -- an attack is the point
        with pytest.raises(StoreError):
            Question(table="images", columns=(), sql=sql).ask(days, When()).frame()
    with pytest.raises(StoreError):
        Question(table="images", columns=(), sql="; SET TimeZone = 'UTC'").ask(days, When()).frame()


def test_the_time_zone_of_the_host_does_not_matter(
    images: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days are days in UTC also where DuckDB would begin in another zone."""
    connect = duckdb.connect

    def elsewhere(*arguments: Any) -> duckdb.DuckDBPyConnection:  # noqa: ANN401 -- passed on
        connection = connect(*arguments)
        connection.execute("SET TimeZone = 'Pacific/Auckland'")
        return connection

    monkeypatch.setattr(duckdb, "connect", elsewhere)
    late = dt.datetime(2026, 7, 1, 23, 59, tzinfo=dt.UTC)

    answer = analysis.pulls_over_time(images({"started_at": late}))

    assert [pd.Timestamp("2026-07-01", tz="UTC")] == answer["start"].tolist()


def test_the_package_is_cheap_to_import() -> None:
    """`logminer --help` imports the verbs and the report: neither brings the heavy libraries."""
    heavy = "{'pandas', 'pyarrow', 'duckdb', 'numpy', 'rich'}"
    program = (
        f"import sys, logminer.analysis, logminer.report; print(sorted({heavy} & set(sys.modules)))"
    )

    done = subprocess.run(  # noqa: S603 -- this interpreter and a program of our own
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
