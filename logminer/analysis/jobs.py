"""For how many jobs the store speaks, and what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from logminer.analysis.source import Question

if TYPE_CHECKING:
    import pandas as pd

    from logminer.analysis.source import Source
    from logminer.analysis.when import When

_COVERAGE = Question(
    table="jobs",
    columns=("trace_state", "recognised", "executor", "truncated", "depth", "images"),
    sql="""
        SELECT
            count(*) AS jobs,
            count(*) FILTER (trace_state = 'ok') AS read,
            count(*) FILTER (trace_state = 'empty') AS empty,
            count(*) FILTER (trace_state = 'erased') AS erased,
            count(*) FILTER (trace_state = 'missing') AS missing,
            count(*) FILTER (trace_state = 'forbidden') AS forbidden,
            count(*) FILTER (trace_state = 'failed') AS failed,
            count(*) FILTER (trace_state = 'not_started') AS not_started,
            count(*) FILTER (trace_state = 'ok' AND NOT recognised) AS not_understood,
            count(*) FILTER (
                trace_state = 'ok' AND recognised AND images = 0
                AND (executor = 'kubernetes' OR executor LIKE 'docker%')
            ) AS without_image,
            count(*) FILTER (trace_state = 'ok' AND truncated) AS truncated,
            count(*) FILTER (trace_state = 'ok' AND depth = 'prepare') AS prepare_only
        FROM rows
    """,
)


def coverage(source: Source | pd.DataFrame, **when: Unpack[When]) -> pd.DataFrame:
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
