"""Outcomes as rows of every table, a batch at a time, column by column.

By columns, because a mapping for each row costs more than reading the log that it speaks of; and
what is said of a job is converted once, and repeated for its image uses by Arrow.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from logminer.store.schema import Table, file_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from logminer.model import Harvested

_OUTCOME: Final = {
    "instance": "instance",
    "project_id": "job.project_id",
    "project_path": "job.project_path",
    "pipeline_id": "job.pipeline_id",
    "pipeline_source": "job.pipeline_source",
    "job_id": "job.id",
    "job_name": "job.name",
    "stage": "job.stage",
    "ref": "job.ref",
    "ref_is_tag": "job.ref_is_tag",
    "job_status": "job.status",
    "failure_reason": "job.failure_reason",
    "created_at": "job.created_at",
    "started_at": "job.started_at",
    "finished_at": "job.finished_at",
    "runner_id": "job.runner_id",
    "runner_description": "job.runner_description",
    "job_url": "job.url",
    "queued_duration": "job.queued_duration",
    "duration": "job.duration",
    "tag_list": "job.tag_list",
    "trace_state": "state",
    "depth": "depth",
    "extractor_version": "extractor_version",
    "harvested_at": "harvested_at",
}
"""Columns, and where their values stand in an outcome."""

_SUMMARY: Final = {
    "runner_version": "runner_version",
    "executor": "executor",
    "trace_bytes": "bytes",
    "trace_lines": "lines",
    "truncated": "truncated",
    "recognised": "recognised",
}
"""The same for its summary; null where there is none."""

_USE: Final = tuple(
    name for name in file_schema("images").names if name not in _OUTCOME.keys() | _SUMMARY.keys()
)
"""Columns of `images` that are fields of an image use, under their own names."""

_SHARED: Final = [name for name in file_schema("images").names if name not in _USE]
"""Columns of `images` that say something of the job."""

_outcome_values: Callable[[Harvested], tuple[Any, ...]] = attrgetter(*_OUTCOME.values())
_summary_values: Callable[[object], tuple[Any, ...]] = attrgetter(*_SUMMARY.values())
_use_values: Callable[[object], tuple[Any, ...]] = attrgetter(*_USE)
_NO_SUMMARY: Final = (None,) * len(_SUMMARY)


def rows_of(batch: Sequence[Harvested]) -> dict[Table, pa.Table]:
    """Return what outcomes contribute to each table: in their order, uses by their ordinals.

    In `preambles` stand only the jobs of whose trace something was kept.

    The tables stand in the order in which their files are to be replaced.
    """
    uses = [sorted(each.uses, key=attrgetter("ordinal")) for each in batch]
    told = {
        **_columns(_OUTCOME, map(_outcome_values, batch)),
        **_columns(
            _SUMMARY,
            (_summary_values(each.summary) if each.summary else _NO_SUMMARY for each in batch),
        ),
        "images": [len(of_job) for of_job in uses],
    }
    jobs = _table("jobs", told)
    owners = pa.array([at for at, of_job in enumerate(uses) for _ in of_job], pa.int64())
    shared = jobs.select(_SHARED).take(owners)
    named = _columns(_USE, (_use_values(use) for of_job in uses for use in of_job))
    images = _table("images", dict(zip(_SHARED, shared.columns, strict=True)) | named)
    kept = [(each.instance, each.job.id, each.kept) for each in batch if each.kept is not None]
    preambles = _table("preambles", _columns(file_schema("preambles").names, kept))
    return {"preambles": preambles, "images": images, "jobs": jobs}


def _columns(
    names: Iterable[str], rows: Iterable[tuple[Any, ...]]
) -> dict[str, tuple[Any, ...] | tuple[()]]:
    """Return rows of values as columns by name."""
    names = tuple(names)
    columns = tuple(zip(*rows, strict=True)) or ((),) * len(names)
    return dict(zip(names, columns, strict=True))


def _table(table: Table, columns: dict[str, Any]) -> pa.Table:
    """Return columns as a table of this name has them; each column's type is its schema's."""
    schema = file_schema(table)
    return pa.table(
        [
            column if isinstance(column, pa.ChunkedArray) else pa.array(column, field.type)
            for field in schema
            for column in (columns[field.name],)
        ],
        schema=schema,
    )
