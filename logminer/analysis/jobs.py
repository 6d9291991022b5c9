"""For how many jobs the store speaks, and what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question, verb
from logminer.analysis.words import JOBS

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Asked, Source
    from logminer.analysis.when import When

_OF_LOGS_READ = {
    "not_understood": "NOT recognised",
    "without_image": (
        "recognised AND images = 0 AND (executor = 'kubernetes' OR executor LIKE 'docker%')"
    ),
    "truncated": "truncated",
    "prepare_only": "depth = 'prepare'",
}
"""What may be wrong with a log that was read, and the SQL that says so."""

_UNREAD = ("empty", "erased", "missing", "forbidden", "failed", "not_started")
_COLUMNS = ("trace_state", "recognised", "executor", "truncated", "depth", "images")

_COUNTS = ", ".join(
    [
        *(f"count(*) FILTER (trace_state = '{state}') AS {state}" for state in _UNREAD),
        *(
            f"count(*) FILTER (trace_state = 'ok' AND {condition}) AS {name}"
            for name, condition in _OF_LOGS_READ.items()
        ),
    ]
)
_KINDS = (*_OF_LOGS_READ, *_UNREAD)
_VALUES = ", ".join(f"('{gap}')" for gap in _KINDS)
_HAS = " ".join(
    f"WHEN '{name}' THEN trace_state = 'ok' AND {condition}"
    for name, condition in _OF_LOGS_READ.items()
)

_COVERAGE = Question(
    table="jobs",
    columns=_COLUMNS,
    sql=f"""
        SELECT count(*) AS jobs, count(*) FILTER (trace_state = 'ok') AS read, {_COUNTS}
        FROM rows
    """,  # noqa: S608 -- only constants of this module
)

_GAPS = Question(
    table="jobs",
    columns=(*_COLUMNS, "instance", "job_id", "runner_version"),
    optional=("job_url",),
    sql=f"""
        SELECT
            gap,
            executor,
            runner_version,
            {JOBS} AS jobs,
            min(moment) AS first_seen,
            max(moment) AS last_seen,
            (max(row(job_id, job_url)) FILTER (job_url IS NOT NULL))[2] AS evidence
        FROM rows
        JOIN (VALUES {_VALUES}) AS kinds(gap)
          ON CASE gap {_HAS} ELSE trace_state = gap END
        GROUP BY gap, executor, runner_version
        ORDER BY
            list_position({list(_KINDS)}, gap),
            jobs DESC, executor NULLS LAST, runner_version NULLS LAST
    """,  # noqa: S608 -- only constants of this module
)


@verb
def coverage(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row that counts jobs by what became of their logs, all int64.

    * `jobs`: every job harvested; the sum of the next seven;
    * `read`, `empty` (200 without a byte), `erased`, `missing` (404), `forbidden` (403), `failed`
      (should have been readable and was not), `not_started` (ended without ever starting);
    * of the logs read: `not_understood` (the preamble matches no known runner format),
      `without_image` (understood, of an executor that always names an image, and yet none found:
      the runner's wording may have changed), `truncated` (cut by the runner or the
      reader), `prepare_only` (read up to the end of the runner's preparation).
    """
    return _COVERAGE.ask(source, when)


@verb
def gaps(source: Source | pd.DataFrame, **when: Unpack[When]) -> Asked:
    """Return one row for each reason why answers may be incomplete, executor and runner version.

    * `gap` (text): a column of `coverage` that counts it, the doubtful logs before the unread ones;
    * `executor`, `runner_version` (text): null where no log tells;
    * `jobs` (int64);
    * `first_seen`, `last_seen` (datetime64, UTC): when the first and the last of them was;
    * `evidence` (text): address of the newest of these jobs that has one.

    A log may be doubtful in two ways, and then counts in both.
    """
    return _GAPS.ask(source, when)
