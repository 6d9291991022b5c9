"""What people do to jobs: play, retry, cancel, erase. Each changes the moments that lie ahead.

Pure: a job, the moment and what shall come of it. ValueError where GitLab would refuse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from logminer.simulator.life import MINUTE, SECOND, Job, day_of

if TYPE_CHECKING:
    from logminer.simulator.fleet import Runner
    from logminer.simulator.life import Pipeline
    from logminer.simulator.recipes import Story, Template

When = Literal["on_success", "manual", "delayed"]
End = Literal["success", "failed", "canceled"]
Log = Literal["ok", "missing", "forbidden", "empty"]

_QUEUE = 2 * SECOND
"""How long a job waits for its runner."""
_DELAY = 30 * MINUTE
"""Of a delayed job."""
_MISHAPS: dict[End, str] = {"success": "none", "failed": "script", "canceled": "canceled"}


def new_job(
    pipeline: Pipeline, template: Template, runner: Runner, now: int, *, when: When = "on_success"
) -> Job:
    """Return a job created now, which nobody has queued yet."""
    return Job(
        project=pipeline.project,
        pipeline=pipeline,
        template=replace(template, when=when),
        runner=runner,
        created=now,
        ready=now,
        queued=None,
        started=None,
        finished=None,
        waiting={"on_success": "created", "manual": "manual", "delayed": "scheduled"}[when],
        status="success",
    )


def begin(job: Job, now: int, *, seconds: float, status: End, story: Story) -> None:
    """Let a new job run as it is meant to: now, after its delay, or when somebody plays it."""
    if job.template.when == "on_success":
        run(job, now, seconds=seconds, status=status, story=story)
    elif job.template.when == "delayed":
        run(job, now + _DELAY, seconds=seconds, status=status, story=story)


def run(job: Job, queued: int, *, seconds: float, status: End, story: Story) -> None:
    """Let a job be queued at that moment, run so many seconds and end with that status."""
    job.queued = queued
    job.started = queued + _QUEUE
    job.finished = job.started + int(seconds * SECOND)
    job.version = job.runner.version_at(story.share(day_of(job.started)))
    job.status, job.mishap, job.log, job.erased = status, _MISHAPS[status], "ok", None


def play(job: Job, now: int, *, seconds: float, status: End, story: Story) -> None:
    """Press play on a manual or delayed job, or let a skipped one run after all: its id stays."""
    found = job.status_at(now)
    if found not in {"manual", "scheduled", "skipped"}:
        raise ValueError(f"job {job.id} is {found}: it cannot be played")
    job.ready = job.created if job.ready is None else job.ready
    run(job, now, seconds=seconds, status=status, story=story)


def cancel(job: Job, now: int) -> None:
    """Cancel a job that has not ended."""
    _unfinished(job, now)
    running = job.started is not None and job.started <= now
    if not running:
        job.started = None
        if job.queued is not None and job.queued > now:
            job.queued = None
    job.status, job.mishap = "canceled", "canceled" if running else "canceled_early"
    job.finished = now


def finish(job: Job, now: int, status: End) -> None:
    """Let a running job end now."""
    if job.status_at(now) != "running":
        raise ValueError(f"job {job.id} is {job.status_at(now)}: only a running one can finish")
    job.status, job.mishap, job.finished = status, _MISHAPS[status], now


def erase(job: Job, now: int) -> None:
    """Erase the log of a job that has ended."""
    if job.finished is None or job.finished > now:
        raise ValueError(f"job {job.id} is {job.status_at(now)}: its log cannot be erased")
    job.erased = now


def _unfinished(job: Job, now: int) -> None:
    if job.finished is not None and job.finished <= now:
        raise ValueError(f"job {job.id} has ended: {job.status_at(now)}")
