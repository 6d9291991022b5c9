"""Write a small store with whatever logminer is imported: run once for each released schema.

    git worktree add THEN COMMIT
    PYTHONPATH=THEN python tests/stores/make.py tests/stores/vN

The stores are kept as the code of their day wrote them, and never written again: what they hold is
written down by hand in `tests/store/test_migration.py`.
"""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from pathlib import Path
from typing import Any

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
from logminer.store import Ledger, Listing, Store, publish

SOURCE = "gitlab.example.com"
PROJECT = Project(id=7, path="shop/api")


def at(day: int, hour: int) -> dt.datetime:
    """Return a moment in September 2026."""
    return dt.datetime(2026, 9, day, hour, tzinfo=dt.UTC)


def job(job_id: int, day: int, status: str = "success") -> Job:
    """Return a job; `pipeline_source` only where the code of that day knows it."""
    known = {*inspect.signature(Job).parameters}
    values: dict[str, Any] = {
        "project_id": PROJECT.id,
        "project_path": PROJECT.path,
        "pipeline_id": 70,
        "id": job_id,
        "name": "unit",
        "stage": "test",
        "ref": "main",
        "ref_is_tag": False,
        "status": status,
        "failure_reason": None,
        "created_at": at(day, 8),
        "started_at": at(day, 9),
        "finished_at": at(day, 10),
        "erased_at": None,
        "queued_duration": 1.5,
        "duration": 60.25,
        "runner_id": 3,
        "runner_description": "shared",
        "tag_list": ("docker",),
        "url": None,
        "trace_size": 1000,
        "pipeline_source": "schedule",
    }
    return Job(**{name: value for name, value in values.items() if name in known})


def outcome(job_id: int, day: int, image: str) -> Harvested:
    """Return what a job that ran in one image contributes."""
    name, _, tag = image.partition(":")
    use = ImageUse(
        ordinal=1,
        role=Role.JOB,
        origin=Origin.RUNNER,
        outcome=Outcome.PULLED,
        downloaded=None,
        pull_policy="always",
        pull_attempts=1,
        credentials=None,
        platform=None,
        error_kind=None,
        error_message=None,
        seen_at=at(day, 9),
        image=image,
        registry="docker.io",
        repository=f"library/{name}",
        tag=tag,
        digest=None,
        image_id=None,
        reference=f"docker.io/library/{image}",
        via=None,
        upstream_registry=None,
        upstream_repository=None,
        rule="docker.using_for",
        section="prepare_executor",
        line=5,
        offset=400,
    )
    return Harvested(
        instance=SOURCE,
        job=job(job_id, day),
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
        uses=(use,),
        extractor_version="1",
        harvested_at=at(30, 2),
    )


def main(path: Path) -> None:
    """Two days published, one outcome that is not, a job that waits, one that has not ended."""
    store = Store.create(path)
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        jobs = [job(1, 14), job(2, 14), job(3, 15), job(4, 15), job(5, 16)]
        running = job(6, 16, status="running")
        ledger.store_page(PROJECT, [*jobs, running], Listing(watermark=6))
        ledger.commit([outcome(1, 14, "alpine:3.20"), outcome(2, 14, "python:3.12")])
        ledger.commit([outcome(3, 15, "alpine:3.20")])
        publish(store, ledger)
        ledger.commit([outcome(4, 15, "node:22")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
