"""Outcomes as rows: every column filled from the right place."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from msgspec.structs import replace

from logminer.store.rows import rows_of
from logminer.store.schema import file_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.model import Harvested

JOB = {
    "instance": "gitlab.example.com",
    "project_id": 7,
    "project_path": "shop/api",
    "pipeline_id": 70,
    "pipeline_source": "schedule",
    "job_id": 1,
    "job_name": "unit",
    "stage": "test",
    "ref": "main",
    "ref_is_tag": False,
    "job_status": "success",
    "failure_reason": None,
    "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
    "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
    "finished_at": dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
    "runner_id": 3,
    "runner_description": "shared",
    "job_url": "https://gitlab.example.com/shop/api/-/jobs/1",
    "extractor_version": "1",
}
TRACE = {"runner_version": "17.4.0", "executor": "docker"}
USE = {
    "role": "job",
    "origin": "runner",
    "outcome": "pulled",
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
"""What conftest.py makes, written down once more."""


def test_every_column_has_its_value(make_harvested: Callable[..., Harvested]) -> None:
    """Each column of both tables says what the outcome says, and uses stand by their ordinals."""
    outcome = make_harvested(1, uses=2)
    actual = rows_of([replace(outcome, uses=outcome.uses[::-1])])

    assert actual["images"].schema.equals(file_schema("images"), check_metadata=True)
    assert actual["jobs"].schema.equals(file_schema("jobs"), check_metadata=True)
    assert actual["images"].to_pylist() == [
        JOB | TRACE | USE | {"ordinal": ordinal} for ordinal in (1, 2)
    ]
    assert actual["jobs"].to_pylist() == [
        JOB
        | TRACE
        | {
            "queued_duration": 1.5,
            "duration": 60.25,
            "tag_list": ["docker"],
            "trace_state": "ok",
            "trace_bytes": 1000,
            "trace_lines": 40,
            "truncated": False,
            "depth": "full",
            "images": 2,
            "recognised": True,
            "harvested_at": dt.datetime(2026, 9, 30, 2, 0, tzinfo=dt.UTC),
        }
    ]


def test_uses_stand_with_their_job(make_harvested: Callable[..., Harvested]) -> None:
    """Jobs with several uses, with one and with none are not mixed up."""
    actual = rows_of([make_harvested(4, uses=2), make_harvested(2, uses=0), make_harvested(3)])

    assert actual["jobs"]["job_id"].to_pylist() == [4, 2, 3]
    assert actual["jobs"]["images"].to_pylist() == [2, 0, 1]
    assert actual["images"]["job_id"].to_pylist() == [4, 4, 3]
    assert actual["images"]["ordinal"].to_pylist() == [1, 2, 1]


def test_no_trace(make_harvested: Callable[..., Harvested]) -> None:
    """What is said of a trace is null where there was none."""
    actual = rows_of([replace(make_harvested(1, uses=0), summary=None)])["jobs"].to_pylist()[0]

    assert {actual[name] for name in ("runner_version", "executor", "trace_bytes")} == {None}
    assert {actual[name] for name in ("trace_lines", "truncated", "recognised")} == {None}


def test_nothing() -> None:
    """No outcomes are no rows, of the same types."""
    actual = rows_of([])

    assert {table: rows.num_rows for table, rows in actual.items()} == {
        "preambles": 0,
        "images": 0,
        "jobs": 0,
    }
    assert actual["images"].schema.equals(file_schema("images"))
