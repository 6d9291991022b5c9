"""The verbs against counts made by loops: no SQL, no pandas, only Python's own counters."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from logminer import analysis
from logminer.model import ErrorKind, Outcome, Role, TraceState

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import pandas as pd

    MakeFrame: TypeAlias = Callable[..., pd.DataFrame]

FIRST = dt.datetime(2026, 1, 30, tzinfo=dt.UTC)
HOURS = 24 * 5
moments = st.integers(0, HOURS).map(lambda hours: FIRST + dt.timedelta(hours=hours))
job = {
    "instance": st.sampled_from(["a.example.com", "b.example.com"]),
    "project_id": st.integers(1, 3),
    "job_id": st.integers(1, 5),
    "created_at": moments,
    "started_at": st.none() | moments,
}
named = st.tuples(st.sampled_from(["docker.io", "ghcr.io"]), st.sampled_from(["a", "a/b", "Z"]))
image_rows = st.lists(
    st.builds(
        lambda pair, row: {**row, "registry": pair[0], "repository": pair[1]},
        named | st.just((None, None)),
        st.fixed_dictionaries(
            {
                **job,
                "role": st.sampled_from([role.value for role in Role]),
                "outcome": st.sampled_from([outcome.value for outcome in Outcome]),
                "error_kind": st.none() | st.sampled_from([kind.value for kind in ErrorKind][:2]),
            }
        ),
    ),
    max_size=25,
)
job_rows = st.lists(
    st.fixed_dictionaries(
        {
            **job,
            "executor": st.none() | st.sampled_from(["docker", "kubernetes", "shell"]),
            "trace_state": st.sampled_from([state.value for state in TraceState]),
            "recognised": st.none() | st.booleans(),
            "truncated": st.none() | st.booleans(),
            "depth": st.sampled_from(["full", "prepare"]),
            "images": st.integers(0, 2),
        }
    ),
    max_size=25,
)
bounds = st.tuples(moments, st.integers(1, HOURS)).map(
    lambda pair: (pair[0], pair[0] + dt.timedelta(hours=pair[1]))
)
Row = dict[str, Any]


def within(rows: list[Row], since: dt.datetime, until: dt.datetime) -> list[Row]:
    """Return the rows whose job began in the half-open time."""
    return [row for row in rows if since <= (row["started_at"] or row["created_at"]) < until]


def pulls(rows: list[Row]) -> int:
    """Count pulls."""
    return sum(row["outcome"] == "pulled" for row in rows)


def records(frame: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    """Return these columns as tuples, a missing value as None."""
    return [
        tuple(None if isinstance(cell, float) and math.isnan(cell) else cell for cell in row)
        for row in frame[list(names)].itertuples(index=False)
    ]


@settings(max_examples=8, deadline=None)
@given(rows=image_rows, bounds=bounds)
def test_image_verbs_count_what_loops_count(
    rows: list[Row], bounds: tuple[dt.datetime, dt.datetime], images: MakeFrame
) -> None:
    """Every figure of every verb over `images` is the one found by counting row by row."""
    since, until = bounds
    frame, rows = images(*rows), within(rows, since, until)
    when = analysis.When(since=since, until=until)
    whole = pulls(rows)

    by_registry: dict[str | None, list[Row]] = {}
    by_repository: dict[tuple[str, str], list[Row]] = {}
    by_role: dict[str, list[Row]] = {}
    by_day: dict[dt.date, list[Row]] = {}
    troubled: dict[tuple[str | None, str | None], list[Row]] = {}
    for row in rows:
        by_registry.setdefault(row["registry"], []).append(row)
        by_role.setdefault(row["role"], []).append(row)
        by_day.setdefault((row["started_at"] or row["created_at"]).date(), []).append(row)
        if row["repository"]:
            by_repository.setdefault((row["registry"], row["repository"]), []).append(row)
        got = row["outcome"] in {"used", "present", "pulled"}
        if row["outcome"] == "failed" or (got and row["error_kind"]):
            troubled.setdefault((row["registry"], row["error_kind"]), []).append(row)

    totals = analysis.totals(frame, **when)
    assert [
        (
            len(rows),
            whole,
            len({key for key, group in by_repository.items() if pulls(group)}),
            sum(row["outcome"] == "failed" for row in rows),
        )
    ] == records(totals, *totals.columns)

    registries = analysis.by_registry(frame, **when)
    assert {
        (
            registry,
            len(group),
            pulls(group),
            pulls(group) / whole if whole else None,
            sum(row["outcome"] == "failed" for row in group),
            len({row["repository"] for row in group} - {None}),
            len({(row["instance"], row["project_id"]) for row in group}),
        )
        for registry, group in by_registry.items()
    } == set(records(registries, *registries.columns[:-1]))
    assert sorted(registries["pulls"], reverse=True) == registries["pulls"].tolist()

    top = analysis.top_repositories(frame, limit=2, **when)
    ranked = sorted(
        by_repository.items(), key=lambda item: (-pulls(item[1]), -len(item[1]), item[0])
    )
    assert [(*key, len(group), pulls(group)) for key, group in ranked[:2]] == records(
        top, "registry", "repository", "uses", "pulls"
    )

    roles = analysis.by_role(frame, **when)
    columns = ("pulled", "present", "used", "failed", "rejected", "declared")
    assert [
        (role.value, *(Counter(row["outcome"] for row in by_role[role])[key] for key in columns))
        for role in Role
        if role in by_role
    ] == records(roles, "role", "pulls", *columns[1:])

    failed = analysis.failed_pulls(frame, **when)
    assert {
        (
            *key,
            sum(row["outcome"] == "failed" for row in group),
            sum(row["outcome"] != "failed" for row in group),
            len({(row["instance"], row["job_id"]) for row in group}),
        )
        for key, group in troubled.items()
    } == set(records(failed, *failed.columns[:-1]))

    days = analysis.pulls_over_time(frame, **when)
    last = (until - dt.timedelta(microseconds=1)).date()
    assert [
        (day, pulls(by_day.get(day, [])))
        for day in (since.date() + dt.timedelta(n) for n in range((last - since.date()).days + 1))
    ] == [(start.date(), count) for start, count in zip(days["start"], days["pulls"], strict=True)]


@settings(max_examples=10, deadline=None)
@given(rows=job_rows, bounds=bounds)
def test_coverage_counts_what_loops_count(
    rows: list[Row], bounds: tuple[dt.datetime, dt.datetime], jobs: MakeFrame
) -> None:
    """Every figure of the coverage is the one found by counting row by row."""
    since, until = bounds
    frame, rows = jobs(*rows), within(rows, since, until)
    states = Counter(row["trace_state"] for row in rows)
    read = [row for row in rows if row["trace_state"] == "ok"]
    expected = {
        "jobs": len(rows),
        "read": len(read),
        **{state.value: states[state.value] for state in TraceState if state != TraceState.OK},
        "not_understood": sum(row["recognised"] is False for row in read),
        "without_image": sum(
            row["recognised"] is True
            and not row["images"]
            and row["executor"] in {"docker", "kubernetes"}
            for row in read
        ),
        "truncated": sum(row["truncated"] is True for row in read),
        "prepare_only": sum(row["depth"] == "prepare" for row in read),
    }

    answer = analysis.coverage(frame, since=since, until=until)

    assert expected == answer.iloc[0].to_dict()
