"""From a store to a `Report`: every figure of every format is computed here, once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from logminer import analysis
from logminer.period import Period

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from logminer.analysis import Source

TOP = 20
"""Repositories in a report; the whole list is one call of `logminer.analysis` away."""

_MOST_DAYS = 366
"""The longest period that is drawn day by day: a leap year is twelve lines of 31 characters."""


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What a report says, before it is words; frames as `logminer.analysis` documents them.

    Not comparable by value: frames are not.
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
    over_time: pd.DataFrame
    """`analysis.pulls_over_time` by `by`; buckets that still lie in the future have no row."""
    by_registry: pd.DataFrame
    top_repositories: pd.DataFrame
    """At most `TOP` rows."""
    by_role: pd.DataFrame
    failed_pulls: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether no job was harvested in the period."""
        return self.coverage["jobs"] == 0

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
    coverage = _row(analysis.coverage(source, period=period))
    over_time = analysis.pulls_over_time(source, by=by, period=period)
    return Report(
        period=period,
        previous=previous,
        generated_at=moment,
        coverage=coverage,
        totals=_totals(source, coverage["jobs"], period, previous),
        by=by,
        over_time=over_time[over_time["start"] <= moment].reset_index(drop=True),
        by_registry=analysis.by_registry(source, period=period),
        top_repositories=analysis.top_repositories(source, limit=TOP, period=period),
        by_role=analysis.by_role(source, period=period),
        failed_pulls=analysis.failed_pulls(source, period=period),
    )


def spell(period: Period) -> str:
    """Return a period as a reader counts days: both ends included; to the second if need be."""
    since, until = period.since, period.until
    if since.time() == until.time() == dt.time.min:
        last = until - dt.timedelta(days=1)
        return f"{since:%Y-%m-%d}" if since == last else f"{since:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S}"


def _totals(source: Source, jobs: int, period: Period, previous: Period) -> tuple[Figure, ...]:
    """Return the headline figures, jobs first."""
    now = {"jobs": jobs, **_row(analysis.totals(source, period=period))}
    jobs_before = _row(analysis.coverage(source, period=previous))["jobs"]
    before = {"jobs": jobs_before, **_row(analysis.totals(source, period=previous))}
    return tuple(
        Figure(name=name, value=value, before=before[name] if jobs_before else None)
        for name, value in now.items()
    )


def _row(frame: pd.DataFrame) -> dict[str, int]:
    """Return the one row of a frame of counts."""
    return {str(name): int(value) for name, value in frame.iloc[0].items()}


def _bound(moment: dt.datetime) -> str:
    """Return a moment as the command line takes it: a date where it is one."""
    if moment.time() == dt.time.min:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
