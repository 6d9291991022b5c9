"""Outcomes as rows of every table, a batch at a time, column by column.

By columns, because a mapping for each row costs more than reading the log that it speaks of; and
what is said of a job is converted once, and repeated for its image uses by Arrow.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
from msgspec.structs import astuple

from logminer.model import Harvested, ImageUse, Job, TraceSummary
from logminer.store.schema import Table, file_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import Struct

_OUTCOME: Final = {
    "instance": "instance",
    "trace_state": "state",
    "depth": "depth",
    "extractor_version": "extractor_version",
    "harvested_at": "harvested_at",
}
"""Columns, and the fields of an outcome that they are."""

_JOB: Final = {
    "project_id": "project_id",
    "project_path": "project_path",
    "pipeline_id": "pipeline_id",
    "pipeline_source": "pipeline_source",
    "job_id": "id",
    "job_name": "name",
    "stage": "stage",
    "ref": "ref",
    "ref_is_tag": "ref_is_tag",
    "job_status": "status",
    "failure_reason": "failure_reason",
    "created_at": "created_at",
    "started_at": "started_at",
    "finished_at": "finished_at",
    "runner_id": "runner_id",
    "runner_description": "runner_description",
    "job_url": "url",
    "queued_duration": "queued_duration",
    "duration": "duration",
    "tag_list": "tag_list",
}
"""The same for its job."""

_SUMMARY: Final = {
    "runner_version": "runner_version",
    "executor": "executor",
    "trace_bytes": "bytes",
    "trace_lines": "lines",
    "truncated": "truncated",
    "recognised": "recognised",
}
"""The same for its summary; null where there is none."""

_SHARED: Final = [
    name for name in file_schema("images").names if name in {*_OUTCOME, *_JOB, *_SUMMARY}
]
"""Columns of `images` that say something of the job; the others are an image use's own fields."""

_ordinal = attrgetter("ordinal")

_Columns: TypeAlias = "dict[str, tuple[Any, ...]]"


def rows_of(batch: Sequence[Harvested]) -> dict[Table, pa.Table]:
    """Return what outcomes contribute to each table: in their order, uses by their ordinals.

    In `preambles` stand only the jobs of whose trace something was kept.

    The tables stand in the order in which their files are to be replaced.
    """
    uses = [sorted(each.uses, key=_ordinal) if each.uses[1:] else each.uses for each in batch]
    outcomes = _fields(Harvested, batch)
    told = {
        **_named(_OUTCOME, outcomes),
        **_named(_JOB, _fields(Job, outcomes["job"])),
        **_named(_SUMMARY, _fields(TraceSummary, outcomes["summary"])),
        "images": tuple(map(len, uses)),
    }
    jobs = _table("jobs", told)
    owners = pa.array([at for at, of_job in enumerate(uses) for _ in of_job], pa.int64())
    shared = jobs.select(_SHARED).take(owners)
    named = _fields(ImageUse, (use for of_job in uses for use in of_job))
    images = _table("images", named | dict(zip(_SHARED, shared.columns, strict=True)))
    kept = [each for each in batch if each.kept is not None]
    preambles = {
        "instance": tuple(each.instance for each in kept),
        "job_id": tuple(each.job.id for each in kept),
        "kept": tuple(each.kept for each in kept),
    }
    return {"preambles": _table("preambles", preambles), "images": images, "jobs": jobs}


def _fields(kind: type[Struct], structures: Iterable[Struct | None]) -> _Columns:
    """Return structures of a kind as columns, one for each field; nulls where there is none."""
    names = kind.__struct_fields__
    nothing = (None,) * len(names)
    # Taken in one piece: to ask for each field takes several times as long.
    rows = (nothing if each is None else astuple(each) for each in structures)
    return dict(zip(names, tuple(zip(*rows, strict=True)) or ((),) * len(names), strict=True))


def _named(fields: dict[str, str], columns: _Columns) -> _Columns:
    """Return these fields under the names that the tables have for them."""
    return {name: columns[field] for name, field in fields.items()}


def _table(table: Table, columns: dict[str, Any]) -> pa.Table:
    """Return columns as a table of this name has them; each column's type is its schema's."""
    schema = file_schema(table)
    return pa.table(
        [
            column if isinstance(column, pa.ChunkedArray) else _array(column, field.type)
            for field in schema
            for column in (columns[field.name],)
        ],
        schema=schema,
    )


def _array(values: tuple[Any, ...], type_: pa.DataType) -> pa.Array:
    """Return values as an array; one value in every row, as in half the columns, is made once.

    Not of floats, which may be equal and yet not the same: there is a zero below zero.
    """
    first = values[0] if values else None
    constant = values[-1:] == (first,) and values.count(first) == len(values)
    if constant and not isinstance(first, float):
        return pa.repeat(pa.scalar(first, type_), len(values))
    return pa.array(values, type_)
