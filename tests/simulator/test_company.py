"""The company as a whole: repeatable, complete, and true to what its traces show."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Company
from logminer.simulator.catalogue import digest_on, hub, own, through_dependency_proxy

if TYPE_CHECKING:
    from logminer.simulator import Planted

_ARGUMENTS = "seed=3, today=dt.date(2026, 11, 23), days=90, projects=12, jobs=150"
_PROGRAM = f"""
import datetime as dt, hashlib
from logminer.simulator import Company
company = Company.generate({_ARGUMENTS})
state = hashlib.sha256()
for job in reversed(company.jobs):
    state.update(company.trace(job.id))
    state.update(repr((job.id, job.status, job.created, company.planted(job.id))).encode())
print(state.hexdigest())
"""


@pytest.fixture(scope="module")
def truth(year: Company) -> list[Planted]:
    """Return every planted row of the year."""
    return [row for job in year.jobs for row in year.planted(job.id)]


def test_same_bytes_in_every_process() -> None:
    """Neither the hash seed nor the process changes a byte of the traces or of the truth."""
    found = {
        subprocess.run(  # noqa: S603 -- this very interpreter, on a program of this file
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(found) == 1


def test_order_of_asking_does_not_matter() -> None:
    """A trace is the same whether it is asked for first or last, once or twice."""
    first, second = (
        Company.generate(seed=3, today=dt.date(2026, 11, 23), days=90, projects=12, jobs=150)
        for _ in range(2)
    )
    ids = [job.id for job in first.jobs]
    forward = {job_id: hashlib.sha256(first.trace(job_id)).digest() for job_id in ids}
    backward = {job_id: hashlib.sha256(second.trace(job_id)).digest() for job_id in ids[::-1]}

    assert forward == backward


def test_another_seed_is_another_company() -> None:
    """The seed decides."""
    one, other = (
        Company.generate(seed=seed, today=dt.date(2026, 11, 23), days=30, projects=9, jobs=40)
        for seed in (1, 2)
    )

    assert [job.created for job in one.jobs] != [job.created for job in other.jobs]


def test_counts_and_ids(year: Company) -> None:
    """There are as many projects and jobs as asked for; ids rise with creation, beyond 31 bits."""
    assert (len(year.projects), len(year.jobs)) == (130, 4000)
    assert all(
        before.id < after.id and before.created <= after.created
        for before, after in pairwise(year.jobs)
    )
    assert year.jobs[0].id > 2**31
    assert all(
        before.id < after.id and before.created <= after.created
        for before, after in pairwise(year.pipelines)
    )


def test_special_projects(year: Company) -> None:
    """Some projects are archived, without CI, forbidden or shared; without CI there are no jobs."""
    assert {project.number for project in year.projects if project.archived} == {3, 43, 83, 123}
    assert {project.number for project in year.projects if not project.ci_enabled} == {5, 55, 105}
    assert {project.number for project in year.projects if project.jobs_forbidden} == {6, 66, 126}
    assert [project.number for project in year.projects if project.shared_with] == [1]
    assert not any(year.jobs_of(project.id) for project in year.projects if not project.ci_enabled)


def test_working_week(year: Company) -> None:
    """Most pipelines run on working days, in working hours."""
    moments = [dt.datetime.fromtimestamp(each.created / 1000, dt.UTC) for each in year.pipelines]
    weekend = sum(moment.weekday() >= 5 for moment in moments)
    daytime = sum(7 <= moment.hour < 18 for moment in moments)

    assert weekend < len(moments) / 10
    assert daytime > len(moments) * 2 / 3


def test_every_kind_of_job_occurs(year: Company) -> None:
    """A year shows every status, source and state of a trace a harvester must cope with."""
    statuses = {
        job.status_at(moment)
        for job in year.jobs
        for moment in (job.created, job.ready, job.queued, job.started, job.finished)
        if moment is not None
    }

    assert statuses == {
        "created", "pending", "running", "success", "failed", "canceled", "skipped", "manual",
        "scheduled",
    }  # fmt: skip
    assert {pipeline.source for pipeline in year.pipelines} == {
        "push", "merge_request_event", "schedule", "web", "trigger", "parent_pipeline",
    }  # fmt: skip
    assert {job.log for job in year.jobs} == {"ok", "erased", "missing", "forbidden", "empty"}
    assert any(job.retry is not None for job in year.jobs)
    assert any(pipeline.is_tag for pipeline in year.pipelines)
    assert any(job.started is None and job.status == "failed" for job in year.jobs)
    assert {job.runner.executor for job in year.jobs} == {
        "docker", "docker+machine", "docker-autoscaler", "docker-windows", "kubernetes", "shell",
        "ssh", "instance", "custom", "virtualbox",
    }  # fmt: skip


def test_every_tool_occurs(year: Company) -> None:
    """Scripts use every tool there is a narration of."""
    ran = [job for job in year.jobs if job.ran]

    assert {step.kind for job in ran for step in job.template.steps} == {
        "pull", "run", "classic", "buildkit", "kaniko", "podman", "podman_build", "compose",
        "crane", "skopeo", "nerdctl", "helm",
    }  # fmt: skip


def test_failure_reason_only_on_failed_jobs(year: Company) -> None:
    """Only failed jobs have a reason, and a failed job always has one."""
    assert all((job.failure_reason is not None) == (job.status == "failed") for job in year.jobs)


def test_moments_are_in_order(year: Company) -> None:
    """A job is created, queued, started and finished in this order."""
    for job in year.jobs:
        moments = [
            moment
            for moment in (job.created, job.queued, job.started, job.finished, job.erased)
            if moment is not None
        ]
        assert moments == sorted(moments)


def test_versions_move_upward(year: Company) -> None:
    """Runners of all versions from 13 to 19 occur, and each is only ever upgraded."""
    started = sorted((job for job in year.jobs if job.started), key=lambda job: job.started or 0)
    last: dict[int, tuple[int, int, int]] = {}
    for job in started:
        assert job.version >= last.get(job.runner.id, (0, 0, 0))
        last[job.runner.id] = job.version

    assert {job.version[0] for job in started} == {13, 14, 15, 16, 17, 18, 19}


def test_every_outcome_occurs(truth: list[Planted]) -> None:
    """A year shows every role, outcome, origin and kind of error."""
    assert {row.role for row in truth} == {"job", "service", "helper", "build", "script"}
    assert {row.origin for row in truth} == {"runner", "script"}
    assert {row.outcome for row in truth} == {
        "declared", "rejected", "failed", "used", "present", "pulled",
    }  # fmt: skip
    assert {row.error_kind for row in truth} == {
        None, "rate_limited", "not_found", "unauthorized", "denied", "network", "tls", "server",
        "platform", "other",
    }  # fmt: skip
    assert {row.via for row in truth} == {None, "dependency_proxy", "virtual_registry"}
    assert {row.downloaded for row in truth} == {None, True, False}


def test_rows_are_consistent(truth: list[Planted]) -> None:
    """What a row says of itself fits together, whatever the image."""
    for row in truth:
        known = row.registry is not None
        assert known == (row.repository is not None)
        assert (
            (row.via is None)
            == (row.upstream_registry is None)
            == (row.upstream_repository is None)
        )
        assert (row.upstream_registry or "docker.io") == "docker.io"
        if row.outcome == "failed":
            assert row.error_kind is not None
            assert row.pull_attempts > 0
        if row.outcome == "rejected":
            assert row.pull_attempts == 0
        if row.outcome == "pulled":
            assert row.pull_attempts > 0
        if row.role in {"build", "script"}:
            assert row.origin == "script"
        if row.tag is not None and known:
            assert f":{row.tag}" in row.image
        if known and row.registry != "docker.io":
            assert row.image.startswith(f"{row.registry}/{row.repository}")
        if row.digest is not None:
            assert len(row.digest) == 71
            assert row.digest.startswith("sha256:")


def test_one_row_for_each_role_and_image(year: Company) -> None:
    """No trace has two rows of the same image in the same role."""
    for job in year.jobs:
        keys = Counter(
            (row.role, row.registry, row.repository, row.tag, row.image)
            for row in year.planted(job.id)
        )
        assert not keys or max(keys.values()) == 1


def test_truth_is_in_the_trace(year: Company) -> None:
    """Every image, digest and ID that is planted stands in the job's trace."""
    for job in year.jobs[::7]:
        text = year.trace(job.id).decode()
        for row in year.planted(job.id):
            assert row.image in text
            assert (row.digest or "") in text
            assert (row.image_id or "") in text


def test_reprinted_lines_are_no_truth(year: Company) -> None:
    """A script that prints another job's log, dress and all, uses none of the images in it."""
    reprinted = [
        job.id for job in year.jobs if b"reprint/job:1 ...\x1b[0;m\n" in year.trace(job.id)
    ]

    assert reprinted
    assert not [
        row for job_id in reprinted for row in year.planted(job_id) if "reprint" in row.image
    ]


def test_cut_logs() -> None:
    """Some logs end at the runner's output limit; what they show stands before the cut."""
    company = Company.generate(
        seed=6, today=dt.date(2026, 11, 23), days=100, projects=30, jobs=900,
        median_trace_bytes=20_000,
    )  # fmt: skip
    notice = b" bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n"
    cut = [job.id for job in company.jobs if company.trace(job.id).endswith(notice)]

    assert cut
    for job_id in cut:
        trace = company.trace(job_id)
        limit = int(trace.removesuffix(notice).rpartition(b" ")[2])
        assert trace[limit - 3 :].partition(b"\n\x1b[33;1mJob's log exceeded limit of ")[1]
        assert all(row.image.encode() in trace for row in company.planted(job_id))


def test_no_trace_no_truth(year: Company) -> None:
    """Where the server has no whole log to give, nothing is planted."""
    now = year.now_ms
    for job in year.jobs:
        gone = job.log != "ok" and (job.log != "erased" or (job.erased or 0) <= now)
        if gone or job.started is None or job.finished is None or job.finished > now:
            assert year.planted(job.id) == ()
        else:
            assert year.trace_size(job.id) == len(year.trace(job.id)) > 0


def test_removed_organisation(truth: list[Planted], year: Company) -> None:
    """After the removal versioned `bitnami/` images fail or have moved; before, nothing moved."""
    days = {job.id: job.day for job in year.jobs}
    removal = dt.date(2026, 11, 23).toordinal() - 365 + 365 * 55 // 100
    moved = [row for row in truth if "bitnamilegacy/" in (row.repository or "")]
    failed = [
        row for row in truth
        if "bitnami/" in (row.repository or "") and row.outcome == "failed"
        and row.error_kind == "not_found" and row.role in {"job", "service"}
    ]  # fmt: skip

    assert moved
    assert min(days[row.job_id] for row in moved) > removal
    assert sum(days[row.job_id] >= removal for row in failed) > 3


def test_tags_drift() -> None:
    """A tag gets a new digest every few weeks, a full version never; a proxy serves the same."""
    days = range(739_000, 739_365)

    assert 4 < len({digest_on(hub("python", "3.12"), day) for day in days}) < 40
    assert len({digest_on(hub("python", "3.12.7"), day) for day in days}) == 1
    assert digest_on(through_dependency_proxy(hub("python"), "acme"), 739_000) == digest_on(
        hub("python", "latest"), 739_000
    )
    assert digest_on(own("a/b"), 739_000) != digest_on(hub("a/b"), 739_000)


def test_median_is_a_parameter() -> None:
    """The median size of traces that reach their script follows the argument."""
    company = Company.generate(
        seed=1, today=dt.date(2026, 11, 23), days=60, projects=30, jobs=300,
        median_trace_bytes=68_000,
    )  # fmt: skip
    sizes = sorted(company.trace_size(job.id) for job in company.jobs if job.ran)

    assert 40_000 < sizes[len(sizes) // 2] < 110_000


def test_running_job_shows_a_part(year: Company) -> None:
    """The trace of a running job is the beginning of what it will be."""
    end = year.now
    job = next(
        job for job in year.jobs
        if job.log == "ok" and job.started and (job.finished or 0) - job.started > 100_000
        and (job.finished or 0) <= year.now_ms
    )  # fmt: skip
    whole = year.trace(job.id)
    try:
        year.now = dt.datetime.fromtimestamp((job.started or 0) / 1000 + 50, dt.UTC)
        part = year.trace(job.id)
        rows = year.planted(job.id)
    finally:
        year.now = end

    assert whole.startswith(part)
    assert 0 < len(part) < len(whole)
    assert rows == ()
