"""What a job's state asks for. Pure: no clock, no server (design.md, incremental rule)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from logminer.model import TraceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logminer.model import Job

SETTLED: Final = dt.timedelta(hours=2)
"""So long after its job's end a trace cannot grow any more: GitLab archives it two minutes later,
and an hourly sweep (`ci_archive_traces_cron_worker`) catches what that missed."""

OVERLAP: Final = dt.timedelta(minutes=10)
"""How far before the last look the next one begins: servers' clocks differ, transactions last."""


def state_without_asking(job: Job) -> TraceState | None:
    """Return the state of a trace that is known to be gone or never to have been; else None."""
    if job.erased_at is not None:
        return TraceState.ERASED
    if job.started_at is None:
        return TraceState.NOT_STARTED
    return None


def may_grow(job: Job, now: dt.datetime) -> bool:
    """Whether the trace of a job that has ended may still be growing at `now`, the server's time.

    It is complete once the job lists it as an artifact; some never come to that.
    """
    if job.trace_size is not None:
        return False
    end = job.finished_at or job.started_at or job.created_at
    return now - end < SETTLED


def wanted(
    jobs: Iterable[Job], *, since: dt.datetime | None, until: dt.datetime | None
) -> list[Job]:
    """Return the jobs created in [since, until)."""
    return [
        job
        for job in jobs
        if (since is None or job.created_at >= since) and (until is None or job.created_at < until)
    ]


def covers(covered: dt.datetime | None, asked: dt.datetime | None) -> bool:
    """Whether a listing back to `covered` reached back to `asked`, too; None is everything."""
    return covered is None or (asked is not None and covered <= asked)


def earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    """Return the bound that covers more; None is everything."""
    return None if one is None or other is None else min(one, other)
