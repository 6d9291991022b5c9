"""What a name can hide: tags that move, and images named without a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question, at_least_one, verb
from logminer.analysis.split import KEYS, NAME, known
from logminer.analysis.words import EVIDENCE, LINKED, PROJECTS, evidence, few

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Asked, Source
    from logminer.analysis.split import Split
    from logminer.analysis.when import When

_PINNED = "contains(reference, '@')"
"""Whether a digest is written: it decides then, and the tag beside it does nothing."""

_DRIFT = Question(
    table="images",
    columns=(
        *("instance", "project_id", "project_path", "registry", "repository", "tag", "digest"),
        "reference",
    ),
    optional=LINKED,
    sql=f"""
        , tagged AS NOT MATERIALIZED (
            SELECT * REPLACE (coalesce(tag, 'latest') AS tag)
            FROM rows
            WHERE digest IS NOT NULL AND NOT {_PINNED}
        ), moved AS (
            SELECT registry, repository, tag, count(DISTINCT digest) AS digests
            FROM tagged
            GROUP BY registry, repository, tag
            HAVING digests > 1
            ORDER BY digests DESC, count(*) DESC, registry, repository, tag
            LIMIT $limit
        ), seen AS (
            SELECT
                registry,
                repository,
                tag,
                digest,
                any_value(digests) AS digests,
                min(moment) AS first_seen,
                max(moment) AS last_seen,
                count(*) AS uses,
                {PROJECTS} AS projects,
                {few("project_path")} AS seen_by,
                {EVIDENCE} AS evidence
            FROM tagged JOIN moved USING (registry, repository, tag)
            GROUP BY registry, repository, tag, digest
        ), replaced AS (
            SELECT
                *,
                lead(first_seen) OVER (
                    PARTITION BY registry, repository, tag ORDER BY first_seen, digest
                ) AS replaced_at
            FROM seen
        ), stale AS (
            SELECT registry, repository, tag, digest, count(*) AS uses
            FROM tagged JOIN replaced USING (registry, repository, tag, digest)
            WHERE moment >= replaced_at
            GROUP BY registry, repository, tag, digest
        )
        SELECT
            replaced.registry,
            replaced.repository,
            replaced.tag,
            replaced.digest,
            digests,
            first_seen,
            last_seen,
            replaced_at,
            replaced.uses,
            coalesce(stale.uses, 0) AS stale_uses,
            projects,
            seen_by,
            evidence
        FROM replaced LEFT JOIN stale USING (registry, repository, tag, digest)
        ORDER BY
            digests DESC,
            sum(replaced.uses) OVER (
                PARTITION BY replaced.registry, replaced.repository, replaced.tag
            ) DESC,
            replaced.registry, replaced.repository, replaced.tag, first_seen, replaced.digest
    """,  # noqa: S608 -- only constants of this package
)

_UNPINNED = {
    split: Question(
        table="images",
        columns=("instance", "job_id", "project_id", "tag", "reference", *key.columns),
        optional=LINKED,
        sql=f"""
            , top AS (
                SELECT
                    {key.key} AS key,
                    {key.newest} AS name,
                    any_value(instance) AS instance,
                    count(*) AS uses,
                    count(*) FILTER ({_PINNED}) AS pinned,
                    count(*) FILTER (NOT {_PINNED} AND tag <> 'latest') AS tagged,
                    count(*) FILTER (NOT {_PINNED} AND tag = 'latest') AS latest,
                    count(*) FILTER (NOT {_PINNED} AND tag IS NULL) AS untagged,
                    {PROJECTS} FILTER (NOT {_PINNED}) AS projects,
                    {evidence(f"NOT {_PINNED}")} AS evidence
                FROM rows
                WHERE reference IS NOT NULL
                GROUP BY key
                ORDER BY uses - pinned DESC, uses DESC, key NULLS LAST
                LIMIT $limit
            )
            SELECT
                {NAME} AS {split},
                uses,
                pinned,
                tagged,
                latest,
                untagged,
                (uses - pinned) / uses AS unpinned_share,
                (latest + untagged) / uses AS floating_share,
                projects,
                evidence
            FROM top
            ORDER BY uses - pinned DESC, uses DESC, key NULLS LAST
        """,  # noqa: S608 -- only constants of this package
    )
    for split, key in KEYS.items()
}


@verb
def digest_drift(source: Source | pd.DataFrame, *, limit: int = 50, **when: Unpack[When]) -> Asked:
    """Return one row for each digest of each tag that had several; the tags that moved most first.

    * `registry`, `repository`, `tag` (text): a missing tag is `latest`; references with a digest
      do not depend on a tag and do not count;
    * `digest` (text), `digests` (int64): how many this tag had;
    * `first_seen`, `last_seen` (datetime64, UTC): when the first and the last job with it was;
    * `replaced_at` (datetime64, UTC): when the tag was first seen with the next digest, null for
      the newest; digests follow each other as they were first seen;
    * `uses` (int64); `stale_uses` (int64): those from `replaced_at` on, of runners that still had
      the old one;
    * `projects` (int64), `seen_by` (text): how many projects saw this digest, and the paths of the
      first ten by name;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    At most `limit` tags, each with all of its digests, oldest first.
    Raises UsageError for a limit below 1.
    """
    return _DRIFT.ask(source, when, limit=at_least_one(limit))


@verb
def unpinned(
    source: Source | pd.DataFrame,
    *,
    split: Split = "registry",
    limit: int = 20,
    **when: Unpack[When],
) -> Asked:
    """Return one row for each group, those with the most uses without a digest first.

    * `registry`, `repository`, `project`, `role` or `runner` (text), as `split` says: the name of
      the group;
    * `uses` (int64): those whose image is a reference, the sum of the next four;
    * `pinned` (a digest is written), `tagged` (a tag that is not `latest`), `latest`, `untagged`
      (int64);
    * `unpinned_share` (float64): part of the uses without a digest, 0 to 1;
    * `floating_share` (float64): part of the uses with `latest` or without a tag;
    * `projects` (int64): distinct projects with a use without a digest;
    * `evidence` (text): address of a line with such a use, see `logminer.analysis`.

    Raises UsageError for an unknown `split` and for a limit below 1.
    """
    return _UNPINNED[known(split)].ask(source, when, limit=at_least_one(limit))
