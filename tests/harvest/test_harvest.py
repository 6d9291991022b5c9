"""A harvest over real HTTP: what it stores is what the simulator planted, once and for all."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import logminer
from logminer.harvest import Options, Tally
from logminer.simulator import Company, Server, serve

TODAY = dt.date(2026, 11, 23)
Run = Callable[..., Tally]
Digests = Callable[[Path], dict[str, str]]

PLANTED = [
    *("job_id", "role", "origin", "outcome", "image", "registry", "repository", "tag", "digest"),
    *("image_id", "pull_policy", "pull_attempts", "credentials", "platform", "downloaded"),
    *("error_kind", "via", "upstream_registry", "upstream_repository"),
]
"""What the simulator knows of a use, in the words of the table."""


@pytest.fixture(scope="module")
def harvested(server: Server, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with everything in it."""
    path = tmp_path_factory.mktemp("harvested") / "store"
    assert run(server, path).exit_code == 0
    return path


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever a frame holds
    """Return None for every kind of nothing."""
    return None if value is None or value is pd.NA or value != value else value  # noqa: PLR0124


def test_rows_are_what_was_planted(company: Company, harvested: Path) -> None:
    """Every planted use is a row and every row was planted, in order, column by column."""
    images = logminer.open(harvested).images().sort_values(["job_id", "ordinal"])
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in images[PLANTED].itertuples(index=False, name=None):
        found.setdefault(int(row[0]), []).append(tuple(_plain(value) for value in row))

    jobs = logminer.open(harvested).jobs()
    planted = {
        job_id: [tuple(getattr(use, name) for name in PLANTED) for use in uses]
        for job_id in jobs["job_id"]
        if (uses := company.planted(job_id))
    }
    assert len(planted) > 150
    assert found == planted


def test_every_final_job_has_one_row(company: Company, harvested: Path) -> None:
    """Final jobs of readable projects are all there, once, with the server's own facts."""
    jobs = logminer.open(harvested).jobs()
    states = Counter(jobs["trace_state"])

    assert jobs["job_id"].is_unique
    assert set(jobs["job_status"]) <= {"success", "failed", "canceled", "skipped"}
    assert {"ok", "empty", "erased", "missing", "forbidden", "not_started"} >= set(states)
    assert states["ok"] > states["not_started"] > 0
    for job_id, created in zip(jobs["job_id"], jobs["created_at"], strict=True):
        job = company.job(int(job_id))
        assert job is not None
        assert created.timestamp() * 1000 == job.created


def test_rules_are_compiled_beside_the_first_lists(
    server: Server, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes a tenth of a second: by a thread of its own, before the first trace comes."""
    before = server.requests.counts["trace"]
    noted: list[tuple[bool, int]] = []

    def note() -> None:
        by_the_loop = threading.current_thread() is threading.main_thread()
        noted.append((by_the_loop, server.requests.counts["trace"] - before))

    monkeypatch.setattr("logminer.harvest.run.prepare", note)
    run(server, tmp_path / "store")

    assert noted == [(False, 0)]
    assert server.requests.counts["trace"] > before


def test_a_second_harvest_changes_nothing(
    server: Server, harvested: Path, run: Run, digests: Digests
) -> None:
    """Harvesting again fetches no trace and changes no byte of the dataset."""
    before = digests(harvested / "images"), digests(harvested / "jobs")
    traces = server.requests.counts["trace"]

    assert run(server, harvested).exit_code == 0

    assert (digests(harvested / "images"), digests(harvested / "jobs")) == before
    assert server.requests.counts["trace"] == traces


def test_another_store_gets_the_same_images(
    server: Server, harvested: Path, run: Run, digests: Digests, tmp_path: Path
) -> None:
    """Two harvests of one server into two stores agree to the byte."""
    run(server, tmp_path / "other", Options(concurrency=3))

    assert digests(tmp_path / "other" / "images") == digests(harvested / "images")
    columns = [name for name in logminer.open(harvested).jobs().columns if name != "harvested_at"]
    pd.testing.assert_frame_equal(
        logminer.open(tmp_path / "other").jobs(columns=columns),
        logminer.open(harvested).jobs(columns=columns),
    )


def test_nightly_harvests_give_what_one_gives(run: Run, digests: Digests, tmp_path: Path) -> None:
    """Jobs that end later, are played later or created later arrive; the sum is one clean run's."""
    company = Company.generate(seed=3, today=TODAY, days=90, projects=25, jobs=250)
    end = company.now
    counted = []
    with serve(company) as server:
        for days in (80, 30, 29, 3, 0):
            company.now = end - dt.timedelta(days=days)
            assert run(server, tmp_path / "nightly").exit_code == 0
            counted.append(len(logminer.open(tmp_path / "nightly").jobs()))
        run(server, tmp_path / "once")

    assert counted == sorted(counted)
    assert counted[0] < counted[-1]
    assert digests(tmp_path / "nightly" / "images") == digests(tmp_path / "once" / "images")
