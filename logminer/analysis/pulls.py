"""What was pulled, how often, from where, for whom and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack, get_args

from logminer.analysis.source import Question
from logminer.errors import UsageError
from logminer.model import Role

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Source
    from logminer.analysis.when import When

By: TypeAlias = Literal["day", "week", "month"]
"""Width of a bucket in time; a week begins on Monday (ISO 8601)."""

_PULLS = "count(*) FILTER (outcome = 'pulled')"
_FAILED = "count(*) FILTER (outcome = 'failed')"
_SHARE = f"{_PULLS} / nullif((SELECT {_PULLS} FROM rows), 0)"  # noqa: S608 -- constants

_TOTALS = Question(
    table="images",
    columns=("registry", "repository", "outcome"),
    sql=f"""
        SELECT
            count(*) AS uses,
            {_PULLS} AS pulls,
            -- A registry holds no slash, so two pairs never give one text; null stays null.
            count(DISTINCT registry || '/' || repository) FILTER (outcome = 'pulled')
                AS repositories,
            {_FAILED} AS failed
        FROM rows
    """,  # noqa: S608 -- only constants of this module
)

_OVER_TIME = Question(
    table="images",
    columns=("outcome",),
    sql=f"""
        SELECT
            bucket.start,
            {_PULLS} AS pulls,
            {_FAILED} AS failed
        FROM (
            SELECT unnest(generate_series(
                date_trunc($by, coalesce($since::TIMESTAMPTZ, min(moment))),
                coalesce($until::TIMESTAMPTZ - INTERVAL 1 MICROSECOND, max(moment)),
                ('1 ' || $by)::INTERVAL
            )) AS start
            FROM rows
        ) AS bucket
        LEFT JOIN rows ON date_trunc($by, rows.moment) = bucket.start
        GROUP BY bucket.start
        ORDER BY bucket.start
    """,  # noqa: S608 -- only constants of this module
)

_TOP_REPOSITORIES = Question(
    table="images",
    columns=("instance", "project_id", "registry", "repository", "outcome"),
    sql=f"""
        SELECT
            registry,
            repository,
            count(*) AS uses,
            {_PULLS} AS pulls,
            {_SHARE} AS share,
            count(DISTINCT (instance, project_id)) AS projects
        FROM rows
        WHERE repository IS NOT NULL
        GROUP BY registry, repository
        ORDER BY pulls DESC, uses DESC, registry NULLS LAST, repository
        LIMIT $limit
    """,  # noqa: S608 -- only constants of this module
)

_BY_REGISTRY = Question(
    table="images",
    columns=("instance", "project_id", "registry", "repository", "outcome"),
    sql=f"""
        SELECT
            registry,
            count(*) AS uses,
            {_PULLS} AS pulls,
            {_SHARE} AS share,
            {_FAILED} AS failed,
            count(DISTINCT repository) AS repositories,
            count(DISTINCT (instance, project_id)) AS projects
        FROM rows
        GROUP BY registry
        ORDER BY pulls DESC, uses DESC, registry NULLS LAST
    """,  # noqa: S608 -- only constants of this module
)

_BY_ROLE = Question(
    table="images",
    columns=("role", "outcome"),
    sql=f"""
        SELECT
            role,
            count(*) AS uses,
            {_PULLS} AS pulls,
            {_SHARE} AS share,
            count(*) FILTER (outcome = 'present') AS present,
            count(*) FILTER (outcome = 'used') AS used,
            {_FAILED} AS failed,
            count(*) FILTER (outcome = 'rejected') AS rejected,
            count(*) FILTER (outcome = 'declared') AS declared
        FROM rows
        GROUP BY role
        ORDER BY list_position({[role.value for role in Role]}, role) NULLS LAST, role
    """,  # noqa: S608 -- only constants of this module
)


def totals(source: Source | pd.DataFrame, **when: Unpack[When]) -> pd.DataFrame:
    """Return one row, all int64: `uses`, `pulls`, `repositories` (distinct, pulled), `failed`."""
    return _TOTALS.ask(source, when)


def pulls_over_time(
    source: Source | pd.DataFrame, *, by: By = "day", **when: Unpack[When]
) -> pd.DataFrame:
    """Return one row for each day, week or month, also for those without a pull, in order.

    * `start` (datetime64, UTC): the first moment of the bucket;
    * `pulls`, `failed` (int64): uses of jobs in the bucket that lie in the asked time.

    The buckets reach from `since` to `until`; where a side is open, to the first or last row.
    A bucket at the edge counts only its part of the asked time.
    Raises UsageError for an unknown `by`.
    """
    if by not in get_args(By):
        raise UsageError(f"by is day, week or month, not {by!r}")
    return _OVER_TIME.ask(source, when, by=by)


def top_repositories(
    source: Source | pd.DataFrame, *, limit: int = 20, **when: Unpack[When]
) -> pd.DataFrame:
    """Return one row for each repository, most pulled first, at most `limit` of them.

    * `registry`, `repository` (text);
    * `uses`, `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1, also of those whose
      repository the log does not tell; NaN where there is no pull at all;
    * `projects` (int64): distinct projects that used it.

    Equal pulls are ordered by uses, then by name. Uses without a repository (known only by an
    image ID, or with an unresolved variable) have no row.
    Raises UsageError for a limit below 1.
    """
    if limit < 1:
        raise UsageError(f"limit is 1 or more, not {limit}")
    return _TOP_REPOSITORIES.ask(source, when, limit=limit)


def by_registry(source: Source | pd.DataFrame, **when: Unpack[When]) -> pd.DataFrame:
    """Return one row for each registry, most pulled first, then by uses and name.

    * `registry` (text): null, in the last place of its equals, where the log does not tell;
    * `uses`, `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1; NaN where there is none;
    * `failed`, `repositories`, `projects` (int64): the last two distinct, over all uses.
    """
    return _BY_REGISTRY.ask(source, when)


def by_role(source: Source | pd.DataFrame, **when: Unpack[When]) -> pd.DataFrame:
    """Return one row for each role that occurs, in the order of `logminer.model.Role`.

    * `role` (text);
    * `uses` (int64), the sum of the six outcomes below;
    * `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1; NaN where there is none;
    * `present`, `used`, `failed`, `rejected`, `declared` (int64), strongest first.
    """
    return _BY_ROLE.ask(source, when)
