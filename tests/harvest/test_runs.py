"""One run over real sockets: how it ends, what it costs the server, what it leaves to the next."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

import logminer
from logminer.errors import (
    AuthorisationError,
    BlockedError,
    BusyError,
    ServerError,
    UnexpectedAnswerError,
)
from logminer.gitlab import Budget, Client, Settings, discover
from logminer.harvest import Options, Tally, harvest, verify
from logminer.harvest.reading import Reader
from logminer.harvest.verify import repair
from logminer.model import Depth
from logminer.running import run as whole_run
from logminer.simulator import Behaviour, Company, Faults, Server, serve
from logminer.store import Ledger, Store, open_store, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from logminer.harvest import Verification
    from logminer.model import Harvested, Job

TODAY = dt.date(2026, 11, 23)
DAY = 86_400.0


@pytest.fixture
def company() -> Company:
    """A company of its own for each test, which may change it."""
    return Company.generate(seed=4, today=TODAY, days=24, projects=6, jobs=90)


@pytest.fixture
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


@pytest.fixture
def night(server: Server, tmp_path: Path) -> Callable[..., Tally]:
    """Harvest everything into `s`."""

    def run(options: Options | None = None, budget: Budget | None = None) -> Tally:
        settings = Settings(url=server.url, token=server.token)
        projects = discover(settings, everything=True)
        store = Store.create(tmp_path / "s")
        return harvest(store, settings, projects, options=options, budget=budget)

    return run


@pytest.fixture
def check(server: Server, tmp_path: Path) -> Callable[[], Verification]:
    """Compare `s` with the server; repair it."""

    def run() -> Verification:
        settings = Settings(url=server.url, token=server.token)
        store = logminer.open(tmp_path / "s")
        with Ledger.open(store.ledger_path(source_of(settings.instance))) as ledger:
            found = verify(store, ledger, settings, ledger.projects(), since=None, until=None)
            repair(ledger, found)
        return found

    return run


@pytest.fixture
def asked(server: Server) -> Callable[[], Counter[str]]:
    """Return what was asked since the last call, by kind of request."""
    before: Counter[str] = Counter()

    def of() -> Counter[str]:
        nonlocal before
        now = Counter(server.requests.counts)
        new, before = now - before, now
        return new

    return of


def rows(path: Path) -> dict[int, tuple[str, str]]:
    """Return status and state of every job in the dataset."""
    jobs = logminer.open(path).jobs()
    assert jobs["job_id"].is_unique
    return {
        int(job): (status, state)
        for job, status, state in zip(
            jobs["job_id"], jobs["job_status"], jobs["trace_state"], strict=True
        )
    }


def truth(company: Company) -> dict[int, tuple[str, str]]:
    """Return the same of every job that has ended and cannot change its log."""
    return {
        job_id: (each.status, each.trace_state)
        for job_id, each in company.truth().items()
        if each.settled
    }


# --- what a finished scope costs ---------------------------------------------------------------


def test_a_finished_scope(
    company: Company, night: Callable[..., Tally], asked: Callable[[], Counter[str]]
) -> None:
    """Harvested again: at most one list and one look at pipelines for each project, no trace."""
    company.live(DAY)
    night()
    asked()
    night()

    again = asked()
    assert again["jobs"] <= len(company.projects)
    assert again["pipelines"] <= len(company.projects)
    assert set(again) <= {"version", "user", "projects", "jobs", "pipelines"}


def test_untouched_manual_jobs_cost_nothing(
    company: Company, night: Callable[..., Tally], asked: Callable[[], Counter[str]]
) -> None:
    """Two hundred jobs that nobody plays add no request to a night."""
    company.live(DAY)
    night()
    night()
    asked()
    night()
    before = asked()
    for project in company.projects * 40:
        company.create_pipeline(project.id, when="manual")
    company.live(DAY)
    night()
    asked()
    for _ in range(8):  # every project has its turn
        company.live(DAY)
        night()
        after = asked()
        assert after["jobs"] == before["jobs"]
        assert after["pipelines"] - before["pipelines"] <= len(company.projects)
        assert after["job"] == after["pipeline_jobs"] == after["trace"] == 0


def test_child_pipelines_are_asked_for_where_their_jobs_wait(
    company: Company, night: Callable[..., Tally], asked: Callable[[], Counter[str]], tmp_path: Path
) -> None:
    """A second list for the project with such a job, and only there; the job is found."""
    company.live(DAY)
    night()
    night()
    asked()
    night()
    usual = asked()["pipelines"]
    project = next(project for project in company.projects if project.ci_enabled)
    pipeline = company.create_pipeline(project.id, source="parent_pipeline", when="manual")
    company.live(DAY)
    night()
    asked()
    night()
    waiting = asked()["pipelines"]
    company.live(9 * DAY)
    company.play(pipeline.jobs[0].id)
    company.live(DAY)
    night()

    assert waiting - usual in {1, 2}
    assert rows(tmp_path / "s")[pipeline.jobs[0].id][0] == "success"


# --- jobs that change --------------------------------------------------------------------------


def test_a_skipped_job_that_is_woken(
    company: Company, night: Callable[..., Tally], tmp_path: Path
) -> None:
    """It has a row from the first night on; played later, that row moves to its new day."""
    company.live(DAY)
    night()
    skipped = [job for job, (status, _) in rows(tmp_path / "s").items() if status == "skipped"]
    assert skipped
    company.play(skipped[0])
    company.live(DAY)
    night()

    after = rows(tmp_path / "s")
    assert after[skipped[0]] == truth(company)[skipped[0]]
    assert after[skipped[0]][0] == "success"
    assert after == truth(company)


def test_a_pipeline_that_is_deleted_before_its_job_ended(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """Nothing is lost that was known, and nothing waits for ever."""
    project = next(project for project in company.projects if project.ci_enabled)
    pipeline = company.create_pipeline(project.id, seconds=9 * DAY)
    company.live(3_600)
    night()
    before = rows(tmp_path / "s")
    company.live(10 * DAY)
    server.when("pipeline_jobs", 1, lambda: company.delete_pipeline(pipeline.id))
    tally = night()

    assert tally.jobs_gone == 1
    assert pipeline.jobs[0].id not in rows(tmp_path / "s")
    assert before.items() <= rows(tmp_path / "s").items()


@pytest.mark.parametrize("version", [pytest.param("15.8.0", marks=pytest.mark.slow), "19.3.1-ee"])
def test_a_pipeline_that_is_deleted_between_two_nights(  # noqa: PLR0913, PLR0917 -- fixtures
    company: Company,
    night: Callable[..., Tally],
    server: Server,
    asked: Callable[[], Counter[str]],
    tmp_path: Path,
    version: str,
) -> None:
    """No list of changes tells of it: but its turn comes, and its job is known to be gone.

    A week costs two requests, and one for each that is gone; the jobs that still wait are not
    looked at one by one.
    """
    server.behaviour = Behaviour(version=version)
    project = next(project for project in company.projects if project.ci_enabled)
    waiting = [company.create_pipeline(project.id, when="manual") for _ in range(20)]
    company.live(10 * DAY)
    night()
    company.live(60)
    night()
    deleted = [0, 1, 2, 3, 11, 12]  # the oldest, and two in between
    for number in deleted:
        company.delete_pipeline(waiting[number].id)
    gone, looks = [], []
    for _ in range(20):
        company.create_pipeline(project.id)
        company.live(7 * DAY)
        asked()
        gone.append(night().jobs_gone)
        looks.append(asked()["pipeline_jobs"])

    assert gone[0] >= 4
    assert sum(gone) == 6
    assert all(each <= 2 + found for each, found in zip(looks, gone, strict=True))
    source = source_of(server.url.removeprefix("http://"))
    with open_store(tmp_path / "s").read_ledger(source) as ledger:
        states = list(ledger.states(pipeline.jobs[0].id for pipeline in waiting).values())
        assert [at for at, state in enumerate(states) if state == "gone"] == deleted
        assert states.count("open") == 14


def test_an_erased_log_is_told_from_an_empty_one(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """Erased between its list and its reading: the job itself says so."""
    company.live(DAY)
    victims = [job for job, each in company.truth().items() if each.trace_state == "ok"]

    def erase() -> None:
        for job in victims:
            company.erase(job)

    server.when("trace", 1, erase)
    night()

    states = Counter(state for _, state in rows(tmp_path / "s").values())
    assert states["erased"] >= len(victims) - 1
    assert rows(tmp_path / "s") == truth(company)


# --- periods -----------------------------------------------------------------------------------


def test_periods_in_any_order_leave_no_hole(
    company: Company, night: Callable[..., Tally], tmp_path: Path
) -> None:
    """Recent first, then something old, then something between, then all: it ends with all."""
    company.live(DAY)
    end = company.now

    def ago(days: int) -> dt.datetime:
        return end - dt.timedelta(days=days)

    def expected(since: int, until: int) -> set[int]:
        return {
            job.id
            for job in company.jobs
            if job.id in truth(company)
            and ago(since).timestamp() * 1_000 <= job.created < ago(until).timestamp() * 1_000
        }

    have: set[int] = set()
    for since, until in ((8, 4), (2, 0), (20, 16), (12, 10)):
        night(Options(since=ago(since), until=ago(until)))
        have |= expected(since, until)
        assert set(rows(tmp_path / "s")) == have
    night()

    assert rows(tmp_path / "s") == truth(company)


@pytest.mark.parametrize("version", ["15.8.0", "16.11.0-ee", "19.3.1-ee"])
def test_servers_of_any_age(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path, version: str
) -> None:
    """The same dataset from a server that pages by number, or knows no child pipelines."""
    server.behaviour = Behaviour(version=version, pages="overlap")
    night()
    company.live(DAY)
    night()

    assert set(rows(tmp_path / "s")) == set(truth(company))


def test_an_old_server_that_lists_no_further_back(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """What it lists is harvested, the project is named; with a later `since` all is well."""
    project = max(company.projects, key=lambda project: len(company.jobs_of(project.id)))
    for _ in range(110):
        company.create_pipeline(project.id)
    company.live(DAY)
    server.behaviour = Behaviour(version="15.8.0", offset_cap=100)
    tally = night()
    newest = {job.id for job in company.jobs_of(project.id)[-100:]}
    after = night(Options(since=company.now - dt.timedelta(hours=23)))

    assert tally.exit_code == 3
    (failure,) = tally.failures
    assert failure.startswith(f"{project.path}: ")
    assert "--since" in failure
    assert newest & set(truth(company)) <= set(rows(tmp_path / "s"))
    assert after.exit_code == 0


# --- how much is read --------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
def test_depth_prepare(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path, *, ranges: bool
) -> None:
    """The runner's own images are all there, the rows say how deep, however the bytes came."""
    company.live(DAY)
    server.behaviour = Behaviour(ranges=ranges, chunked=not ranges)
    night(Options(depth=Depth.PREPARE))

    store = logminer.open(tmp_path / "s")
    images, jobs = store.images(), store.jobs()
    planted = Counter(
        (job_id, use.image)
        for job_id, each in company.truth().items()
        for use in each.planted
        if use.role == "job"
    )
    found = images[images["role"] == "job"]
    assert Counter(zip(found["job_id"], found["image"], strict=True)) == planted
    assert set(jobs["depth"]) == {"prepare"}
    read = jobs[jobs["trace_state"] == "ok"]
    assert (read["trace_bytes"] % 4_096 == 0).any()


def test_max_trace_bytes(company: Company, night: Callable[..., Tally], tmp_path: Path) -> None:
    """A longer log is read so far, and its job says so; a shorter one is whole."""
    company.live(DAY)
    tally = night(Options(max_trace_bytes=3_000))

    sizes = {job_id: each.size for job_id, each in company.truth().items()}
    jobs = logminer.open(tmp_path / "s").jobs()
    read = jobs[jobs["trace_state"] == "ok"]
    for job_id, size, truncated in zip(
        read["job_id"], read["trace_bytes"], read["truncated"], strict=True
    ):
        assert size == min(3_000, sizes[job_id])
        assert truncated or sizes[job_id] <= 3_000
    assert tally.traces_cut == sum(sizes[job_id] >= 3_000 for job_id in read["job_id"]) > 0


# --- ends --------------------------------------------------------------------------------------


def test_a_budget_goes_round(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """Runs of forty requests each end with 75 and keep what they read, until one is complete."""
    company.live(DAY)
    codes: list[int] = []
    while not codes or codes[-1] == 75:
        before = server.requests.total
        tally = night(budget=Budget(40))
        codes.append(tally.exit_code)
        assert server.requests.total - before <= 40 + 5  # discovery's
        assert len(codes) < 20

    assert codes[-1] == 0
    assert len(codes) > 2
    assert rows(tmp_path / "s") == truth(company)


def test_a_deadline(night: Callable[..., Tally], server: Server, tmp_path: Path) -> None:
    """75 soon after the time is over, although answers are slow; what came is kept."""
    server.behaviour = Behaviour(latency=0.05)
    began = time.monotonic()
    tally = night(Options(concurrency=1), Budget(deadline=began + 1.5))

    assert tally.exit_code == 75
    assert tally.spent is not None
    assert "--max-duration" in tally.spent
    assert len(rows(tmp_path / "s")) == tally.jobs_done > 0


def test_lists_that_are_all_empty(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """An alarm and exit 3; the next night finds what came and ended meanwhile."""
    company.live(DAY)
    night()
    project = next(project for project in company.projects if project.ci_enabled)
    company.create_pipeline(project.id, when="manual")
    company.live(DAY)
    night()
    for job in company.jobs_of(project.id):
        if job.status_at(company.now_ms) == "manual":
            company.play(job.id)
    company.create_pipeline(project.id)
    company.live(DAY)
    server.behaviour = Behaviour(empty=frozenset({"jobs", "pipelines"}))
    tally = night()
    server.behaviour = Behaviour()
    after = night()

    assert (tally.exit_code, after.exit_code) == (3, 0)
    (alarm,) = tally.failures
    assert alarm.startswith("the server lists no job of any of the ")
    assert rows(tmp_path / "s") == truth(company)


def test_logs_that_are_all_empty(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """An alarm and exit 3; no log is recorded as empty, and the next night reads them."""
    company.live(DAY)
    server.behaviour = Behaviour(empty=frozenset({"trace"}))
    tally = night()
    left = rows(tmp_path / "s")
    server.behaviour = Behaviour()
    night()

    assert tally.exit_code == 3
    assert "logs has a byte, which points to a fault of the server" in tally.failures[-1]
    assert {state for _, state in left.values()} <= {
        *("not_started", "erased", "missing", "forbidden"),
    }
    assert rows(tmp_path / "s") == truth(company)


def test_few_logs_that_are_all_empty(tmp_path: Path) -> None:
    """A small scope is no reason to believe it, where the server itself states the sizes."""
    company = Company.generate(seed=2, today=TODAY, days=20, projects=1, jobs=4)
    company.live(DAY)
    with serve(company, behaviour=Behaviour(empty=frozenset({"trace"}))) as server:
        settings = Settings(url=server.url, token=server.token)
        projects = discover(settings, everything=True)
        store = Store.create(tmp_path / "s")
        tally = harvest(store, settings, projects)
        server.behaviour = Behaviour()
        after = harvest(store, settings, projects)

    assert (tally.exit_code, after.exit_code) == (3, 0)
    assert 0 < tally.jobs_queued - tally.jobs_done < 10
    assert rows(tmp_path / "s") == truth(company)


def test_a_token_that_is_revoked(night: Callable[..., Tally], server: Server) -> None:
    """It ends the run; what was read before is kept, as the run's end is."""
    server.when("trace", 5, lambda: setattr(server, "behaviour", Behaviour(revoked=True)))

    with pytest.raises(AuthorisationError):
        night(Options(concurrency=2))


def test_an_address_that_is_blocked(
    company: Company, night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """No log is recorded as forbidden because everything is."""
    company.live(DAY)

    def block() -> None:
        server.behaviour = Behaviour(blocked_from=0)

    server.when("trace", 10, block)
    with pytest.raises(BlockedError):
        night(Options(concurrency=4))
    server.behaviour = Behaviour()
    night()

    assert rows(tmp_path / "s") == truth(company)


@pytest.mark.parametrize(
    ("down", "said"),
    [("trace", "failed 8 times in a row"), ("version", "cannot be reached")],
)
def test_a_server_that_is_down(  # noqa: PLR0913, PLR0917 -- fixtures
    night: Callable[..., Tally],
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    down: str,
    said: str,
) -> None:
    """After so many failures in a row it is left alone; the ledger remembers how the run ended."""

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("logminer.harvest.run.Client", partial(Client, sleep=at_once))
    monkeypatch.setattr(whole_run, "HOPELESS", 8)
    behaviour = Behaviour(
        faults=(Faults(rate=1.0, kinds=("error_500",), on=frozenset({"trace", down})),)
    )
    server.when("trace", 1, lambda: setattr(server, "behaviour", behaviour))
    with pytest.raises(ServerError, match=said):
        night(Options(concurrency=4))

    source = source_of(server.url.removeprefix("http://"))
    with open_store(tmp_path / "s").read_ledger(source) as ledger:
        (run,) = ledger.runs(5)
        assert run.exit_code == 1
        assert run.tally["failed"] >= 8
        assert ledger.last_success() is None


def test_logs_that_never_come(
    company: Company,
    night: Callable[..., Tally],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Many lost logs that lie together hold up none but themselves, old or new."""
    company.live(DAY)
    night(Options(concurrency=1), Budget(max_requests=len(company.projects) + 20))
    expected = truth(company)
    ids = sorted(set(expected) - set(rows(tmp_path / "s")))
    lost = set(ids[len(ids) // 3 :][:25])
    read = Reader.read

    async def reading(self: Reader, job: Job, *, now: dt.datetime) -> Harvested:
        if job.id in lost:
            raise UnexpectedAnswerError(f"job {job.id}: 500")
        return await read(self, job, now=now)

    monkeypatch.setattr(Reader, "read", reading)
    monkeypatch.setattr(whole_run, "HOPELESS", 5)
    with pytest.raises(ServerError, match="5 times in a row"):
        night(Options(concurrency=1))  # what others were reading would be read the next night

    assert len(lost) == 25
    assert rows(tmp_path / "s") == {
        job_id: row for job_id, row in expected.items() if job_id not in lost
    }


def test_a_store_that_somebody_else_writes(
    night: Callable[..., Tally], server: Server, tmp_path: Path
) -> None:
    """Who holds it is named, and no run is remembered."""
    path = Store.create(tmp_path / "s").ledger_path(source_of(server.url.removeprefix("http://")))
    with Ledger.open(path) as ledger:
        with pytest.raises(BusyError, match="is being harvested by process"):
            night()
        assert ledger.runs(5) == []


# --- verify ------------------------------------------------------------------------------------


def test_verify(
    company: Company,
    night: Callable[..., Tally],
    check: Callable[[], Verification],
    tmp_path: Path,
) -> None:
    """Nothing is missing; then a day's file is lost, named, queued and harvested again."""
    company.live(DAY)
    night()
    whole = check()
    lost = sorted((tmp_path / "s" / "jobs").glob("*/*.parquet"))[3]
    gaps = {int(job) for job in logminer.open(tmp_path / "s").jobs()["job_id"]}
    lost.unlink()
    gaps -= set(rows(tmp_path / "s"))
    broken = check()
    night()

    assert (whole.exit_code, whole.missing, whole.repaired) == (0, 0, 0)
    assert sum(each.stored for each in whole.projects) == len(rows(tmp_path / "s"))
    assert broken.exit_code == 3
    assert {job.id for each in broken.projects for job in each.missing} == gaps
    assert check().exit_code == 0
    assert rows(tmp_path / "s") == truth(company)


def test_verify_counts_what_is_gone_and_what_is_to_come(
    company: Company, night: Callable[..., Tally], check: Callable[[], Verification]
) -> None:
    """A deleted pipeline's rows are kept and counted; a job newer than the harvest is no gap."""
    company.live(DAY)
    night()
    ended = next(
        pipeline
        for pipeline in company.pipelines
        if all(job.id in truth(company) for job in pipeline.jobs) and pipeline.project.ci_enabled
    )
    jobs = len(ended.jobs)
    company.delete_pipeline(ended.id)
    open_before = sum(each.waiting for each in check().projects)
    company.create_pipeline(ended.project.id)
    company.live(DAY)
    found = check()

    assert found.exit_code == 0
    assert sum(each.gone for each in found.projects) == jobs
    assert sum(each.waiting for each in found.projects) == open_before + 1


def test_verify_knows_the_open_jobs_of_deleted_pipelines(
    company: Company,
    night: Callable[..., Tally],
    check: Callable[[], Verification],
    server: Server,
    tmp_path: Path,
) -> None:
    """Nothing waits for them any more; the others, skipped ones too, are still waited for."""
    project = next(project for project in company.projects if project.ci_enabled)
    waiting = [company.create_pipeline(project.id, when="manual") for _ in range(5)]
    company.live(DAY)
    night()
    source = source_of(server.url.removeprefix("http://"))
    with open_store(tmp_path / "s").read_ledger(source) as ledger:
        watched = {job.id for job in ledger.watched(project.id)}
    before = check()
    company.delete_pipeline(waiting[1].id)
    company.delete_pipeline(waiting[3].id)
    found, again = check(), check()

    assert (before.forgotten, before.exit_code) == (0, 0)
    assert (found.forgotten, found.settled, found.exit_code) == (2, 2, 0)
    assert (again.forgotten, again.settled) == (0, 0)
    with open_store(tmp_path / "s").read_ledger(source) as ledger:
        left = {job.id for job in ledger.watched(project.id)}
    assert watched - left == {waiting[1].jobs[0].id, waiting[3].jobs[0].id}


def test_verify_leaves_alone_what_came_while_it_listed(
    company: Company,
    night: Callable[..., Tally],
    check: Callable[[], Verification],
    server: Server,
    tmp_path: Path,
) -> None:
    """A job above the newest listed may be one that a harvest has found since: it is waited for."""
    project = next(project for project in company.projects if project.ci_enabled)
    company.live(DAY)
    newest = company.create_pipeline(project.id, when="manual")
    night()
    company.delete_pipeline(newest.id)
    found = check()

    assert (found.forgotten, found.settled, found.exit_code) == (0, 0, 0)
    source = source_of(server.url.removeprefix("http://"))
    with open_store(tmp_path / "s").read_ledger(source) as ledger:
        assert newest.jobs[0].id in {job.id for job in ledger.watched(project.id)}
