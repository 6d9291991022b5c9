"""Values every test of the store starts from, and a look at the files behind the store's back."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from logminer.model import (
    Depth,
    Harvested,
    ImageUse,
    Job,
    Origin,
    Outcome,
    Project,
    Role,
    TraceState,
    TraceSummary,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROJECT = Project(id=7, path="shop/api")


@pytest.fixture(scope="session")
def project() -> Project:
    """Return the project of every job made here."""
    return PROJECT


@pytest.fixture(scope="session")
def make_job() -> Callable[..., Job]:
    """Return a function that makes a job from what matters to the test."""
    return _job


@pytest.fixture(scope="session")
def make_use() -> Callable[..., ImageUse]:
    """Return a function that makes an image use from what matters to the test."""
    return _use


@pytest.fixture(scope="session")
def make_harvested() -> Callable[..., Harvested]:
    """Return a function that makes an outcome with so many uses, on a day of September 2026."""
    return _harvested


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Return a function that reads every file below `images` and `jobs`, by relative path."""
    return _tree


def _job(job_id: int, **changes: Any) -> Job:  # noqa: ANN401 -- any field of a job
    values: dict[str, Any] = {
        "project_id": PROJECT.id,
        "project_path": PROJECT.path,
        "pipeline_id": 70,
        "id": job_id,
        "name": "unit",
        "stage": "test",
        "ref": "main",
        "ref_is_tag": False,
        "status": "success",
        "failure_reason": None,
        "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
        "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
        "finished_at": dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
        "erased_at": None,
        "queued_duration": 1.5,
        "duration": 60.25,
        "runner_id": 3,
        "runner_description": "shared",
        "tag_list": ("docker",),
        "url": f"https://gitlab.example.com/shop/api/-/jobs/{job_id}",
        "trace_size": 1000,
        "pipeline_source": "schedule",
    }
    return Job(**values | changes)


def _use(ordinal: int, **changes: Any) -> ImageUse:  # noqa: ANN401 -- any field of an image use
    values: dict[str, Any] = {
        "ordinal": ordinal,
        "role": Role.JOB,
        "origin": Origin.RUNNER,
        "outcome": Outcome.PULLED,
        "downloaded": None,
        "pull_policy": "always",
        "pull_attempts": 1,
        "credentials": None,
        "platform": None,
        "error_kind": None,
        "error_message": None,
        "seen_at": None,
        "image": "python:3.12",
        "registry": "docker.io",
        "repository": "library/python",
        "tag": "3.12",
        "digest": "sha256:" + "a" * 64,
        "image_id": None,
        "reference": "docker.io/library/python:3.12",
        "via": None,
        "upstream_registry": None,
        "upstream_repository": None,
        "rule": "D8",
        "section": "prepare_executor",
        "line": 5,
        "offset": 400,
    }
    return ImageUse(**values | changes)


def _harvested(job_id: int, *, day: int = 14, uses: int = 1, **changes: Any) -> Harvested:  # noqa: ANN401 -- any field of a job
    started = dt.datetime(2026, 9, day, 8, 1, tzinfo=dt.UTC)
    return Harvested(
        instance="gitlab.example.com",
        job=_job(job_id, started_at=started, **changes),
        state=TraceState.OK,
        depth=Depth.FULL,
        summary=TraceSummary(
            runner_version="17.4.0",
            executor="docker",
            recognised=True,
            truncated=False,
            bytes=1000,
            lines=40,
            cut_lines=0,
        ),
        uses=tuple(_use(ordinal) for ordinal in range(1, uses + 1)),
        extractor_version="1",
        harvested_at=dt.datetime(2026, 9, 30, 2, 0, tzinfo=dt.UTC),
    )


def _tree(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for table in ("images", "jobs")
        for path in sorted((store / table).rglob("*"))
        if path.is_file()
    }
