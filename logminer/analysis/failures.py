"""Which images could not be obtained, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Source
    from logminer.analysis.when import When

_FAILED_PULLS = Question(
    table="images",
    columns=("instance", "job_id", "registry", "outcome", "error_kind"),
    sql="""
        SELECT
            registry,
            error_kind,
            count(*) FILTER (outcome = 'failed') AS failed,
            count(*) FILTER (outcome <> 'failed') AS rescued,
            count(DISTINCT (instance, job_id)) AS jobs
        FROM rows
        WHERE outcome = 'failed'
           OR (error_kind IS NOT NULL AND outcome IN ('used', 'present', 'pulled'))
        GROUP BY registry, error_kind
        ORDER BY failed DESC, rescued DESC, registry NULLS LAST, error_kind NULLS LAST
    """,
)


def failed_pulls(source: Source | pd.DataFrame, **when: Unpack[When]) -> pd.DataFrame:
    """Return one row for each registry and kind of error, most failures first.

    * `registry` (text): null where the log does not tell;
    * `error_kind` (text): a word of `logminer.model.ErrorKind`, null where the log gives no cause;
    * `failed` (int64): uses whose image was not obtained;
    * `rescued` (int64): uses that met the error and got the image after all, by a second attempt
      or by the next pull policy;
    * `jobs` (int64): distinct jobs with either.
    """
    return _FAILED_PULLS.ask(source, when)
