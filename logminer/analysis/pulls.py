"""What was pulled, how often, from where, for whom and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack, get_args

from logminer.analysis.source import Question, at_least_one, verb
from logminer.analysis.split import KEYS, NAME, known
from logminer.analysis.words import EVIDENCE, FAILED, LINKED, PROJECTS, PULLS, SHARE
from logminer.errors import UsageError
from logminer.model import Role

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Asked, Source
    from logminer.analysis.split import Split
    from logminer.analysis.when import When

By: TypeAlias = Literal["day", "week", "month"]
"""Width of a bucket in time; a week begins on Monday (ISO 8601)."""

_TOTALS = Question(
    table="images",
    columns=("registry", "repository", "outcome"),
    sql=f"""
        SELECT
            coalesce(sum(uses), 0)::BIGINT AS uses,
            coalesce(sum(pulls), 0)::BIGINT AS pulls,
            count(*) FILTER (pulls > 0 AND registry IS NOT NULL AND repository IS NOT NULL)
                AS repositories,
            coalesce(sum(failed), 0)::BIGINT AS failed
        FROM (
            SELECT registry, repository, count(*) AS uses, {PULLS} AS pulls, {FAILED} AS failed
            FROM rows
            GROUP BY registry, repository
        )
    """,  # noqa: S608 -- only constants of this module
)

_BUCKETS = """
    bucket AS (
        SELECT unnest(generate_series(
            coalesce(date_trunc($by, $since::TIMESTAMPTZ), min(start)),
            coalesce($until::TIMESTAMPTZ - INTERVAL 1 MICROSECOND, max(start)),
            ('1 ' || $by)::INTERVAL
        )) AS start
        FROM keyed
    )
"""
"""The first moment of every bucket of the asked time, over `keyed`, which has those with a row."""

_OVER_TIME = Question(
    table="images",
    columns=("outcome",),
    sql=f"""
        , keyed AS (
            SELECT date_trunc($by, moment) AS start, {PULLS} AS pulls, {FAILED} AS failed
            FROM rows
            GROUP BY ALL
        ), {_BUCKETS}
        SELECT start, coalesce(pulls, 0) AS pulls, coalesce(failed, 0) AS failed
        FROM bucket LEFT JOIN keyed USING (start)
        ORDER BY start
    """,  # noqa: S608 -- only constants of this module
)

_SPLIT_OVER_TIME = {
    split: Question(
        table="images",
        columns=("instance", "job_id", "outcome", *key.columns),
        sql=f"""
            , keyed AS (
                SELECT
                    date_trunc($by, moment) AS start,
                    {key.key} AS key,
                    {key.newest} AS name,
                    max(job_id) AS newest,
                    any_value(instance) AS instance,
                    count(*) AS uses,
                    {PULLS} AS pulls,
                    {FAILED} AS failed
                FROM rows
                GROUP BY ALL
            ), top AS (
                SELECT
                    key,
                    arg_max(name, newest) AS name,
                    any_value(instance) AS instance,
                    sum(pulls) AS pulls,
                    sum(uses) AS uses
                FROM keyed
                GROUP BY key
                ORDER BY pulls DESC, uses DESC, key NULLS LAST
                LIMIT $limit
            ), named AS (
                SELECT
                    key,
                    {NAME} AS name,
                    row_number() OVER (ORDER BY pulls DESC, uses DESC, key NULLS LAST) AS place
                FROM top
            ), {_BUCKETS}
            SELECT
                bucket.start,
                named.name AS {split},
                coalesce(keyed.pulls, 0) AS pulls,
                coalesce(keyed.failed, 0) AS failed
            FROM bucket CROSS JOIN named
            LEFT JOIN keyed
                ON keyed.start = bucket.start AND keyed.key IS NOT DISTINCT FROM named.key
            ORDER BY bucket.start, named.place
        """,  # noqa: S608 -- only constants of this package
    )
    for split, key in KEYS.items()
}

_TOP_REPOSITORIES = Question(
    table="images",
    columns=("instance", "project_id", "registry", "repository", "outcome"),
    optional=LINKED,
    # Who used them, and where, is only asked of those that are among the first.
    sql=f"""
        , top AS (
            SELECT * FROM (
                SELECT
                    registry, repository, count(*) AS uses, {PULLS} AS pulls, {SHARE} AS share
                FROM rows
                GROUP BY registry, repository
            )
            WHERE repository IS NOT NULL
            ORDER BY pulls DESC, uses DESC, registry NULLS LAST, repository
            LIMIT $limit
        ), more AS (
            SELECT
                top.registry, top.repository, {PROJECTS} AS projects, {EVIDENCE} AS evidence
            FROM rows JOIN top
              ON rows.repository = top.repository
             AND rows.registry IS NOT DISTINCT FROM top.registry
            GROUP BY top.registry, top.repository
        )
        SELECT top.*, projects, evidence
        FROM top JOIN more
          ON more.repository = top.repository AND more.registry IS NOT DISTINCT FROM top.registry
        ORDER BY pulls DESC, uses DESC, top.registry NULLS LAST, top.repository
    """,  # noqa: S608 -- only constants of this package
)

_BY_REGISTRY = Question(
    table="images",
    columns=("instance", "project_id", "registry", "repository", "outcome"),
    optional=LINKED,
    sql=f"""
        SELECT
            registry,
            count(*) AS uses,
            {PULLS} AS pulls,
            {SHARE} AS share,
            {FAILED} AS failed,
            count(DISTINCT repository) AS repositories,
            {PROJECTS} AS projects,
            {EVIDENCE} AS evidence
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
            {PULLS} AS pulls,
            {SHARE} AS share,
            count(*) FILTER (outcome = 'present') AS present,
            count(*) FILTER (outcome = 'used') AS used,
            {FAILED} AS failed,
            count(*) FILTER (outcome = 'rejected') AS rejected,
            count(*) FILTER (outcome = 'declared') AS declared
        FROM rows
        GROUP BY role
        ORDER BY list_position({[role.value for role in Role]}, role) NULLS LAST, role
    """,  # noqa: S608 -- only constants of this module
)


def known_width(by: str) -> str:
    """Return the width of a bucket in time; raises UsageError for an unknown one."""
    if by not in get_args(By):
        raise UsageError(f"by is day, week or month, not {by!r}")
    return by


@verb
def totals(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row, all int64: `uses`, `pulls`, `repositories` (distinct, pulled), `failed`."""
    return _TOTALS.ask(source, when)


@verb
def pulls_over_time(
    source: Source | pd.DataFrame,
    *,
    by: By = "day",
    split: Split | None = None,
    limit: int = 10,
    **when: Unpack[When],
) -> Asked:
    """Return one row for each day, week or month, also for those without a pull, in order.

    * `start` (datetime64, UTC): the first moment of the bucket;
    * with a `split`, `registry`, `repository`, `project`, `role` or `runner` (text): the name of
      the group, as `logminer.analysis.split` says; null for the uses of which it is not known;
    * `pulls`, `failed` (int64): uses of jobs in the bucket that lie in the asked time.

    The buckets reach from `since` to `until`; where a side is open, to the first or last row.
    A bucket at the edge counts only its part of the asked time.
    A split has a row for each bucket and each of the `limit` most pulled groups, most pulled first.
    Raises UsageError for an unknown `by` or `split` and for a limit below 1.
    """
    width = known_width(by)
    if split is None:
        return _OVER_TIME.ask(source, when, by=width)
    question = _SPLIT_OVER_TIME[known(split)]
    return question.ask(source, when, by=width, limit=at_least_one(limit))


@verb
def top_repositories(
    source: Source | pd.DataFrame, *, limit: int = 20, **when: Unpack[When]
) -> Asked:
    """Return one row for each repository, most pulled first, at most `limit` of them.

    * `registry`, `repository` (text);
    * `uses`, `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1, also of those whose
      repository the log does not tell; NaN where there is no pull at all;
    * `projects` (int64): distinct projects that used it;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    Equal pulls are ordered by uses, then by name. Uses without a repository (known only by an
    image ID, or with an unresolved variable) have no row.
    Raises UsageError for a limit below 1.
    """
    return _TOP_REPOSITORIES.ask(source, when, limit=at_least_one(limit))


@verb
def by_registry(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row for each registry, most pulled first, then by uses and name.

    * `registry` (text): null, in the last place of its equals, where the log does not tell;
    * `uses`, `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1; NaN where there is none;
    * `failed`, `repositories`, `projects` (int64): the last two distinct, over all uses;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.
    """
    return _BY_REGISTRY.ask(source, when)


@verb
def by_role(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row for each role that occurs, in the order of `logminer.model.Role`.

    * `role` (text);
    * `uses` (int64), the sum of the six outcomes below;
    * `pulls` (int64);
    * `share` (float64): part of all pulls in the asked time, 0 to 1; NaN where there is none;
    * `present`, `used`, `failed`, `rejected`, `declared` (int64), strongest first.
    """
    return _BY_ROLE.ask(source, when)
