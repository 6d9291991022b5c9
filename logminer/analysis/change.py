"""When repositories came and went: first and last seen, unused, new and gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question, verb
from logminer.analysis.when import When, clock, span
from logminer.analysis.words import EVIDENCE, LINKED, PROJECTS, PULLS
from logminer.errors import UsageError
from logminer.period import Period

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from logminer.analysis.source import Asked, Source

_COLUMNS = ("instance", "project_id", "registry", "repository", "outcome")
_COUNTS = f"""
    count(*) AS uses,
    {PULLS} AS pulls,
    {PROJECTS} AS projects,
    min(moment) AS first_seen,
    max(moment) AS last_seen
"""

_FIRST_AND_LAST = Question(
    table="images",
    columns=_COLUMNS,
    optional=LINKED,
    sql=f"""
        SELECT
            registry,
            repository,
            {_COUNTS},
            greatest(0, datediff('hour', max(moment), $now::TIMESTAMPTZ) // 24) AS unused_days,
            {EVIDENCE} AS evidence
        FROM rows
        WHERE repository IS NOT NULL
        GROUP BY registry, repository
        HAVING unused_days >= $unused_for
        ORDER BY last_seen, registry, repository
    """,  # noqa: S608 -- only constants of this package
)

_NEW_AND_GONE = Question(
    table="images",
    columns=_COLUMNS,
    optional=LINKED,
    sql=f"""
        , changed AS (
            SELECT registry, repository, bool_or(moment >= $begin::TIMESTAMPTZ) AS now
            FROM rows
            WHERE repository IS NOT NULL
              AND (moment >= $begin::TIMESTAMPTZ OR moment < $ended::TIMESTAMPTZ)
            GROUP BY registry, repository
            HAVING now <> bool_or(moment < $ended::TIMESTAMPTZ)
        )
        SELECT
            CASE WHEN any_value(now) THEN 'new' ELSE 'gone' END AS change,
            registry,
            repository,
            {_COUNTS},
            {EVIDENCE} AS evidence
        FROM rows JOIN changed USING (registry, repository)
        WHERE moment >= $begin::TIMESTAMPTZ OR moment < $ended::TIMESTAMPTZ
        GROUP BY registry, repository
        ORDER BY change DESC, pulls DESC, uses DESC, registry, repository
    """,  # noqa: S608 -- only constants of this package
)


@verb
def first_and_last_seen(
    source: Source | pd.DataFrame, *, unused_for: int = 0, **when: Unpack[When]
) -> Asked:
    """Return one row for each repository that was not used for so many days, longest unused first.

    * `registry`, `repository` (text);
    * `uses`, `pulls`, `projects` (int64): the last one distinct;
    * `first_seen`, `last_seen` (datetime64, UTC): when the first and the last job with it was;
    * `unused_days` (int64): whole days since then, up to now or to the end of the asked time,
      whichever is earlier; with `unused_for=90` only what was not used for 90 days has a row;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    "First" is the first in the asked time, and in what was harvested.
    Raises UsageError for a negative `unused_for`.
    """
    if unused_for < 0:
        raise UsageError(f"unused_for is 0 or more days, not {unused_for}")
    until = span(when).until
    now = clock(when) if until is None else min(clock(when), until)
    return _FIRST_AND_LAST.ask(source, when, now=now, unused_for=unused_for)


@verb
def new_and_gone(
    source: Source | pd.DataFrame,
    *,
    period: Period | str,
    before: Period | str | None = None,
    now: dt.datetime | None = None,
) -> Asked:
    """Return one row for each repository used in only one of two periods, new ones first.

    * `change` (text): `new` (used in `period` and not in `before`) or `gone` (the reverse);
    * `registry`, `repository` (text);
    * `uses`, `pulls`, `projects` (int64), `first_seen`, `last_seen` (datetime64, UTC): in the
      period in which it was used;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    Most pulled first, then by uses and name. `before` is the period of the same kind directly
    before, unless another one is named.
    Raises UsageError for a period that cannot be understood or does not lie after `before`.
    """
    later = _period(period, now)
    earlier = later.previous() if before is None else _period(before, now)
    if earlier.until > later.since:
        raise UsageError(f"{earlier.label} does not end before {later.label} begins")
    when = When(since=earlier.since, until=later.until)
    return _NEW_AND_GONE.ask(source, when, begin=later.since, ended=earlier.until)


def _period(period: Period | str, now: dt.datetime | None) -> Period:
    """Return a period, or the one that a text names."""
    if isinstance(period, Period):
        return period
    return Period.parse(period, today=clock(When(now=now)).date())
