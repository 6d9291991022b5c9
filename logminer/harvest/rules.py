"""What a job's state asks for. Pure: no clock, no server (design.md, incremental rule)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from logminer.model import SETTLED, TraceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logminer.model import Job
    from logminer.store import WatchedJob

OVERLAP: Final = dt.timedelta(minutes=10)
"""How far before the last look the next one begins: servers' clocks differ, transactions last."""

CHILD: Final = "parent_pipeline"
"""The source of child pipelines, which GitLab lists only when asked for them."""

TURN_DAYS: Final = 7
"""So often a project's turn comes to have pipelines looked at that may have been deleted."""


def state_without_asking(job: Job) -> TraceState | None:
    """Return the state of a trace that is known to be gone or never to have been; else None."""
    if job.erased_at is not None:
        return TraceState.ERASED
    if job.started_at is None:
        return TraceState.NOT_STARTED
    return None


def may_grow(job: Job, now: dt.datetime) -> bool:
    """Whether the trace of a job that has ended may still be growing at `now`, the server's time.

    It is complete once the job lists it as an artifact; some never come to that. One that never
    was does not grow.
    """
    if job.trace_size is not None or state_without_asking(job) is not None:
        return False
    end = job.finished_at or job.started_at or job.created_at
    return now - end < SETTLED


def covers(covered: dt.datetime | None, asked: dt.datetime | None) -> bool:
    """Whether a listing back to `covered` reached back to `asked`, too; None is everything."""
    return covered is None or (asked is not None and covered <= asked)


def asks_for_children(watched: Iterable[WatchedJob]) -> bool:
    """Whether a job among these may belong to a child pipeline."""
    return any(job.pipeline_source in {None, CHILD} for job in watched)


def turn_between(project_id: int, last: dt.datetime | None, now: dt.datetime) -> int | None:
    """Return the number of the project's turn that came between two looks; None if none did.

    The turns of projects are spread over the days, those of one project are numbered on.
    """
    turn = _turn(project_id, now)
    return turn if last is not None and _turn(project_id, last) < turn else None


def _turn(project_id: int, moment: dt.datetime) -> int:
    return (moment.toordinal() + project_id) // TURN_DAYS
