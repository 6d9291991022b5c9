"""What is known of jobs beside their logs: GitLab's jobs table, as a CSV or a Parquet file.

A place tells a job's id and its project's, no more. The rest stands in the database, and
`QUERY` takes it out. Such a file may have millions of rows, in any order, of which a batch needs a
few: it is brought into SQLite once, as columns of plain values, and looked up by id.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from logminer.errors import UsageError
from logminer.model import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from pyarrow import RecordBatch

QUERY: Final = """\
-- The jobs table for `logminer mine --jobs jobs.csv`, from the database of GitLab 17 or later:
--   psql --csv -v url=https://gitlab.example.com -f jobs.sql gitlabhq_production > jobs.csv
-- Columns may be left out that are not marked; where routes lie in a database of their own (main
-- apart from ci), so is project_path: take it from there by project_id. Times are UTC.
select b.id as job_id,                                                  -- must be there
       b.project_id,                                                    -- must be there
       r.path as project_path,
       b.commit_id as pipeline_id,
       case p.source when 1 then 'push' when 2 then 'web' when 3 then 'trigger'
            when 4 then 'schedule' when 5 then 'api' when 6 then 'external' when 7 then 'pipeline'
            when 8 then 'chat' when 9 then 'webide' when 10 then 'merge_request_event'
            when 11 then 'external_pull_request_event' when 12 then 'parent_pipeline'
            else p.source::text end as pipeline_source,
       b.name as job_name,                                              -- must be there
       s.name as stage,
       b.ref,
       b.tag as ref_is_tag,
       b.status as job_status,                                          -- must be there
       case when b.status <> 'failed' then null else
       case b.failure_reason when 1 then 'script_failure' when 2 then 'api_failure'
            when 3 then 'stuck_or_timeout_failure' when 4 then 'runner_system_failure'
            when 5 then 'missing_dependency_failure' when 6 then 'runner_unsupported'
            when 7 then 'stale_schedule' when 8 then 'job_execution_timeout'
            when 9 then 'archived_failure' when 10 then 'unmet_prerequisites'
            when 11 then 'scheduler_failure' when 12 then 'data_integrity_failure'
            when 13 then 'forward_deployment_failure' when 14 then 'user_blocked'
            when 15 then 'project_deleted' when 16 then 'ci_quota_exceeded'
            when 18 then 'no_matching_runner' when 19 then 'trace_size_exceeded'
            when 20 then 'builds_disabled' when 31 then 'runner_configuration_error'
            when 32 then 'runner_external_dependency_failure' when 33 then 'runner_interrupted'
            else coalesce(b.failure_reason::text, 'unknown_failure') end end as failure_reason,
       b.created_at,                                                    -- must be there
       b.started_at,
       b.finished_at,
       extract(epoch from b.started_at - b.queued_at) as queued_duration,
       extract(epoch from b.finished_at - b.started_at) as duration,
       b.runner_id,
       :'url' || '/' || r.path || '/-/jobs/' || b.id as job_url
  from p_ci_builds b
  left join p_ci_pipelines p on p.id = b.commit_id
  left join p_ci_stages s on s.id = b.stage_id and s.partition_id = b.partition_id
  left join routes r on r.source_type = 'Project' and r.source_id = b.project_id
 where b.type = 'Ci::Build' and b.started_at is not null;
"""

_INT, _TEXT, _REAL, _TIME, _FLAG, _LIST = "int", "text", "real", "time", "flag", "list"
_COLUMNS: Final = {
    "job_id": _INT,
    "project_id": _INT,
    "project_path": _TEXT,
    "pipeline_id": _INT,
    "pipeline_source": _TEXT,
    "job_name": _TEXT,
    "stage": _TEXT,
    "ref": _TEXT,
    "ref_is_tag": _FLAG,
    "job_status": _TEXT,
    "failure_reason": _TEXT,
    "created_at": _TIME,
    "started_at": _TIME,
    "finished_at": _TIME,
    "queued_duration": _REAL,
    "duration": _REAL,
    "runner_id": _INT,
    "runner_description": _TEXT,
    "tag_list": _LIST,
    "job_url": _TEXT,
}
"""Columns that are read, under the names that they have in the store; others are let be."""
_INSERT: Final = f"INSERT OR REPLACE INTO job VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 -- marks only
NEEDED: Final = ("job_id", "project_id", "job_name", "job_status", "created_at")
"""Columns without which there is no describing a job."""
_FILLED: Final = {"job_id", "project_id", "job_status", "created_at"}
"""Those of them that no row may leave empty."""

_TYPES: Final = {
    _INT: pa.int64(),
    _TEXT: pa.string(),
    _REAL: pa.float64(),
    _TIME: pa.int64(),
    _FLAG: pa.bool_(),
    _LIST: pa.string(),
}
_TRUE: Final = ("t", "true", "1", "yes")
_ZULU: Final = r"\s*(?:Z|UTC|[+-]00(?::?00)?)$"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BLOCK: Final = 4 << 20
"""Bytes of a CSV file taken in at a time."""


class Described:
    """Jobs by their ids, from a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Wrap a database; `load` makes one."""
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def load(cls, path: Path, *, aside: Path) -> Iterator[Self]:
        """Bring a file into a database at `aside`, which goes at the end.

        Raises UsageError, in one line that names the column, for a file that is no jobs table.
        """
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as connection:
            try:
                # Nothing here outlives this run: a journal would keep what nobody wants back.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("PRAGMA synchronous = OFF")
                _, *others = _COLUMNS
                connection.execute(
                    f"CREATE TABLE job (id INTEGER PRIMARY KEY, {', '.join(others)})"
                )
                connection.execute("BEGIN")
                for rows in _rows(path):
                    connection.executemany(_INSERT, rows)
                connection.execute("COMMIT")
                yield cls(connection)
            finally:
                aside.unlink(missing_ok=True)

    def jobs(self, job_ids: Iterable[int]) -> dict[int, Job]:
        """Return those of the jobs that are described, by id."""
        rows = self._connection.execute(
            "SELECT * FROM job WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)),),
        )
        return {row[0]: _job(dict(zip(_COLUMNS, row, strict=True))) for row in rows}

    def projects(self) -> list[int]:
        """Return the ids of all projects."""
        rows = self._connection.execute("SELECT DISTINCT project_id FROM job ORDER BY 1")
        return [project_id for (project_id,) in rows]

    def project(self, path: str) -> int | None:
        """Return the id of the project with a full path; None where no job is of it."""
        row = self._connection.execute(
            "SELECT project_id FROM job WHERE lower(project_path) = ? ORDER BY id DESC LIMIT 1",
            (path.lower(),),
        ).fetchone()
        return row[0] if row is not None else None


def _job(row: dict[str, Any]) -> Job:
    return Job(
        project_id=row["project_id"],
        project_path=row["project_path"] or str(row["project_id"]),
        pipeline_id=row["pipeline_id"],
        id=row["job_id"],
        name=row["job_name"] or "",
        stage=row["stage"] or "",
        ref=row["ref"],
        ref_is_tag=bool(row["ref_is_tag"]),
        status=row["job_status"] or "",
        failure_reason=row["failure_reason"],
        created_at=_moment(row["created_at"]) or _EPOCH,
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        erased_at=None,
        queued_duration=row["queued_duration"],
        duration=row["duration"],
        runner_id=row["runner_id"],
        runner_description=row["runner_description"],
        tag_list=tuple(
            tag.strip() for tag in (row["tag_list"] or "").strip("{}").split(",") if tag
        ),
        url=row["job_url"],
        trace_size=None,
        pipeline_source=row["pipeline_source"],
    )


def _moment(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else _EPOCH + dt.timedelta(microseconds=microseconds)


def _rows(path: Path) -> Iterator[Iterable[tuple[Any, ...]]]:
    """Yield the rows of a file, a slice at a time, each as plain values."""
    try:
        checked = False
        for batch in _batches(path):
            if not checked:
                _check(path, batch.schema.names)
                checked = True
            columns = [_column(path, batch, name).to_pylist() for name in _COLUMNS]
            yield zip(*columns, strict=True)
    except OSError as error:
        raise UsageError(
            f"cannot read {path} ({error.strerror or error}): name a CSV or Parquet file of jobs"
        ) from error
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is no CSV or Parquet file of jobs ({reason})") from error


def _batches(path: Path) -> Iterator[RecordBatch]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow.names)
            names = [name for name in _COLUMNS if name in file.schema_arrow.names]
            yield from file.iter_batches(columns=names)
        return
    if path.stat().st_size == 0:
        raise UsageError(f"{path} is empty: `logminer mine --jobs-sql` prints how to make it")
    # As text: what psql writes is read below, and a column is named that cannot be.
    options = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(_COLUMNS, pa.string()),
        strings_can_be_null=True,
        null_values=["", "NULL", r"\\N"],
    )
    reading = pa.csv.ReadOptions(block_size=_BLOCK)
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(path, reading, parsing, options) as reader:
        yield from reader


def _check(path: Path, names: list[str]) -> None:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise UsageError(
            f"{path} has no column {', '.join(missing)}: `logminer mine --jobs-sql` prints the"
            " query that gives all of them"
        )


def _column(path: Path, batch: RecordBatch, name: str) -> pa.Array:
    """Return a column as SQLite is to hold it."""
    kind = _COLUMNS[name]
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, _TYPES[kind])
    column = batch.column(name)
    try:
        column = _converted(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        words = {_INT: "whole numbers", _REAL: "numbers", _TIME: "times in UTC", _TEXT: "text"}
        raise UsageError(
            f"{path}: column {name} holds something else than {words.get(kind, kind)} ({reason})"
        ) from error
    if name in _FILLED and column.null_count:
        raise UsageError(f"{path}: column {name} is empty in {column.null_count:,} rows")
    return column


def _converted(column: pa.Array, kind: str) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if kind == _TIME:
        if text:
            column = pc.replace_substring_regex(column, _ZULU, "")
            column = column.cast(pa.timestamp("us"))
        if pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("us"))
        unit = pa.timestamp("us", tz=column.type.tz)
        return column.cast(unit, safe=False).cast(pa.int64())
    if kind == _FLAG and text:
        return pc.is_in(pc.utf8_lower(column), pa.array(_TRUE))
    if kind == _LIST and pa.types.is_list(column.type):
        return pc.binary_join(column, ",")
    return column.cast(_TYPES[kind])
