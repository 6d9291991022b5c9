"""Reading again what older rules have read: from the server, from what was kept, and never less."""

from __future__ import annotations

import datetime as dt
import shutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import logminer
from logminer.errors import AuthorisationError
from logminer.gitlab import Budget, Settings, discover
from logminer.harvest import Options, Tally, harvest, reparse
from logminer.model import Depth, Harvested, TraceState
from logminer.simulator import Company, Server, serve
from logminer.store import Ledger, Store, source_of
from logminer.trace import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

TODAY = dt.date(2026, 11, 23)


@pytest.fixture(scope="module")
def company() -> Company:
    """A company whose logs some tests take away; each gives back what it took."""
    return Company.generate(seed=4, today=TODAY, days=24, projects=4, jobs=60)


@pytest.fixture(scope="module")
def server(company: Company) -> Iterator[Server]:
    """The company's GitLab."""
    with serve(company) as running:
        yield running


def _without_uses(**values: Any) -> Harvested:  # noqa: ANN401 -- any field of an outcome
    return Harvested(**values | {"uses": ()})


@pytest.fixture(scope="module")
def long_ago(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bool, Depth], Path]:
    """Harvest everything by the rules of long ago, which found no image and had the version 1.

    Once for each way of asking.
    """

    @cache
    def harvested(keep: bool, depth: Depth) -> Path:  # noqa: FBT001 -- a cache's key is positional
        settings = Settings(url=server.url, token=server.token)
        store = Store.create(tmp_path_factory.mktemp("long_ago") / "s")
        with pytest.MonkeyPatch.context() as then:
            then.setattr("logminer.harvest.reading.VERSION", "1")
            then.setattr("logminer.harvest.reading.Harvested", _without_uses)
            options = Options(keep=keep, depth=depth)
            harvest(store, settings, discover(settings, everything=True), options=options)
        assert set(store.jobs()["extractor_version"]) == {"1"}
        assert store.images().empty
        return store.path

    return harvested


@pytest.fixture
def store(long_ago: Callable[[bool, Depth], Path], tmp_path: Path) -> Callable[..., Store]:
    """Return a copy of such a store."""

    def copy(*, keep: bool = False, depth: Depth = Depth.FULL) -> Store:
        return logminer.open(shutil.copytree(long_ago(keep, depth), tmp_path / "s"))

    return copy


@pytest.fixture
def again(server: Server) -> Callable[..., Tally]:
    """Read everything again."""

    def run(
        store: Store,
        options: Options | None = None,
        *,
        offline: bool = False,
        budget: Budget | None = None,
        project_ids: set[int] | None = None,
    ) -> Tally:
        settings = Settings(url=server.url, token=server.token)
        with Ledger.open(store.ledger_path(source_of(settings.instance))) as ledger:
            return reparse(
                store,
                ledger,
                None if offline else settings,
                project_ids=project_ids,
                options=options,
                budget=budget,
            )

    return run


@pytest.fixture(scope="module")
def fresh(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Store]:
    """Harvest everything by today's rules; read only, once for each depth."""

    @cache
    def run(depth: Depth = Depth.FULL) -> Store:
        settings = Settings(url=server.url, token=server.token)
        store = Store.create(tmp_path_factory.mktemp("fresh") / "s")
        projects = discover(settings, everything=True)
        harvest(store, settings, projects, options=Options(depth=depth))
        return store

    return run


@pytest.fixture
def taken(company: Company) -> Iterator[Callable[[int, str], None]]:
    """Take a job's log away, and give all of them back in the end."""
    gone: dict[int, int | None] = {}

    def take(job_id: int, how: str) -> None:
        job = company.job(job_id)
        assert job is not None
        gone[job_id] = job.erased
        if how == "erased":
            company.erase(job_id)
        else:
            company.lose(job_id, how)  # type: ignore[arg-type] # one of the words it knows

    yield take
    for job_id, erased in gone.items():
        company.lose(job_id, "ok")
        job = company.job(job_id)
        assert job is not None
        job.erased = erased


def facts(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return the rows without the one column that depends on the run."""
    frame = frame.drop(columns=["harvested_at"], errors="ignore").astype(object)
    frame["tag_list"] = [tuple(x) for x in frame.get("tag_list", [()] * len(frame))]
    return list(frame.where(frame.notna(), None).itertuples(index=False, name=None))


def read(store: Store) -> int:
    """Return how many logs of a store were read at all."""
    return int((store.jobs()["trace_state"] == "ok").sum())


def versions(store: Store) -> dict[str, int]:
    """Return how many logs that were read are of which version."""
    jobs = store.jobs()
    counts = jobs[jobs["trace_state"] == "ok"]["extractor_version"].value_counts()
    return {str(version): int(count) for version, count in counts.items()}


@pytest.mark.parametrize("keep", [False, True])
def test_rows_are_those_of_a_fresh_harvest(
    store: Callable[..., Store],
    again: Callable[..., Tally],
    fresh: Callable[..., Store],
    server: Server,
    keep: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """From the server and from what was kept: what a harvest by today's rules gives.

    Only logs that could be read are read again, each once, and none that was kept is asked for.
    """
    old = store(keep=keep)
    before = server.requests.counts.copy()
    tally = again(old)
    asked = server.requests.counts - before
    new = fresh()

    assert facts(old.images()) == facts(new.images())
    readable = new.jobs()[new.jobs()["trace_state"] == "ok"]["job_id"]
    ours, theirs = (facts(each.jobs()[each.jobs()["job_id"].isin(readable)]) for each in (old, new))
    assert ours == theirs
    assert (tally.exit_code, tally.jobs_done, tally.jobs_kept) == (0, read(old), 0)
    assert tally.from_kept == (read(old) if keep else 0)
    assert asked["trace"] == (0 if keep else read(old))
    assert set(asked) <= {"trace"}


def test_offline_needs_no_server(
    store: Callable[..., Store],
    again: Callable[..., Tally],
    fresh: Callable[..., Store],
    server: Server,
) -> None:
    """What was kept is enough: not a request, and the same rows."""
    old = store(keep=True)
    new = fresh()
    before = server.requests.counts.total()
    again(old, offline=True)

    assert server.requests.counts.total() == before
    assert facts(old.images()) == facts(new.images())


def test_offline_leaves_what_was_not_kept(
    store: Callable[..., Store], again: Callable[..., Tally]
) -> None:
    """Without anything kept, nothing is read and nothing is lost."""
    old = store()
    tally = again(old, offline=True)

    assert (tally.exit_code, tally.jobs_done) == (0, 0)
    assert versions(old) == {"1": read(old)}


def test_twice_is_once(
    store: Callable[..., Store],
    again: Callable[..., Tally],
    server: Server,
    digests: Callable[[Path], dict[str, str]],
) -> None:
    """A second reparse finds nothing old: no request, no byte changed."""
    old = store()
    again(old)
    before, asked = digests(old.path / "images"), server.requests.counts.total()
    tally = again(old)

    assert tally.jobs_done == 0
    assert server.requests.counts.total() == asked
    assert digests(old.path / "images") == before


def test_what_was_kept_is_kept_on(
    store: Callable[..., Store], again: Callable[..., Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read again from the server without keeping, or from what was kept: it stays for later."""
    old = store(keep=True)
    before = {path.name: path.read_bytes() for path in (old.path / "preambles").rglob("*.parquet")}
    again(old)
    monkeypatch.setattr("logminer.trace.VERSION", "3")
    monkeypatch.setattr("logminer.harvest.rereading.VERSION", "3")
    monkeypatch.setattr("logminer.harvest.reading.VERSION", "3")
    tally = again(old, offline=True)

    assert before
    assert tally.from_kept == read(old)
    assert versions(old) == {"3": read(old)}


@pytest.mark.parametrize("how", ["missing", "erased", "forbidden", "empty"])
def test_a_log_that_is_gone_takes_nothing_away(
    store: Callable[..., Store],
    again: Callable[..., Tally],
    server: Server,
    taken: Callable[[int, str], None],
    how: str,
) -> None:
    """Rows of logs that the server no longer has stay as they are, of whatever version.

    What will not come back is not asked for again; what may is.
    """
    old = store()
    rows = old.jobs()
    lost = sorted(int(each) for each in rows[rows["trace_state"] == "ok"]["job_id"])[:5]
    for job_id in lost:
        taken(job_id, how)
    tally = again(old)
    kept = old.jobs().set_index("job_id").loc[lost]
    before = server.requests.counts["trace"]
    second = again(old)

    assert (tally.exit_code, tally.jobs_kept) == (0, 5)
    assert set(kept["trace_state"]) == {"ok"}
    assert set(kept["extractor_version"]) == {"1"}
    assert versions(old) == {"1": 5, VERSION: read(old) - 5}
    asks_again = how in {"forbidden", "empty"}
    assert (server.requests.counts["trace"] > before) == asks_again
    assert second.jobs_kept == (5 if asks_again else 0)


def test_a_log_that_is_shorter_takes_nothing_away(
    store: Callable[..., Store], again: Callable[..., Tally]
) -> None:
    """A server that has less of a log than was read of it is not believed."""
    old = store()
    tally = again(old, Options(max_trace_bytes=50))

    assert tally.jobs_done == 0
    assert tally.jobs_kept == read(old)
    assert versions(old) == {"1": read(old)}


def test_each_job_keeps_its_depth(
    store: Callable[..., Store], again: Callable[..., Tally], fresh: Callable[..., Store]
) -> None:
    """What was read up to the end of the preparation is read so again, whatever the run's depth."""
    old = store(depth=Depth.PREPARE)
    again(old, Options(depth=Depth.FULL))
    new = fresh(Depth.PREPARE)

    assert facts(old.images()) == facts(new.images())
    assert set(old.jobs()["depth"]) == {"prepare"}


def test_a_budget_is_kept_and_the_next_run_goes_on(
    store: Callable[..., Store], again: Callable[..., Tally], fresh: Callable[..., Store]
) -> None:
    """Exit 75 after so many requests; run often enough, everything is read, and nothing twice."""
    old = store()
    total, done, runs = read(old), 0, 0
    while done < total and runs < 30:
        tally = again(old, Options(concurrency=2), budget=Budget(20))
        done += tally.jobs_done
        runs += 1
        assert tally.exit_code == (75 if done < total else tally.exit_code)
    assert done == total
    assert runs >= total // 20
    assert facts(old.images()) == facts(fresh().images())


def test_only_what_is_asked_for(
    store: Callable[..., Store], again: Callable[..., Tally], company: Company
) -> None:
    """Projects and the period bound what is read again."""
    old = store()
    jobs = old.jobs()
    jobs = jobs[jobs["trace_state"] == "ok"]
    project = int(jobs["project_id"].mode()[0])
    since, until = (dt.datetime(2026, 11, day, tzinfo=dt.UTC) for day in (5, 15))
    again(old, Options(since=since, until=until), project_ids={project})
    wanted = jobs[
        (jobs["project_id"] == project)
        & (jobs["created_at"] >= since)
        & (jobs["created_at"] < until)
    ]
    after = old.jobs()

    assert 0 < len(wanted) < len(jobs)
    assert set(after[after["extractor_version"] == VERSION]["job_id"]) == set(wanted["job_id"])
    assert company.projects


def test_what_a_killed_run_recorded_is_not_read_again(
    store: Callable[..., Store],
    again: Callable[..., Tally],
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Recorded and not yet published when the run was killed: published, and not asked for."""
    old = store()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as then:
        then.setattr("logminer.harvest.run.HarvestRun.publish", killed)
        with pytest.raises(KeyboardInterrupt):
            again(old)
    before = server.requests.counts["trace"]
    again(old)

    assert server.requests.counts["trace"] == before
    assert versions(old) == {VERSION: read(old)}


def test_a_reparse_is_no_success_of_a_harvest(
    store: Callable[..., Store], again: Callable[..., Tally], server: Server
) -> None:
    """It brought nothing up to date, so the last success stays where it was."""
    old = store()
    path = old.ledger_path(source_of(Settings(url=server.url, token="t").instance))  # noqa: S106 -- opens nothing
    with Ledger.read(path) as ledger:
        before = ledger.last_success()
    again(old)
    with Ledger.read(path) as ledger:
        assert ledger.last_success() == before
        assert ledger.runs(1)[0].exit_code == 0


def test_a_refused_token_ends_it(store: Callable[..., Store], server: Server) -> None:
    """Nothing changes where the server lets nobody in."""
    old = store()
    settings = Settings(url=server.url, token="glpat-wrong")  # noqa: S106 -- opens nothing
    with (
        Ledger.open(old.ledger_path(source_of(settings.instance))) as ledger,
        pytest.raises(AuthorisationError),
    ):
        reparse(old, ledger, settings, project_ids=None)

    assert versions(old) == {"1": read(old)}


def test_plain_readers_see_nothing_but_data(store: Callable[..., Store]) -> None:
    """What is kept lies beside images and jobs, in files of its own, a row for each log read."""
    old = store(keep=True)
    days = {path.parent.name for path in (old.path / "preambles").rglob("*.parquet")}

    assert days <= {path.parent.name for path in (old.path / "jobs").rglob("*.parquet")}
    assert sorted(each.name for each in old.path.iterdir()) == [
        *("images", "jobs", "preambles", "state")
    ]
    assert TraceState.OK in set(logminer.open(old.path).jobs()["trace_state"])
