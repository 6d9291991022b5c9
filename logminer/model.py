"""The values that pass between rooms: frozen, keyword-only, absence typed as None.

A vocabulary that GitLab owns (job status, failure reason, executor) stays a string, because a
server may add a word tomorrow; a vocabulary of ours is an enum.
All times are aware and in UTC.

What there is one of for each job or image is a structure of msgspec's, which makes, compares, reads
and writes it in C: as dataclasses, they were a tenth of mining. No reference leads from one back to
itself, so the garbage collector need not look.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What the job used the image for."""

    JOB = "job"
    """The image the job's script ran in."""
    SERVICE = "service"
    """A side container."""
    HELPER = "helper"
    """The runner's own image: clones, caches, uploads."""
    BUILD = "build"
    """A base image, a copied-from image or a frontend of a build in the script."""
    SCRIPT = "script"
    """Pulled or run by the script itself."""


class Origin(StrEnum):
    """Who printed the line."""

    RUNNER = "runner"
    SCRIPT = "script"


class Outcome(StrEnum):
    """What became of the image, weakest first: the strongest that the log shows wins."""

    DECLARED = "declared"
    """Named, nothing more known."""
    REJECTED = "rejected"
    """Not on the runner's list of allowed images."""
    FAILED = "failed"
    """Could not be obtained."""
    USED = "used"
    """Ran; the log does not say whether it was pulled."""
    PRESENT = "present"
    """Ran, taken from the local store."""
    PULLED = "pulled"
    """The registry was asked and the image obtained."""

    strength: int
    """Position in the order above; a higher one wins."""

    def __init__(self, _word: str) -> None:
        """Count the members before this one."""
        self.strength = len(type(self).__members__)


class ErrorKind(StrEnum):
    """Why an image could not be obtained; where several fit, the first in this order."""

    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    UNAUTHORIZED = "unauthorized"
    """No or wrong credentials (401)."""
    DENIED = "denied"
    """Known but refused (403, Docker's `pull access denied`)."""
    NETWORK = "network"
    TLS = "tls"
    SERVER = "server"
    """The registry failed (5xx)."""
    PLATFORM = "platform"
    """No manifest for this operating system and architecture."""
    OTHER = "other"


class TraceState(StrEnum):
    """What the server gave when the trace was asked for."""

    OK = "ok"
    EMPTY = "empty"
    """200 without a byte."""
    ERASED = "erased"
    """Somebody erased the log; the job says so."""
    MISSING = "missing"
    """404."""
    FORBIDDEN = "forbidden"
    """403."""
    FAILED = "failed"
    """It should have been readable and was not."""
    NOT_STARTED = "not_started"
    """The job ended without ever starting: no request is made."""


class Depth(StrEnum):
    """How much of a trace is read."""

    FULL = "full"
    PREPARE = "prepare"
    """Up to the end of the runner's preparation."""


FINAL_STATUSES = frozenset({"success", "failed", "canceled", "skipped"})
"""Job statuses that end a job (gitlab-api.md, section 5): every other one is open.

`skipped` alone may be left again: GitLab wakes the job, under the same id, when what it waited for
is retried.
"""


SETTLED = dt.timedelta(hours=2)
"""So long after its job's end a trace cannot grow any more: GitLab archives it two minutes later,
and an hourly sweep (`ci_archive_traces_cron_worker`) catches what that missed."""

MAX_TRACE_BYTES = 4 * 2**30
"""Unpacked size no trace has: GitLab's own limit is 100 MB. It bounds what gzip can unfold."""

PREPARE_STEP = 4_096
"""Bytes of a trace between two looks at whether the preparation is over: twice its usual length.

One for all who read with `Depth.PREPARE`: how many bytes are read beyond its end may show in rows.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What a list of projects says of the repository of one; None is what it does not say."""

    url: str | None = None
    """Address of the project's page."""
    branch: str | None = None
    """The default branch."""
    empty: bool = False
    size: int | None = None
    """Bytes that it takes on the server, with all its history."""
    config_path: str | None = None
    """Where the CI configuration lies, if not at the usual place."""
    image_prefix: str | None = None
    """Of images in the project's own container registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as the scope names it; the numeric id outlives renames and moves."""

    id: int
    path: str
    archived: bool = False
    ci_enabled: bool = True
    repository: Repository = field(default=Repository(), compare=False)
    """Not part of what a project is: it changes from night to night."""


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """One execution on a runner, as `GET /projects/:id/jobs` describes it."""

    project_id: int
    project_path: str
    pipeline_id: int | None
    id: int
    name: str
    stage: str
    ref: str | None
    ref_is_tag: bool
    status: str
    failure_reason: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    erased_at: dt.datetime | None
    queued_duration: float | None
    """Seconds."""
    duration: float | None
    """Seconds."""
    runner_id: int | None
    runner_description: str | None
    tag_list: tuple[str, ...]
    url: str | None
    trace_size: int | None
    """Bytes of the archived trace, where the job lists a `trace` artifact; else None."""
    pipeline_source: str | None = None
    """What started the pipeline, in GitLab's words (`push`, `schedule`, `parent_pipeline`, …).

    A server's word, so no enumeration; None where the server does not tell.
    """

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; one that was skipped may be woken later."""
        return self.status in FINAL_STATUSES

    @property
    def date(self) -> dt.date:
        """The partition: UTC day of `started_at`, else of `created_at`."""
        return (self.started_at or self.created_at).date()


class ImageUse(Struct, frozen=True, kw_only=True, gc=False):
    """One image that one job used, or tried to use, in one role.

    The meaning of every field stands in `logminer.store.schema`, once.
    """

    ordinal: int
    role: Role
    origin: Origin
    outcome: Outcome
    downloaded: bool | None
    pull_policy: str | None
    pull_attempts: int
    credentials: str | None
    platform: str | None
    error_kind: ErrorKind | None
    error_message: str | None
    seen_at: dt.datetime | None
    image: str
    registry: str | None
    repository: str | None
    tag: str | None
    digest: str | None
    image_id: str | None
    reference: str | None
    via: str | None
    upstream_registry: str | None
    upstream_repository: str | None
    rule: str
    section: str | None
    line: int
    offset: int


class TraceSummary(Struct, frozen=True, kw_only=True, gc=False):
    """What one trace says of itself, beside the images it names."""

    runner_version: str | None
    executor: str | None
    recognised: bool
    """Whether the preamble matched a known runner format."""
    truncated: bool
    """Whether the runner or the reader cut the log."""
    bytes: int
    lines: int
    cut_lines: int
    """Lines longer than the bound; what lies beyond it was not looked at."""

    @property
    def names_images(self) -> bool:
        """Whether its executor always names an image: with none, our grammar has a gap."""
        executor = self.executor or ""
        return executor == "kubernetes" or executor.startswith("docker")


class Harvested(Struct, frozen=True, kw_only=True, gc=False):
    """Everything one job contributes to the store: the unit of every transaction."""

    instance: str
    """Host (and port) of the GitLab server."""
    job: Job
    state: TraceState
    depth: Depth
    summary: TraceSummary | None
    """None where there was no trace to read."""
    uses: tuple[ImageUse, ...]
    extractor_version: str
    harvested_at: dt.datetime
    kept: bytes | None = None
    """The part of the trace from which it can be read again; None where nothing was kept."""


class DeclarationKind(StrEnum):
    """What kind of file declares the image."""

    CI = "ci"
    """GitLab CI configuration."""
    DOCKERFILE = "dockerfile"
    """A Dockerfile or Containerfile."""
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    KUSTOMIZE = "kustomize"
    HELM = "helm"


class DeclaredRole(StrEnum):
    """What the image is declared for; the first three mean what they mean in `Role`."""

    JOB = "job"
    SERVICE = "service"
    BUILD = "build"
    """A base image, a copied-from or mounted image or a frontend of a build."""
    WORKLOAD = "workload"
    """A container that is to run: of a pod, of Compose, of a chart."""


class Resolution(StrEnum):
    """Whether the declared image is known, and how."""

    LITERAL = "literal"
    """Written out: nothing to resolve."""
    RESOLVED = "resolved"
    """Every variable has one value by the files or by what is known of the project."""
    DEFAULT = "default"
    """Some part is a default, which whoever builds, installs or includes may override."""
    ALTERNATIVE = "alternative"
    """One of several values, each with a row of its own: rules decide."""
    UNRESOLVED = "unresolved"
    """Names something that only the run knows: `variables` says what."""
    UNRENDERED = "unrendered"
    """Stands in a template that only its tool renders."""
    UNREAD = "unread"
    """No image but a gap: what may declare images here was not read; `note` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One image that a file names in one place, or a gap where images may be named."""

    path: str
    """Of the file in the repository."""
    line: int | None
    """From 1; None where it is not known, as in configuration that the server merged."""
    kind: DeclarationKind
    name: str | None
    """Of the job (with its values of a matrix, as GitLab names it), the build stage (its number
    where it has none), the Compose service, the workload (`Deployment/web`) or the chart's value.
    """
    role: DeclaredRole | None
    """None for a gap."""
    image: str | None
    """As written; None for a gap."""
    resolved: str | None
    """What `image` says once its variables are replaced; None unless all are known."""
    resolution: Resolution
    variables: tuple[str, ...] = ()
    """Names that the image depends on, sorted; of an unresolved one, those that stayed unknown."""
    pull_policy: str | None = None
    """Declared pull policies in their order, separated by spaces."""
    platform: str | None = None
    note: str | None = None
    """One sentence for people: a gap's reason, or what the resolution rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a project declares on its default branch: the unit of an inventory."""

    instance: str
    """Host (and port) of the GitLab server."""
    project: Project
    commit: str | None
    """None where there is none: an empty repository."""
    taken_at: dt.datetime
    """By the server's clock."""
    declarations: tuple[Declaration, ...]
    tool_version: str
