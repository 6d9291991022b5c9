"""A company and everything its GitLab knows, as of an instant.

    company = Company.generate(seed=1, today=date(2026, 11, 23), days=365, projects=300, jobs=4000)
    company.trace(job_id)       the bytes of the log
    company.planted(job_id)     the image uses those bytes show
    company.truth()             what a harvest of it must hold now
    company.play(job_id)        people who press buttons: a test's part of the story

Same arguments and same buttons, same bytes, in every process.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from logminer.simulator import events
from logminer.simulator.dice import hex64
from logminer.simulator.fleet import FLEET
from logminer.simulator.history import Historian
from logminer.simulator.instance import Instance
from logminer.simulator.life import HOUR, Job, Pipeline, first_ms
from logminer.simulator.organisation import organise
from logminer.simulator.recipes import Story
from logminer.simulator.stacks import recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logminer.simulator.events import End, Log, When
    from logminer.simulator.organisation import Group, Project
    from logminer.simulator.recipes import Template

_HOURS_OF_TODAY = 12


class Company(Instance):
    """A company whose life is generated, and which may live on by hand."""

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
        untouched: int = 0,
        prerender: bool = False,
        files: int = 16,
    ) -> Company:
        """Generate a company that lived `days` days up to noon (UTC) of `today`.

        It has exactly `projects` projects and `jobs` jobs, and `untouched` manual jobs more that
        nobody will ever play.
        `median_trace_bytes` is the median size of the traces of jobs that reach their script.
        With `prerender` (for benchmarks) logs are ready as bytes, and many jobs share one.
        Each repository has so many `files`, or as many as it needs for what it declares.
        """
        story = Story(first_day=today.toordinal() - days, last_day=today.toordinal())
        organisation = organise(seed, projects)
        end = first_ms(story.last_day) + _HOURS_OF_TODAY * HOUR
        historian = Historian(seed=seed, projects=organisation.projects, story=story, end=end)
        return cls(
            seed=seed,
            story=story,
            organisation=organisation,
            pipelines=historian.write(jobs, untouched),
            end=end,
            median_trace_bytes=median_trace_bytes,
            prerender=prerender,
            files=files,
        )

    # -- life by hand -----------------------------------------------------------------------

    def live(self, seconds: float) -> None:
        """Live on by that time."""
        self.now += dt.timedelta(seconds=seconds)

    def create_pipeline(  # noqa: PLR0913 -- six independent facts, each with its usual value
        self,
        project_id: int,
        names: Sequence[str] | None = None,
        *,
        source: str = "push",
        ref: str = "main",
        when: When = "on_success",
        seconds: float = 60,
        status: End = "success",
    ) -> Pipeline:
        """Start a pipeline now, with jobs of these names of the project's; None: its first job.

        The jobs run at once, for so many seconds, and end with that status; manual ones wait to be
        played, delayed ones for half an hour.
        """
        project = self._project_of(project_id)
        templates = recipe(self.seed, project)
        chosen = templates[:1] if names is None else [_named(templates, name) for name in names]
        now = self.now_ms
        number = len(self._records.pipelines_of(project_id))
        pipeline = Pipeline(
            project=project,
            source=source,
            ref=ref,
            is_tag=False,
            sha=hex64("by hand", project_id, number)[:40],
            created=now,
        )
        for template in chosen:
            runners = [runner for runner in FLEET if template.tag in runner.tags]
            runner = runners[(number + len(pipeline.jobs)) % len(runners)]
            job = events.new_job(pipeline, template, runner, now, when=when)
            events.begin(job, now, seconds=seconds, status=status, story=self._story)
            pipeline.jobs.append(job)
        pipeline.note_moments()
        self._records.add_pipeline(pipeline, now)
        return pipeline

    def delete_pipeline(self, pipeline_id: int) -> None:
        """Delete a pipeline with its jobs and their logs, as an automatic cleanup does."""
        for pipeline in self.pipelines:
            if pipeline.id == pipeline_id:
                self._records.remove_pipeline(pipeline)
                return
        raise KeyError(f"no pipeline has the id {pipeline_id}")

    def play(self, job_id: int, *, seconds: float = 60, status: End = "success") -> None:
        """Press play on a manual, delayed or skipped job; it keeps its id."""
        job = self._known(job_id)
        events.play(job, self.now_ms, seconds=seconds, status=status, story=self._story)
        self._changed(job)

    def retry(self, job_id: int, *, seconds: float = 60, status: End = "success") -> Job:
        """Press retry on a job that has ended; returns the new one."""
        job, now = self._known(job_id), self.now_ms
        if job.finished is None or job.finished > now:
            raise ValueError(f"job {job_id} has not ended: it cannot be retried")
        again = events.new_job(job.pipeline, job.template, job.runner, now)
        events.run(again, now, seconds=seconds, status=status, story=self._story)
        job.retry = again
        job.pipeline.jobs.append(again)
        self._records.add_jobs([again], now)
        job.pipeline.note_moments()
        return again

    def cancel(self, job_id: int) -> None:
        """Cancel a job that has not ended."""
        job = self._known(job_id)
        events.cancel(job, self.now_ms)
        self._changed(job)

    def finish(self, job_id: int, status: End = "success") -> None:
        """Let a running job end now."""
        job = self._known(job_id)
        events.finish(job, self.now_ms, status)
        self._changed(job)

    def erase(self, job_id: int) -> None:
        """Erase the log of a job that has ended."""
        events.erase(self._known(job_id), self.now_ms)

    def lose(self, job_id: int, log: Log) -> None:
        """Let the log of a job be `missing` (404), `forbidden` (403), `empty` or, again, `ok`."""
        self._known(job_id).log = log

    def create_project(self, path: str) -> Project:
        """Found a project in the group its path names; KeyError if there is no such group."""
        parent = path.rpartition("/")[0]
        last = self.projects[-1]
        project = replace(
            last,
            id=last.id + 1,
            number=last.number + 1,
            path=path,
            group_id=self._group_of(parent).id,
            archived=False,
            ci_enabled=True,
            jobs_forbidden=False,
            shared_with=(),
        )
        self._records.put(project)
        return project

    def rename(self, project_id: int, path: str) -> None:
        """Give a project another full path, also in another group; the old one leads to it."""
        group = self._group_of(path.rpartition("/")[0])
        self._change(project_id, path=path, group_id=group.id)

    def archive(self, project_id: int, *, archived: bool = True) -> None:
        """Archive a project, or bring it back."""
        self._change(project_id, archived=archived)

    def forbid(self, project_id: int, *, forbidden: bool = True) -> None:
        """Hide the jobs of a project from the token's user, or show them."""
        self._change(project_id, jobs_forbidden=forbidden)

    def enable_ci(self, project_id: int, *, enabled: bool) -> None:
        """Switch a project's CI on or off."""
        self._change(project_id, ci_enabled=enabled)

    def share(self, project_id: int, group_path: str) -> None:
        """Share a project with a group."""
        with_groups = self._project_of(project_id).shared_with
        self._change(project_id, shared_with=(*with_groups, self._group_of(group_path).id))

    def delete_project(self, project_id: int) -> None:
        """Delete a project with all that is in it."""
        self._records.remove_project(self._project_of(project_id))

    def _change(self, project_id: int, **changes: Any) -> None:  # noqa: ANN401 -- fields of Project
        self._records.put(replace(self._project_of(project_id), **changes))

    def _project_of(self, project_id: int) -> Project:
        project = self.project(str(project_id))
        if project is None:
            raise KeyError(f"no project has the id {project_id}")
        return project

    def _group_of(self, path: str) -> Group:
        for group in self.groups:
            if group.path == path:
                return group
        raise KeyError(f"no group has the path {path}")


def _named(templates: Sequence[Template], name: str) -> Template:
    for template in templates:
        if template.name == name:
            return template
    raise ValueError(f"no job is named {name}, only {', '.join(each.name for each in templates)}")
