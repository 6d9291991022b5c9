"""Upgrades: a store of every schema that was released is read, harvested into and migrated."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from logminer import analysis
from logminer.analysis.query import query
from logminer.errors import BusyError, NewerStoreError
from logminer.store import Ledger, migrate, open_store, outdated, publish
from logminer.store.publishing import version_of
from logminer.store.schema import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from logminer.model import Harvested

STORES = Path(__file__).parents[1] / "stores"
RELEASED = sorted(path.name for path in STORES.iterdir() if path.is_dir())
SOURCE = "gitlab.example.com"
Make = Callable[..., Path]

IMAGES = [
    # job_id, day, image, reference, outcome, evidence's line
    (1, "2026-09-14", "alpine:3.20", "docker.io/library/alpine:3.20", "pulled", 5),
    (2, "2026-09-14", "python:3.12", "docker.io/library/python:3.12", "pulled", 5),
    (3, "2026-09-15", "alpine:3.20", "docker.io/library/alpine:3.20", "pulled", 5),
]
"""What `tests/stores/make.py` has published, written down by hand."""
PENDING = (4, "2026-09-15", "node:22", "docker.io/library/node:22", "pulled", 5)
"""What it has recorded and not published."""
SOURCES = {"v1": [None, None, None], "v2": ["schedule"] * 3}
"""`pipeline_source` came with version 2; what was not kept is not known."""


@pytest.fixture
def old(tmp_path: Path) -> Make:
    """Return a copy of the store of a release."""

    def copy(release: str) -> Path:
        return Path(shutil.copytree(STORES / release, tmp_path / "store"))

    return copy


def images(path: Path) -> list[tuple[object, ...]]:
    """Return what matters of the rows of `images`."""
    frame = open_store(path).images()
    return [
        (row.job_id, f"{row.date:%Y-%m-%d}", row.image, row.reference, row.outcome, row.line)
        for row in frame.itertuples()
    ]


def sources(path: Path) -> list[str | None]:
    """Return the column that version 1 did not have."""
    column = open_store(path).images()["pipeline_source"]
    return [None if column.isna()[at] else column[at] for at in column.index]


def versions(path: Path) -> dict[int, int]:
    """Return how many files are of which version of the schema."""
    store = open_store(path)
    found = [version_of(store, name) or 0 for table in TABLES for _, name in store.days(table)]
    return {version: found.count(version) for version in sorted(set(found))}


def test_every_release_has_its_store() -> None:
    """Nobody raises the version of the schema without a store of the one before."""
    assert [f"v{number}" for number in range(1, SCHEMA_VERSION + 1)] == RELEASED


@pytest.mark.parametrize("release", RELEASED)
class TestRelease:
    """The store that a release wrote."""

    def test_is_read_as_it_lies(self, old: Make, release: str) -> None:
        """Frames and verbs answer from old files, whose missing columns are null."""
        path = old(release)
        store = open_store(path)

        assert images(path) == IMAGES
        assert sources(path) == SOURCES[release]
        assert len(analysis.top_repositories(store)) == 2

    def test_is_migrated(self, old: Make, release: str) -> None:
        """Every file says today's version and holds the rows of before."""
        path = old(release)
        store = open_store(path)
        migrate(store, outdated(store))

        assert images(path) == IMAGES
        assert sources(path) == SOURCES[release]
        assert versions(path) == {SCHEMA_VERSION: 4}
        assert json.loads((path / "state" / "store.json").read_text()) == {
            "format": "logminer store",
            "schema_version": SCHEMA_VERSION,
        }
        assert outdated(store).sources == []

    def test_migrated_twice_is_migrated_once(
        self, old: Make, release: str, tree: Callable[[Path], dict[str, bytes]]
    ) -> None:
        """A second migration finds nothing and changes no byte."""
        path = old(release)
        store = open_store(path)
        migrate(store, outdated(store))
        before = tree(path)
        migrate(store, outdated(store))

        assert tree(path) == before

    def test_ledger_goes_on(self, old: Make, release: str) -> None:
        """What was recorded, queued and open before is so after the migration."""
        path = old(release)
        store = open_store(path)
        migrate(store, outdated(store))
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            states = ledger.states(range(1, 7))
            queued = [job.id for job in ledger.take(9)]
            publish(store, ledger)

        assert states == {1: "done", 2: "done", 3: "done", 4: "done", 5: "queued", 6: "open"}
        assert queued == [5]
        assert images(path) == [*IMAGES, PENDING]

    def test_is_harvested_into(self, old: Make, release: str) -> None:
        """A harvest needs no migration: it brings the day that it touches up to date."""
        path = old(release)
        store = open_store(path)
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            publish(store, ledger)

        assert images(path) == [*IMAGES, PENDING]
        if release != f"v{SCHEMA_VERSION}":
            number = int(release[1:])
            assert versions(path) == {number: 2, SCHEMA_VERSION: 2}
            assert store.versions().oldest == number
            assert store.versions().newest == SCHEMA_VERSION
            migrate(store, outdated(store))
            assert versions(path) == {SCHEMA_VERSION: 4}


@pytest.mark.parametrize("first", [14, 15])
def test_verbs_answer_from_a_mixed_store(
    old: Make, make_harvested: Callable[..., Harvested], first: int
) -> None:
    """Whichever day is of today's version, questions over both days have their answers."""
    path = old("v1")
    store = open_store(path)
    with sqlite3.connect(path / "state" / f"{SOURCE}.sqlite") as connection:
        connection.execute("DELETE FROM pending")
    connection.close()
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(9, day=first)])
        publish(store, ledger)
    top = analysis.top_repositories(store)
    known = query(store, "select count(*) as jobs, count(pipeline_source) as known from jobs")

    assert known.to_dict("records") == [{"jobs": 4, "known": 1}]
    assert versions(path) == {1: 2, SCHEMA_VERSION: 2}
    assert dict(zip(top["repository"], top["pulls"], strict=True)) == {
        "library/alpine": 2,
        "library/python": 2,
    }


@pytest.mark.slow
def test_killed_at_every_step(tmp_path: Path) -> None:
    """However a migration is killed, the next one leaves what one clean migration leaves."""
    shutil.copytree(STORES / "v1", tmp_path / "given")
    program = Path(__file__).with_name("killed.py")
    end = subprocess.run(  # noqa: S603 -- our own interpreter, our own program
        [sys.executable, program, "migrate", tmp_path],
        capture_output=True,
        check=True,
        text=True,
        timeout=100,
    )

    steps = end.stdout.split()
    assert len(steps) > 20
    for step in steps:
        path = tmp_path / step
        assert images(path) == IMAGES, step
        assert versions(path) == {SCHEMA_VERSION: 4}, step
        assert open_store(path).versions().oldest == SCHEMA_VERSION, step


def test_a_source_without_ledger_is_migrated(old: Make) -> None:
    """Whoever deleted a ledger keeps his files, and they are brought up to date, too."""
    path = old("v1")
    (path / "state" / f"{SOURCE}.sqlite").unlink()
    store = open_store(path)
    migrate(store, outdated(store))

    assert versions(path) == {SCHEMA_VERSION: 4}


def test_a_source_at_work_is_left(old: Make) -> None:
    """Whoever harvests is not disturbed."""
    path = old("v1")
    store = open_store(path)
    found = outdated(store)
    with Ledger.open(store.ledger_path(SOURCE)), pytest.raises(BusyError):
        migrate(store, found)

    assert versions(path) == {1: 4}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_questions_about_old_files_are_answered(old: Make, version: str) -> None:
    """A column that is younger than the files is null in every answer; nothing fails for it."""
    store = open_store(old(version))
    sources = analysis.query(store, "select pipeline_source from images")["pipeline_source"]
    found = analysis.exposure(store, names=["*"])

    assert sources.isna().all() == (version == "v1")
    assert len(found) > 0


def test_progress_is_told(old: Make) -> None:
    """Each file is told of before it is written, and the end."""
    store = open_store(old("v1"))
    told: list[tuple[int, int]] = []
    migrate(store, outdated(store), proceed=lambda done, of: told.append((done, of)))

    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def _newer_marker(path: Path) -> None:
    (path / "state" / "store.json").write_text('{"format": "logminer store", "schema_version": 99}')


def _newer_file(path: Path) -> None:
    name = path / "jobs" / "date=2026-09-15" / f"{SOURCE}.parquet"
    rows = pq.ParquetFile(name).read()
    pq.write_table(rows.replace_schema_metadata({"schema_version": "99"}), name)


def _newer_ledger(path: Path) -> None:
    with sqlite3.connect(path / "state" / f"{SOURCE}.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("spoil", [_newer_marker, _newer_file, _newer_ledger])
def test_a_newer_store_is_refused(old: Make, spoil: Callable[[Path], None]) -> None:
    """Whatever in a store is newer, a harvest and a migration say so in a line, and write nothing.

    Exit 2: to try again helps nobody.
    """
    path = old("v2")
    spoil(path)
    before = {each: each.read_bytes() for each in path.rglob("*.parquet")}

    def work() -> Any:  # noqa: ANN401 -- nothing comes of it
        store = open_store(path)
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            publish(store, ledger)

    for refused in (work, lambda: migrate(open_store(path), outdated(open_store(path)))):
        with pytest.raises(NewerStoreError, match=r"newer logminer .*version 99.*: upgrade") as end:
            refused()
        assert end.value.exit_code == 2
        assert "\n" not in str(end.value)
    after = {each: each.read_bytes() for each in path.rglob("*.parquet")}
    assert after == before


def test_a_harvested_row_survives(old: Make, make_harvested: Callable[..., Harvested]) -> None:
    """An outcome of today beside rows of version 1 stands in one file with them."""
    path = old("v1")
    store = open_store(path)
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(9, day=14)])
        publish(store, ledger)
    file = path / "jobs" / "date=2026-09-14" / f"{SOURCE}.parquet"

    assert [row["pipeline_source"] for row in pq.ParquetFile(file).read().to_pylist()] == [
        None,
        None,
        "schedule",
    ]
    assert dt.date(2026, 9, 14) in {day for day, _ in store.days("jobs")}
