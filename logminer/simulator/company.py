"""A company and everything its GitLab knows, as of an instant.

    company = Company.generate(seed=1, today=date(2026, 11, 23), days=365, projects=300, jobs=4000)
    company.trace(job_id)       the bytes of the log
    company.planted(job_id)     the image uses those bytes show

Same arguments, same bytes, in every process. Traces are written when they are asked for.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from logminer.simulator.history import Historian
from logminer.simulator.life import Job, Pipeline, first_ms
from logminer.simulator.narrate import narrate
from logminer.simulator.organisation import Group, Organisation, Project, organise
from logminer.simulator.plan import plan
from logminer.simulator.recipes import Adoption, Story, adoption

if TYPE_CHECKING:
    from logminer.simulator.planted import Planted

_KEPT_TRACES = 16 * 2**20
"""Bytes of traces kept: a job list asks for sizes shortly before the traces are fetched."""
_HOURS_OF_TODAY = 12


class Company:
    """The company's groups, projects, pipelines and jobs; `now` is how far it has lived.

    Only `now` ever changes. Jobs and pipelines that come after it are not shown by the server, jobs
    that are unfinished at it look so.
    """

    def __init__(
        self,
        *,
        seed: int,
        story: Story,
        organisation: Organisation,
        pipelines: list[Pipeline],
        median_trace_bytes: int,
    ) -> None:
        """Take what `generate` has made."""
        self.seed = seed
        self.groups: tuple[Group, ...] = organisation.groups
        self.projects: tuple[Project, ...] = organisation.projects
        self.pipelines = tuple(pipelines)
        self.jobs: tuple[Job, ...] = tuple(
            sorted((job for pipeline in pipelines for job in pipeline.jobs), key=lambda job: job.id)
        )
        self.end = _moment(_end_of(story))
        """The last creation of a pipeline; jobs go on after it."""
        self.now: dt.datetime = self.end
        self.first_moment = first_ms(story.first_day)
        """Milliseconds since 1970."""
        self._story = story
        self._median = median_trace_bytes
        self._projects = {project.path: project for project in self.projects} | {
            str(project.id): project for project in self.projects
        }
        self._habits: dict[int, Adoption] = {}
        self._job = {job.id: job for job in self.jobs}
        self._jobs_of: dict[int, list[Job]] = {project.id: [] for project in self.projects}
        for job in self.jobs:
            self._jobs_of[job.project.id].append(job)
        self._pipelines_of: dict[int, list[Pipeline]] = {
            project.id: [] for project in self.projects
        }
        for pipeline in self.pipelines:
            self._pipelines_of[pipeline.project.id].append(pipeline)
        self._sizes: dict[int, int] = {}
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._keeping = Lock()  # a test may read traces beside the server's thread

    @classmethod
    def generate(  # noqa: PLR0913 -- six independent facts, each named by the caller
        cls,
        *,
        seed: int,
        today: dt.date,
        days: int,
        projects: int,
        jobs: int,
        median_trace_bytes: int = 5_000,
    ) -> Company:
        """Generate a company that lived `days` days up to noon (UTC) of `today`.

        It has exactly `projects` projects and `jobs` jobs.
        `median_trace_bytes` is the median size of the traces of jobs that reach their script.
        """
        story = Story(first_day=today.toordinal() - days, last_day=today.toordinal())
        organisation = organise(seed, projects)
        historian = Historian(
            seed=seed, projects=organisation.projects, story=story, end=_end_of(story)
        )
        return cls(
            seed=seed,
            story=story,
            organisation=organisation,
            pipelines=historian.write(jobs),
            median_trace_bytes=median_trace_bytes,
        )

    @property
    def now_ms(self) -> int:
        """`now` in milliseconds since 1970."""
        return int(self.now.timestamp() * 1000)

    def project(self, wanted: str) -> Project | None:
        """Return the project with this id or full path."""
        return self._projects.get(wanted)

    def job(self, job_id: int) -> Job | None:
        """Return the job with this id."""
        return self._job.get(job_id)

    def jobs_of(self, project_id: int) -> list[Job]:
        """Return the project's jobs created up to now, ascending by id."""
        jobs = self._jobs_of[project_id]
        return jobs[: bisect_right(jobs, self.now_ms, key=lambda job: job.created)]

    def pipelines_of(self, project_id: int) -> list[Pipeline]:
        """Return the project's pipelines created up to now, ascending by id."""
        pipelines = self._pipelines_of[project_id]
        return pipelines[: bisect_right(pipelines, self.now_ms, key=lambda each: each.created)]

    # -- traces -----------------------------------------------------------------------------

    def trace(self, job_id: int) -> bytes:
        """Return the bytes of the log as it stands now; empty where there is nothing (any more).

        Whether the token may read it is the server's matter.
        """
        job = self._job[job_id]
        now = self.now_ms
        if job.started is None or now < job.started or job.log == "empty":
            return b""
        if job.erased is not None and now >= job.erased:
            return b""
        whole = self._written(job)
        if job.finished is not None and now < job.finished:
            share = (now - job.started) / (job.finished - job.started)
            return whole[: int(len(whole) * share)]
        return whole

    def trace_size(self, job_id: int) -> int:
        """Return the size of the finished log in bytes."""
        size = self._sizes.get(job_id)
        return len(self._written(self._job[job_id])) if size is None else size

    def planted(self, job_id: int) -> tuple[Planted, ...]:
        """Return the image uses that the job's log shows, in the order it names them.

        Empty where the server has no whole log to give: not started, unfinished, erased, missing,
        forbidden or empty.
        """
        job = self._job[job_id]
        now = self.now_ms
        gone = job.log in {"missing", "forbidden", "empty"} or (
            job.erased is not None and now >= job.erased
        )
        if gone or job.started is None or job.finished is None or now < job.finished:
            return ()
        return self._narrate(job)[1]

    def _written(self, job: Job) -> bytes:
        with self._keeping:
            kept = self._kept.get(job.id)
            if kept is not None:
                return kept
        text = self._narrate(job)[0]
        with self._keeping:
            self._sizes[job.id] = len(text)
            if job.id not in self._kept:
                self._kept[job.id] = text
                self._kept_bytes += len(text)
            while self._kept_bytes > _KEPT_TRACES:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= len(dropped)
        return text

    def _narrate(self, job: Job) -> tuple[bytes, tuple[Planted, ...]]:
        habits = self._habits.get(job.project.id)
        if habits is None:
            habits = adoption(self.seed, job.project, self._story)
            self._habits[job.project.id] = habits
        return narrate(plan(self.seed, job, habits, self._story), self._median)


def _end_of(story: Story) -> int:
    return first_ms(story.last_day) + _HOURS_OF_TODAY * 3_600_000


def _moment(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
