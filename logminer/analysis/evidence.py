"""The way back from a figure to the lines in job logs that it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question, at_least_one, verb
from logminer.analysis.when import When

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Asked, Source

_ASKED = (
    *("instance", "project_path", "job_name", "registry", "repository", "tag", "digest"),
    *("via", "role", "outcome", "error_kind"),
)

_EVIDENCE = Question(
    table="images",
    columns=(*_ASKED, "project_id", "job_id", "ordinal", "image", "line"),
    optional=("job_url", "pipeline_source", "ref", "runner_description", "error_message"),
    sql=f"""
        SELECT
            moment AS seen,
            instance,
            project_path,
            job_id,
            job_name,
            pipeline_source,
            ref,
            runner_description,
            role,
            outcome,
            image,
            digest,
            via,
            error_kind,
            error_message,
            line,
            job_url || '#L' || line AS evidence
        FROM rows
        WHERE {" AND ".join(f"(${name}::TEXT IS NULL OR {name} = ${name})" for name in _ASKED)}
        ORDER BY moment DESC, instance, job_id DESC, ordinal
        LIMIT $limit
    """,  # noqa: S608 -- only constants of this module
)


class Filters(When, total=False):
    """What uses are looked for, beside the time: columns of `images`; None is any."""

    instance: str | None
    project_path: str | None
    job_name: str | None
    registry: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    via: str | None
    role: str | None
    outcome: str | None
    error_kind: str | None


@verb
def evidence(
    source: Source | pd.DataFrame, *, limit: int = 100, **filters: Unpack[Filters]
) -> Asked:
    """Return the uses behind a figure, newest first: `evidence(store, outcome="failed")`.

    Beside the time, takes columns of `images` and the value each must have (see `Filters`).

    * `seen` (datetime64, UTC): when the job was;
    * `instance`, `project_path` (text), `job_id` (int64), `job_name`, `pipeline_source`, `ref`,
      `runner_description`, `role`, `outcome`, `image`, `digest`, `via`, `error_kind`,
      `error_message` (text), `line` (int64): as in `images`;
    * `evidence` (text): address of the line in the job log.

    At most `limit` of them; raises UsageError for a limit below 1.
    """
    asked = {name: filters.pop(name, None) for name in _ASKED}  # type: ignore[misc]
    return _EVIDENCE.ask(source, filters, limit=at_least_one(limit), **asked)
