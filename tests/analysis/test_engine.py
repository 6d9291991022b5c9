"""One database for many questions: the same answers, the same closed windows."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logminer.analysis.engine import database, shared

if TYPE_CHECKING:
    from pathlib import Path

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
    with shared({"images": files}):
        within = counted(files[:2], files[:2]), counted(files, files)

    assert (alone, *within) == ((3,), (3,), (6,))
    assert counted(files, files) == (6,)


def test_what_is_not_shared_has_a_database_of_its_own(files: list[str]) -> None:
    """A file that the shared database may not open is read all the same, by another."""
    with shared({"images": files[:1]}):
        assert counted(files[2:], files[2:]) == (3,)
        with pytest.raises(duckdb.Error):
            counted(files[:1], files[2:])


def test_it_stays_locked(files: list[str]) -> None:
    """No statement opens another file or changes a setting."""
    with shared({"images": files}), database(files) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")
        with pytest.raises(duckdb.Error):
            connection.execute("SELECT * FROM read_csv('/etc/passwd')")


def test_its_days_are_days_in_utc() -> None:
    """Also where the host's clock shows another zone."""
    program = (
        "from logminer.analysis.engine import database, shared\n"
        "with shared({}), database([]) as connection:\n"
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
