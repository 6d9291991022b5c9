"""The company's history: pipelines and jobs with their times, in a working week's rhythm.

The whole life is written once; what a server shows at some moment is read off it (`Job.status_at`).
So a manual job that is played weeks later exists from the start with its later moments, and letting
time pass needs no bookkeeping. Times are milliseconds since 1970 in UTC: cheap to compare by the
hundred thousand.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING

from logminer.simulator.dice import chance, dice
from logminer.simulator.failures import failure_reason, likely_kind
from logminer.simulator.fleet import FLEET, Runner
from logminer.simulator.recipes import (
    STAGES,
    Adoption,
    Story,
    Template,
    adoption,
    as_of,
    is_gone,
    job_image,
    recipe,
)

if TYPE_CHECKING:
    from logminer.simulator.organisation import Project
    from logminer.simulator.writer import Version

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_EPOCH = dt.date(1970, 1, 1).toordinal()

_FIRST_PIPELINE_ID = 2_547_000_000
_FIRST_JOB_ID = 14_511_000_000
"""Beyond 31 bits, as on GitLab.com."""

_DAY_WEIGHTS = (10, 11, 11, 11, 8, 1, 1)
_HOUR_WEIGHTS = (1, 1, 5, 2, 1, 1, 3, 8, 14, 16, 15, 12, 10, 14, 16, 15, 12, 7, 4, 3, 2, 2, 1, 1)
_BRANCHES = (
    "cache-keys",
    "faster-start",
    "retry-uploads",
    "new-login",
    "metrics",
    "typing",
    "drop-legacy",
    "search-index",
    "renovate/all",
    "hotfix",
)

_OUTCOMES = {
    "none": 824,
    "script": 50,
    "script_pull": 36,
    "job_pull": 12,
    "service_pull": 24,
    "helper_pull": 3,
    "rejected": 5,
    "service_rejected": 3,
    "system": 4,
    "timeout": 3,
    "stuck": 4,
    "canceled_early": 10,
    "canceled": 22,
}
"""How many of a thousand jobs end how. Those that need a service or a build fall back to `none`."""
_NEVER_STARTED = frozenset({"stuck", "canceled_early"})
_IN_PREPARATION = frozenset(
    {"job_pull", "service_pull", "helper_pull", "rejected", "service_rejected", "system"}
)

_LOGS = {"ok": 965, "erased": 12, "missing": 8, "forbidden": 8, "empty": 7}
"""What a thousand traces look like when asked for."""


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
        return self.started is not None and self.mishap not in _IN_PREPARATION

    @property
    def archived(self) -> int | None:
        """When the trace became an artifact: the sweep runs minutes after the end."""
        if self.finished is None or self.started is None:
            return None
        return self.finished + 2 * _MINUTE + self.id % 7 * _MINUTE


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
    return ms // _DAY + _EPOCH


def first_ms(day: int) -> int:
    """Return the first millisecond of the UTC day."""
    return (day - _EPOCH) * _DAY


@dataclass(slots=True)
class _Configured:
    project: Project
    recipe: tuple[Template, ...]
    habits: Adoption


class Historian:
    """Writes the history of a company: one instance, one `write`."""

    def __init__(self, *, seed: int, projects: tuple[Project, ...], story: Story, end: int) -> None:
        """Prepare the history of these projects, up to pipelines created at `end`."""
        self._seed = seed
        self._story = story
        self._end = end
        self._rng = dice(seed, "history")
        active = [project for project in projects if project.runs_jobs]
        self._configured = [
            _Configured(project, recipe(seed, project), adoption(seed, project, story))
            for project in active
        ]
        self._runners = {
            tag: _weighted([runner for runner in FLEET if tag in runner_tags(runner)])
            for tag in ("linux", "kubernetes", "arm64", "metal")
        }
        self._outcomes = _table(_OUTCOMES)
        self._logs = _table(_LOGS)

    def write(self, count: int) -> list[Pipeline]:
        """Return pipelines with exactly `count` jobs, ids given in order of creation."""
        pipelines: list[Pipeline] = []
        weights = list(accumulate(each.project.weight for each in self._configured))
        written = 0
        while written < count:
            configured = self._rng.choices(self._configured, cum_weights=weights)[0]
            for pipeline in self._pipelines(configured, self._moment()):
                del pipeline.jobs[count - written :]
                if pipeline.jobs:
                    written += len(pipeline.jobs)
                    pipelines.append(pipeline)
        _number(pipelines)
        for pipeline in pipelines:
            pipeline.moments = sorted(
                moment
                for job in pipeline.jobs
                for moment in (job.created, job.ready, job.queued, job.started, job.finished)
                if moment is not None
            )
        return pipelines

    # -- when -------------------------------------------------------------------------------

    def _moment(self) -> int:
        """Draw when a pipeline is created: working hours mostly, and some just now."""
        rng = self._rng
        if chance(rng, 0.012):
            return self._end - rng.randrange(25 * _MINUTE)
        story = self._story
        while True:
            day = rng.randint(story.first_day, story.last_day)
            if rng.randrange(max(_DAY_WEIGHTS)) >= _DAY_WEIGHTS[(day - 1) % 7]:
                continue
            hour = rng.choices(range(24), _HOUR_WEIGHTS)[0]
            moment = first_ms(day) + hour * _HOUR + rng.randrange(_HOUR)
            if moment <= self._end:
                return moment

    # -- what -------------------------------------------------------------------------------

    def _pipelines(self, configured: _Configured, created: int) -> list[Pipeline]:
        rng = self._rng
        project = configured.project
        source = rng.choices(
            ("push", "merge_request_event", "schedule", "web", "trigger"), (50, 30, 12, 5, 3)
        )[0]
        is_tag = source == "push" and chance(rng, 0.12)
        if is_tag:
            ref = f"v{rng.randint(0, 4)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
        elif source == "merge_request_event":
            ref = f"refs/merge-requests/{rng.randint(1, 900)}/head"
        elif source == "push" and chance(rng, 0.5):
            ref = rng.choice(_BRANCHES)
        else:
            ref = "main"
        pipeline = Pipeline(
            project=project,
            source=source,
            ref=ref,
            is_tag=is_tag,
            sha=f"{rng.getrandbits(160):040x}",
            created=created,
        )
        templates = [each for each in configured.recipe if rng.random() < each.share]
        self._run(pipeline, templates or list(configured.recipe[:1]), configured.habits)
        if not chance(rng, 0.08):
            return [pipeline]
        child = Pipeline(
            project=project,
            source="parent_pipeline",
            ref=ref,
            is_tag=is_tag,
            sha=pipeline.sha,
            created=created + rng.randint(20, 90) * _SECOND,
        )
        self._run(
            child, rng.sample(configured.recipe, min(2, len(configured.recipe))), configured.habits
        )
        return [pipeline, child]

    def _run(self, pipeline: Pipeline, templates: list[Template], habits: Adoption) -> None:
        """Let the stages follow each other; after a failure the rest is skipped."""
        ready = pipeline.created + self._rng.randint(200, 2_500)
        broken = False
        for stage in STAGES:
            done = ready
            for template in templates:
                if template.stage != stage:
                    continue
                job = self._job(pipeline, template, ready)
                pipeline.jobs.append(job)
                if broken:
                    _skip(job, ready)
                    continue
                if template.when != "on_success":
                    self._postpone(job)
                self._live(job, habits)
                last = self._retry(job, habits)
                broken |= last.status in {"failed", "canceled"}
                if last.finished is not None and template.when == "on_success":
                    done = max(done, last.finished)
            ready = done + self._rng.randint(100, 1_500)

    def _job(self, pipeline: Pipeline, template: Template, ready: int) -> Job:
        runners, weights = self._runners[template.tag]
        return Job(
            project=pipeline.project,
            pipeline=pipeline,
            template=template,
            runner=self._rng.choices(runners, cum_weights=weights)[0],
            created=pipeline.created + self._rng.randint(50, 180),
            ready=ready,
            queued=ready,
            started=None,
            finished=None,
            waiting="created",
            status="success",
        )

    def _live(self, job: Job, habits: Adoption) -> None:
        """Draw the moments and the end of a job that is queued; another one waits for ever."""
        rng = self._rng
        if job.queued is None:
            return
        mishap = self._mishap(job)
        queue = int(rng.expovariate(1 / 20)) * _SECOND + rng.randint(400, 2_400)
        if mishap in _NEVER_STARTED:
            job.finished = job.queued + (_DAY if mishap == "stuck" else queue)
        else:
            job.started = job.queued + queue
            share = self._story.share(day_of(job.started))
            job.version = job.runner.version_at(share)
            mishap = self._image_mishap(job, mishap, habits)
            seconds = rng.randint(35, 70)
            if mishap not in _IN_PREPARATION:
                seconds += int(rng.lognormvariate(4.6, 1.0))
            if mishap == "timeout":
                seconds = 3600
            job.finished = job.started + seconds * _SECOND + rng.randrange(1_000)
            self._choose_log(job)
        job.mishap = mishap
        if mishap.startswith("canceled"):
            job.status = "canceled"
        elif mishap != "none":
            job.status = "failed"

    def _postpone(self, job: Job) -> None:
        rng = self._rng
        ready = job.created if job.ready is None else job.ready
        if job.template.when == "delayed":
            job.waiting = "scheduled"
            job.queued = ready + 30 * _MINUTE
            return
        job.waiting = "manual"
        if chance(rng, 0.5):
            job.queued = None
        elif chance(rng, 0.6):
            job.queued = ready + int(rng.uniform(0.1, 30) * _HOUR)
        else:
            job.queued = ready + int(rng.uniform(2, 35) * _DAY)

    def _mishap(self, job: Job) -> str:
        names, weights = self._outcomes
        mishap = self._rng.choices(names, cum_weights=weights)[0]
        template = job.template
        possible = {
            "script_pull": bool(template.steps),
            "service_pull": bool(template.services),
            "service_rejected": bool(template.services) and not job.runner.is_kubernetes,
            "helper_pull": job.runner.is_kubernetes or job.runner.helper != "bundled",
            "job_pull": template.image is not None,
            "rejected": template.image is not None,
        }
        if not possible.get(mishap, True):
            return "none"
        if job.runner.is_shell and mishap in _IN_PREPARATION - {"system"}:
            return "none"
        return mishap

    def _image_mishap(self, job: Job, mishap: str, habits: Adoption) -> str:
        """Return the mishap, in view of what the registries still have; choose the kind."""
        rng = self._rng
        template, group = job.template, job.project.top_group
        day = job.day
        image = job_image(template, habits, day, group)
        services = [as_of(service, habits, day, group) for service in template.services]
        if mishap in {"none", "script"} and not job.runner.is_shell and chance(rng, 0.6):
            if image is not None and image.digest is None and is_gone(image, day, self._story):
                job.failure_kind = "not_found"
                return "job_pull"
            if any(is_gone(service, day, self._story) for service in services):
                job.failure_kind = "not_found"
                return "service_pull"
        if mishap == "job_pull" and image is not None:
            job.failure_kind = likely_kind(rng, image)
        elif mishap == "service_pull":
            job.failure_kind = likely_kind(rng, services[-1])
        elif mishap == "helper_pull":
            job.failure_kind = rng.choice(("network", "unauthorized", "rate_limited"))
        elif mishap == "script_pull":
            kinds = ["denied", "not_found"]
            if template.steps[-1].kind != "pull":  # whose other errors do not name the image
                kinds += ["rate_limited", "unauthorized"]
            job.failure_kind = rng.choice(kinds)
        return mishap

    def _choose_log(self, job: Job) -> None:
        names, weights = self._logs
        job.log = self._rng.choices(names, cum_weights=weights)[0]
        if job.log == "erased" and job.finished is not None:
            job.erased = job.finished + self._rng.randrange(_HOUR, 9 * _DAY)

    def _retry(self, job: Job, habits: Adoption) -> Job:
        """Let somebody press retry after a failure, sometimes; return the last of the tries."""
        rng = self._rng
        if job.status != "failed" or job.finished is None or not chance(rng, 0.4):
            return job
        again = self._job(job.pipeline, job.template, job.finished)
        again.created = job.finished + rng.randint(1, 40) * _MINUTE
        again.ready = again.queued = again.created
        job.retry = again
        job.pipeline.jobs.append(again)
        self._live(again, habits)
        return again


def runner_tags(runner: Runner) -> tuple[str, ...]:
    """Return the tags of the jobs a runner takes."""
    if runner.is_shell:
        return ("metal", "shell")
    if runner.architecture == "arm64":
        return ("arm64", "docker")
    return ("kubernetes", "linux") if runner.is_kubernetes else ("docker", "linux")


def _skip(job: Job, at: int) -> None:
    job.status = "skipped"
    job.ready = job.queued = None
    job.finished = at


def _weighted(runners: list[Runner]) -> tuple[list[Runner], list[int]]:
    return runners, list(accumulate(runner.weight for runner in runners))


def _table(weights: dict[str, int]) -> tuple[list[str], list[int]]:
    return list(weights), list(accumulate(weights.values()))


def _number(pipelines: list[Pipeline]) -> None:
    """Give ids in the order of creation over the whole instance, with gaps."""
    pipelines.sort(key=lambda pipeline: pipeline.created)
    iids: dict[int, int] = {}
    for position, pipeline in enumerate(pipelines):
        pipeline.id = _FIRST_PIPELINE_ID + position * 7 + pipeline.created % 7
        pipeline.iid = iids[pipeline.project.id] = iids.get(pipeline.project.id, 0) + 1
    jobs = [job for pipeline in pipelines for job in pipeline.jobs]
    order = sorted(
        ((job.created, position) for position, job in enumerate(jobs)), key=itemgetter(0)
    )
    for rank, (created, position) in enumerate(order):
        jobs[position].id = _FIRST_JOB_ID + rank * 3 + created % 3
