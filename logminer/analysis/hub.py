"""What really reaches Docker Hub, and who goes to a registry beside the proxy in front of it.

Docker Hub limits pulls in six hours: 100 for an address without an account, 200 for a free one.
A log knows neither the address nor the account, but the runner, which has an address of its own or
shares one. What a log does show: how often the registry was asked (retries included), and
sometimes that nothing was downloaded; a check of the version alone does not count.
What goes through a proxy reaches Docker Hub from the proxy's address, and only where it has no
copy: each reference once at most in a window, as long as no tag moves in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from logminer.analysis.source import Question, at_least_one, verb
from logminer.analysis.split import KEYS
from logminer.analysis.words import (
    EVIDENCE,
    JOBS,
    LINKED,
    PROJECTS,
    PULLS,
    SOURCE_REGISTRY,
    SOURCE_REPOSITORY,
)

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Asked, Source
    from logminer.analysis.when import When

ANONYMOUS_LIMIT: Final = 100
ACCOUNT_LIMIT: Final = 200
"""Pulls in six hours: without an account, and with a free one."""

_PRESSURE = Question(
    table="images",
    columns=(
        *("instance", "project_id", "job_id", "runner_id", "runner_description"),
        *("registry", "repository", "reference", "via", "upstream_registry"),
        *("outcome", "downloaded", "pull_attempts", "error_kind"),
    ),
    optional=LINKED,
    sql=f"""
        , asked AS NOT MATERIALIZED (
            SELECT
                *,
                date_trunc('hour', moment) AS hour,
                -- A proxy is told apart by the host it is reached at, a runner by its id.
                CASE WHEN via IS NULL THEN instance ELSE registry END AS host,
                CASE WHEN via IS NULL THEN runner_id END AS number,
                greatest(pull_attempts, (outcome = 'pulled')::BIGINT) AS attempts
            FROM rows
            WHERE {SOURCE_REGISTRY} = 'docker.io'
              AND downloaded IS NOT FALSE
              AND (pull_attempts > 0 OR outcome = 'pulled')
        ), hourly AS (
            -- What a proxy fetched in two windows need not be two requests: no sum of hours for it.
            SELECT host, number, hour, sum(attempts) AS attempts
            FROM asked
            WHERE via IS NULL
            GROUP BY host, number, hour
        ), sliding AS (
            SELECT
                host,
                number,
                time_bucket(INTERVAL 6 HOUR, hour) AS start,
                sum(attempts) OVER (
                    PARTITION BY host, number ORDER BY hour
                    RANGE BETWEEN INTERVAL 5 HOUR PRECEDING AND CURRENT ROW
                ) AS attempts
            FROM hourly
        ), peaks AS (
            SELECT host, number, start, max(attempts) AS attempts
            FROM sliding
            GROUP BY host, number, start
        ), windows AS (
            SELECT
                via,
                host,
                number AS runner_id,
                time_bucket(INTERVAL 6 HOUR, hour) AS start,
                arg_max(runner_description, job_id) AS runner_description,
                {PULLS} AS pulls,
                CASE WHEN via IS NULL THEN sum(attempts)
                     ELSE count(DISTINCT reference) FILTER (via IS NOT NULL) END AS requests,
                count(*) FILTER (error_kind = 'rate_limited') AS rate_limited,
                {JOBS} AS jobs,
                {PROJECTS} AS projects,
                {EVIDENCE} AS evidence
            FROM asked
            GROUP BY via, host, number, start
        )
        SELECT
            windows.start,
            CASE WHEN via IS NULL THEN windows.host END AS instance,
            CASE WHEN via IS NULL THEN {KEYS["runner"].name} END AS runner,
            via,
            CASE WHEN via IS NOT NULL THEN windows.host END AS proxy,
            windows.pulls,
            requests::BIGINT AS requests,
            coalesce(peaks.attempts, requests)::BIGINT AS peak,
            peak > {ANONYMOUS_LIMIT} AS over_100,
            peak > {ACCOUNT_LIMIT} AS over_200,
            rate_limited,
            jobs,
            projects,
            evidence
        FROM windows LEFT JOIN peaks
          ON windows.via IS NULL AND peaks.host = windows.host AND peaks.start = windows.start
         AND peaks.number IS NOT DISTINCT FROM windows.runner_id
        ORDER BY peak DESC, requests DESC, windows.start, instance NULLS LAST, runner, via, proxy
        LIMIT $limit
    """,  # noqa: S608 -- only constants of this package
)

_REACHED = f"""
    , reached AS NOT MATERIALIZED (
        SELECT * REPLACE ({SOURCE_REGISTRY} AS registry, {SOURCE_REPOSITORY} AS repository)
        FROM rows
        WHERE repository IS NOT NULL
    ), through AS (
        SELECT registry, repository, list(DISTINCT via) AS ways, count(*) AS uses
        FROM reached
        WHERE via IS NOT NULL
        GROUP BY registry, repository
    ), proxied AS (
        SELECT
            registry,
            array_to_string(list_sort(list_distinct(flatten(list(ways)))), ', ') AS proxies
        FROM through
        GROUP BY registry
    ), beside AS (
        SELECT
            registry, repository, instance, project_id, count(*) AS direct_uses,
            {PULLS} AS direct_pulls
        FROM reached SEMI JOIN proxied USING (registry)
        WHERE via IS NULL
        GROUP BY registry, repository, instance, project_id
    )
"""  # noqa: S608 -- only constants of this package
"""`through`: each repository as it is reached through a proxy; `proxied`: the registries of these;
`beside`: who reaches a repository of such a registry directly."""

_BYPASS_COLUMNS = (
    *("instance", "project_id", "outcome", "registry", "repository", "via"),
    *("upstream_registry", "upstream_repository"),
)

_BYPASS = Question(
    table="images",
    columns=(*_BYPASS_COLUMNS, "project_path", "job_id"),
    optional=LINKED,
    # Everything else is only asked of those that are among the first.
    sql=f"""
        {_REACHED}
        , first AS (
            SELECT *
            FROM beside
            ORDER BY direct_pulls DESC, direct_uses DESC, registry, repository, instance, project_id
            LIMIT $limit
        ), more AS (
            SELECT
                registry,
                repository,
                instance,
                project_id,
                arg_max(project_path, job_id) AS project_path,
                count(DISTINCT job_id) AS jobs,
                min(moment) AS first_seen,
                max(moment) AS last_seen,
                {EVIDENCE} AS evidence
            FROM reached SEMI JOIN first USING (registry, repository, instance, project_id)
            WHERE via IS NULL
            GROUP BY registry, repository, instance, project_id
        )
        SELECT
            registry,
            repository,
            proxies,
            instance,
            project_id,
            project_path,
            direct_uses,
            direct_pulls,
            jobs,
            coalesce(through.uses, 0) AS proxied_uses,
            first_seen,
            last_seen,
            evidence
        FROM first
        JOIN more USING (registry, repository, instance, project_id)
        JOIN proxied USING (registry)
        LEFT JOIN through USING (registry, repository)
        ORDER BY direct_pulls DESC, direct_uses DESC, registry, repository, instance, project_id
    """,  # noqa: S608 -- only constants of this package
)

_BYPASSED = Question(
    table="images",
    columns=_BYPASS_COLUMNS,
    sql=f"""
        {_REACHED}
        SELECT
            registry,
            repository,
            any_value(proxies) AS proxies,
            sum(direct_uses)::BIGINT AS direct_uses,
            sum(direct_pulls)::BIGINT AS direct_pulls,
            count(*) AS projects,
            coalesce(any_value(through.uses), 0) AS proxied_uses
        FROM beside JOIN proxied USING (registry) LEFT JOIN through USING (registry, repository)
        GROUP BY registry, repository
        ORDER BY sum(direct_uses) DESC, sum(direct_pulls) DESC, registry, repository
    """,  # noqa: S608 -- only constants of this package
)


@verb
def docker_hub_pressure(
    source: Source | pd.DataFrame, *, limit: int = 20, **when: Unpack[When]
) -> Asked:
    """Return one row for each runner or proxy and six hours in which it asked Docker Hub.

    * `start` (datetime64, UTC): the first moment of the window: midnight, 6, 12 or 18 o'clock;
    * `instance`, `runner` (text): who asked directly, by its description and id; null for a proxy;
    * `via`, `proxy` (text): the kind of the proxy and the host it is reached at; null for a runner;
    * `pulls` (int64): uses with the outcome `pulled`;
    * `requests` (int64): how often a runner asked, retries included and mere version checks not; of
      a proxy: distinct references asked of it, as it has a copy of what it fetched before;
    * `peak` (int64): the most requests of a runner in any six full hours that end in this window;
    * `over_100`, `over_200` (bool): whether the peak is over the limit of an address without an
      account, and of a free account;
    * `rate_limited` (int64): uses that Docker Hub refused for that reason;
    * `jobs`, `projects` (int64);
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    The worst windows first, at most `limit` of them. Runners that share an address share a limit.
    Raises UsageError for a limit below 1.
    """
    return _PRESSURE.ask(source, when, limit=at_least_one(limit))


@verb
def proxy_bypass(
    source: Source | pd.DataFrame, *, limit: int | None = None, **when: Unpack[When]
) -> Asked:
    """Return who goes directly to a registry that others reach through a proxy.

    One row for each repository and project, most direct pulls first:

    * `registry`, `repository` (text): the upstream ones;
    * `proxies` (text): the kinds of proxy through which the registry was reached;
    * `instance` (text), `project_id` (int64), `project_path` (text): who went beside them;
    * `direct_uses`, `direct_pulls`, `jobs` (int64): this project's;
    * `proxied_uses` (int64): uses of this repository through a proxy, by any project;
    * `first_seen`, `last_seen` (datetime64, UTC): of the direct uses;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    With a `limit` at most so many; raises UsageError for one below 1.
    """
    return _BYPASS.ask(source, when, limit=None if limit is None else at_least_one(limit))


@verb
def bypassed(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row for each repository of `proxy_bypass`, most direct uses first.

    * `registry`, `repository` (text): the upstream ones;
    * `proxies` (text): the kinds of proxy through which the registry was reached;
    * `direct_uses`, `direct_pulls` (int64): of all projects; `projects` (int64): how many;
    * `proxied_uses` (int64): uses of this repository through a proxy.
    """
    return _BYPASSED.ask(source, when)
