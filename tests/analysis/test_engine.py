"""One database for many questions: the same answers, the same closed windows."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logminer.analysis import engine
from logminer.analysis.engine import Extent, database, loaded, shared

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    Days: TypeAlias = tuple[dt.date | None, dt.date | None]

ALL = Extent(source=None, days=(None, None), columns={})
COUNT = "SELECT count(*) FROM read_parquet($files)"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Give three files of one, two and three rows."""
    paths = [str(tmp_path / f"{rows}.parquet") for rows in (1, 2, 3)]
    for rows, path in enumerate(paths, 1):
        pq.write_table(pa.table({"row": list(range(rows))}), path)
    return paths


def counted(files: list[str], asked: list[str]) -> object:
    """Return how many rows a database for some files finds in others."""
    with database(files) as connection:
        return connection.execute(COUNT, {"files": asked}).fetchone()


def test_the_same_answers(files: list[str]) -> None:
    """Alone, within and after: the answer does not tell whether a database is shared."""
    alone = counted(files[:2], files[:2])
    with shared(ALL, {"images": files}):
        within = counted(files[:2], files[:2]), counted(files, files)

    assert (alone, *within) == ((3,), (3,), (6,))
    assert counted(files, files) == (6,)


def test_what_is_not_shared_has_a_database_of_its_own(files: list[str]) -> None:
    """A file that the shared database may not open is read all the same, by another."""
    with shared(ALL, {"images": files[:1]}):
        assert counted(files[2:], files[2:]) == (3,)
        with pytest.raises(duckdb.Error):
            counted(files[:1], files[2:])


JULY = (dt.date(2026, 7, 1), dt.date(2026, 8, 1))


@pytest.mark.parametrize(
    ("days", "columns", "found"),
    [
        (JULY, ["row"], True),
        ((dt.date(2026, 7, 5), dt.date(2026, 7, 6)), [], True),
        ((None, dt.date(2026, 8, 1)), ["row"], False),
        ((dt.date(2026, 7, 1), None), ["row"], False),
        ((dt.date(2026, 6, 30), dt.date(2026, 8, 1)), ["row"], False),
        ((dt.date(2026, 7, 1), dt.date(2026, 8, 2)), ["row"], False),
        (JULY, ["row", "more"], False),
    ],
    ids=str,
)
def test_only_what_is_loaded_is_found(
    files: list[str], days: Days, columns: list[str], *, found: bool
) -> None:
    """Rows are there for the days and the columns of the extent, and for its source alone."""
    source = object()
    extent = Extent(source=source, days=JULY, columns={"images": ["row"], "jobs": ["row"]})
    with shared(extent, {"images": files, "jobs": []}):
        with loaded(source, days, "images", columns) as connection:
            assert found == (connection is not None)
            if connection is not None:
                assert connection.execute("SELECT count(*) FROM images").fetchone() == (6,)
        for whose, table in ((object(), "images"), (source, "jobs"), (source, "declared")):
            with loaded(whose, JULY, table, ["row"]) as connection:
                assert connection is None
    with loaded(source, JULY, "images", ["row"]) as connection:
        assert connection is None


def test_many_rows_stay_in_their_files(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """They would not fit into memory."""
    source = object()
    extent = Extent(source=source, days=JULY, columns={"images": ["row"], "jobs": ["row"]})
    monkeypatch.setattr(engine, "_FEW", 5)
    with shared(extent, {"images": files, "jobs": files[:2]}):
        with loaded(source, JULY, "images", ["row"]) as connection:
            assert connection is None
        with loaded(source, JULY, "jobs", ["row"]) as connection:
            assert connection is not None


def test_it_stays_locked(files: list[str]) -> None:
    """No statement opens another file or changes a setting."""
    with shared(ALL, {"images": files}), database(files) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")
        with pytest.raises(duckdb.Error):
            connection.execute("SELECT * FROM read_csv('/etc/passwd')")


def test_its_days_are_days_in_utc() -> None:
    """Also where the host's clock shows another zone."""
    program = (
        "from logminer.analysis.engine import Extent, database, shared\n"
        "extent = Extent(source=None, days=(None, None), columns={})\n"
        "with shared(extent, {}), database([]) as connection:\n"
        "    print(connection.execute(\"SELECT current_setting('TimeZone')\").fetchone())"
    )
    end = subprocess.run(  # noqa: S603 -- this interpreter and a program of our own
        [sys.executable, "-c", program],
        env=os.environ | {"TZ": "Pacific/Auckland"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert end.stdout == "('UTC',)\n"
