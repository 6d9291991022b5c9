"""The values of the company's history: a job and a pipeline with all their moments.

The whole life is written once (by `history`); what a server shows at some moment is read off it
(`Job.status_at`). So a manual job that is played weeks later exists from the start with its later
moments, and letting time pass needs no bookkeeping.
Times are milliseconds since 1970 in UTC: cheap to compare by the hundred thousand.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from logminer.simulator.failures import failure_reason

if TYPE_CHECKING:
    from logminer.simulator.fleet import Runner
    from logminer.simulator.organisation import Project
    from logminer.simulator.recipes import Template
    from logminer.simulator.writer import Version

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = dt.date(1970, 1, 1).toordinal()

NEVER_STARTED = frozenset({"stuck", "canceled_early"})
"""Mishaps of jobs that no runner took."""
IN_PREPARATION = frozenset(
    {"job_pull", "service_pull", "helper_pull", "rejected", "service_rejected", "system"}
)
"""Mishaps that end a job before its script begins."""


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One execution on a runner: all its moments, also those that lie ahead of `now`."""

    project: Project
    pipeline: Pipeline
    template: Template
    runner: Runner
    created: int
    ready: int | None
    """When the stages before it were done."""
    queued: int | None
    """When it became pending: at `ready`, or when somebody played it."""
    started: int | None
    finished: int | None
    waiting: str
    """The status between `ready` and `queued`."""
    status: str
    """The status at the end."""
    mishap: str = "none"
    failure_kind: str = "other"
    """Why an image could not be had, where the mishap is one of images."""
    log: str = "ok"
    erased: int | None = None
    retry: Job | None = None
    """The job that was created when somebody pressed retry."""
    id: int = 0
    version: Version = (0, 0, 0)
    """The runner's at the time."""

    @property
    def day(self) -> int:
        """The day of the start, else of the creation (proleptic ordinal, UTC)."""
        return day_of(self.created if self.started is None else self.started)

    def status_at(self, now: int) -> str:
        """Return the status a server shows at that moment."""
        if self.finished is not None and now >= self.finished:
            return self.status
        if self.started is not None and now >= self.started:
            return "running"
        if self.queued is not None and now >= self.queued:
            return "pending"
        if self.ready is not None and now >= self.ready:
            return self.waiting
        return "created"

    def retried_at(self, now: int) -> bool:
        """Return whether another job has taken this one's place."""
        return self.retry is not None and self.retry.created <= now

    @property
    def failure_reason(self) -> str | None:
        """GitLab's word for why the job failed; None for every other status."""
        if self.status != "failed":
            return None
        if self.mishap in {"job_pull", "service_pull", "helper_pull"}:
            return failure_reason(self.version, self.failure_kind)
        return _REASONS[self.mishap]

    @property
    def ran(self) -> bool:
        """Whether the script began."""
        return self.started is not None and self.mishap not in IN_PREPARATION

    @property
    def archived(self) -> int | None:
        """When the trace became an artifact: the sweep runs minutes after the end."""
        if self.finished is None or self.started is None:
            return None
        return self.finished + 2 * MINUTE + self.id % 7 * MINUTE


_REASONS = {
    "script": "script_failure",
    "script_pull": "script_failure",
    "rejected": "runner_system_failure",
    "service_rejected": "runner_system_failure",
    "system": "runner_system_failure",
    "timeout": "job_execution_timeout",
    "stuck": "stuck_or_timeout_failure",
}


@dataclass(slots=True, kw_only=True, eq=False)
class Pipeline:
    """A run of a project's CI configuration; a child pipeline has its parent's source recorded."""

    project: Project
    source: str
    ref: str
    is_tag: bool
    sha: str
    created: int
    jobs: list[Job] = field(default_factory=list)
    id: int = 0
    iid: int = 0
    moments: list[int] = field(default_factory=list)
    """When one of its jobs changed, ascending."""

    def note_moments(self) -> None:
        """Take the moments of its jobs anew: one of them lives differently than was written."""
        self.moments = sorted(
            moment
            for job in self.jobs
            for moment in (job.created, job.ready, job.queued, job.started, job.finished)
            if moment is not None
        )

    def updated_at(self, now: int) -> int:
        """Return the last change at that moment."""
        position = bisect_right(self.moments, now)
        return self.moments[position - 1] if position else self.created

    def status_at(self, now: int) -> str:
        """Return the status, the most urgent of its jobs'."""
        present = {
            job.status_at(now)
            for job in self.jobs
            if job.created <= now and not job.retried_at(now)
        }
        for status in _URGENCY:
            if status in present:
                return status
        return "success"


_URGENCY = (
    "running",
    "pending",
    "failed",
    "canceled",
    "created",
    "scheduled",
    "manual",
    "success",
    "skipped",
)


def day_of(ms: int) -> int:
    """Return the proleptic ordinal of the UTC day."""
    return ms // DAY + _EPOCH


def first_ms(day: int) -> int:
    """Return the first millisecond of the UTC day."""
    return (day - _EPOCH) * DAY
