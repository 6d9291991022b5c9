"""Listing a project: what each night costs the disk, and what a night that was cut off leaves."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from logminer.errors import ServerError, UnexpectedAnswerError
from logminer.gitlab import JobsPage, Pipeline, SkippedJob
from logminer.harvest.listing import Lister
from logminer.harvest.progress import Tally
from logminer.harvest.rules import turn_between
from logminer.model import Job, Project
from logminer.store import Ledger, Listing, WatchedJob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from logminer.gitlab import Client

PROJECT = Project(id=7, path="shop/api")
DAY = dt.timedelta(days=1)
NIGHT = dt.datetime(2026, 9, 14, 2, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def job(number: int, status: str = "success", *, created: dt.datetime = NIGHT - DAY) -> Job:
    """Return a job in a pipeline of its own, whose number is ten times the job's."""
    return Job(
        project_id=PROJECT.id,
        project_path=PROJECT.path,
        pipeline_id=10 * number,
        id=number,
        name="unit",
        stage="test",
        ref="main",
        ref_is_tag=False,
        status=status,
        failure_reason=None,
        created_at=created,
        started_at=created,
        finished_at=None,
        erased_at=None,
        queued_duration=None,
        duration=None,
        runner_id=None,
        runner_description=None,
        tag_list=(),
        url=None,
        trace_size=None,
    )


class Server:
    """A server of one project: two jobs a page, and every request takes a minute."""

    def __init__(self, *jobs: Job) -> None:
        """Hold these jobs."""
        self.now = NIGHT
        self.jobs = {each.id: each for each in jobs}
        self.changed: dict[int, dt.datetime] = {}
        """When each pipeline changed."""
        self.children_listed = True
        self.forgotten: str | None = None
        """A cursor that is refused."""
        self.damaged: tuple[SkippedJob, ...] = ()
        """Rows of the first page that make no sense."""
        self.fails_after: int | None = None
        """Pages until the server fails; None for never."""

    async def jobs_page(self, project: Project, *, cursor: str | None) -> JobsPage:
        """Return the jobs below the cursor, newest first."""
        assert project == PROJECT
        if self.fails_after == 0:
            raise ServerError("out of order")
        if cursor is not None and cursor == self.forgotten:
            self.forgotten = None
            raise UnexpectedAnswerError("bad request", status=400)
        self.fails_after = None if self.fails_after is None else self.fails_after - 1
        self.now += MINUTE
        below = sorted(
            (number for number in self.jobs if cursor is None or number < int(cursor)),
            reverse=True,
        )
        return JobsPage(
            jobs=tuple(self.jobs[number] for number in below[:2]),
            skipped=self.damaged if cursor is None else (),
            next_cursor=str(below[1]) if len(below) > 2 else None,
            server_time=self.now,
        )

    async def changed_pipelines(
        self, project_id: int, *, since: dt.datetime, until: dt.datetime, children: bool
    ) -> AsyncIterator[Pipeline]:
        """Yield the pipelines that changed in the time."""
        assert project_id == PROJECT.id
        assert children  # the jobs do not say what started their pipelines
        for number, moment in self.changed.items():
            if since <= moment <= until:
                yield Pipeline(id=number, updated_at=moment)

    async def pipeline_jobs(self, project: Project, pipeline_id: int) -> AsyncIterator[Job]:
        """Yield the pipeline's one job."""
        assert project == PROJECT
        yield self.jobs[pipeline_id // 10]

    def end(self, number: int, moment: dt.datetime) -> None:
        """Let an open job end."""
        self.jobs[number] = job(number)
        self.changed[10 * number] = moment


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger.open(tmp_path / "gitlab.example.com.sqlite") as ledger:
        yield ledger


@pytest.fixture
def night(ledger: Ledger) -> Callable[[Server], int]:
    """List once, with or without success; return the transactions that it took."""

    def update(server: Server) -> int:
        statements: list[str] = []
        ledger._connection.set_trace_callback(statements.append)
        lister = Lister(cast("Client", server), ledger, Tally(), since=None, until=None)
        with suppress(ServerError):
            asyncio.run(lister.update(PROJECT))
        ledger._connection.set_trace_callback(None)
        return statements.count("COMMIT")

    return update


def test_a_night_with_nothing_new(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """One transaction, which remembers when the server was looked at."""
    server = Server(job(1), job(2), job(3))
    night(server)
    server.now = NIGHT + DAY

    assert night(server) == 1
    assert ledger.listing(PROJECT) == Listing(watermark=3, checked_at=NIGHT + DAY + MINUTE)


def test_a_night_with_open_jobs_that_wait(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """An untouched manual job costs no transaction more."""
    server = Server(job(1), job(2, "manual"))
    night(server)
    server.now = NIGHT + DAY

    assert night(server) == 1
    assert ledger.listing(PROJECT) == Listing(watermark=2, checked_at=NIGHT + DAY + MINUTE)
    assert ledger.watched(PROJECT.id) == (WatchedJob(id=2, pipeline_id=20),)


def test_a_night_with_new_jobs(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """One page is one transaction: its jobs, the watermark and the time."""
    server = Server(job(1))
    night(server)
    server.jobs[2] = job(2)

    assert night(server) == 1
    assert [each.id for each in ledger.take(10)] == [1, 2]
    assert ledger.listing(PROJECT).watermark == 2


def test_the_first_night(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """A transaction for each page, and none besides."""
    assert night(Server(*map(job, range(1, 6)))) == 3
    assert ledger.listing(PROJECT) == Listing(watermark=5, checked_at=NIGHT + MINUTE)


def test_a_project_without_jobs(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """There is no watermark, and the next night asks for everything again."""
    server = Server()

    assert [night(server), night(server)] == [1, 1]
    assert ledger.listing(PROJECT) == Listing(checked_at=NIGHT + 2 * MINUTE)


def test_cut_off(ledger: Ledger, night: Callable[[Server], int]) -> None:
    """Listing goes on at the page, and then at the top, where new jobs have come meanwhile."""
    server = Server(*map(job, range(1, 6)))
    server.fails_after = 1
    night(server)
    left = ledger.listing(PROJECT)
    server.fails_after = None
    server.jobs[6] = job(6)
    night(server)

    assert left == Listing(ceiling=5, cursor="4", checked_at=NIGHT + MINUTE)
    assert [each.id for each in ledger.take(10)] == [1, 2, 3, 4, 5, 6]
    assert ledger.listing(PROJECT).watermark == 6


def test_an_open_job_of_a_first_night_that_was_cut_off(
    ledger: Ledger, night: Callable[[Server], int]
) -> None:
    """It ends before the second night, which neither lists it again nor passes it over."""
    server = Server(*map(job, range(1, 5)), job(5, "running"))
    server.fails_after = 1
    night(server)
    server.fails_after = None
    server.end(5, NIGHT + DAY / 2)
    server.now = NIGHT + DAY
    night(server)

    assert ledger.watched(PROJECT.id) == ()
    assert [each.id for each in ledger.take(10)] == [1, 2, 3, 4, 5]


def test_an_open_job_on_the_pages_that_were_left(
    ledger: Ledger, night: Callable[[Server], int]
) -> None:
    """It ends while the other pages are listed: the look began with the first of them."""
    server = Server(*map(job, range(1, 43)))
    server.jobs[40] = job(40, "running")
    server.fails_after = 1
    night(server)
    server.fails_after = None
    server.now = NIGHT + DAY
    night(server)
    server.end(40, NIGHT + DAY + 5 * MINUTE)
    server.now = NIGHT + 2 * DAY
    night(server)

    assert ledger.watched(PROJECT.id) == ()


def test_a_transaction_that_was_open_while_others_were_listed(
    ledger: Ledger, night: Callable[[Server], int]
) -> None:
    """Its jobs have lower ids than the watermark, and are found by the next night."""
    server = Server(*(job(number, created=NIGHT - 2 * MINUTE) for number in (1, 2, 4, 6)))
    night(server)
    for number in (3, 5):
        server.jobs[number] = job(number, created=NIGHT - MINUTE)
    server.now = NIGHT + DAY
    night(server)

    assert [each.id for each in ledger.take(10)] == [1, 2, 3, 4, 5, 6]
    assert ledger.listing(PROJECT).watermark == 6


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_server_that_lists_nothing_any_more(
    ledger: Ledger, night: Callable[[Server], int], *, cut_off: bool
) -> None:
    """It is not believed, not even in the middle of a list: the ledger stays as it was."""
    server = Server(*map(job, range(1, 6)), job(7, "manual"))
    server.fails_after = 1 if cut_off else None
    night(server)
    before = ledger.listing(PROJECT)
    server.fails_after = None
    jobs, server.jobs = server.jobs, {}
    server.now = NIGHT + DAY

    assert night(server) == 0
    assert ledger.listing(PROJECT) == before
    server.jobs = jobs
    night(server)
    assert [each.id for each in ledger.take(10)] == [1, 2, 3, 4, 5]


def test_a_cursor_that_the_server_no_longer_knows(
    ledger: Ledger, night: Callable[[Server], int]
) -> None:
    """The list begins at the top again, and nothing is lost."""
    server = Server(*map(job, range(1, 6)))
    server.fails_after = 1
    night(server)
    server.fails_after = None
    server.forgotten = "4"
    night(server)

    assert [each.id for each in ledger.take(10)] == [1, 2, 3, 4, 5]
    assert ledger.listing(PROJECT).cursor is None


def test_a_job_that_cannot_be_understood(ledger: Ledger) -> None:
    """It is named as a failure, until the list has gone on above it; the others are listed."""
    server = Server(*map(job, (1, 2, 4)))
    server.damaged = (SkippedJob(project_id=PROJECT.id, id=3, reason="job 3: no status."),)
    failures = []
    for number in (None, 5):
        if number is not None:
            server.jobs[number] = job(number)
        tally = Tally()
        asyncio.run(Lister(cast("Client", server), ledger, tally).update(PROJECT))
        failures.append(tally.failures)

    assert failures == [["shop/api: a job is passed over. job 3: no status."], []]
    assert [each.id for each in ledger.take(10)] == [1, 2, 4, 5]


@pytest.mark.parametrize("rhythm", [1, 3, 6])
def test_every_project_has_its_turn(rhythm: int) -> None:
    """Once in seven days, however often it is looked at, numbered on, and not all on one day."""
    looks = [NIGHT + day * DAY for day in range(0, 420, rhythm)]
    turns = {
        project: {
            now: turn
            for last, now in itertools.pairwise(looks)
            if (turn := turn_between(project, last, now)) is not None
        }
        for project in range(1, 61)
    }

    assert {len(days) for days in turns.values()} <= {59, 60}
    assert len({day for days in turns.values() for day in days}) == len(looks) - 1
    for numbers in map(list, map(dict[dt.datetime, int].values, turns.values())):
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert turn_between(1, None, NIGHT) is None
