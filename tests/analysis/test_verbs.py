"""Every verb against frames small enough to be counted by eye, and against no rows at all."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from logminer import analysis
from logminer.analysis.split import KEYS
from logminer.errors import UsageError
from logminer.store import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import pyarrow as pa

    from logminer.analysis.source import Table

    MakeFrame: TypeAlias = Callable[..., pd.DataFrame]

TEXT = str(pd.Series(["a"]).dtype)
"""What pandas calls text: `object` before version 3, `str` since."""


class Nothing:
    """A store in which nothing is harvested yet, with the columns of a real one."""

    def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
        """Return no file."""
        del table, since, until  # no day of any table has one
        return []

    def schema(self, table: Table) -> pa.Schema:
        """Return what the data dictionary says."""
        return schema.schema(table)


def at(day: int, hour: int = 0, month: int = 7) -> dt.datetime:
    """Return an hour of 2026 in UTC."""
    return dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)


def lines(*jobs: int) -> list[str]:
    """Return the addresses of the lines that the tests' rows stand for, by job."""
    return [f"https://gitlab.example.com/-/jobs/{job}#L7" for job in jobs]


def starts(*moments: dt.datetime) -> pd.Series[pd.Timestamp]:
    """Return a column of bucket starts as the verbs type it."""
    return pd.Series(list(moments), dtype="datetime64[us, UTC]")


def test_coverage_counts_every_state_once(jobs: MakeFrame) -> None:
    """Every state has a column; what is said of logs counts only logs that were read."""
    gone = {"recognised": None, "truncated": None, "images": 0}
    frame = jobs(
        {},
        {"images": 0},
        {"recognised": False, "images": 0},
        {"recognised": False, "images": 1, "truncated": True},
        {"depth": "prepare"},
        *({"trace_state": state, **gone} for state in ("empty", "erased", "missing", "missing")),
        *({"trace_state": state, **gone} for state in ("forbidden", "failed", "not_started")),
        {"trace_state": "failed", "depth": "prepare", "truncated": True, "recognised": False},
    )
    expected = pd.DataFrame(
        {
            "jobs": [13],
            "read": [5],
            "empty": [1],
            "erased": [1],
            "missing": [2],
            "forbidden": [1],
            "failed": [2],
            "not_started": [1],
            "not_understood": [2],
            "without_image": [1],
            "truncated": [1],
            "prepare_only": [1],
        }
    )

    assert_frame_equal(expected, analysis.coverage(frame))


@pytest.mark.parametrize(
    ("executor", "counted"),
    [
        *(
            (name, 1)
            for name in ("docker", "docker+machine", "docker-autoscaler", "docker-windows")
        ),
        *(("kubernetes", 1), ("shell", 0), ("ssh", 0), ("instance", 0), ("custom", 0), (None, 0)),
    ],
)
def test_only_containers_miss_an_image(executor: str | None, counted: int, jobs: MakeFrame) -> None:
    """A job without an image is remarkable only where its executor always names one."""
    frame = jobs({"executor": executor, "images": 0}, {"executor": executor})

    assert analysis.coverage(frame)["without_image"].tolist() == [counted]


def test_totals_count_pairs_of_registry_and_repository(images: MakeFrame) -> None:
    """A repository is one in its registry, and only a pull makes it count."""
    frame = images(
        {},
        {},
        {"registry": "ghcr.io"},
        {"outcome": "failed", "repository": "library/gone"},
        {"outcome": "present", "repository": "library/near"},
        {"registry": None, "repository": None},
    )
    expected = pd.DataFrame({"uses": [6], "pulls": [4], "repositories": [2], "failed": [1]})

    assert_frame_equal(expected, analysis.totals(frame))


def test_by_registry(images: MakeFrame) -> None:
    """Most pulled first, the unknown registry in its place, shares of all pulls."""
    frame = images(
        {"registry": "quay.io", "outcome": "failed"},
        {"registry": "docker.io", "project_id": 1},
        {"registry": "docker.io", "project_id": 2, "repository": "library/node"},
        {"registry": "docker.io", "project_id": 2, "outcome": "present"},
        {"registry": "docker.io", "project_id": 2, "instance": "other.example.com"},
        {"registry": None, "repository": None},
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io", None, "quay.io"],
            "uses": [4, 1, 1],
            "pulls": [3, 1, 0],
            "share": [0.75, 0.25, 0.0],
            "failed": [0, 0, 1],
            "repositories": [2, 0, 1],
            "projects": [3, 1, 1],
            "evidence": lines(5, 6, 1),
        }
    )

    assert_frame_equal(expected, analysis.by_registry(frame))


def test_top_repositories(images: MakeFrame) -> None:
    """Equal pulls are ordered by uses, then by name; a share is of all pulls, named or not."""
    frame = images(
        {"repository": "b"},
        {"repository": "a"},
        {"repository": "c"},
        {"repository": "c", "outcome": "used"},
        {"repository": "d", "outcome": "failed"},
        {"registry": None, "repository": None},
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io"] * 3,
            "repository": ["c", "a", "b"],
            "uses": [2, 1, 1],
            "pulls": [1, 1, 1],
            "share": [0.25, 0.25, 0.25],
            "projects": [1, 1, 1],
            "evidence": lines(4, 2, 1),
        }
    )

    assert_frame_equal(expected, analysis.top_repositories(frame, limit=3))


def test_by_role(images: MakeFrame) -> None:
    """Roles stand in the order of the model, with one column for each outcome."""
    frame = images(
        {"role": "script", "outcome": "failed"},
        {"role": "helper", "outcome": "present"},
        {"role": "helper", "outcome": "used"},
        {"role": "job"},
        {"role": "job", "outcome": "rejected"},
        {"role": "job", "outcome": "declared"},
    )
    expected = pd.DataFrame(
        {
            "role": ["job", "helper", "script"],
            "uses": [3, 2, 1],
            "pulls": [1, 0, 0],
            "share": [1.0, 0.0, 0.0],
            "present": [0, 1, 0],
            "used": [0, 1, 0],
            "failed": [0, 0, 1],
            "rejected": [1, 0, 0],
            "declared": [1, 0, 0],
        }
    )

    assert_frame_equal(expected, analysis.by_role(frame))


def test_failed_pulls(images: MakeFrame) -> None:
    """A rescued use met the error and got its image; a rejected one was never asked for."""
    frame = images(
        {"outcome": "failed", "error_kind": "rate_limited", "job_id": 7},
        {"outcome": "failed", "error_kind": "rate_limited", "job_id": 7, "role": "service"},
        {"outcome": "pulled", "error_kind": "rate_limited", "job_id": 8},
        {"outcome": "present", "error_kind": "network"},
        {"outcome": "failed", "error_kind": None, "registry": None},
        {"outcome": "rejected", "error_kind": "denied"},
        {"outcome": "pulled"},
    )
    expected = pd.DataFrame(
        {
            "registry": ["docker.io", None, "docker.io"],
            "error_kind": ["rate_limited", None, "network"],
            "failed": [2, 1, 0],
            "rescued": [1, 0, 1],
            "jobs": [2, 1, 1],
            "evidence": lines(8, 5, 4),
        }
    )

    assert_frame_equal(expected, analysis.failed_pulls(frame))


def test_days_without_a_pull_have_a_row(images: MakeFrame) -> None:
    """The days of the period are all there, and a job that never started counts by creation."""
    frame = images(
        {"started_at": at(1)},
        {"started_at": at(3, 23), "outcome": "failed"},
        {"started_at": None, "created_at": at(3)},
        {"started_at": at(5)},
    )
    expected = pd.DataFrame(
        {
            "start": starts(at(1), at(2), at(3), at(4)),
            "pulls": [1, 0, 1, 0],
            "failed": [0, 0, 1, 0],
        }
    )

    assert_frame_equal(
        expected, analysis.pulls_over_time(frame, since="2026-07-01", until="2026-07-05")
    )


def test_without_bounds_the_rows_bound_the_buckets(images: MakeFrame) -> None:
    """Weeks begin on Monday, and reach from the first row to the last."""
    frame = images({"started_at": at(1)}, {"started_at": at(13)})
    expected = pd.DataFrame(
        {
            "start": starts(at(29, month=6), at(6), at(13)),
            "pulls": [1, 0, 1],
            "failed": [0, 0, 0],
        }
    )

    assert_frame_equal(expected, analysis.pulls_over_time(frame, by="week"))


def test_a_bucket_at_the_edge_counts_its_part_of_the_period(images: MakeFrame) -> None:
    """A month that the period only touches is named by its first day and counts what lies in."""
    frame = images({"started_at": at(1)}, {"started_at": at(20)}, {"started_at": at(1, month=8)})
    expected = pd.DataFrame(
        {"start": starts(at(1), at(1, month=8)), "pulls": [1, 1], "failed": [0, 0]}
    )

    assert_frame_equal(
        expected,
        analysis.pulls_over_time(frame, by="month", since="2026-07-10", until="2026-08-02"),
    )


TIME = "datetime64[us, UTC]"


def named(kind: str, *names: str) -> dict[str, str]:
    """Return columns of one type."""
    return dict.fromkeys(names, kind)


_IMAGE = named(TEXT, "registry", "repository")
_SEEN = named(TIME, "first_seen", "last_seen")
_FAILED = named("int64", "failed", "rescued", "jobs")
_UNPINNED = {
    **named("int64", "uses", "pinned", "tagged", "latest", "untagged"),
    **named("float64", "unpinned_share", "floating_share"),
    "projects": "int64",
    "evidence": TEXT,
}

TYPES: dict[str, tuple[Callable[..., pd.DataFrame], dict[str, str]]] = {
    "pulls_over_time": (
        analysis.pulls_over_time,
        {"start": TIME, **named("int64", "pulls", "failed")},
    ),
    **{
        f"pulls_over_time by {split}": (
            partial(analysis.pulls_over_time, split=split),
            {"start": TIME, split: TEXT, **named("int64", "pulls", "failed")},
        )
        for split in KEYS
    },
    "top_repositories": (
        analysis.top_repositories,
        {
            **_IMAGE,
            **named("int64", "uses", "pulls"),
            "share": "float64",
            "projects": "int64",
            "evidence": TEXT,
        },
    ),
    "by_registry": (
        analysis.by_registry,
        {
            "registry": TEXT,
            **named("int64", "uses", "pulls"),
            "share": "float64",
            **named("int64", "failed", "repositories", "projects"),
            "evidence": TEXT,
        },
    ),
    "by_role": (
        analysis.by_role,
        {
            "role": TEXT,
            **named("int64", "uses", "pulls"),
            "share": "float64",
            **named("int64", "present", "used", "failed", "rejected", "declared"),
        },
    ),
    "first_and_last_seen": (
        analysis.first_and_last_seen,
        {
            **_IMAGE,
            **named("int64", "uses", "pulls", "projects"),
            **_SEEN,
            "unused_days": "int64",
            "evidence": TEXT,
        },
    ),
    "new_and_gone": (
        partial(analysis.new_and_gone, period="2026-07"),
        {
            "change": TEXT,
            **_IMAGE,
            **named("int64", "uses", "pulls", "projects"),
            **_SEEN,
            "evidence": TEXT,
        },
    ),
    "digest_drift": (
        analysis.digest_drift,
        {
            **_IMAGE,
            **named(TEXT, "tag", "digest"),
            "digests": "int64",
            **_SEEN,
            "replaced_at": TIME,
            **named("int64", "uses", "stale_uses", "projects"),
            **named(TEXT, "seen_by", "evidence"),
        },
    ),
    **{
        f"unpinned by {split}": (
            partial(analysis.unpinned, split=split),
            {split: TEXT, **_UNPINNED},
        )
        for split in KEYS
    },
    "failed_pulls": (
        analysis.failed_pulls,
        {**named(TEXT, "registry", "error_kind"), **_FAILED, "evidence": TEXT},
    ),
    "failed_pulls_over_time": (
        analysis.failed_pulls_over_time,
        {"start": TIME, **named(TEXT, "registry", "error_kind"), **_FAILED, "evidence": TEXT},
    ),
    "docker_hub_pressure": (
        analysis.docker_hub_pressure,
        {
            "start": TIME,
            **named(TEXT, "instance", "runner", "via", "proxy"),
            **named("int64", "pulls", "requests", "peak"),
            **named("bool", "over_100", "over_200"),
            **named("int64", "rate_limited", "jobs", "projects"),
            "evidence": TEXT,
        },
    ),
    "proxy_bypass": (
        analysis.proxy_bypass,
        {
            **_IMAGE,
            **named(TEXT, "proxies", "instance"),
            "project_id": "int64",
            "project_path": TEXT,
            **named("int64", "direct_uses", "direct_pulls", "jobs", "proxied_uses"),
            **_SEEN,
            "evidence": TEXT,
        },
    ),
    "bypassed": (
        analysis.bypassed,
        {
            **_IMAGE,
            "proxies": TEXT,
            **named("int64", "direct_uses", "direct_pulls", "projects", "proxied_uses"),
        },
    ),
    "exposure": (
        partial(analysis.exposure, names=["docker.io"]),
        {
            "name": TEXT,
            **_IMAGE,
            **named(TEXT, "via", "instance"),
            "project_id": "int64",
            **named(TEXT, "project_path", "job_name", "roles", "pipeline_sources"),
            **named("int64", "uses", "scheduled_uses", "pulls", "failed", "jobs"),
            **_SEEN,
            "tags": TEXT,
            "digest_count": "int64",
            **named(TEXT, "digests", "evidence"),
        },
    ),
    "evidence": (
        analysis.evidence,
        {
            "seen": TIME,
            **named(TEXT, "instance", "project_path"),
            "job_id": "int64",
            **named(TEXT, "job_name", "pipeline_source", "ref", "runner_description", "role"),
            **named(TEXT, "outcome", "image", "digest", "via", "error_kind", "error_message"),
            "line": "int64",
            "evidence": TEXT,
        },
    ),
}
"""Every verb over `images` whose answer may have no row, by columns and types."""

USES = [
    {
        "outcome": "failed",
        "error_kind": "tls",
        "reference": "docker.io/library/alpine:1",
        "tag": "1",
        "digest": "sha256:a",
        "pull_attempts": 1,
        "runner_id": 1,
    },
    {"reference": "docker.io/library/alpine:1", "tag": "1", "digest": "sha256:b"},
    {"via": "dependency_proxy", "upstream_registry": "docker.io", "upstream_repository": "a/b"},
]
"""Rows for which every verb has an answer."""


@pytest.mark.parametrize(("verb", "types"), TYPES.values(), ids=TYPES)
def test_no_rows_keep_their_types(
    verb: Callable[..., pd.DataFrame], types: dict[str, str], images: MakeFrame
) -> None:
    """An answer without a row has the columns and types of one with rows, from frame or store."""
    full = verb(images(*USES))

    assert len(full)
    assert types == {name: str(kind) for name, kind in full.dtypes.items()}
    for empty in (verb(images()), verb(Nothing())):
        assert empty.empty
        assert types == {name: str(kind) for name, kind in empty.dtypes.items()}


def test_no_gaps_keep_their_types(jobs: MakeFrame) -> None:
    """The same of the verb over `jobs`."""
    types = {
        **named(TEXT, "gap", "executor", "runner_version"),
        "jobs": "int64",
        **_SEEN,
        "evidence": TEXT,
    }

    for answer in (
        analysis.gaps(jobs({"trace_state": "erased"})),
        analysis.gaps(jobs()),
        analysis.gaps(Nothing()),
    ):
        assert types == {name: str(kind) for name, kind in answer.dtypes.items()}


def test_every_verb_has_its_types() -> None:
    """A verb that is added to the package is pinned here, too."""
    pinned = {name.partition(" by ")[0] for name in TYPES} | {"gaps", "totals", "coverage"}

    assert pinned == {name for name in analysis.__all__ if hasattr(getattr(analysis, name), "rows")}


@pytest.mark.parametrize("verb", [analysis.totals, analysis.coverage])
def test_one_row_of_noughts_for_nothing(verb: Callable[..., pd.DataFrame]) -> None:
    """Counts of an empty store are noughts, not missing."""
    answer = verb(Nothing())

    assert {"int64"} == {str(kind) for kind in answer.dtypes}
    assert [0] * answer.shape[1] == answer.iloc[0].tolist()


def test_a_share_of_no_pulls_is_missing(images: MakeFrame) -> None:
    """Without a pull there is no whole to be a part of."""
    answer = analysis.by_registry(images({"outcome": "used"}))

    assert answer["share"].isna().all()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (analysis.top_repositories, {"limit": 0}),
        (analysis.pulls_over_time, {"by": "hour"}),
        (analysis.totals, {"period": "last-fortnight"}),
        (analysis.totals, {"period": "2026", "since": "2026-01-01"}),
        (analysis.totals, {"since": "2026-01-02", "until": "2026-01-02"}),
        (analysis.totals, {"since": "soon"}),
    ],
)
def test_what_cannot_be_asked(
    verb: Callable[..., pd.DataFrame], arguments: dict[str, Any], images: MakeFrame
) -> None:
    """A wrong argument is a UsageError."""
    with pytest.raises(UsageError):
        verb(images({}), **arguments)
