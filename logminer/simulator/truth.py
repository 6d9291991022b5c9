"""What a harvest of a server must hold, job by job, as of an instant: for tests that compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logminer.simulator.life import HOUR

if TYPE_CHECKING:
    from logminer.simulator.life import Job
    from logminer.simulator.planted import Planted

FINAL = frozenset({"success", "failed", "canceled", "skipped"})
_PATIENCE = 2 * HOUR
"""After which a log that became no artifact is taken for whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must be known of one job that has ended."""

    job_id: int
    project_id: int
    pipeline_id: int
    status: str
    trace_state: str
    """The word of the `jobs` table: ok, empty, erased, missing, forbidden, not_started."""
    settled: bool
    """Whether the log can no longer grow; before, a harvest may wait for it."""
    size: int
    """Bytes of the log; 0 where there is none to have."""
    planted: tuple[Planted, ...]


def trace_state(job: Job, now: int) -> str:
    """Return what becomes of asking for the log of a job that has ended."""
    if job.started is None or job.status == "skipped":
        return "not_started"
    if job.erased is not None and now >= job.erased:
        return "erased"
    return job.log if job.log in {"missing", "forbidden", "empty"} else "ok"


def is_settled(job: Job, now: int, state: str) -> bool:
    """Return whether what is found of the log now is all there will ever be."""
    if state in {"not_started", "erased"} or job.finished is None:
        return True
    if state == "ok" and job.archived is not None and job.archived <= now:
        return True
    return job.finished + _PATIENCE <= now
