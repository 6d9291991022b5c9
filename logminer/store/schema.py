"""The data dictionary: every column of every table, its type and its meaning, once.

The Parquet files, the empty frames, `logminer schema` and the README are all made from here, and
`rows` fills all of it, so that a column cannot be documented and forgotten or filled and never
explained.
Columns are complete from day one: a later release may append some and raises SCHEMA_VERSION.

Vocabularies of ours (role, outcome, …) are stored as plain strings, so that every reader shows them
as words. Every whole number is an int64: GitLab's ids exceed 2^31, and one integer type joins with
itself everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from logminer.model import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

Table: TypeAlias = Literal["images", "jobs", "preambles", "declared"]
Row: TypeAlias = dict[str, object]

SCHEMA_VERSION: Final = 2
"""Stands in the metadata of every file; raised when a column is added or changes its meaning."""

PARTITION: Final = "date"
"""The column that readers see and no file holds: it is the name of the file's directory."""

EMPTY: Final = "empty"
"""The resolution in the one row of a project that declares nothing."""

_INT: Final = "int64"
_TEXT: Final = "string"
_BOOL: Final = "bool"
_SECONDS: Final = "double"
_TIME: Final = "timestamp[us, tz=UTC]"
_DAY: Final = "date32[day]"
_BYTES: Final = "binary"
_TEXTS: Final = "list<item: string>"
"""Types, as Arrow writes them: whoever only asks which columns there are need not wait for it."""


@cache
def _types() -> dict[str, pa.DataType]:
    """Return the types by these names."""
    import pyarrow as pa  # noqa: PLC0415 -- heavy: a report over plain files does without

    return {
        _INT: pa.int64(),
        _TEXT: pa.string(),
        _BOOL: pa.bool_(),
        _SECONDS: pa.float64(),
        _TIME: pa.timestamp("us", tz="UTC"),
        _DAY: pa.date32(),
        _BYTES: pa.binary(),
        _TEXTS: pa.list_(pa.string()),
    }


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; positional, because the tables below are read as tables."""

    name: str
    type: str
    group: str
    """Which part of the story it belongs to: job, trace, use, declaration, image, evidence, …."""
    meaning: str
    """For a reader who never saw GitLab's API: unit, vocabulary, and what null says."""
    nullable: bool = True

    @property
    def field(self) -> pa.Field:
        """The column as Arrow declares it, with its group and meaning as metadata."""
        import pyarrow as pa  # noqa: PLC0415 -- heavy, see above

        metadata = {"group": self.group, "meaning": self.meaning}
        return pa.field(self.name, _types()[self.type], nullable=self.nullable, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the data dictionary as people read it."""

    table: Table
    group: str
    column: str
    type: str
    nullable: bool
    meaning: str


_JOB = (
    Column("instance", _TEXT, "job", "Host (and port) of the GitLab server.", nullable=False),
    Column(
        "project_id",
        _INT,
        "job",
        "Numeric id of the project; outlives renames and moves.",
        nullable=False,
    ),
    Column(
        "project_path",
        _TEXT,
        "job",
        "Full path of the project (group/subgroup/name) when the job was harvested; its id where "
        "only the job's log was mined.",
        nullable=False,
    ),
    Column(
        "pipeline_id", _INT, "job", "Numeric id of the pipeline; null if the server named none."
    ),
    Column(
        "pipeline_source",
        _TEXT,
        "job",
        "What started the pipeline, in GitLab's words: push, schedule, parent_pipeline and others; "
        "null if the server did not tell. Since schema version 2.",
    ),
    Column(
        "job_id",
        _INT,
        "job",
        "Numeric id of the job, unique in an instance; a retried job is a new job.",
        nullable=False,
    ),
    Column(
        "job_name",
        _TEXT,
        "job",
        "Name of the job in .gitlab-ci.yml; empty where only its log was mined.",
        nullable=False,
    ),
    Column(
        "stage",
        _TEXT,
        "job",
        "Stage of the pipeline that the job ran in; empty where only its log was mined.",
        nullable=False,
    ),
    Column(
        "ref",
        _TEXT,
        "job",
        "Branch, tag or merge request reference that the job ran for; null if the server named "
        "none.",
    ),
    Column(
        "ref_is_tag", _BOOL, "job", "Whether ref is a git tag rather than a branch.", nullable=False
    ),
    Column(
        "job_status",
        _TEXT,
        "job",
        "How the job ended, in GitLab's words: success, failed, canceled or skipped; unknown where "
        "only its log was mined.",
        nullable=False,
    ),
    Column(
        "failure_reason",
        _TEXT,
        "job",
        "Why the job failed, in GitLab's words (script_failure, runner_system_failure, …; newer "
        "servers add words); null if it did not fail. GitLab has no word of its own for an image "
        "that could not be pulled: see error_kind in images.",
    ),
    Column(
        "created_at",
        _TIME,
        "job",
        "When the job was created, UTC, by the server's clock; where only its log was mined, the "
        "day on which that was archived.",
        nullable=False,
    ),
    Column(
        "started_at",
        _TIME,
        "job",
        "When a runner began the job, UTC, by the server's clock; null if it never started.",
    ),
    Column(
        "finished_at",
        _TIME,
        "job",
        "When the job ended, UTC, by the server's clock; null if the server names no end.",
    ),
    Column(
        "runner_id",
        _INT,
        "job",
        "Numeric id of the runner; null if none took the job or it is gone.",
    ),
    Column(
        "runner_description",
        _TEXT,
        "job",
        "The runner's description as its owner wrote it; null if there is no runner or no text.",
    ),
    Column(
        "job_url",
        _TEXT,
        "job",
        "Address of the job's page in GitLab; null if the server gave none.",
    ),
)

_TRACE = (
    Column(
        "runner_version",
        _TEXT,
        "trace",
        "Version of GitLab Runner by the first line of the trace; null if that line is missing or "
        "unknown.",
    ),
    Column(
        "executor",
        _TEXT,
        "trace",
        "How the runner ran the job, in its own words: docker, docker+machine, docker-autoscaler, "
        "kubernetes, shell, …; null if the trace does not say.",
    ),
)

_TOOL = Column(
    "extractor_version",
    _TEXT,
    "tool",
    "Version of the rules that read the trace; rows of different versions may differ in detail.",
    nullable=False,
)

_DATE = Column(
    PARTITION,
    _DAY,
    "partition",
    "UTC day of started_at, else of created_at. Not stored in the files but in the names of their "
    "directories (date=2026-09-14): a filter on it opens only the files of those days.",
    nullable=False,
)

IMAGES: Final = (
    *_JOB,
    *_TRACE,
    Column(
        "ordinal",
        _INT,
        "use",
        "Number of the image use within its job, from 1, in the order of first appearance. "
        "(instance, job_id, ordinal) is the key of this table.",
        nullable=False,
    ),
    Column(
        "role",
        _TEXT,
        "use",
        "What the image was for: job (the script ran in it), service (a side container), helper "
        "(the runner's own: clones, caches, uploads), build (a base image, copied-from image or "
        "frontend of a build in the script), script (pulled or run by the script itself).",
        nullable=False,
    ),
    Column(
        "origin",
        _TEXT,
        "use",
        "Who printed the line: runner (to be believed) or script (the job's own output, which can "
        "say anything).",
        nullable=False,
    ),
    Column(
        "outcome",
        _TEXT,
        "use",
        "What became of it, weakest first; the strongest that the trace shows is kept: declared "
        "(named, nothing more known), rejected (not on the runner's list of allowed images), "
        "failed (could not be obtained), used (ran; the trace does not say whether it was "
        "pulled), present (ran, taken from the local store), pulled (the registry was asked and "
        "the image obtained).",
        nullable=False,
    ),
    Column(
        "downloaded",
        _BOOL,
        "use",
        "Whether layers really travelled: true or false only where the trace says so (pulls and "
        "builds of the script), else null. A pull with false asked the registry and downloaded "
        "nothing.",
    ),
    Column(
        "pull_policy",
        _TEXT,
        "use",
        "The runner's pull policies for it in the order they are tried, separated by spaces: "
        "always, if-not-present, never; null if the trace names none.",
    ),
    Column(
        "pull_attempts",
        _INT,
        "use",
        "How many times the registry was asked for it, retries included; 0 if it was not asked.",
        nullable=False,
    ),
    Column(
        "credentials",
        _TEXT,
        "use",
        "Where the runner found credentials for the registry, in its own words; never the "
        "credentials themselves; null if none were named.",
    ),
    Column(
        "platform",
        _TEXT,
        "use",
        "Platform the runner asked for, for example linux/arm64; null if it named none.",
    ),
    Column(
        "error_kind",
        _TEXT,
        "use",
        "Why the last failed attempt failed: rate_limited, not_found, unauthorized (no or wrong "
        "credentials), denied (known but refused), network, tls, server (the registry failed), "
        "platform (none for this one), other; null if no attempt failed. An image that was "
        "obtained in the end keeps it: outcome tells.",
    ),
    Column(
        "error_message",
        _TEXT,
        "use",
        "What that failure said, with secrets masked, at most 500 characters; null if no attempt "
        "failed.",
    ),
    Column(
        "seen_at",
        _TIME,
        "use",
        "When the line given as evidence was printed, UTC, by the runner's clock; where lines "
        "carry no timestamps, when the last section before it began or ended; null if neither is "
        "known.",
    ),
    Column("image", _TEXT, "image", "The image as written in the trace.", nullable=False),
    Column(
        "registry",
        _TEXT,
        "image",
        "Host (and port) of the registry that was asked, docker.io where none is written; null if "
        "image is no reference (an image ID, an unresolved variable).",
    ),
    Column(
        "repository",
        _TEXT,
        "image",
        "Path in that registry, library/ filled in for Docker Hub's official images; null if image "
        "is no reference.",
    ),
    Column(
        "tag",
        _TEXT,
        "image",
        "The tag as written; null if none is: reference then says latest, unless a digest is "
        "written.",
    ),
    Column(
        "digest",
        _TEXT,
        "image",
        "Digest of the manifest (sha256:…), as observed in the trace or else as written; null if "
        "neither. Never an image ID.",
    ),
    Column(
        "image_id",
        _TEXT,
        "image",
        "The local image ID (sha256:…), which no registry knows; null if the trace shows none.",
    ),
    Column(
        "reference",
        _TEXT,
        "image",
        "The image in canonical form, as written and not as observed: registry/repository:tag, or "
        "registry/repository@digest; null if image is no reference.",
    ),
    Column(
        "via",
        _TEXT,
        "image",
        "The proxy or cache it was asked through; null if it was asked for directly.",
    ),
    Column(
        "upstream_registry",
        _TEXT,
        "image",
        "The registry that the image truly comes from, seen through the proxy; null without a "
        "known one.",
    ),
    Column(
        "upstream_repository",
        _TEXT,
        "image",
        "Path in the upstream registry; null without a known proxy.",
    ),
    Column(
        "rule",
        _TEXT,
        "evidence",
        "Name of the rule that recognised the line which decided the outcome.",
        nullable=False,
    ),
    Column(
        "section",
        _TEXT,
        "evidence",
        "Section of the trace that the line lies in (prepare_executor, step_script, …); null if "
        "none was open.",
    ),
    Column(
        "line",
        _INT,
        "evidence",
        "Number of the line in the raw trace, from 1; only a line feed ends a line.",
        nullable=False,
    ),
    Column(
        "offset",
        _INT,
        "evidence",
        "Byte of the raw trace at which that line begins, from 0.",
        nullable=False,
    ),
    _TOOL,
    _DATE,
)
"""One row for each image that a job used or tried to use."""

JOBS: Final = (
    *_JOB,
    Column(
        "queued_duration",
        _SECONDS,
        "job",
        "Seconds the job waited for a runner; null if the server does not say.",
    ),
    Column("duration", _SECONDS, "job", "Seconds the job ran; null if it never started."),
    Column(
        "tag_list",
        _TEXTS,
        "job",
        "The runner tags that the job asked for; empty if it asked for none.",
        nullable=False,
    ),
    *_TRACE,
    Column(
        "trace_state",
        _TEXT,
        "trace",
        "What became of reading the trace: ok, empty (the server gave no byte), erased (somebody "
        "deleted the log), missing (404), forbidden (403), failed (it should have been readable), "
        "not_started (there never was one).",
        nullable=False,
    ),
    Column(
        "trace_bytes", _INT, "trace", "Bytes read of the trace; null if there was none to read."
    ),
    Column(
        "trace_lines", _INT, "trace", "Lines read of the trace; null if there was none to read."
    ),
    Column(
        "truncated",
        _BOOL,
        "trace",
        "Whether the runner or the reader cut the trace, so that images may be missing; null if "
        "there was none to read.",
    ),
    Column(
        "depth",
        _TEXT,
        "trace",
        "How much of the trace was meant to be read: full, or prepare (only up to the end of the "
        "runner's preparation: nothing that the script did is known).",
        nullable=False,
    ),
    Column(
        "images",
        _INT,
        "trace",
        "Number of rows that this job has in the table images.",
        nullable=False,
    ),
    Column(
        "recognised",
        _BOOL,
        "trace",
        "Whether the first lines match a format of GitLab Runner that is known: false means that "
        "no image found is not yet no image used; null if there was no trace to read.",
    ),
    _TOOL,
    Column(
        "harvested_at",
        _TIME,
        "tool",
        "When the job was harvested, UTC: the only column that depends on the run.",
        nullable=False,
    ),
    _DATE,
)
"""One row for each job that was harvested, also those without any image."""

_IMAGE = {column.name: column for column in IMAGES if column.group == "image"}

DECLARED: Final = (
    Column("instance", _TEXT, "project", "Host (and port) of the GitLab server.", nullable=False),
    Column(
        "project_id",
        _INT,
        "project",
        "Numeric id of the project; outlives renames and moves.",
        nullable=False,
    ),
    Column(
        "project_path",
        _TEXT,
        "project",
        "Full path of the project (group/subgroup/name) when the snapshot was taken.",
        nullable=False,
    ),
    Column(
        "commit",
        _TEXT,
        "project",
        "The newest commit of the default branch, which was read; null if the repository is empty.",
    ),
    Column(
        "ordinal",
        _INT,
        "declaration",
        "Number of the declaration within its snapshot, from 1, by path, line and name; 0 in the "
        "one row of a project that declares nothing. (instance, project_id, date, ordinal) is the "
        "key of this table.",
        nullable=False,
    ),
    Column(
        "kind",
        _TEXT,
        "declaration",
        "What kind of file declares it: ci (GitLab CI configuration), dockerfile, compose, "
        "kubernetes, kustomize, helm; null if the project declares nothing.",
    ),
    Column(
        "name",
        _TEXT,
        "declaration",
        "Of the job (with its values of a matrix, as job_name), the build stage (its number where "
        "it has no name), the Compose service, the workload (Deployment/web) or the chart's value; "
        "null if it has none.",
    ),
    Column(
        "role",
        _TEXT,
        "declaration",
        "What the image is declared for: job, service, build (a base image, a copied-from image or "
        "a frontend), workload (a container that is to run); null for a gap.",
    ),
    Column(
        "image",
        _TEXT,
        "declaration",
        "The image as written in the file; null for a gap, where images may be declared that were "
        "not read.",
    ),
    Column(
        "resolved",
        _TEXT,
        "declaration",
        "What image says once its variables are replaced; null unless all of them are known.",
    ),
    Column(
        "resolution",
        _TEXT,
        "declaration",
        "Whether the image is known, and how: literal (written out), resolved (its variables have "
        "one value each), default (whoever builds, installs or includes may override a part), "
        "alternative (one of several, each with a row of its own), unresolved (only the run knows: "
        "see variables), unrendered (in a template that only its tool renders), unread (a gap: see "
        "note), empty (the project declares nothing).",
        nullable=False,
    ),
    Column(
        "variables",
        _TEXTS,
        "declaration",
        "Names of the variables that the image depends on; of an unresolved one, of those that "
        "stayed unknown.",
        nullable=False,
    ),
    Column(
        "pull_policy",
        _TEXT,
        "declaration",
        "The declared pull policies in their order, separated by spaces; null if none is declared.",
    ),
    Column(
        "platform",
        _TEXT,
        "declaration",
        "The declared platform, for example linux/arm64; null if none is.",
    ),
    Column(
        "registry",
        _TEXT,
        "image",
        "Host (and port) of the registry in resolved, docker.io where none is written; null if "
        "nothing is resolved, as in the columns below.",
    ),
    _IMAGE["repository"],
    _IMAGE["tag"],
    Column("digest", _TEXT, "image", "Digest of the manifest as written; null if none is."),
    Column(
        "reference",
        _TEXT,
        "image",
        "The image in canonical form, as in the table images: an image is declared and pulled "
        "where both say the same; null if nothing is resolved.",
    ),
    Column(
        "via",
        _TEXT,
        "image",
        "The proxy or cache that it is declared through; null if it is declared directly.",
    ),
    _IMAGE["upstream_registry"],
    _IMAGE["upstream_repository"],
    Column(
        "path",
        _TEXT,
        "evidence",
        "The file in the repository; null if the project declares nothing.",
    ),
    Column(
        "line",
        _INT,
        "evidence",
        "Number of the line in that file, from 1; null where it is not known, as in configuration "
        "that the server merged from elsewhere.",
    ),
    Column(
        "file_url",
        _TEXT,
        "evidence",
        "Address of that line at that commit in GitLab; null if the server gave none.",
    ),
    Column(
        "note",
        _TEXT,
        "evidence",
        "One sentence for people: the reason of a gap, or what the resolution rests on; null if "
        "there is nothing to say.",
    ),
    Column(
        "inventory_version",
        _TEXT,
        "tool",
        "Version of logminer that read the files; a newer one reads unchanged projects again.",
        nullable=False,
    ),
    Column(
        PARTITION,
        _DAY,
        "partition",
        "UTC day of the snapshot, by the server's clock. A project whose default branch does not "
        "move has no newer snapshot: its newest one up to a day is what it declares on that day. "
        "Not stored in the files but in the names of their directories.",
        nullable=False,
    ),
)
"""One row for each declaration in each snapshot of a project's default branch."""
PREAMBLES: Final = (
    _JOB[0],
    next(column for column in _JOB if column.name == "job_id"),
    Column(
        "kept",
        _BYTES,
        "trace",
        "The runner's preparation and every line that a rule may read, with their places: what a "
        "later version of the rules is applied to. A form of logminer's own.",
        nullable=False,
    ),
    _DATE,
)
"""One row for each job of which that was kept (`harvest --keep-preamble`)."""

_COLUMNS: Final[dict[Table, tuple[Column, ...]]] = {
    "images": IMAGES,
    "jobs": JOBS,
    "preambles": PREAMBLES,
    "declared": DECLARED,
}
TABLES: Final[tuple[Table, ...]] = ("images", "jobs")
"""What every store has, and what questions about jobs are about."""
FILES: Final[tuple[Table, ...]] = ("preambles", "images", "jobs")
"""What a harvest may write files of, in the order in which a day's are replaced."""
ALL_TABLES: Final[tuple[Table, ...]] = (*FILES, "declared")
"""What a store may have files of."""


def images_schema() -> pa.Schema:
    """Return what readers of `images` see: every column, the partition last."""
    return schema("images")


def jobs_schema() -> pa.Schema:
    """Return what readers of `jobs` see: every column, the partition last."""
    return schema("jobs")


@cache
def schema(table: Table) -> pa.Schema:
    """Return what readers of a table see, with `schema_version` in the metadata."""
    return _schema(_COLUMNS[table])


def brought_up(rows: pa.Table, table: Table) -> pa.Table:
    """Return the rows of a file of an older version as today's file holds them.

    Up to now versions have only added columns that may be null: what was not kept is not known.
    Raises ValueError where that is not so: then the file is not what its version says.
    """
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see above

    today = file_schema(table)
    for field in today:
        if field.name not in rows.schema.names:
            if not field.nullable:
                raise ValueError(f"it has no column {field.name}")
            rows = rows.append_column(field.name, pa.nulls(rows.num_rows, field.type))
    return rows.select(today.names).cast(today)


@cache
def file_schema(table: Table) -> pa.Schema:
    """Return what one file of a table holds: every column but the partition."""
    return _schema(tuple(column for column in _COLUMNS[table] if column.name != PARTITION))


@cache
def no_rows(table: Table) -> pa.Table:
    """Return a file's table without a row; to make one takes as long as the rows of twenty jobs."""
    return file_schema(table).empty_table()


def data_dictionary() -> Iterator[Entry]:
    """Yield every column of every table in order, as `logminer schema` and the README show them."""
    for table in ALL_TABLES:
        for column in _COLUMNS[table]:
            yield Entry(
                table=table,
                group=column.group,
                column=column.name,
                type=column.type,
                nullable=column.nullable,
                meaning=column.meaning,
            )


def job_of(row: Row) -> Job:
    """Return the job that a row of `jobs` describes; what no column holds is not known."""
    values: dict[str, Any] = {
        field: row[column] if column is not None else None for field, column in _FIELDS.items()
    }
    return Job(**{**values, "tag_list": tuple(values["tag_list"])})


_FIELDS: Final = {
    name: {
        "id": "job_id",
        "name": "job_name",
        "status": "job_status",
        "url": "job_url",
        "trace_size": None,
        "erased_at": None,
    }.get(name, name)
    for name in Job.__struct_fields__
}
"""The fields of a job, and the columns that hold them."""


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 -- heavy, see above

    metadata = {"schema_version": str(SCHEMA_VERSION)}
    return pa.schema([column.field for column in columns], metadata=metadata)
