"""A report written by hand, for the renderers, and a store of a few rows, for the build step."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logminer.period import Period
from logminer.report import Figure, Report
from logminer.store.schema import TABLES, file_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from logminer.analysis import Source
    from logminer.analysis.source import Rows, Table

_COVERAGE = {
    "jobs": 12345,
    "read": 12001,
    "empty": 3,
    "erased": 100,
    "missing": 200,
    "forbidden": 40,
    "failed": 1,
    "not_started": 0,
    "not_understood": 12,
    "without_image": 345,
    "truncated": 4,
    "prepare_only": 0,
}
_LINE = "https://gitlab.example.com/a/b/-/jobs/7#L12"
_SCHEMAS = {
    # As a reader sees them, and every column may be left out.
    table: pa.schema([(field.name, field.type) for field in file_schema(table)])
    for table in TABLES
}


def _rows(columns: Mapping[str, object]) -> Rows:
    """Return rows from columns; what is no list is the same in every row."""
    length = max(len(each) for each in columns.values() if isinstance(each, list))
    full = [each if isinstance(each, list) else [each] * length for each in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*full, strict=True)]


class _Rows:
    """A store of one file for each table, whatever the days."""

    def __init__(self, root: Path, tables: Mapping[Table, Sequence[Mapping[str, object]]]) -> None:
        self._files: dict[str, list[str]] = {"images": [], "jobs": []}
        for table, rows in tables.items():
            path = root / f"{table}.parquet"
            pq.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMAS[table]), path)
            self._files[table].append(str(path))

    def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
        del since, until  # the verbs filter by the moment, whatever they are given
        return self._files[table]

    def schema(self, table: Table) -> pa.Schema:
        return _SCHEMAS[table]


@pytest.fixture
def nothing(tmp_path: Path) -> Source:
    """Give a store in which nothing is harvested."""
    return _Rows(tmp_path, {})


@pytest.fixture
def store(tmp_path: Path) -> Source:
    """Give a store of three jobs: one in the second quarter of 2026, two in the third."""
    moments = [dt.datetime(2026, month, 30, 23, 59, tzinfo=dt.UTC) for month in (6, 7, 9)]
    jobs = [
        {
            "instance": "gitlab.example.com",
            "project_id": 1,
            "job_id": number,
            "created_at": moment,
            "started_at": moment,
        }
        for number, moment in enumerate(moments, 1)
    ]
    log = {
        "executor": "docker",
        "trace_state": "ok",
        "recognised": True,
        "truncated": False,
        "depth": "full",
    }
    alpine = {"registry": "docker.io", "repository": "library/alpine"}
    return _Rows(
        tmp_path,
        {
            "jobs": [{**job, **log, "images": 1} for job in jobs],
            "images": [
                {**jobs[0], **alpine, "role": "job", "outcome": "pulled"},
                {**jobs[1], **alpine, "role": "job", "outcome": "pulled"},
                {**jobs[1], **alpine, "role": "service", "outcome": "present"},
                {**jobs[2], **alpine, "role": "job", "outcome": "failed", "error_kind": "tls"},
                {**jobs[2], "role": "helper", "outcome": "pulled"},
            ],
        },
    )


@pytest.fixture(scope="session")
def report() -> Report:
    """Give a report with every section filled, its figures written by hand; nobody changes it."""
    days = [dt.datetime(2026, 7, 1, tzinfo=dt.UTC) + dt.timedelta(days=at) for at in range(92)]
    pulls = [0 if day.weekday() == 6 else 8 * day.day for day in days]
    return Report(
        period=Period.parse("last-quarter", today=dt.date(2026, 10, 5)),
        previous=Period.parse("2026-Q2", today=dt.date(2026, 10, 5)),
        generated_at=dt.datetime(2026, 10, 5, 6, 30, tzinfo=dt.UTC),
        coverage=_COVERAGE,
        totals=(
            Figure(name="jobs", value=12345, before=11000),
            Figure(name="uses", value=1234567, before=1234567),
            Figure(name="pulls", value=1000000, before=0),
            Figure(name="repositories", value=40, before=2),
            Figure(name="failed", value=30, before=60),
        ),
        by="day",
        over_time=_rows({"start": days, "pulls": pulls, "failed": 0}),
        by_registry=_rows(
            {
                "registry": ["docker.io", "registry.example.com:5000", None, "quay.io"],
                "uses": [1100000, 100000, 34566, 1],
                "pulls": [999998, 1, 1, 0],
                "share": [0.999998, 0.000001, 0.000001, 0.0],
                "failed": [30, 0, 0, 0],
                "repositories": [38, 1, 0, 1],
                "projects": [17, 2, 2, 1],
                "evidence": [_LINE, None, _LINE, "javascript:alert(1)#L1"],
            }
        ),
        top_repositories=_rows(
            {
                "registry": ["docker.io", "registry.gitlab.com"],
                "repository": [
                    "library/python",
                    "gitlab-org/gitlab-build-images/debian-bookworm-ruby-3.2-golang-1.22",
                ],
                "uses": [700000, 534567],
                "pulls": [600000, 400000],
                "share": [0.6, 0.4],
                "projects": [17, 1],
                "evidence": [_LINE, None],
            }
        ),
        by_role=_rows(
            {
                "role": ["job", "helper"],
                "uses": [1000000, 234567],
                "pulls": [875000, 125000],
                "share": [0.875, 0.125],
                "present": [124970, 109567],
                "used": [0, 0],
                "failed": [30, 0],
                "rejected": [0, 0],
                "declared": [0, 0],
            }
        ),
        failed_pulls=_rows(
            {
                "registry": ["docker.io", "docker.io", None],
                "error_kind": ["rate_limited", "not_found", None],
                "failed": [20, 10, 0],
                "rescued": [3, 0, 1],
                "jobs": [23, 9, 1],
                "evidence": [_LINE, None, None],
            }
        ),
        charted_by="day",
        pulls_by_registry=_rows(
            {
                "start": [days[0], days[0], days[1]],
                "registry": ["docker.io", "other", None],
                "pulls": [7, 1, 2],
                "failed": [0, 1, 0],
            }
        ),
        failed_by_kind=_rows(
            {
                "start": [days[0], days[3]],
                "error_kind": ["rate_limited", None],
                "failed": [20, 0],
                "rescued": [3, 1],
            }
        ),
        hub_pressure=_rows(
            {
                "start": [days[9] + dt.timedelta(hours=6), days[8]],
                "instance": ["gitlab.example.com", None],
                "runner": ["big runner #7", None],
                "via": [None, "dependency_proxy"],
                "proxy": [None, "gitlab.example.com"],
                "pulls": [180, 4],
                "requests": [205, 3],
                "peak": [210, 3],
                "over_100": [True, False],
                "over_200": [True, False],
                "rate_limited": [12, 0],
                "jobs": [90, 4],
                "projects": [11, 2],
                "evidence": [_LINE, None],
            }
        ),
        proxy_bypass=_rows(
            {
                "registry": ["docker.io"],
                "repository": ["library/python"],
                "proxies": ["dependency_proxy"],
                "instance": ["gitlab.example.com"],
                "project_id": [12],
                "project_path": ["shop/checkout"],
                "direct_uses": [20],
                "direct_pulls": [15],
                "jobs": [19],
                "proxied_uses": [300],
                "first_seen": [days[2]],
                "last_seen": [days[90]],
                "evidence": ["https://gitlab.example.com/shop/checkout/-/jobs/9#L8"],
            }
        ),
        bypassed=_rows(
            {
                "registry": ["docker.io"],
                "repository": ["library/python"],
                "proxies": ["dependency_proxy"],
                "direct_uses": [20],
                "direct_pulls": [15],
                "projects": [1],
                "proxied_uses": [300],
            }
        ),
        unpinned=_rows(
            {
                "registry": ["docker.io", None],
                "uses": [1000, 1],
                "pinned": [100, 1],
                "tagged": [700, 0],
                "latest": [150, 0],
                "untagged": [50, 0],
                "unpinned_share": [0.9, 0.0],
                "floating_share": [0.2, 0.0],
                "projects": [17, 0],
                "evidence": [_LINE, None],
            }
        ),
        drift=_rows(
            {
                "registry": "docker.io",
                "repository": "library/python",
                "tag": "3.12",
                "digest": [f"sha256:{letter * 64}" for letter in "ab"],
                "digests": 2,
                "first_seen": [days[0], days[30]],
                "last_seen": [days[32], days[91]],
                "replaced_at": [days[30], None],
                "uses": [500, 700],
                "stale_uses": [4, 0],
                "projects": [5, 6],
                "seen_by": ["shop/checkout", "shop/checkout, shop/web"],
                "evidence": [
                    _LINE,
                    "https://gitlab.example.com/a/b/-/jobs/8#L13",
                ],
            }
        ),
        new_and_gone=_rows(
            {
                "change": ["new", "gone"],
                "registry": ["quay.io", "docker.io"],
                "repository": ["skopeo/stable", "bitnami/redis"],
                "uses": [30, 4],
                "pulls": [29, 3],
                "projects": [3, 1],
                "first_seen": [days[4], days[0] - dt.timedelta(days=80)],
                "last_seen": [days[90], days[0] - dt.timedelta(days=9)],
                "evidence": ["https://gitlab.example.com/a/b/-/jobs/7#L30", None],
            }
        ),
    )
