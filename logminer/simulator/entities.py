"""The JSON of GitLab's API: projects, groups, pipelines and jobs as of an instant.

The job is shaped like the example in GitLab's documentation, with every field a harvester may meet:
`failure_reason` only on failed jobs, the `trace` artifact only once the log is archived.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from logminer.simulator.catalogue import OWN_REGISTRY
from logminer.simulator.fleet import Runner, revision
from logminer.simulator.repository import BRANCH

if TYPE_CHECKING:
    from logminer.simulator.company import Company
    from logminer.simulator.life import Job, Pipeline
    from logminer.simulator.organisation import Group, Project

Json = dict[str, Any]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ENDED = frozenset({"success", "failed", "canceled"})
"""`finished_at` is set on these; a skipped job has none."""


def timestamp(ms: int | None) -> str | None:
    """Return the moment as GitLab writes it: ISO 8601, milliseconds, `Z`."""
    return None if ms is None else _written(ms)


@lru_cache(maxsize=4096)
def _written(ms: int) -> str:
    """Write a moment; a page of jobs repeats those of its pipelines."""
    moment = _EPOCH + dt.timedelta(milliseconds=ms)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


class Entities:
    """Makes the JSON of one company's things; `base` is the URL the server is reached at."""

    def __init__(self, company: Company, base: str, *, archives: bool = True) -> None:
        """Describe this company under this URL (no trailing slash).

        With `archives` finished logs become artifacts.
        """
        self._archives = archives
        self._company = company
        self._base = base
        self._created = timestamp(company.first_moment)

    def project(self, project: Project, *, simple: bool = False, sizes: bool = False) -> Json:
        """Return a project; `simple` leaves out what GitLab's short form leaves out.

        With `sizes` it tells how large its repository is.
        """
        namespace, _, name = project.path.rpartition("/")
        body: Json = {
            "id": project.id,
            "description": None,
            "name": name,
            "name_with_namespace": project.path.replace("/", " / "),
            "path": name,
            "path_with_namespace": project.path,
            "created_at": self._created,
            "default_branch": BRANCH,
            "tag_list": [],
            "topics": [],
            "web_url": f"{self._base}/{project.path}",
            "last_activity_at": timestamp(self._company.now_ms),
            "visibility": "private",
            "namespace": {
                "id": project.group_id,
                "name": namespace.rpartition("/")[2],
                "path": namespace.rpartition("/")[2],
                "kind": "group",
                "full_path": namespace,
            },
        }
        if simple:
            return body
        enabled = project.ci_enabled
        body |= {
            "archived": project.archived,
            "empty_repo": self._company.is_empty(project),
            "container_registry_image_prefix": f"{OWN_REGISTRY}/{project.path}",
            "ci_config_path": "",
            "jobs_enabled": enabled,
            "builds_access_level": "enabled" if enabled else "disabled",
            "public_jobs": False,
            "shared_with_groups": [
                {
                    "group_id": group.id,
                    "group_name": group.path,
                    "group_full_path": group.path,
                    "group_access_level": 20,
                }
                for group in self._company.groups
                if group.id in project.shared_with
            ],
        }
        if sizes:
            body["statistics"] = self._statistics(project)
        return body

    def _statistics(self, project: Project) -> Json:
        """Return how large a project is: its history weighs more than its files."""
        found = self._company.repository(project.id)
        size = self._company.weights.get(project.id, 3 * found.size if found else 0)
        return {"commit_count": 1, "storage_size": size, "repository_size": size}

    def group(self, group: Group) -> Json:
        """Return a group."""
        name = group.path.rpartition("/")[2]
        return {
            "id": group.id,
            "web_url": f"{self._base}/groups/{group.path}",
            "name": name,
            "path": name,
            "description": "",
            "visibility": "private",
            "full_name": group.path.replace("/", " / "),
            "full_path": group.path,
            "parent_id": group.parent_id,
            "created_at": self._created,
        }

    def pipeline(self, pipeline: Pipeline, now: int) -> Json:
        """Return a pipeline as it stands at `now`."""
        return {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "project_id": pipeline.project.id,
            "sha": pipeline.sha,
            "ref": pipeline.ref,
            "status": pipeline.status_at(now),
            "source": pipeline.source,
            "created_at": timestamp(pipeline.created),
            "updated_at": timestamp(pipeline.updated_at(now)),
            "web_url": f"{self._base}/{self._path(pipeline.project)}/-/pipelines/{pipeline.id}",
        }

    def job(self, job: Job, now: int) -> Json:
        """Return a job as it stands at `now`."""
        status = job.status_at(now)
        started = job.started is not None and now >= job.started
        ended = status in _ENDED
        body: Json = {
            "id": job.id,
            "status": status,
            "stage": job.template.stage,
            "name": job.template.name,
            "ref": job.pipeline.ref,
            "tag": job.pipeline.is_tag,
            "coverage": None,
            "allow_failure": job.template.when == "manual",
            "created_at": timestamp(job.created),
            "started_at": timestamp(job.started) if started else None,
            "finished_at": timestamp(job.finished) if ended else None,
            "erased_at": timestamp(job.erased) if job.erased and now >= job.erased else None,
            "duration": self._duration(job, now) if started else None,
            "queued_duration": self._queued(job) if started else None,
            "user": self._user(),
            "commit": self._commit(job.pipeline),
            "pipeline": self.pipeline(job.pipeline, now),
        }
        if status == "failed":
            body["failure_reason"] = job.failure_reason
        body |= {
            "web_url": f"{self._base}/{self._path(job.project)}/-/jobs/{job.id}",
            "project": {"ci_job_token_scope_enabled": False},
        }
        artifacts = self._artifacts(job, now)
        if artifacts and artifacts[0]["file_type"] == "archive":
            body["artifacts_file"] = {"filename": "artifacts.zip", "size": artifacts[0]["size"]}
        body |= {
            "artifacts": artifacts,
            "runner": _runner(job.runner) if started else None,
            "runner_manager": _manager(job) if started else None,
            "artifacts_expire_at": None,
            "archived": False,
            "source": job.pipeline.source,
            "tag_list": list(job.runner.tags),
        }
        return body

    def _path(self, project: Project) -> str:
        """Return where the project is now: a job remembers where it was."""
        now = self._company.project(str(project.id))
        return project.path if now is None else now.path

    def _artifacts(self, job: Job, now: int) -> list[Json]:
        erased = job.erased is not None and now >= job.erased
        if erased or job.archived is None or now < job.archived:
            return []
        artifacts: list[Json] = []
        if job.template.stage == "build" and job.status == "success":
            artifacts += [
                {
                    "file_type": "archive",
                    "size": 1000 + job.id % 9973,
                    "filename": "artifacts.zip",
                    "file_format": "zip",
                },
                {
                    "file_type": "metadata",
                    "size": 186,
                    "filename": "metadata.gz",
                    "file_format": "gzip",
                },
            ]
        if self._archives and job.log in {"ok", "erased", "forbidden"}:
            artifacts.append(
                {
                    "file_type": "trace",
                    "size": self._company.trace_size(job.id),
                    "filename": "job.log",
                    "file_format": "raw",
                }
            )
        return artifacts

    @staticmethod
    def _duration(job: Job, now: int) -> float:
        end = now if job.finished is None else min(now, job.finished)
        return (end - (job.started or end)) / 1000

    @staticmethod
    def _queued(job: Job) -> float:
        return ((job.started or 0) - (job.queued or 0)) / 1000

    def _user(self) -> Json:
        return {
            "id": 1,
            "username": "ci-user",
            "name": "CI User",
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{self._base}/ci-user",
            "created_at": self._created,
            "bio": "",
            "location": None,
            "public_email": "",
            "linkedin": "",
            "twitter": "",
            "website_url": "",
            "organization": "",
        }

    @staticmethod
    def _commit(pipeline: Pipeline) -> Json:
        return {
            "id": pipeline.sha,
            "short_id": pipeline.sha[:8],
            "title": "Improve the pipeline.",
            "message": "Improve the pipeline.",
            "created_at": timestamp(pipeline.created),
            "author_name": "CI User",
            "author_email": "ci-user@example.com",
        }


def _runner(runner: Runner) -> Json:
    return {
        "id": runner.id,
        "description": runner.description,
        "ip_address": None,
        "active": True,
        "paused": False,
        "is_shared": True,
        "runner_type": "instance_type",
        "name": None,
        "online": True,
        "status": "online",
    }


def _manager(job: Job) -> Json:
    return {
        "id": job.runner.id,
        "system_id": job.runner.system_id,
        "version": ".".join(map(str, job.version)),
        "revision": revision(job.version),
        "platform": "windows" if job.runner.is_windows else "linux",
        "architecture": job.runner.architecture,
        "created_at": timestamp(job.started),
        "contacted_at": timestamp(job.started),
        "ip_address": "127.0.0.1",
        "status": "online",
    }
