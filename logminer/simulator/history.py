"""How the company's history is written: pipelines and jobs in a working week's rhythm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING

from logminer.simulator.dice import chance, dice
from logminer.simulator.failures import likely_kind
from logminer.simulator.fleet import FLEET, Runner
from logminer.simulator.life import (
    DAY,
    HOUR,
    IN_PREPARATION,
    MINUTE,
    NEVER_STARTED,
    SECOND,
    Job,
    Pipeline,
    day_of,
    first_ms,
)
from logminer.simulator.recipes import (
    FALLIBLE,
    STAGES,
    Adoption,
    Story,
    Template,
    adoption,
    as_of,
    is_gone,
    job_image,
)
from logminer.simulator.stacks import recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.simulator.organisation import Project

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

_MANUAL_JOBS = 10
"""In each of the pipelines that nobody touches."""
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
_LOGS = {"ok": 965, "erased": 12, "missing": 8, "forbidden": 8, "empty": 7}
"""What a thousand traces look like when asked for."""


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
        active = [project for project in projects if project.ci_enabled]
        self._configured = [
            _Configured(project, recipe(seed, project), adoption(seed, project, story))
            for project in active
        ]
        self._runners = {
            tag: _weighted([runner for runner in FLEET if tag in runner.tags])
            for tag in ("linux", "kubernetes", "arm64", "metal", "windows")
        }
        self._outcomes = _table(_OUTCOMES)
        self._logs = _table(_LOGS)

    def write(self, count: int, untouched: int = 0) -> list[Pipeline]:
        """Return pipelines with exactly `count` jobs, ids given in order of creation.

        `untouched` manual jobs come on top, in pipelines of their own; nobody ever plays them.
        """
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
        pipelines += self._waiting(untouched)
        _number(pipelines)
        for pipeline in pipelines:
            pipeline.note_moments()
        return pipelines

    def _waiting(self, count: int) -> Iterator[Pipeline]:
        """Return pipelines of manual jobs that wait for ever, `count` of them in all."""
        for first in range(0, count, _MANUAL_JOBS):
            configured = self._rng.choice(self._configured)
            pipeline = self._pipeline(configured.project, self._moment(), "web", "main")
            template = replace(configured.recipe[-1], when="manual")
            for number in range(first, min(count, first + _MANUAL_JOBS)):
                named = replace(template, name=f"{template.name} {number}")
                job = self._job(pipeline, named, pipeline.created)
                job.waiting, job.queued = "manual", None
                pipeline.jobs.append(job)
            yield pipeline

    # -- when -------------------------------------------------------------------------------

    def _moment(self) -> int:
        """Draw when a pipeline is created: working hours mostly, and some just now."""
        rng = self._rng
        if chance(rng, 0.012):
            return self._end - rng.randrange(25 * MINUTE)
        story = self._story
        while True:
            day = rng.randint(story.first_day, story.last_day)
            if rng.randrange(max(_DAY_WEIGHTS)) >= _DAY_WEIGHTS[(day - 1) % 7]:
                continue
            hour = rng.choices(range(24), _HOUR_WEIGHTS)[0]
            moment = first_ms(day) + hour * HOUR + rng.randrange(HOUR)
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
        pipeline = self._pipeline(project, created, source, ref)
        pipeline.is_tag = is_tag
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
            created=created + rng.randint(20, 90) * SECOND,
        )
        self._run(
            child, rng.sample(configured.recipe, min(2, len(configured.recipe))), configured.habits
        )
        return [pipeline, child]

    def _pipeline(self, project: Project, created: int, source: str, ref: str) -> Pipeline:
        return Pipeline(
            project=project,
            source=source,
            ref=ref,
            is_tag=False,
            sha=f"{self._rng.getrandbits(160):040x}",
            created=created,
        )

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
        queue = int(rng.expovariate(1 / 20)) * SECOND + rng.randint(400, 2_400)
        if mishap in NEVER_STARTED:
            job.finished = job.queued + (DAY if mishap == "stuck" else queue)
        else:
            job.started = job.queued + queue
            share = self._story.share(day_of(job.started))
            job.version = job.runner.version_at(share)
            mishap = self._image_mishap(job, mishap, habits)
            seconds = rng.randint(35, 70)
            if mishap not in IN_PREPARATION:
                seconds += int(rng.lognormvariate(4.6, 1.0))
            if mishap == "timeout":
                seconds = 3600
            job.finished = job.started + seconds * SECOND + rng.randrange(1_000)
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
            job.queued = ready + 30 * MINUTE
            return
        job.waiting = "manual"
        if chance(rng, 0.5):
            job.queued = None
        elif chance(rng, 0.6):
            job.queued = ready + int(rng.uniform(0.1, 30) * HOUR)
        else:
            job.queued = ready + int(rng.uniform(2, 35) * DAY)

    def _mishap(self, job: Job) -> str:
        names, weights = self._outcomes
        mishap = self._rng.choices(names, cum_weights=weights)[0]
        template = job.template
        possible = {
            "script_pull": bool(template.steps) and template.steps[-1].kind in FALLIBLE,
            "service_pull": bool(template.services),
            "service_rejected": bool(template.services) and not job.runner.is_kubernetes,
            "helper_pull": job.runner.is_kubernetes or job.runner.helper != "bundled",
            "job_pull": template.image is not None,
            "rejected": template.image is not None,
        }
        if not possible.get(mishap, True):
            return "none"
        if job.runner.is_bare and mishap in IN_PREPARATION - {"system"}:
            return "none"
        return mishap

    def _image_mishap(self, job: Job, mishap: str, habits: Adoption) -> str:
        """Return the mishap, in view of what the registries still have; choose the kind."""
        rng = self._rng
        template, group = job.template, job.project.top_group
        day = job.day
        image = job_image(template, habits, day, group)
        services = [as_of(service, habits, day, group) for service in template.services]
        if mishap in {"none", "script"} and not job.runner.is_bare and chance(rng, 0.6):
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
            job.erased = job.finished + self._rng.randrange(HOUR, 9 * DAY)

    def _retry(self, job: Job, habits: Adoption) -> Job:
        """Let somebody press retry after a failure, sometimes; return the last of the tries."""
        rng = self._rng
        if job.status != "failed" or job.finished is None or not chance(rng, 0.4):
            return job
        again = self._job(job.pipeline, job.template, job.finished)
        again.created = job.finished + rng.randint(1, 40) * MINUTE
        again.ready = again.queued = again.created
        job.retry = again
        job.pipeline.jobs.append(again)
        self._live(again, habits)
        return again


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
