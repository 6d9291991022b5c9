"""Tiny tables for the verbs: a row is written by what is special about it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from logminer.store.schema import TABLES, file_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from logminer.analysis.source import Table

_SCHEMAS = {
    # As a reader sees them, and every column may be left out.
    table: pa.schema([(field.name, field.type) for field in file_schema(table)])
    for table in TABLES
}
_NOON = dt.datetime(2026, 7, 14, 12, tzinfo=dt.UTC)
_DEFAULTS: dict[str, dict[str, object]] = {
    "images": {
        "role": "job",
        "outcome": "pulled",
        "registry": "docker.io",
        "repository": "library/alpine",
        "error_kind": None,
        "line": 7,
    },
    "jobs": {
        "executor": "docker",
        "trace_state": "ok",
        "recognised": True,
        "truncated": False,
        "depth": "full",
        "images": 2,
    },
}


def _make(table: Table, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    job = {
        "instance": "gitlab.example.com",
        "project_id": 1,
        "project_path": "shop/web",
        "created_at": _NOON,
        "started_at": _NOON,
    }
    filled: list[dict[str, object]] = [
        {**job, "job_id": number, **_DEFAULTS[table], **row} for number, row in enumerate(rows, 1)
    ]
    for row in filled:
        row.setdefault("job_url", f"https://gitlab.example.com/-/jobs/{row['job_id']}")
    return pa.Table.from_pylist(filled, schema=_SCHEMAS[table])


@pytest.fixture(scope="session")
def make_table() -> Callable[[Table, Sequence[Mapping[str, object]]], pa.Table]:
    """Give the builder of Arrow tables from what is special about each row; jobs count from 1."""
    return _make


@pytest.fixture(scope="session")
def images() -> Callable[..., pd.DataFrame]:
    """Give the builder of `images` frames from what is special about each row."""

    def build(*rows: Mapping[str, object]) -> pd.DataFrame:
        frame: pd.DataFrame = _make("images", rows).to_pandas()
        return frame

    return build


@pytest.fixture(scope="session")
def jobs() -> Callable[..., pd.DataFrame]:
    """Give the builder of `jobs` frames from what is special about each row."""

    def build(*rows: Mapping[str, object]) -> pd.DataFrame:
        frame: pd.DataFrame = _make("jobs", rows).to_pandas()
        return frame

    return build
