"""The data dictionary: complete, in order, explained, and filled."""

from __future__ import annotations

import re
import subprocess
import sys

import pyarrow as pa
import pytest

from logminer.store.schema import (
    Table,
    data_dictionary,
    file_schema,
    images_schema,
    jobs_schema,
    schema,
)

JOB = """
    instance project_id project_path pipeline_id pipeline_source job_id job_name stage ref
    ref_is_tag job_status failure_reason created_at started_at finished_at runner_id
    runner_description job_url
"""
IMAGES = f"""
    {JOB} runner_version executor
    ordinal role origin outcome downloaded pull_policy pull_attempts credentials platform error_kind
    error_message seen_at
    image registry repository tag digest image_id reference via upstream_registry
    upstream_repository
    rule section line offset extractor_version date
"""
JOBS = f"""
    {JOB} queued_duration duration tag_list
    runner_version executor trace_state trace_bytes trace_lines truncated depth images recognised
    extractor_version harvested_at date
"""
DECLARED = """
    instance project_id project_path commit
    ordinal kind name role image resolved resolution variables pull_policy platform
    registry repository tag digest reference via upstream_registry upstream_repository
    path line file_url note inventory_version date
"""


def test_declared_columns() -> None:
    """`declared` has the normalised columns of `images`, and the evidence of a file."""
    actual = schema("declared").names

    assert DECLARED.split() == actual


PREAMBLES = "instance job_id kept date"


def test_images_columns() -> None:
    """`images` has the columns of the design, in its order."""
    actual = images_schema().names

    assert IMAGES.split() == actual


def test_jobs_columns() -> None:
    """`jobs` has the columns of the design, in its order."""
    actual = jobs_schema().names

    assert JOBS.split() == actual


@pytest.mark.parametrize("table", ["images", "jobs", "declared"])
def test_schema_version(table: Table) -> None:
    """The version of the schema stands in the metadata of every file."""
    actual = file_schema(table).metadata

    assert actual == {b"schema_version": b"2"}


@pytest.mark.parametrize("table", ["images", "jobs", "declared"])
def test_partition_is_not_in_the_file(table: Table) -> None:
    """A file holds every column but the one that its directory names."""
    actual = file_schema(table).names

    assert schema(table).names[:-1] == actual


@pytest.mark.parametrize("table", ["images", "jobs", "declared"])
def test_types(table: Table) -> None:
    """Times are microseconds in UTC, and every whole number has the same type."""
    actual = {field.type for field in schema(table)}

    assert actual <= {
        pa.timestamp("us", tz="UTC"),
        pa.int64(),
        pa.string(),
        pa.bool_(),
        pa.float64(),
        pa.list_(pa.string()),
        pa.date32(),
    }


def test_every_column_is_explained() -> None:
    """A meaning is a sentence, and it says what null means exactly where null can be."""
    entries = list(data_dictionary())

    written = (IMAGES, JOBS, PREAMBLES, DECLARED)
    assert len(entries) == sum(len(names.split()) for names in written)
    for entry in entries:
        assert re.fullmatch(r"[A-Z(].*\.", entry.meaning)
        assert entry.nullable == bool(re.search(r"\bnull\b", entry.meaning)), entry


def test_importing_the_room_is_cheap() -> None:
    """`import logminer.store` loads none of the heavy packages: `logminer --help` needs none."""
    code = (
        "import sys, logminer, logminer.store;"
        "print(*{'pyarrow', 'pandas', 'sqlite3', 'duckdb'} & set(sys.modules))"
    )

    actual = subprocess.run(  # noqa: S603 -- a constant, run by this interpreter
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout

    assert actual == "\n"


def test_public_names() -> None:
    """Every public name can be had, and an unknown one is refused as Python does."""
    import logminer.store as room  # noqa: PLC0415 -- the subject of the test

    assert all(getattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError, match=r"'logminer\.store' has no attribute 'nothing'"):
        _ = room.nothing
