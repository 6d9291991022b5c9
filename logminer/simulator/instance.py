"""What a company's GitLab knows as of an instant: groups, projects, pipelines, jobs and their logs.

Logs are written when they are asked for.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from typing import TYPE_CHECKING

from logminer.simulator.life import first_ms
from logminer.simulator.narrate import enlarged, narrate
from logminer.simulator.plan import plan
from logminer.simulator.recipes import adoption
from logminer.simulator.records import Records
from logminer.simulator.repository import (
    Repository,
    is_closed,
    is_empty,
    lint_forbidden,
    repository,
)
from logminer.simulator.shelf import Shelf, Stock
from logminer.simulator.stacks import recipe
from logminer.simulator.truth import FINAL, Expected, is_settled, trace_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logminer.simulator.bulk import Body
    from logminer.simulator.declared import Declared
    from logminer.simulator.life import Job, Pipeline
    from logminer.simulator.organisation import Group, Organisation, Project
    from logminer.simulator.planted import Planted
    from logminer.simulator.recipes import Adoption, Story
    from logminer.simulator.shelf import Trace


class Instance:
    """A GitLab with a company in it; `now` is how far the company has lived.

    Jobs and pipelines that come after `now` are not shown by the server, jobs that are unfinished
    at it look so.
    """

    def __init__(  # noqa: PLR0913 -- what a company consists of
        self,
        *,
        seed: int,
        story: Story,
        organisation: Organisation,
        pipelines: list[Pipeline],
        end: int,
        median_trace_bytes: int,
        prerender: bool,
        files: int,
    ) -> None:
        """Hold this life up to `end`; with `prerender` jobs share a stock of ready logs."""
        self.seed = seed
        self.groups: tuple[Group, ...] = organisation.groups
        self._records = Records(organisation.projects, pipelines)
        self.end = dt.datetime.fromtimestamp(end / 1000, dt.UTC)
        """The last creation of a pipeline; jobs go on after it."""
        self.now: dt.datetime = self.end
        self.first_moment = first_ms(story.first_day)
        """Milliseconds since 1970."""
        self._story = story
        self._median = median_trace_bytes
        self._habits: dict[int, Adoption] = {}
        self._enlarged: dict[int, int] = {}
        self._shelf = Stock(self._write, self.jobs) if prerender else Shelf(self._write)
        self._files = files
        self._pushed: dict[int, dict[str, bytes | None]] = {}
        self._repositories: dict[int, tuple[int, Repository]] = {}
        """The last that was made for each project, with its day."""
        self.packed: dict[int, bytes] = {}
        """Archives, by project, that are not what they should be."""
        self.weights: dict[int, int] = {}
        """Sizes of repositories, by project, where the history is what weighs."""

    @property
    def now_ms(self) -> int:
        """`now` in milliseconds since 1970."""
        return int(self.now.timestamp() * 1000)

    @property
    def projects(self) -> tuple[Project, ...]:
        """The projects there are, ascending by id."""
        return self._records.projects

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The pipelines there are or will be, ascending by id."""
        return self._records.pipelines

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs there are or will be, ascending by id."""
        return self._records.jobs

    def project(self, wanted: str) -> Project | None:
        """Return the project with this id or full path."""
        return self._records.project(wanted)

    def moved_to(self, path: str) -> int | None:
        """Return the id of the project that had this path before it was renamed."""
        return self._records.moved.get(path)

    def job(self, job_id: int) -> Job | None:
        """Return the job with this id."""
        return self._records.job(job_id)

    def jobs_of(self, project_id: int) -> list[Job]:
        """Return the project's jobs created up to now, ascending by id."""
        jobs = self._records.jobs_of(project_id)
        return jobs[: bisect_right(jobs, self.now_ms, key=lambda job: job.created)]

    def pipelines_of(self, project_id: int) -> list[Pipeline]:
        """Return the project's pipelines created up to now, ascending by id."""
        pipelines = self._records.pipelines_of(project_id)
        return pipelines[: bisect_right(pipelines, self.now_ms, key=lambda each: each.created)]

    # -- traces -----------------------------------------------------------------------------

    def trace(self, job_id: int) -> bytes:
        """Return the bytes of the log as it stands now; empty where there is nothing (any more).

        Whether the token may read it is the server's matter.
        """
        body = self.log(job_id)
        return body if isinstance(body, bytes) else b"".join(body)

    def log(self, job_id: int, *, growing: bool = False) -> Body:
        """Return the log as `trace` does, but not in one piece where it is very large.

        A `growing` log is whole only once it is archived, else when the job has finished.
        """
        job = self._known(job_id)
        now = self.now_ms
        if job.started is None or now < job.started or job.log == "empty":
            return b""
        if job.erased is not None and now >= job.erased:
            return b""
        whole = self._whole(job)
        end = job.archived if growing else job.finished
        if end is not None and now < end:
            return whole[: len(whole) * (now - job.started) // (end - job.started)]
        return whole

    def trace_size(self, job_id: int) -> int:
        """Return the size of the finished log in bytes."""
        size = self._enlarged.get(job_id)
        if size is not None:
            return size
        return self._shelf.size(self._known(job_id))

    def enlarge(self, job_id: int, size: int) -> None:
        """Let the finished log of a job have that many bytes, made while they are read.

        The output of its script grows, the truth stays. ValueError if it is larger already or if
        the script never began.
        """
        job = self._known(job_id)
        enlarged(self._shelf.text(job), job, size)
        self._enlarged[job_id] = size

    def _whole(self, job: Job) -> Body:
        size = self._enlarged.get(job.id)
        return self._shelf.text(job) if size is None else enlarged(self._shelf.text(job), job, size)

    def planted(self, job_id: int) -> tuple[Planted, ...]:
        """Return the image uses that the job's log shows, in the order it names them.

        Empty where the server has no whole log to give: not started, unfinished, erased, missing,
        forbidden or empty.
        """
        job = self._known(job_id)
        now = self.now_ms
        gone = job.log in {"missing", "forbidden", "empty"} or (
            job.erased is not None and now >= job.erased
        )
        if gone or job.started is None or job.finished is None or now < job.finished:
            return ()
        return self._shelf.planted(job)

    def truth(self) -> dict[int, Expected]:
        """Return what a harvest of everything that a token can see now must hold, by job id.

        There is an entry for each job that has ended, is in a project whose jobs may be listed,
        and was not deleted.
        """
        now = self.now_ms
        found = {}
        for project in self.projects:
            if project.jobs_forbidden or not project.ci_enabled:
                continue
            for job in self.jobs_of(project.id):
                status = job.status_at(now)
                if status in FINAL:
                    found[job.id] = self._expected(job, status, now)
        return found

    # -- repositories -----------------------------------------------------------------------

    def repository(self, project_id: int) -> Repository | None:
        """Return what stands on the project's default branch now; None where it is empty."""
        project = self.project(str(project_id))
        if project is None:
            raise KeyError(f"no project has the id {project_id}")
        if self.is_empty(project):
            return None
        day = self.now.date().toordinal()
        made, found = self._repositories.get(project_id, (0, None))
        if found is None or made != day:
            found = repository(
                project,
                recipe(self.seed, project),
                self._adoption(project),
                day,
                self._files,
                self._pushed.get(project_id, {}),
            )
            self._repositories[project_id] = day, found
        return found

    def is_empty(self, project: Project) -> bool:
        """Return whether nobody ever pushed anything to the project."""
        return is_empty(project) and project.id not in self._pushed

    def declared(self, project_id: int) -> tuple[Declared, ...]:
        """Return what an inventory by the API must find in a project, in no order.

        Gaps are not among it: whoever reads the file of an invalid configuration says so.
        """
        project, found = self.project(str(project_id)), self.repository(project_id)
        if project is None or found is None or is_closed(project):
            return ()
        merged = found.configuration.merged is not None and not lint_forbidden(project)
        return (*found.declared, *(found.configuration.elsewhere if merged else ()))

    def push(self, project_id: int, files: Mapping[str, bytes | None]) -> None:
        """Change files on the default branch of a project; None removes one."""
        self._pushed.setdefault(project_id, {}).update(files)
        self._repositories.pop(project_id, None)

    def _expected(self, job: Job, status: str, now: int) -> Expected:
        state = trace_state(job, now)
        return Expected(
            job_id=job.id,
            project_id=job.project.id,
            pipeline_id=job.pipeline.id,
            status=status,
            trace_state=state,
            settled=is_settled(job, now, state),
            size=self.trace_size(job.id) if state == "ok" else 0,
            planted=self.planted(job.id),
        )

    def _write(self, job: Job) -> Trace:
        return narrate(plan(self.seed, job, self._adoption(job.project), self._story), self._median)

    def _adoption(self, project: Project) -> Adoption:
        habits = self._habits.get(project.id)
        if habits is None:
            habits = self._habits[project.id] = adoption(self.seed, project, self._story)
        return habits

    def _known(self, job_id: int) -> Job:
        job = self.job(job_id)
        if job is None:
            raise KeyError(f"no job has the id {job_id}")
        return job

    def _changed(self, job: Job) -> None:
        """Forget what was kept of a job that lives differently now."""
        self._shelf.forget(job)
        job.pipeline.note_moments()
