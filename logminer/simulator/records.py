"""What a company's GitLab keeps of its projects, pipelines and jobs, and finds them by.

Sequences are replaced, never changed in place: the server's thread may be reading them.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logminer.simulator.life import Job, Pipeline
    from logminer.simulator.organisation import Project

_Thing = TypeVar("_Thing", "Job", "Pipeline")
_STEP = 3
"""Between two ids of pipelines or jobs that are added."""


class Records:
    """The projects, pipelines and jobs of one company."""

    def __init__(self, projects: Iterable[Project], pipelines: Iterable[Pipeline]) -> None:
        """Keep these; pipelines come with their jobs, all with their ids."""
        self._spent_pipeline = self._spent_job = 0
        self.projects = tuple(projects)
        self.pipelines = tuple(pipelines)
        self.jobs = tuple(
            sorted((job for pipeline in self.pipelines for job in pipeline.jobs), key=_id)
        )
        self.moved: dict[str, int] = {}
        """Ids by the paths that projects once had."""
        self._project: dict[str, Project] = {}
        self._job: dict[int, Job] = {}
        self._jobs_of: dict[int, list[Job]] = {}
        self._pipelines_of: dict[int, list[Pipeline]] = {}
        self._find_projects()
        self._find_jobs()

    def _find_projects(self) -> None:
        self._project = {project.path: project for project in self.projects} | {
            str(project.id): project for project in self.projects
        }

    def _find_jobs(self) -> None:
        self._job = {job.id: job for job in self.jobs}
        jobs_of: dict[int, list[Job]] = {}
        for job in self.jobs:
            jobs_of.setdefault(job.project.id, []).append(job)
        pipelines_of: dict[int, list[Pipeline]] = {}
        for pipeline in self.pipelines:
            pipelines_of.setdefault(pipeline.project.id, []).append(pipeline)
        self._jobs_of, self._pipelines_of = jobs_of, pipelines_of

    # -- finding ----------------------------------------------------------------------------

    def project(self, wanted: str) -> Project | None:
        """Return the project with this id or full path."""
        return self._project.get(wanted)

    def job(self, job_id: int) -> Job | None:
        """Return the job with this id."""
        return self._job.get(job_id)

    def jobs_of(self, project_id: int) -> list[Job]:
        """Return the project's jobs, ascending by id and creation."""
        return self._jobs_of.get(project_id, [])

    def pipelines_of(self, project_id: int) -> list[Pipeline]:
        """Return the project's pipelines, ascending by id and creation."""
        return self._pipelines_of.get(project_id, [])

    # -- changing ---------------------------------------------------------------------------

    def put(self, project: Project) -> None:
        """Add a project, or put it in the place of the one with its id."""
        before = self.project(str(project.id))
        if before is not None and before.path != project.path:
            self.moved[before.path] = project.id
        self.moved.pop(project.path, None)
        others = [each for each in self.projects if each.id != project.id]
        insort(others, project, key=_id)
        self.projects = tuple(others)
        self._find_projects()

    def remove_project(self, project: Project) -> None:
        """Forget a project and all that is in it."""
        self.projects = tuple(each for each in self.projects if each.id != project.id)
        self.moved = {path: each for path, each in self.moved.items() if each != project.id}
        self._find_projects()
        self._remove(self.pipelines_of(project.id))

    def remove_pipeline(self, pipeline: Pipeline) -> None:
        """Forget a pipeline and its jobs."""
        self._remove([pipeline])

    def _remove(self, pipelines: list[Pipeline]) -> None:
        gone = {pipeline.id for pipeline in pipelines}
        for pipeline in pipelines:  # no id is ever given twice
            self._spent_pipeline = max(self._spent_pipeline, pipeline.id)
            self._spent_job = max(self._spent_job, *(job.id for job in pipeline.jobs), 0)
        self.pipelines = tuple(each for each in self.pipelines if each.id not in gone)
        self.jobs = tuple(job for job in self.jobs if job.pipeline.id not in gone)
        self._find_jobs()

    def add_pipeline(self, pipeline: Pipeline, now: int) -> None:
        """Add a pipeline created now, with its jobs, and give all of them their ids."""
        earlier = self._make_room_among(self.pipelines, now, 1)
        last = earlier[-1].id if earlier else 0
        pipeline.id = max(last, self._spent_pipeline) + _STEP
        of_project = [each.iid for each in self.pipelines_of(pipeline.project.id)]
        pipeline.iid = max(of_project, default=0) + 1
        self.pipelines = (*earlier, pipeline, *self.pipelines[len(earlier) :])
        self.add_jobs(pipeline.jobs, now)

    def add_jobs(self, jobs: list[Job], now: int) -> None:
        """Add jobs created now and give them their ids; their pipeline holds them already."""
        earlier = self._make_room_among(self.jobs, now, len(jobs))
        first = max(earlier[-1].id if earlier else 0, self._spent_job)
        for number, job in enumerate(jobs, 1):
            job.id = first + number * _STEP
        self.jobs = (*earlier, *jobs, *self.jobs[len(earlier) :])
        self._find_jobs()

    @staticmethod
    def _make_room_among(things: tuple[_Thing, ...], now: int, count: int) -> tuple[_Thing, ...]:
        """Return what was created up to now; what is still to come, unseen so far, moves on."""
        earlier = tuple(thing for thing in things if thing.created <= now)
        for thing in things[len(earlier) :]:
            thing.id += count * _STEP
        return earlier


def _id(thing: Project | Job) -> int:
    return thing.id
