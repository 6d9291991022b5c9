"""Harvests, lives of jobs, faults and kills in any order: the dataset is always the server's truth.

A kill is what the store's files hold at that moment: the run goes on no further, and the next one
begins from those files. (Real processes are killed in `tests/cli` and by a benchmark.)
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import shutil
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import logminer
from logminer.gitlab import Client, Settings, discover
from logminer.harvest import Tally, harvest
from logminer.simulator import Behaviour, Company, Expected, Fault, Faults, Server, serve
from logminer.store import Ledger, Store, source_of
from logminer.store.durable import replacing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TODAY = dt.date(2026, 11, 23)
HOUR = 3_600.0
USE = ("role", "outcome", "image", "tag", "digest", "pull_attempts", "error_kind")
MENDED: tuple[Fault, ...] = (
    *("reset", "reset_midbody", "truncated", "torn", "short", "error_500", "error_502"),
    *("cut_gzip", "redirect_same"),
)
"""Faults that another try mends."""


READS = frozenset({"jobs", "job", "trace", "pipelines", "pipeline_jobs"})
"""The kinds of requests of a harvest; discovery has its own tests."""
FAIR = Behaviour(largest_page=3)
"""Pages are short, so that a list has several and a run may end between two of them."""


Kill: TypeAlias = tuple[int, str]
"""Before which step of what kind a run is killed."""
NEVER: Kill = (0, "")
RECORDING = st.tuples(st.integers(1, 20), st.just("record"))
PUBLISHING = st.tuples(st.integers(1, 30), st.just("publish"))


class Killed(BaseException):
    """The run is over; its files are as they were."""


class Killer:
    """Takes a copy of the store before the last of so many steps of a run, and ends the run there.

    A step is a transaction of the ledger or the replacing of a file: nothing else outlives a run.
    """

    def __init__(self, store: Path, kill: Kill) -> None:
        """End before the step that `kill` names: which, and of what kind."""
        self.copy = store.with_name(f"{store.name}-killed")
        self._store = store
        self._steps, self._kind = kill

    def step(self, kind: str) -> None:
        """Count a step that is about to be made."""
        self._steps -= kind == self._kind
        if self._steps == 0 and kind == self._kind:
            shutil.copytree(self._store, self.copy)
            raise Killed

    @contextmanager
    def replacing(self, path: Path, *, aside: Path) -> Iterator[Path]:
        """Replace a file as `publish` does."""
        self.step("publish")
        with replacing(path, aside=aside) as name:
            yield name


class Mortal(Ledger):
    """A ledger whose process may be killed."""

    killer: Killer | None = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn:  # no other one is half made
            if self.killer is not None:
                self.killer.step("record")
            with super()._transaction() as connection:
                yield connection

    def published(self, days: Mapping[dt.date, Iterable[int]]) -> None:
        """Forget what is published, or be killed before."""
        if self.killer is not None:
            self.killer.step("publish")
        super().published(days)


class Machine(RuleBasedStateMachine):
    """One server, one store, and what people do to both."""

    homes: Iterator[Path]
    """Where each machine's store goes; the test sets it."""

    def __init__(self) -> None:
        """Wait for `found`."""
        super().__init__()
        self.seen: dict[int, list[Expected]] = {}
        """What could be known of each job that had ended, harvest by harvest."""

    @initialize(seed=st.integers(0, 4), first=RECORDING, second=PUBLISHING)
    def found(self, seed: int, first: Kill, second: Kill) -> None:
        """Start a server; the first two harvests, which have most to do, are killed."""
        self.store = next(self.homes)
        self.company = Company.generate(seed=seed, today=TODAY, days=40, projects=4, jobs=24)
        self.serving = serve(self.company, behaviour=FAIR)
        self.server: Server = self.serving.__enter__()
        self._harvest(first)
        self._harvest(second)

    def teardown(self) -> None:
        """Demand the truth once more, and end the server."""
        try:
            self.settle()
        finally:
            self.serving.__exit__(None, None, None)

    # -- developers ------------------------------------------------------------------------------

    def _pick(self, number: int, *statuses: str) -> int | None:
        """Return one of the jobs that are in such a state now."""
        now = self.company.now_ms
        jobs = [
            job.id
            for project in self.company.projects
            for job in self.company.jobs_of(project.id)
            if not statuses or job.status_at(now) in statuses
        ]
        return jobs[number % len(jobs)] if jobs else None

    @rule(
        number=st.integers(0, 99),
        when=st.sampled_from(["on_success", "manual", "delayed"]),
        source=st.sampled_from(["push", "parent_pipeline"]),
        seconds=st.sampled_from([60, 7_200, 1_000_000]),
    )
    def create(self, number: int, when: str, source: str, seconds: int) -> None:
        """Push."""
        projects = self.company.projects
        self.company.create_pipeline(
            projects[number % len(projects)].id,
            source=source,
            when=when,  # type: ignore[arg-type]  # one of its words, sampled above
            seconds=seconds,
        )

    @rule(hours=st.sampled_from([0.01, 0.5, 3, 30, 700]))
    def live(self, hours: float) -> None:
        """Let time go by."""
        self.company.live(hours * HOUR)

    @rule(number=st.integers(0, 99))
    def play(self, number: int) -> None:
        """Start a job that waited, or one that was skipped: it keeps its id."""
        if (job := self._pick(number, "manual", "scheduled", "skipped")) is not None:
            self.company.play(job)

    @rule(number=st.integers(0, 99))
    def retry(self, number: int) -> None:
        """Give a job that ended a successor."""
        if (job := self._pick(number, "failed", "success", "canceled")) is not None:
            self.company.retry(job)

    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        """Lose patience."""
        if (job := self._pick(number, "running", "pending", "created", "manual")) is not None:
            self.company.cancel(job)

    @rule(number=st.integers(0, 99))
    def erase(self, number: int) -> None:
        """Erase a log."""
        if (job := self._pick(number, "success", "failed")) is not None:
            self.company.erase(job)

    @rule(number=st.integers(0, 99))
    def delete_pipeline(self, number: int) -> None:
        """Clean a pipeline up, its jobs with it."""
        if (job := self._pick(number)) is not None:
            known = self.company.job(job)
            assert known is not None
            for each in known.pipeline.jobs:
                # One that is queued is still asked for, and gives 404 then.
                for expected in self.seen.get(each.id, [])[-1:]:
                    gone = replace(expected, trace_state="missing", planted=())
                    self.seen[each.id].append(gone)
            self.company.delete_pipeline(known.pipeline.id)

    @rule(number=st.integers(0, 99))
    def rename(self, number: int) -> None:
        """Move a project."""
        projects, groups = self.company.projects, self.company.groups
        path = f"{groups[number % len(groups)].path}/moved-{number}"
        if path not in {project.path for project in projects}:
            self.company.rename(projects[number % len(projects)].id, path)

    # -- the network -----------------------------------------------------------------------------

    @rule(
        seed=st.integers(0, 99),
        kind=st.sampled_from(MENDED),
        ranges=st.booleans(),
        growing=st.booleans(),
        chunked=st.booleans(),
    )
    def weather(
        self, seed: int, kind: Fault, *, ranges: bool, growing: bool, chunked: bool
    ) -> None:
        """Let every fifth request fail from now on."""
        self.server.behaviour = replace(
            FAIR,
            faults=(Faults(rate=0.2, kinds=(kind,), on=READS, seed=seed, in_a_row=2),),
            ranges=ranges,
            growing=growing,
            chunked=chunked,
        )

    # -- the operator ----------------------------------------------------------------------------

    def _harvest(self, kill: Kill = NEVER) -> Tally | None:
        """Harvest everything; None if the run was killed."""
        for job_id, expected in self.company.truth().items():
            self.seen.setdefault(job_id, []).append(expected)
        settings_ = Settings(url=self.server.url, token=self.server.token)
        projects = discover(settings_, everything=True, sleep=lambda _: None)
        store = Store.create(self.store)
        killer = Killer(self.store, kill)
        with (
            Mortal.open(store.ledger_path(source_of(settings_.instance))) as ledger,
            patch("logminer.store.directory.replacing", killer.replacing),
        ):
            ledger.killer = killer
            try:
                return harvest(store, settings_, projects, ledger=ledger)
            except Killed:
                pass
        shutil.rmtree(self.store)
        killer.copy.rename(self.store)
        return None

    @rule()
    def night(self) -> None:
        """Harvest; whatever failed stays queued."""
        self._harvest()

    @rule(kill=RECORDING | PUBLISHING)
    def killed(self, kill: Kill) -> None:
        """Harvest, and be killed somewhere on the way."""
        self._harvest(kill)

    @rule()
    def settle(self) -> None:
        """Harvest in fair weather: the dataset is the truth."""
        self.server.behaviour = FAIR
        tally = self._harvest()
        assert tally is not None
        # All pipelines of all projects may have been deleted, which is to be doubted.
        assert {failure.partition(" of any of")[0] for failure in tally.failures} <= {
            "the server lists no job"
        }
        self._compare()

    def _compare(self) -> None:
        """Compare every row with what could be known when it was written."""
        store = logminer.open(self.store)
        jobs, images = store.jobs(), store.images()
        assert jobs["job_id"].is_unique
        assert not images.duplicated(["job_id", "ordinal"]).any()
        uses: dict[int, list[tuple[object, ...]]] = {}
        ordered = images.sort_values(["job_id", "ordinal"])
        for job_id, *use in ordered[["job_id", *USE]].itertuples(index=False, name=None):
            uses.setdefault(job_id, []).append(tuple(map(_plain, use)))

        truth = self.company.truth()
        rows = jobs.set_index("job_id")[["job_status", "trace_state"]]
        late = {job_id for job_id, each in truth.items() if each.settled} - set(rows.index)
        assert late == set()
        for job_id, status, state in rows.itertuples(name=None):
            possible = [
                each
                for each in self.seen[job_id]
                if (each.status, each.trace_state) == (status, state)
            ]
            assert possible, (job_id, status, state, self.seen[job_id])
            if job_id in truth and truth[job_id].settled:
                assert status == truth[job_id].status
            planted = {
                tuple(tuple(_plain(getattr(use, name)) for name in USE) for use in each.planted)
                for each in possible
            }
            assert tuple(uses.pop(job_id, ())) in planted
        assert uses == {}


def _plain(value: object) -> object:
    """Return None for every kind of nothing."""
    return None if value is None or value != value or str(value) == "<NA>" else value  # noqa: PLR0124


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait between two tries."""

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr("logminer.harvest.run.Client", partial(Client, sleep=at_once))


@pytest.fixture(autouse=True)
def _one_day_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace one file after the other: a copy of the store takes longer than a kill does."""
    monkeypatch.setattr("logminer.store.publishing._AT_ONCE", 1)


def _run(home: Path, examples: int, steps: int) -> None:
    Machine.homes = (home / str(number) for number in itertools.count())
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_life_gives_the_truth(tmp_path: Path) -> None:
    """A few short lives."""
    _run(tmp_path, 6, 8)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_lives_give_the_truth(tmp_path: Path) -> None:
    """Many long ones."""
    _run(tmp_path, 30, 20)
