"""The questions of a report as an analyst would ask them of DuckDB, without logminer.

    python tests/benchmarks/answers_by_hand.py STORE QUESTION…

A module of its own, so that the process which `answers` measures imports DuckDB and pandas and
nothing of ours. A question is a key of BY_HAND; with a dash it is about the period before.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable

SINCE, UNTIL = dt.date(2026, 7, 1), dt.date(2026, 10, 1)
BEFORE = dt.date(2026, 4, 1)

_WORDS = {
    "evidence": "arg_max(job_url || '#L' || line, job_id) AS evidence",
    "counts": "count(*) AS uses, count(*) FILTER (outcome = 'pulled') AS pulls",
    "failed": "count(*) FILTER (outcome = 'failed')",
    "projects": "count(DISTINCT (instance, project_id))",
    "source": "coalesce(upstream_registry, registry)",
    "reached": ", reached AS (SELECT *, coalesce(upstream_registry, registry) AS host,"
    " coalesce(upstream_repository, repository) AS path FROM images)"
    ", proxied AS (SELECT host, list(DISTINCT via) AS proxies FROM reached WHERE via IS NOT NULL"
    " GROUP BY host)"
    ", through AS (SELECT host, path, count(*) AS proxied_uses FROM reached WHERE via IS NOT NULL"
    " GROUP BY ALL)",
    "trouble": "(outcome = 'failed' OR (error_kind IS NOT NULL"
    " AND outcome IN ('used', 'present', 'pulled')))",
}

BY_HAND = {
    "coverage": "SELECT trace_state, recognised, truncated, depth, images = 0, executor, count(*)"
    " FROM jobs GROUP BY ALL",
    "totals": "SELECT count(*), count(*) FILTER (outcome = 'pulled'),"
    " count(DISTINCT registry || '/' || repository) FILTER (outcome = 'pulled'),"
    " count(*) FILTER (outcome = 'failed') FROM images",
    "pulls_over_time": "SELECT date_trunc('day', started_at) AS start, {counts}, {failed}"
    " FROM images GROUP BY ALL ORDER BY start",
    "pulls_over_time/registry": "SELECT date_trunc('day', started_at) AS start, registry, {counts},"
    " {failed} FROM images GROUP BY ALL ORDER BY start, pulls DESC",
    "by_registry": "SELECT registry, {counts}, {failed}, count(DISTINCT repository), {projects},"
    " {evidence} FROM images GROUP BY registry ORDER BY pulls DESC",
    "top_repositories": "SELECT registry, repository, {counts}, {projects}, {evidence}"
    " FROM images WHERE repository IS NOT NULL GROUP BY ALL ORDER BY pulls DESC LIMIT 20",
    "by_role": "SELECT role, outcome, count(*) FROM images GROUP BY ALL",
    "failed_pulls": "SELECT registry, error_kind, {failed}, count(*) FILTER (outcome <> 'failed'),"
    " count(DISTINCT (instance, job_id)), {evidence} FROM images WHERE {trouble} GROUP BY ALL",
    "failed_pulls_over_time": "SELECT date_trunc('day', started_at), registry, error_kind,"
    " {failed}, count(*) FILTER (outcome <> 'failed'), count(DISTINCT (instance, job_id)),"
    " {evidence} FROM images WHERE {trouble} GROUP BY ALL",
    "new_and_gone": "SELECT registry, repository, {counts}, {projects},"
    " min(started_at) AS first, max(started_at) AS last, {evidence} FROM both_periods GROUP BY ALL"
    " HAVING first >= $since OR last < $since",
    "docker_hub_pressure": ", asked AS (SELECT *, date_trunc('hour', started_at) AS hour"
    " FROM images WHERE {source} = 'docker.io' AND (pull_attempts > 0 OR outcome = 'pulled')"
    " AND downloaded IS NOT FALSE)"
    ", hourly AS (SELECT hour, runner_id, via, registry, sum(pull_attempts) AS requests FROM asked"
    " GROUP BY ALL)"
    ", sliding AS (SELECT *, sum(requests) OVER (PARTITION BY runner_id, via, registry"
    " ORDER BY hour RANGE BETWEEN INTERVAL 5 HOUR PRECEDING AND CURRENT ROW) AS peak FROM hourly)"
    ", peaks AS (SELECT time_bucket(INTERVAL 6 HOUR, hour) AS start, runner_id, via,"
    " max(peak) AS peak FROM sliding GROUP BY ALL)"
    " SELECT * FROM (SELECT time_bucket(INTERVAL 6 HOUR, hour) AS start, runner_id, via,"
    " any_value(runner_description), any_value(registry), {counts},"
    " sum(pull_attempts) AS requests, count(*) FILTER (error_kind = 'rate_limited'),"
    " count(DISTINCT (instance, job_id)), count(DISTINCT reference), {projects}, {evidence}"
    " FROM asked GROUP BY start, runner_id, via) JOIN peaks USING (start, runner_id)"
    " ORDER BY peak DESC LIMIT 300",
    "proxy_bypass": "{reached} SELECT host, path, any_value(proxies), instance, project_id,"
    " any_value(project_path), {counts}, count(DISTINCT (instance, job_id)),"
    " any_value(proxied_uses), min(started_at), max(started_at), {evidence} FROM reached"
    " JOIN proxied USING (host) LEFT JOIN through USING (host, path) WHERE via IS NULL"
    " GROUP BY host, path, instance, project_id ORDER BY pulls DESC LIMIT 300",
    "bypassed": "{reached} SELECT host, path, any_value(proxies), {counts}, {projects},"
    " any_value(proxied_uses) FROM reached JOIN proxied USING (host)"
    " LEFT JOIN through USING (host, path) WHERE via IS NULL GROUP BY host, path"
    " ORDER BY uses DESC",
    "unpinned": "SELECT registry, count(*), count(*) FILTER (contains(reference, '@')),"
    " count(*) FILTER (tag <> 'latest'), count(*) FILTER (tag = 'latest'),"
    " count(*) FILTER (tag IS NULL), {projects} FILTER (NOT contains(reference, '@')), {evidence}"
    " FROM images WHERE reference IS NOT NULL GROUP BY ALL",
    "digest_drift": ", seen AS (SELECT registry, repository, tag, digest, count(*) AS uses,"
    " min(started_at) AS first, max(started_at) AS last, {projects},"
    " list_sort(list(DISTINCT project_path))[:10] AS paths, {evidence} FROM images SEMI JOIN"
    " (SELECT registry, repository, tag FROM images WHERE digest IS NOT NULL GROUP BY ALL"
    " HAVING count(DISTINCT digest) > 1 ORDER BY count(DISTINCT digest) DESC LIMIT 20)"
    " USING (registry, repository, tag) WHERE digest IS NOT NULL GROUP BY ALL)"
    ", replaced AS (SELECT *, lead(first) OVER (PARTITION BY registry, repository, tag"
    " ORDER BY first) AS replaced_at FROM seen)"
    " SELECT replaced.*, stale FROM replaced LEFT JOIN (SELECT registry, repository, tag, digest,"
    " count(*) AS stale FROM images JOIN replaced USING (registry, repository, tag, digest)"
    " WHERE started_at >= replaced_at GROUP BY ALL) USING (registry, repository, tag, digest)",
}
"""What an analyst would write for each question: the same aggregates, straight over the files."""


def ask(store: str, questions: Iterable[str]) -> None:
    """Ask DuckDB these questions about a store, and make frames of the answers."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for question in questions:
        since, until = (BEFORE, SINCE) if question.endswith("-") else (SINCE, UNTIL)
        tables = " WITH " + ", ".join(
            f"{view} AS (FROM read_parquet('{store}/{table}/*/*.parquet',"
            f" hive_types={{date: DATE}}) WHERE date >= DATE '{begin}' AND date < DATE '{until}')"
            for view, table, begin in (
                ("images", "images", since),
                ("jobs", "jobs", since),
                ("both_periods", "images", BEFORE),
            )
        )
        sql = BY_HAND[question.rstrip("-")].format(**_WORDS).replace("$since", f"DATE '{SINCE}'")
        connection.sql(f"{tables} {sql}").df()


if __name__ == "__main__":
    ask(sys.argv[1], sys.argv[2:])
