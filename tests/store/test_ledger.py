"""The ledger: every job in exactly one state, nothing committed lost, clear words for bad files."""

from __future__ import annotations

import datetime as dt
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from logminer.errors import StoreError
from logminer.store.codec import encode_harvested, encode_job
from logminer.store.ledger import Ledger, Listing, ProjectCounts, WatchedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from logminer.model import Harvested, Job, Project

NOON = dt.datetime(2026, 9, 14, 12, 0, tzinfo=dt.UTC)
DAY = dt.date(2026, 9, 14)


VERSION_1 = """
CREATE TABLE project (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, watermark INTEGER, ceiling INTEGER, cursor TEXT,
    since TEXT, checked_at TEXT, CHECK (cursor IS NULL OR ceiling IS NOT NULL)
) STRICT;
CREATE TABLE job (
    id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'queued', 'done')),
    pipeline_id INTEGER CHECK (pipeline_id IS NULL OR state = 'open'),
    description TEXT CHECK ((description IS NOT NULL) = (state = 'queued'))
) STRICT;
CREATE INDEX job_open ON job (project_id, id) WHERE state = 'open';
CREATE INDEX job_queued ON job (id) WHERE state = 'queued';
CREATE TABLE pending (
    job_id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL, day TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX pending_day ON pending (day, job_id);
PRAGMA application_id = 1819111026;
PRAGMA user_version = 1;
INSERT INTO project VALUES (7, 'shop/api', 4, NULL, NULL, NULL, '2026-09-14T12:00:00+00:00');
INSERT INTO job VALUES (1, 7, 'done', NULL, NULL);
INSERT INTO job VALUES (2, 7, 'open', 70, NULL);
INSERT INTO job VALUES (4, 7, 'open', NULL, NULL);
"""
"""What logminer wrote before it remembered which jobs were skipped."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger lies."""
    return tmp_path / "gitlab.example.com.sqlite"


@pytest.fixture
def ledger(path: Path, project: Project) -> Iterator[Ledger]:
    """Return a ledger that knows the project, and nothing else."""
    with Ledger.open(path) as ledger:
        ledger.store_page(project, [], Listing())
        yield ledger


def states(path: Path) -> dict[int, str]:
    """Read the states of all jobs behind the ledger's back."""
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT id, state FROM job"))


class TestListing:
    """How far the jobs of a project were listed."""

    def test_unknown_project(self, ledger: Ledger, project: Project) -> None:
        """A project never listed has neither watermark nor anything else."""
        actual = ledger.listing(replace(project, id=8))

        assert Listing() == actual

    def test_resumes_at_the_page(self, path: Path, project: Project) -> None:
        """Ceiling and cursor outlive the process."""
        with Ledger.open(path) as ledger:
            ledger.store_page(project, [], Listing(ceiling=90, cursor="page 2"))
        with Ledger.open(path) as ledger:
            actual = ledger.listing(project)

        assert Listing(ceiling=90, cursor="page 2") == actual

    def test_finished(self, ledger: Ledger, project: Project) -> None:
        """The last page raises the watermark and leaves neither ceiling nor cursor."""
        ledger.store_page(project, [], Listing(ceiling=90, cursor="page 2"))
        finished = Listing(watermark=90, since=NOON, checked_at=NOON)
        ledger.store_page(project, [], finished)

        assert finished == ledger.listing(project)

    def test_page_of_an_unknown_project(
        self, ledger: Ledger, project: Project, make_job: Callable[..., Job]
    ) -> None:
        """The first page of a project makes it known, in the same transaction."""
        statements: list[str] = []
        ledger._connection.set_trace_callback(statements.append)
        ledger.store_page(replace(project, id=8), [make_job(1)], Listing(watermark=1))

        assert ledger.listing(replace(project, id=8)) == Listing(watermark=1)
        assert states(ledger.path) == {1: "queued"}
        assert statements.count("BEGIN IMMEDIATE") == 1

    def test_recheck_of_an_unknown_project(
        self, ledger: Ledger, make_job: Callable[..., Job]
    ) -> None:
        """A re-check of a project that was never listed is a mistake, and leaves nothing behind."""
        with pytest.raises(ValueError, match="store_page or begin_run comes first"):
            ledger.settle(8, [make_job(1)], checked_at=NOON)

        assert states(ledger.path) == {}

    def test_page_is_one_transaction(
        self, ledger: Ledger, project: Project, make_job: Callable[..., Job]
    ) -> None:
        """A page that fails at its last job leaves neither a job nor its cursor."""
        broken = make_job(2, name=object())
        with pytest.raises(TypeError):
            ledger.store_page(project, [make_job(1), broken], Listing(ceiling=90, cursor="page 2"))

        assert states(ledger.path) == {}
        assert Listing() == ledger.listing(project)

    def test_transactions(self, ledger: Ledger, project: Project) -> None:
        """To ask for a listing writes only a path that is new."""
        statements: list[str] = []
        ledger._connection.set_trace_callback(statements.append)
        ledger.listing(project)
        known = statements.count("BEGIN IMMEDIATE")
        ledger.listing(replace(project, path="shop/backend"))
        ledger.listing(replace(project, id=8))

        assert known == 0
        assert statements.count("BEGIN IMMEDIATE") == 1

    def test_renamed(self, ledger: Ledger, project: Project) -> None:
        """A project keeps its progress under its new path."""
        ledger.store_page(project, [], Listing(watermark=90))
        renamed = ledger.listing(replace(project, path="shop/backend"))
        (counts,) = ledger.counts()

        assert Listing(watermark=90) == renamed
        assert counts.path == "shop/backend"


class TestJobs:
    """Jobs move from open to queued to done, and are in one place only."""

    def test_page(self, ledger: Ledger, project: Project, make_job: Callable[..., Job]) -> None:
        """Final jobs are queued as they are, the others are open with their pipeline."""
        ended, running = make_job(1), make_job(2, status="running", pipeline_id=71)
        ledger.store_page(project, [running, ended], Listing(watermark=9))

        assert [ended] == ledger.take(10)
        assert (WatchedJob(id=2, pipeline_id=71, pipeline_source="schedule"),) == ledger.watched(
            project.id
        )
        assert ledger.watched(8) == ()

    def test_take(self, ledger: Ledger, project: Project, make_job: Callable[..., Job]) -> None:
        """Jobs are taken oldest first, in slices, and stay where they are."""
        jobs = [make_job(number) for number in range(5)]
        ledger.settle(project.id, reversed(jobs), checked_at=None)

        assert jobs[:2] == ledger.take(2)
        assert jobs[2:4] == ledger.take(2, after=1)
        assert jobs == ledger.take(10)

    def test_take_newest(
        self, ledger: Ledger, project: Project, make_job: Callable[..., Job]
    ) -> None:
        """The same queue from its other end."""
        jobs = [make_job(number) for number in range(5)]
        ledger.settle(project.id, jobs, checked_at=None)

        assert [jobs[4], jobs[3]] == ledger.take_newest(2)
        assert [jobs[2], jobs[1]] == ledger.take_newest(2, before=3)
        assert jobs[::-1] == ledger.take_newest(10)

    def test_settle(self, ledger: Ledger, project: Project, make_job: Callable[..., Job]) -> None:
        """A re-checked job that ended is queued; one that did not stays open."""
        running = [make_job(number, status="manual") for number in (1, 2)]
        ledger.settle(project.id, running, checked_at=None)
        ended = make_job(1, status="canceled")
        ledger.settle(project.id, [ended, running[1]], checked_at=NOON)

        assert [ended] == ledger.take(10)
        assert (WatchedJob(id=2, pipeline_id=70, pipeline_source="schedule"),) == ledger.watched(
            project.id
        )
        assert Listing(checked_at=NOON) == ledger.listing(project)

    def test_settle_part(self, ledger: Ledger, project: Project) -> None:
        """A re-check that is cut off leaves the time of the last whole one."""
        ledger.settle(project.id, [], checked_at=NOON)
        ledger.settle(project.id, [], checked_at=None)

        assert Listing(checked_at=NOON) == ledger.listing(project)

    def test_done_stays_done(
        self,
        ledger: Ledger,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A done job that is listed once more is not fetched once more."""
        ledger.commit([make_harvested(1)])
        ledger.settle(project.id, [make_job(1)], checked_at=None)
        ledger.settle(project.id, [make_job(1, status="running")], checked_at=None)

        assert states(ledger.path) == {1: "done"}

    def test_requeue(
        self,
        ledger: Ledger,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A job whose trace may still grow stays queued, as it was last described."""
        ledger.settle(project.id, [make_job(1), make_job(2, trace_size=None)], checked_at=None)
        ledger.commit([make_harvested(1)], requeue=[make_job(2, trace_size=5)])

        assert states(ledger.path) == {1: "done", 2: "queued"}
        assert [make_job(2, trace_size=5)] == ledger.take(10)

    def test_commit_is_one_transaction(
        self,
        ledger: Ledger,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A batch that fails at its last job leaves nothing behind."""
        ledger.settle(project.id, [make_job(1)], checked_at=None)
        broken = make_harvested(2, name=object())
        with pytest.raises(TypeError):
            ledger.commit([make_harvested(1), broken])

        assert states(ledger.path) == {1: "queued"}
        assert ledger.pending_days() == []


class TestAsleep:
    """A job that was skipped has its row, and may be woken under the same id."""

    @pytest.fixture
    def asleep(
        self, ledger: Ledger, project: Project, make_harvested: Callable[..., Harvested]
    ) -> Ledger:
        """Return a ledger in which job 1, of pipeline 70, was recorded as skipped on the 14th."""
        skipped = make_harvested(1, status="skipped")
        ledger.store_page(project, [skipped.job], Listing(watermark=1))
        ledger.commit([skipped])
        ledger.published({DAY: [1]})
        return ledger

    def test_watched(self, asleep: Ledger, project: Project) -> None:
        """Its pipeline is watched, and nothing is to be read."""
        assert states(asleep.path) == {1: "asleep"}
        assert [WatchedJob(id=1, pipeline_id=70, pipeline_source="schedule")] == list(
            asleep.watched(project.id)
        )
        assert asleep.take(10) == []

    def test_watched_before_it_is_recorded(
        self, ledger: Ledger, project: Project, make_job: Callable[..., Job]
    ) -> None:
        """Else it could be woken between a run that was killed and the next one."""
        ledger.settle(project.id, [make_job(1, status="skipped")], checked_at=None)

        assert [job.id for job in ledger.watched(project.id)] == [1]
        assert [job.id for job in ledger.take(10)] == [1]

    def test_sleeps_on(
        self, asleep: Ledger, project: Project, make_job: Callable[..., Job]
    ) -> None:
        """Seen again as it was, it is not read again."""
        asleep.settle(project.id, [make_job(1, status="skipped")], checked_at=None)

        assert states(asleep.path) == {1: "asleep"}

    def test_woken(
        self,
        asleep: Ledger,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """Played and ended on another day: its row is taken back from the first one."""
        asleep.settle(project.id, [make_job(1, status="running")], checked_at=None)
        between = states(asleep.path)
        asleep.settle(project.id, [make_job(1)], checked_at=None)
        asleep.commit([make_harvested(1, day=20)])

        assert between == {1: "open"}
        assert states(asleep.path) == {1: "done"}
        assert [DAY, dt.date(2026, 9, 20)] == asleep.pending_days()
        assert asleep.withdrawn(DAY) == [1]
        asleep.published({DAY: [1]})
        assert [dt.date(2026, 9, 20)] == asleep.pending_days()

    def test_woken_while_it_was_read(
        self,
        ledger: Ledger,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """An outcome that is older than what is known is not taken in."""
        skipped = make_harvested(1, status="skipped")
        ledger.settle(project.id, [skipped.job], checked_at=None)
        ledger.settle(project.id, [make_job(1, status="running")], checked_at=None)
        ledger.commit([skipped])

        assert states(ledger.path) == {1: "open"}
        assert ledger.pending_days() == []

    def test_gone(self, asleep: Ledger, project: Project, make_job: Callable[..., Job]) -> None:
        """Its pipeline is deleted: the row stays; an open job beside it never has one."""
        asleep.settle(project.id, [make_job(2, status="running")], checked_at=None)
        asleep.settle(project.id, [], gone=[1, 2], checked_at=None)

        assert states(asleep.path) == {1: "done", 2: "gone"}
        assert asleep.watched(project.id) == ()
        assert [each.gone for each in asleep.counts()] == [1]


class TestRuns:
    """Runs are remembered, also those that were killed."""

    def test_runs(self, ledger: Ledger) -> None:
        """Newest first, with what they did; the last complete one is found."""
        for name, code in (("a", 0), ("b", 3)):
            ledger.begin_run(name, NOON)
            ledger.end_run(name, NOON, exit_code=code, tally={"jobs_done": 7})
        ledger.begin_run("c", NOON)

        assert [(run.id, run.exit_code, run.ended) for run in ledger.runs(2)] == [
            ("c", None, None),
            ("b", 3, NOON),
        ]
        last = ledger.last_success()
        assert last is not None
        assert (last.id, last.tally) == ("a", {"jobs_done": 7})

    def test_old_ones_are_forgotten(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file does not grow for ever."""
        monkeypatch.setattr("logminer.store.ledger._KEPT_RUNS", 3)
        for number in range(5):
            ledger.begin_run(str(number), NOON)

        assert [run.id for run in ledger.runs(10)] == ["4", "3", "2"]


def pending(
    ledger: Ledger, first: dt.date, limit: int, *, after: int | None = None
) -> list[Harvested]:
    """Return what waits from a day on, without its days."""
    return [outcome for _, outcome in ledger.pending(first, limit, after=after)]


class TestPending:
    """Outcomes wait until they are published."""

    def test_by_day(self, ledger: Ledger, make_harvested: Callable[..., Harvested]) -> None:
        """Outcomes are given by day, by job, in slices that may reach over days."""
        outcomes = [make_harvested(number) for number in range(3)]
        before = make_harvested(9, day=13)
        ledger.commit([before, *reversed(outcomes)])

        assert [dt.date(2026, 9, 13), DAY] == ledger.pending_days()
        assert [before, *outcomes] == pending(ledger, dt.date(2026, 9, 13), 10)
        assert outcomes[:2] == pending(ledger, DAY, 2)
        assert outcomes[2:] == pending(ledger, DAY, 2, after=1)

    def test_published(self, ledger: Ledger, make_harvested: Callable[..., Harvested]) -> None:
        """Published outcomes are forgotten, their jobs are not."""
        ledger.commit([make_harvested(1), make_harvested(2), make_harvested(3, day=13)])
        ledger.published({DAY: [1, 3]})

        assert [make_harvested(2)] == pending(ledger, DAY, 10)
        assert [make_harvested(3, day=13), make_harvested(2)] == pending(
            ledger, dt.date(2026, 9, 13), 10
        )
        assert states(ledger.path) == dict.fromkeys((1, 2, 3), "done")

    def test_committed_again(
        self, ledger: Ledger, make_harvested: Callable[..., Harvested]
    ) -> None:
        """The newer outcome of a job takes the place of the older one."""
        ledger.commit([make_harvested(1, uses=1)])
        ledger.commit([make_harvested(1, uses=3)])

        assert [make_harvested(1, uses=3)] == pending(ledger, DAY, 10)


def test_counts(
    ledger: Ledger,
    project: Project,
    make_job: Callable[..., Job],
    make_harvested: Callable[..., Harvested],
) -> None:
    """Status counts the jobs of every project, also of one that has none yet."""
    ledger.store_page(replace(project, id=8, path="shop/empty"), [], Listing())
    jobs = [make_job(1), make_job(2), *(make_job(i, status="running") for i in (3, 4, 5))]
    ledger.settle(project.id, jobs, checked_at=NOON)
    ledger.commit([make_harvested(i) for i in (6, 7, 8, 9)])
    ledger.published({DAY: [6]})

    assert ledger.counts() == [
        ProjectCounts(
            project_id=7,
            path="shop/api",
            listing=Listing(checked_at=NOON),
            open=3,
            queued=2,
            done=4,
            gone=0,
            pending=3,
        ),
        ProjectCounts(
            project_id=8,
            path="shop/empty",
            listing=Listing(),
            open=0,
            queued=0,
            done=0,
            gone=0,
            pending=0,
        ),
    ]


class TestFile:
    """The file: found again, looked at without the lock, refused in one line."""

    def test_source(self, ledger: Ledger) -> None:
        """The ledger's name is the name of its source."""
        assert ledger.source == "gitlab.example.com"

    def test_at_rest(self, path: Path, make_harvested: Callable[..., Harvested]) -> None:
        """A closed ledger is one file, and its lock."""
        with Ledger.open(path) as ledger:
            ledger.commit([make_harvested(1)])

        assert {path.name, "gitlab.example.com.lock"} == {p.name for p in path.parent.iterdir()}

    def test_durable(self, ledger: Ledger) -> None:
        """Commits reach the disk, and the directory with them."""
        (journal,) = ledger._connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = ledger._connection.execute("PRAGMA synchronous").fetchone()

        assert (journal, synchronous) == ("delete", 3)

    def test_leftovers(self, path: Path) -> None:
        """What a killed writer left aside is gone when the next one opens the ledger."""
        with Ledger.open(path) as ledger:
            ledger.aside.mkdir(parents=True)
            (ledger.aside / "half a file").write_bytes(b"PAR1")
        with Ledger.open(path) as ledger:
            assert not ledger.aside.exists()

    def test_read_while_writing(
        self, ledger: Ledger, make_harvested: Callable[..., Harvested]
    ) -> None:
        """Status sees what is committed, while the writer holds the lock."""
        ledger.commit([make_harvested(1)])
        with Ledger.read(ledger.path) as view:
            (counts,) = view.counts()

        assert counts.done == 1

    def test_read_after_a_kill(self, path: Path, make_harvested: Callable[..., Harvested]) -> None:
        """What a killed writer had half written into the file is rolled back, also for a view."""
        with Ledger.open(path) as ledger:
            ledger.commit([make_harvested(number) for number in range(50)])
        code = """
import os, signal, sys
from pathlib import Path
from logminer.store.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
ledger._connection.execute("PRAGMA cache_size = 1")
with ledger._transaction() as connection:
    connection.execute("DELETE FROM pending")
    connection.execute("DELETE FROM job")
    os.kill(os.getpid(), signal.SIGKILL)
"""
        killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)  # noqa: S603 -- a constant, run by this interpreter

        assert killed.returncode == -signal.SIGKILL
        assert path.with_name(f"{path.name}-journal").stat().st_size > 0
        with Ledger.read(path) as view:
            (counts,) = view.counts()
            assert (counts.done, counts.pending) == (50, 50)

    def test_threads(self, ledger: Ledger, make_harvested: Callable[..., Harvested]) -> None:
        """Calls from several threads take turns: no transaction mixes with another."""
        batches = [[make_harvested(10 * ten + one) for one in range(10)] for ten in range(20)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ledger.commit, batches))
        (counts,) = ledger.counts()

        assert (counts.done, counts.pending) == (200, 200)

    def test_read_changes_nothing(self, ledger: Ledger) -> None:
        """A view cannot write, not even by accident."""
        with (
            Ledger.read(ledger.path) as view,
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            view._connection.execute("DELETE FROM project")

    def test_read_only_file(self, ledger: Ledger) -> None:
        """A ledger that may not be written can be looked at."""
        ledger.close()
        ledger.path.chmod(0o400)
        with Ledger.read(ledger.path) as view:
            assert len(view.counts()) == 1

    def test_read_nothing(self, path: Path) -> None:
        """Looking at a ledger does not create it."""
        with pytest.raises(StoreError, match=r"^there is no ledger at .*: nothing was harvested"):
            Ledger.read(path)

        assert not path.exists()

    @pytest.mark.parametrize("opener", [Ledger.open, Ledger.read])
    def test_damaged(self, path: Path, opener: Callable[[Path], Ledger]) -> None:
        """A file that is no database is named, with what to do, in one line; the lock is free."""
        path.write_bytes(b"not a database" * 100)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"^\S+ is damaged \(.*\): restore it.*$") as error:
                opener(path)

            assert "\n" not in str(error.value)

    def test_damaged_within(
        self, path: Path, make_harvested: Callable[..., Harvested], project: Project
    ) -> None:
        """Damage that shows only when the page is read is told the same way."""
        with Ledger.open(path) as ledger:
            ledger.commit([make_harvested(number) for number in range(50)])
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        with Ledger.open(path) as ledger, pytest.raises(StoreError, match="is damaged"):
            ledger.listing(project)

    def test_version_1(
        self,
        path: Path,
        project: Project,
        make_job: Callable[..., Job],
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A file of the first version is brought up to date with all that it knew."""
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(VERSION_1)
            connection.execute(
                "INSERT INTO job VALUES (3, 7, 'queued', NULL, ?)", (encode_job(make_job(3)),)
            )
            connection.execute(
                "INSERT INTO pending VALUES (1, 7, ?, ?)",
                (DAY.isoformat(), encode_harvested(make_harvested(1))),
            )
            connection.commit()
        with pytest.raises(StoreError, match=r"older logminer .*: run `logminer migrate`"):
            Ledger.read(path)
        with Ledger.open(path) as ledger:
            assert states(path) == {1: "done", 2: "open", 3: "queued", 4: "open"}
            assert [make_job(3)] == ledger.take(10)
            assert [make_harvested(1)] == pending(ledger, DAY, 10)
            assert [(job.id, job.pipeline_id) for job in ledger.watched(project.id)] == [
                (2, 70),
                (4, None),
            ]
            assert Listing(watermark=4, checked_at=NOON) == ledger.listing(project)
            assert [(each.open, each.queued, each.done) for each in ledger.counts()] == [(2, 1, 1)]
            ledger.begin_run("a", NOON)
        with Ledger.read(path) as view:
            assert [run.id for run in view.runs(1)] == ["a"]

    @pytest.mark.parametrize("opener", [Ledger.open, Ledger.read])
    def test_newer(self, path: Path, opener: Callable[[Path], Ledger]) -> None:
        """A ledger of a newer logminer is left alone."""
        Ledger.open(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 4")
        with pytest.raises(
            StoreError, match=r"newer logminer \(ledger version 4, this one knows 3"
        ):
            opener(path)

    @pytest.mark.parametrize("opener", [Ledger.open, Ledger.read])
    def test_foreign(self, path: Path, opener: Callable[[Path], Ledger]) -> None:
        """Somebody else's database is not made into a ledger."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE recipe (cake)")
        with pytest.raises(StoreError, match="is an SQLite file, but no ledger of logminer"):
            opener(path)

    def test_nowhere(self, tmp_path: Path) -> None:
        """A directory that does not exist is no traceback."""
        with pytest.raises(StoreError, match=r"^cannot write .*: No such file"):
            Ledger.open(tmp_path / "none" / "gitlab.example.com.sqlite")

    def test_disk_full(self, ledger: Ledger, make_harvested: Callable[..., Harvested]) -> None:
        """A full disk is told in one line; what was committed stays."""
        ledger.commit([make_harvested(1)])
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"^cannot use .*full.*: look at"):
            ledger.commit([make_harvested(number) for number in range(2, 500)])

        assert states(ledger.path) == {1: "done"}

    def test_our_fault(self, ledger: Ledger) -> None:
        """A broken constraint is a fault of the program, and is not blamed on the file."""
        with pytest.raises(sqlite3.IntegrityError), ledger._transaction() as connection:
            connection.execute("INSERT INTO job (id, project_id, state) VALUES (1, 1, 'lost')")


def test_states_follow_the_model(  # noqa: C901 -- the rules of one machine, not branches
    tmp_path_factory: pytest.TempPathFactory,
    project: Project,
    make_job: Callable[..., Job],
    make_harvested: Callable[..., Harvested],
) -> None:
    """Whatever is listed, settled, recorded, published, in whatever order, also across restarts:
    every job is in the one state that a plain dictionary says.
    """  # noqa: D205 -- one sentence, two lines

    class Machine(RuleBasedStateMachine):
        jobs = Bundle("jobs")

        def __init__(self) -> None:
            super().__init__()
            self.path = tmp_path_factory.mktemp("ledger") / "source.sqlite"
            self.ledger = Ledger.open(self.path)
            self.states: dict[int, str] = {}
            self.waiting: set[int] = set()

        @initialize()
        def know_the_project(self) -> None:
            self.ledger.store_page(project, [], Listing())

        @rule(
            statuses=st.dictionaries(st.integers(1, 6), st.sampled_from(["success", "running"])),
            page=st.booleans(),
        )
        def see(self, statuses: dict[int, str], *, page: bool) -> None:
            seen = [make_job(number, status=status) for number, status in statuses.items()]
            if page:
                self.ledger.store_page(project, seen, Listing(ceiling=6, cursor="next"))
            else:
                self.ledger.settle(project.id, seen, checked_at=NOON)
            for number, status in statuses.items():
                if self.states.get(number) != "done":
                    self.states[number] = "queued" if status == "success" else "open"

        @rule(numbers=st.sets(st.integers(1, 6)))
        def record(self, numbers: set[int]) -> None:
            self.ledger.commit([make_harvested(number) for number in numbers])
            self.states |= dict.fromkeys(numbers, "done")
            self.waiting |= numbers

        @rule(numbers=st.sets(st.integers(1, 6)))
        def publish(self, numbers: set[int]) -> None:
            self.ledger.published({DAY: numbers})
            self.waiting -= numbers

        @rule()
        def restart(self) -> None:
            self.ledger.close()
            self.ledger = Ledger.open(self.path)

        @invariant()
        def agrees(self) -> None:
            by_state = {
                "open": {job.id for job in self.ledger.watched(project.id)},
                "queued": {job.id for job in self.ledger.take(10)},
            }
            assert states(self.path) == self.states
            for state, found in by_state.items():
                assert found == {each for each, known in self.states.items() if known == state}
            assert {each.job.id for each in pending(self.ledger, DAY, 10)} == self.waiting

        def teardown(self) -> None:
            self.ledger.close()

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=15, stateful_step_count=12, deadline=None)
    )


@pytest.mark.parametrize("jobs", [1, 63, 64, 65, 200])
def test_any_number_of_jobs_in_a_transaction(
    ledger: Ledger, project: Project, make_harvested: Callable[..., Harvested], jobs: int
) -> None:
    """However many come together, each is known, recorded and done."""
    outcomes = [make_harvested(number) for number in range(1, jobs + 1)]
    ledger.store_page(project, [each.job for each in outcomes], Listing(watermark=jobs))
    queued = states(ledger.path)
    ledger.commit(outcomes)

    assert queued == dict.fromkeys(range(1, jobs + 1), "queued")
    assert states(ledger.path) == dict.fromkeys(range(1, jobs + 1), "done")
    assert [each.job.id for each in pending(ledger, DAY, 1_000)] == list(range(1, jobs + 1))
