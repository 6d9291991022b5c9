"""Which images could not be obtained, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.pulls import known_width
from logminer.analysis.source import Question, verb
from logminer.analysis.words import EVIDENCE, JOBS, LINKED

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.pulls import By
    from logminer.analysis.source import Asked, Source
    from logminer.analysis.when import When

_COLUMNS = ("instance", "job_id", "registry", "outcome", "error_kind")
_COUNTS = f"""
    count(*) FILTER (outcome = 'failed') AS failed,
    count(*) FILTER (outcome <> 'failed') AS rescued,
    {JOBS} AS jobs,
    {EVIDENCE} AS evidence
"""
_TROUBLED = """
    outcome = 'failed'
    OR (error_kind IS NOT NULL AND outcome IN ('used', 'present', 'pulled'))
"""

_FAILED_PULLS = Question(
    table="images",
    columns=_COLUMNS,
    optional=LINKED,
    sql=f"""
        SELECT registry, error_kind, {_COUNTS}
        FROM rows
        WHERE {_TROUBLED}
        GROUP BY registry, error_kind
        ORDER BY failed DESC, rescued DESC, registry NULLS LAST, error_kind NULLS LAST
    """,  # noqa: S608 -- only constants of this package
)

_OVER_TIME = Question(
    table="images",
    columns=_COLUMNS,
    optional=LINKED,
    sql=f"""
        SELECT date_trunc($by, moment) AS start, registry, error_kind, {_COUNTS}
        FROM rows
        WHERE {_TROUBLED}
        GROUP BY date_trunc($by, moment), registry, error_kind
        ORDER BY start, failed DESC, rescued DESC, registry NULLS LAST, error_kind NULLS LAST
    """,  # noqa: S608 -- only constants of this package
)


@verb
def failed_pulls(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row for each registry and kind of error, most failures first.

    * `registry` (text): null where the log does not tell;
    * `error_kind` (text): a word of `logminer.model.ErrorKind`, null where the log gives no cause;
    * `failed` (int64): uses whose image was not obtained;
    * `rescued` (int64): uses that met the error and got the image after all, by a second attempt
      or by the next pull policy;
    * `jobs` (int64): distinct jobs with either;
    * `evidence` (text): address of a line in a job log, see `logminer.analysis`.
    """
    return _FAILED_PULLS.ask(source, when)


@verb
def failed_pulls_over_time(
    source: Source | pd.DataFrame, *, by: By = "week", **when: Unpack[When]
) -> Asked:
    """Return the rows of `failed_pulls` for each day, week or month in which there are any.

    * `start` (datetime64, UTC): the first moment of the bucket; then the columns of `failed_pulls`.

    In order of time, and as `failed_pulls` orders them within a bucket.
    Raises UsageError for an unknown `by`.
    """
    return _OVER_TIME.ask(source, when, by=known_width(by))
