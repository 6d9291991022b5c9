"""Who depends on images that may disappear: for the day on which a registry announces it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from logminer.analysis.names import read_names, wanted
from logminer.analysis.source import Question, verb
from logminer.analysis.words import (
    EVIDENCE,
    FAILED,
    JOBS,
    LINKED,
    PULLS,
    SOURCE_REGISTRY,
    SOURCE_REPOSITORY,
    few,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from logminer.analysis.source import Asked, Source
    from logminer.analysis.when import When

_EXPOSURE = Question(
    table="images",
    columns=(
        *("instance", "project_id", "project_path", "job_id", "job_name", "role", "outcome"),
        *("registry", "repository", "tag", "digest"),
        *("via", "upstream_registry", "upstream_repository"),
    ),
    optional=(*LINKED, "pipeline_source"),
    sql=f"""
        , wanted AS (
            SELECT
                unnest($names::TEXT[]) AS name,
                unnest($registries::TEXT[]) AS registry,
                unnest($repositories::TEXT[]) AS repository,
                unnest($tags::TEXT[]) AS tag,
                unnest($digests::TEXT[]) AS digest
        ), known AS (
            -- Some hundreds of images, over and over: each is held against the names once.
            SELECT DISTINCT registry, repository, tag, upstream_registry, upstream_repository
            FROM rows
            WHERE repository IS NOT NULL
        ), matched AS (
            SELECT DISTINCT wanted.name, wanted.digest AS wanted_digest, known.*
            FROM known JOIN wanted
              ON ((lower(known.registry) LIKE wanted.registry ESCAPE '!'
                   AND known.repository LIKE wanted.repository ESCAPE '!')
                  OR (lower(known.upstream_registry) LIKE wanted.registry ESCAPE '!'
                      AND known.upstream_repository LIKE wanted.repository ESCAPE '!'))
             AND (wanted.tag IS NULL OR coalesce(known.tag, 'latest') LIKE wanted.tag ESCAPE '!')
        ), depending AS (
            SELECT
                rows.* REPLACE (
                    {SOURCE_REGISTRY} AS registry,
                    {SOURCE_REPOSITORY} AS repository,
                    coalesce(rows.tag, 'latest') AS tag
                ),
                matched.name
            FROM rows JOIN matched
              ON rows.registry = matched.registry
             AND rows.repository = matched.repository
             AND rows.tag IS NOT DISTINCT FROM matched.tag
             AND rows.upstream_registry IS NOT DISTINCT FROM matched.upstream_registry
             AND rows.upstream_repository IS NOT DISTINCT FROM matched.upstream_repository
             AND (matched.wanted_digest IS NULL OR rows.digest = matched.wanted_digest)
        )
        SELECT
            name,
            registry,
            repository,
            via,
            instance,
            project_id,
            arg_max(project_path, job_id) AS project_path,
            job_name,
            {few("role")} AS roles,
            {few("pipeline_source")} AS pipeline_sources,
            count(*) AS uses,
            count(*) FILTER (pipeline_source = 'schedule') AS scheduled_uses,
            {PULLS} AS pulls,
            {FAILED} AS failed,
            {JOBS} AS jobs,
            min(moment) AS first_seen,
            max(moment) AS last_seen,
            {few("tag")} AS tags,
            count(DISTINCT digest) AS digest_count,
            {few("digest")} AS digests,
            {EVIDENCE} AS evidence
        FROM depending
        GROUP BY name, registry, repository, via, instance, project_id, job_name
        ORDER BY
            list_position($names::TEXT[], name), uses DESC,
            registry, repository, via NULLS FIRST, instance, project_id, job_name
    """,  # noqa: S608 -- only constants of this package; names are parameters
)


@verb
def exposure(
    source: Source | pd.DataFrame, names: Iterable[str] | Path, **when: Unpack[When]
) -> Asked:
    """Return which jobs depend on images of these names: name by name, most uses first.

    A name is an organisation (`bitnami`), a repository, a registry or a pattern (`bitnami/*`,
    `docker.io/library/*`), with or without a tag: see `logminer.analysis.names`; a path is a file
    of them. An image that came through a proxy is known under its upstream name, too.
    One row for each name, image, way to it, and job of a project:

    * `name` (text): as given; a use that two names fit counts for both;
    * `registry`, `repository` (text): where the image truly comes from;
    * `via` (text): the proxy it came through, null if it was asked for directly;
    * `instance` (text), `project_id` (int64), `project_path` (text: the last one), `job_name`
      (text);
    * `roles`, `pipeline_sources` (text): what it was for, what started the pipelines (null where no
      server told);
    * `uses` (int64); `scheduled_uses` (int64): those in pipelines that a schedule started;
    * `pulls`, `failed`, `jobs` (int64);
    * `first_seen`, `last_seen` (datetime64, UTC);
    * `tags` (text), `digest_count` (int64), `digests` (text): what was used; of many the first ten
      by name, null where no log tells any;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.

    Raises UsageError for a text that can name no image and for a file that cannot be read.
    """
    ways = wanted(read_names(names) if isinstance(names, Path) else _listed(names))
    return _EXPOSURE.ask(
        source,
        when,
        names=[way.name for way in ways],
        registries=[way.registry for way in ways],
        repositories=[way.repository for way in ways],
        tags=[way.tag for way in ways],
        digests=[way.digest for way in ways],
    )


def _listed(names: Iterable[str]) -> Iterable[str]:
    """Return names as several, also where one text was given for them."""
    return [names] if isinstance(names, str) else names
