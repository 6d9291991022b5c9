"""A list of jobs, as the bytes that came, into jobs. Pure.

A first harvest lists as many jobs as it reads. So an ordinary list is read by its types: the fields
that are wanted, and nothing of the hundred others, in a third of the time. One in which anything
does not fit is read as JSON of any shape, and row by row: `protocol` says what became of each.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from logminer.gitlab import protocol
from logminer.gitlab.protocol import MAX_ID
from logminer.model import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logminer.gitlab.protocol import SkippedJob
    from logminer.model import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """What a list says, in its order."""

    jobs: tuple[Job, ...]
    skipped: tuple[SkippedJob, ...]
    """Rows that could not be understood."""
    ids: list[int]
    """Of all rows that have a usable one."""


def decode(what: str, headers: Mapping[str, str], body: bytes, project: Project) -> object:
    """Return what `listed` takes: the value of an answer that is to be a list of jobs.

    Raises as `protocol.decode` does; where a field that nobody reads is no text or no number, it
    does not matter.
    """
    protocol.check_body(what, body)
    try:
        rows = _ROWS.decode(body)
        jobs = tuple([row.job(project) for row in rows])
    except (ValueError, OverflowError, RecursionError):
        return protocol.decode(what, headers, body)
    return JobList(jobs=jobs, skipped=(), ids=[row.id for row in rows])


def listed(what: str, data: object, project: Project) -> JobList:
    """Return what a list says, as `decode` gave it; raises NotGitLabError where it is none."""
    if isinstance(data, JobList):
        return data
    jobs, skipped = protocol.parse_jobs(what, data, project)
    return JobList(jobs=jobs, skipped=skipped, ids=protocol.row_ids(data))


_Id = Annotated[int, msgspec.Meta(gt=0, le=MAX_ID)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]


class _Runner(msgspec.Struct):
    """Who ran it."""

    id: _Id | None = None
    description: str | None = None


class _Pipeline(msgspec.Struct):
    """Where it belongs."""

    id: _Id | None = None
    source: str | None = None


class _Artifact(msgspec.Struct):
    """One of its files."""

    file_type: str | None = None
    size: _Size | None = None


class _Row(msgspec.Struct):
    """A job, as far as it is read (gitlab-api.md, section 4); older servers lack some keys."""

    id: _Id
    name: str
    stage: str
    status: str
    created_at: str
    ref: str | None = None
    tag: bool | None = None
    failure_reason: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    erased_at: str | None = None
    queued_duration: float | None = None
    duration: float | None = None
    web_url: str | None = None
    runner: _Runner | None = None
    pipeline: _Pipeline | None = None
    tag_list: list[str] | None = None
    artifacts: list[_Artifact] | None = None

    def job(self, project: Project) -> Job:
        """Return the job; raises ValueError or OverflowError where a value is none."""
        runner, pipeline = self.runner or _NO_RUNNER, self.pipeline or _NO_PIPELINE
        return Job(
            project_id=project.id,
            project_path=project.path,
            pipeline_id=pipeline.id,
            id=self.id,
            name=self.name,
            stage=self.stage,
            ref=self.ref,
            ref_is_tag=self.tag or False,
            status=self.status,
            failure_reason=self.failure_reason,
            created_at=_time(self.created_at),
            started_at=_time(self.started_at) if self.started_at is not None else None,
            finished_at=_time(self.finished_at) if self.finished_at is not None else None,
            erased_at=_time(self.erased_at) if self.erased_at is not None else None,
            queued_duration=_finite(self.queued_duration),
            duration=_finite(self.duration),
            runner_id=runner.id,
            runner_description=runner.description,
            tag_list=tuple(self.tag_list or ()),
            url=self.web_url,
            trace_size=next(
                (each.size for each in self.artifacts or () if each.file_type == "trace"), None
            ),
            pipeline_source=pipeline.source,
        )


_NO_RUNNER: Final = _Runner()
_NO_PIPELINE: Final = _Pipeline()
_ROWS: Final = msgspec.json.Decoder(list[_Row])


def _time(text: str) -> dt.datetime:
    """Return a time in UTC; raises ValueError where it has no offset, or is none."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(dt.UTC)


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise ValueError("not finite")
    return seconds
