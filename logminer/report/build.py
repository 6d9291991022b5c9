"""From a store to a `Report`: every figure of every format is computed here, once."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from logminer import analysis
from logminer.analysis.engine import Extent, shared
from logminer.analysis.source import TABLES, Anywhere
from logminer.analysis.when import span
from logminer.period import Period
from logminer.report.drift import build_drift
from logminer.report.words import spell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logminer.analysis import Source
    from logminer.analysis.pulls import By
    from logminer.analysis.source import Row, Rows
    from logminer.report.drift import Drift

TOP = 20
"""Rows of a list in a report; the whole list is one call of `logminer.analysis` away."""

_COLOURS = 6
"""Registries that are told apart over time; the rest of them is `OTHER`."""

OTHER = "other"
"""Stands for every registry that is not among the most pulled."""

MANY = 300
"""Most rows of a list of combinations that a report holds, the worst ones: windows of Docker Hub
pressure, projects that go beside a proxy. On a large store there may be a million."""

_MOST_DAYS = 366
"""The longest period that is drawn day by day: a leap year is twelve lines of 31 characters."""

_DAYS = dt.timedelta(days=124)
_WEEKS = dt.timedelta(days=2 * 366)
"""The longest periods whose charts have a column for each day, for each week."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A headline figure beside the same one of the period before."""

    name: str
    value: int
    before: int | None
    """None where nothing was harvested for the period before."""

    @property
    def change(self) -> float | None:
        """Growth as a fraction (0.1 is ten per cent more); None where there is no base for it."""
        if not self.before:
            return None
        return self.value / self.before - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says, before it is words; rows as `logminer.analysis` documents its frames.

    What is missing is None, and times are datetimes in UTC.
    """

    period: Period
    previous: Period
    generated_at: dt.datetime
    """UTC."""
    coverage: Mapping[str, int]
    """For how many jobs the report speaks: the columns of `analysis.coverage`."""
    totals: tuple[Figure, ...]
    """`jobs`, `uses`, `pulls`, `repositories` (distinct, pulled), `failed`."""
    by: Literal["day", "month"]
    """Width of a bucket of `over_time`."""
    over_time: Rows
    """`analysis.pulls_over_time` by `by`; buckets that still lie in the future have no row."""
    by_registry: Rows
    top_repositories: Rows
    """At most `TOP` rows."""
    by_role: Rows
    failed_pulls: Rows
    charted_by: Literal["day", "week", "month"]
    """Width of a bucket of the next two."""
    pulls_by_registry: Rows
    """`start`, `registry`, `pulls`, `failed`: the most pulled registries and `OTHER`."""
    failed_by_kind: Rows
    """`start`, `error_kind`, `failed`, `rescued`; only buckets with any."""
    hub_pressure: Rows
    """`analysis.docker_hub_pressure`, the worst windows first."""
    proxy_bypass: Rows
    """`analysis.proxy_bypass`, the most direct pulls first; `bypassed` counts all of them."""
    bypassed: Rows
    unpinned: Rows
    """`analysis.unpinned` by registry, at most `TOP` rows."""
    drift: Rows
    """`analysis.digest_drift`, at most `TOP` tags."""
    new_and_gone: Rows
    """No row where nothing was harvested for the period before."""
    declared: Drift | None = None
    """None where no inventory was taken."""

    @property
    def empty(self) -> bool:
        """Whether no job was harvested in the period."""
        return self.coverage["jobs"] == 0

    @property
    def label(self) -> str:
        """The name that the period was asked for by; empty where it only repeats the bounds."""
        label = self.period.label
        return "" if ".." in label or label == spell(self.period) else label

    @property
    def comparable(self) -> bool:
        """Whether anything was harvested for the period before."""
        return any(figure.before is not None for figure in self.totals)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing the figures: one sentence each, ours."""
        period, previous = self.period, self.previous
        if self.empty:
            bounds = f"--since {_bound(period.since)} --until {_bound(period.until)}"
            return (
                f"No jobs were harvested for {spell(period)}.",
                f"Harvest them with `logminer harvest {bounds}`, or ask for another period.",
            )
        notes = []
        if self.generated_at < period.until:
            beside = ", compared with the whole period before" if self.comparable else ""
            notes.append(f"The period is not over: figures so far{beside}.")
        if not self.comparable:
            notes.append(
                f"No jobs were harvested for {spell(previous)}: there is nothing to compare with."
            )
        return tuple(notes)


def build(source: Source, period: Period | str, now: dt.datetime | None = None) -> Report:
    """Ask a store everything a report says about a period and the one directly before it.

    `now` stands in for the clock: it resolves a text such as `last-quarter`.
    Raises UsageError for a period that cannot be understood and StoreError for a store that
    cannot be read.
    """
    moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    if isinstance(period, str):
        period = Period.parse(period, today=moment.date())
    previous = period.previous()
    by: Literal["day", "month"] = (
        "day" if period.until - period.since <= dt.timedelta(days=_MOST_DAYS) else "month"
    )
    days = span({"since": previous.since, "until": period.until}).days
    extent = Extent(source=source, days=days, columns=_READ)
    plain = not isinstance(source, Anywhere) or source.is_plain
    files: dict[str, list[str]] = {table: source.files(table, *days) for table in TABLES if plain}
    with shared(extent, files):
        return _asked(source, period, previous, moment, by)


_READ: Final = {
    "images": (
        *("instance", "project_id", "project_path", "job_id", "job_url", "created_at"),
        *("started_at", "runner_id", "runner_description", "role", "outcome", "downloaded"),
        *("pull_attempts", "error_kind", "registry", "repository", "tag", "digest", "reference"),
        *("via", "upstream_registry", "upstream_repository", "line"),
    ),
    "jobs": (
        *("created_at", "started_at", "trace_state", "recognised", "executor", "truncated"),
        *("depth", "images"),
    ),
}
"""The columns that these questions read: of a small store they are read once for all."""


def _asked(
    source: Source,
    period: Period,
    previous: Period,
    moment: dt.datetime,
    by: Literal["day", "month"],
) -> Report:
    """Return the answers to every question."""
    coverage = _row(analysis.coverage.rows(source, period=period))
    totals = _totals(source, coverage["jobs"], period, previous)
    over_time = analysis.pulls_over_time.rows(source, by=by, period=period)
    length = period.until - period.since
    charted_by: By = "day" if length <= _DAYS else "week" if length <= _WEEKS else "month"
    split = analysis.pulls_over_time.rows(
        source, by=charted_by, split="registry", limit=MANY, period=period
    )
    failed = analysis.failed_pulls_over_time.rows(source, by=charted_by, period=period)
    changed = analysis.new_and_gone.rows(source, period=period, before=previous)
    return Report(
        period=period,
        previous=previous,
        generated_at=moment,
        coverage=coverage,
        totals=totals,
        by=by,
        over_time=[row for row in over_time if row["start"] <= moment],
        by_registry=analysis.by_registry.rows(source, period=period),
        top_repositories=analysis.top_repositories.rows(source, limit=TOP, period=period),
        by_role=analysis.by_role.rows(source, period=period),
        failed_pulls=analysis.failed_pulls.rows(source, period=period),
        charted_by=charted_by,
        pulls_by_registry=_lumped([row for row in split if row["start"] <= moment]),
        failed_by_kind=sorted(
            _summed(failed, ("start", "error_kind"), ("failed", "rescued")),
            key=lambda row: (row["start"], row["error_kind"] is None, row["error_kind"] or ""),
        ),
        hub_pressure=analysis.docker_hub_pressure.rows(source, limit=MANY, period=period),
        proxy_bypass=analysis.proxy_bypass.rows(source, limit=MANY, period=period),
        bypassed=analysis.bypassed.rows(source, period=period),
        unpinned=analysis.unpinned.rows(source, limit=TOP, period=period),
        drift=analysis.digest_drift.rows(source, limit=TOP, period=period),
        new_and_gone=changed if totals[0].before is not None else [],
        declared=_declared(source, period, moment),
    )


def _declared(source: Source, period: Period, moment: dt.datetime) -> Drift | None:
    """Return what is declared beside what was pulled, where anything of it is known."""
    if not isinstance(source, Anywhere) or not source.files("declared", None, None):
        return None
    return build_drift(source, period, moment)


def _lumped(split: Rows) -> Rows:
    """Return pulls over time with the least pulled registries as one; only what is not nought."""
    pulls: defaultdict[str | None, int] = defaultdict(int)
    for row in split:
        pulls[row["registry"]] += row["pulls"]
    most = sorted(pulls, key=lambda name: -pulls[name])[:_COLOURS]
    named = [
        row if row["registry"] in most else row | {"registry": OTHER}
        for row in split
        if row["pulls"] or row["failed"]
    ]
    return _summed(named, ("start", "registry"), ("pulls", "failed"))


def _summed(rows: Rows, keys: tuple[str, ...], counts: tuple[str, ...]) -> Rows:
    """Return a row for each combination of keys, in order of appearance, with its sums."""
    groups: dict[tuple[object, ...], Row] = {}
    for row in rows:
        group = groups.setdefault(
            tuple(row[key] for key in keys),
            {key: row[key] for key in keys} | dict.fromkeys(counts, 0),
        )
        for name in counts:
            group[name] += row[name]
    return list(groups.values())


def _totals(source: Source, jobs: int, period: Period, previous: Period) -> tuple[Figure, ...]:
    """Return the headline figures, jobs first."""
    now = {"jobs": jobs, **_row(analysis.totals.rows(source, period=period))}
    jobs_before = _row(analysis.coverage.rows(source, period=previous))["jobs"]
    before = {"jobs": jobs_before, **_row(analysis.totals.rows(source, period=previous))}
    return tuple(
        Figure(name=name, value=value, before=before[name] if jobs_before else None)
        for name, value in now.items()
    )


def _row(rows: Rows) -> dict[str, int]:
    """Return the one row of an answer that only counts."""
    (row,) = rows
    return row


def _bound(moment: dt.datetime) -> str:
    """Return a moment as the command line takes it: a date where it is one."""
    if moment.time() == dt.time.min:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
