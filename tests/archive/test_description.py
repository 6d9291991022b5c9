"""The file of jobs: what psql writes and what Parquet holds, and one line for what is neither."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from logminer.archive.description import NEEDED, QUERY, Described
from logminer.errors import UsageError
from logminer.model import Job

if TYPE_CHECKING:
    from pathlib import Path

CSV = """\
job_id,project_id,project_path,pipeline_id,pipeline_source,job_name,stage,ref,ref_is_tag,job_status\
,failure_reason,created_at,started_at,finished_at,queued_duration,duration,runner_id,tag_list,job_url
7,1,shop/api,70,schedule,"unit, fast",test,main,f,failed,script_failure,2026-09-14 08:00:00.123456,\
2026-09-14 08:01:00,2026-09-14 08:02:00+00,1.5,60.250000,3,"docker,large",https://gitlab/7
14000000008,2,,,,"say ""hi"" ",,v1,t,success,,2026-09-14T08:00:00Z,,,,,,,
"""
FULL = Job(
    project_id=1,
    project_path="shop/api",
    pipeline_id=70,
    id=7,
    name="unit, fast",
    stage="test",
    ref="main",
    ref_is_tag=False,
    status="failed",
    failure_reason="script_failure",
    created_at=dt.datetime(2026, 9, 14, 8, 0, 0, 123456, tzinfo=dt.UTC),
    started_at=dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
    finished_at=dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
    erased_at=None,
    queued_duration=1.5,
    duration=60.25,
    runner_id=3,
    runner_description=None,
    tag_list=("docker", "large"),
    url="https://gitlab/7",
    trace_size=None,
    pipeline_source="schedule",
)
BARE = Job(
    project_id=2,
    project_path="2",
    pipeline_id=None,
    id=14_000_000_008,
    name='say "hi" ',
    stage="",
    ref="v1",
    ref_is_tag=True,
    status="success",
    failure_reason=None,
    created_at=dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
    started_at=None,
    finished_at=None,
    erased_at=None,
    queued_duration=None,
    duration=None,
    runner_id=None,
    runner_description=None,
    tag_list=(),
    url=None,
    trace_size=None,
)


def load(path: Path) -> dict[int, Job]:
    """Return the two jobs of a file, and of one that it does not have."""
    with Described.load(path, aside=path.with_name("aside")) as described:
        return described.jobs([7, 8, 14_000_000_008])


def test_csv(tmp_path: Path) -> None:
    """What psql writes is understood: quotes, letters for truth, times with and without a zone."""
    path = tmp_path / "jobs.csv"
    path.write_text(CSV)

    assert load(path) == {7: FULL, 14_000_000_008: BARE}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["jobs.csv"]


def test_parquet(tmp_path: Path) -> None:
    """Types of a Parquet file are taken as they are: zones, dictionaries, lists, small numbers."""
    path = tmp_path / "jobs.parquet"
    zone = dt.timezone(dt.timedelta(hours=2))
    times = {
        name: pa.array([moment and moment.astimezone(zone), None], pa.timestamp("ns", "+02:00"))
        for name, moment in (("started_at", FULL.started_at), ("finished_at", FULL.finished_at))
    }
    table = pa.table(
        {
            "job_id": pa.array([7, 14_000_000_008]),
            "project_id": pa.array([1, 2], pa.int32()),
            "project_path": ["shop/api", None],
            "pipeline_id": pa.array([70, None]),
            "pipeline_source": pa.array(["schedule", None]).dictionary_encode(),
            "job_name": pa.array(["unit, fast", 'say "hi" '], pa.large_string()),
            "stage": ["test", None],
            "ref": ["main", "v1"],
            "ref_is_tag": [False, True],
            "job_status": ["failed", "success"],
            "failure_reason": ["script_failure", None],
            "created_at": pa.array(
                [each.created_at.replace(tzinfo=None) for each in (FULL, BARE)],
                pa.timestamp("us"),
            ),
            **times,
            "queued_duration": pa.array([1.5, None], pa.float32()),
            "duration": [60.25, None],
            "runner_id": pa.array([3, None]),
            "tag_list": pa.array([["docker", "large"], []]),
            "job_url": ["https://gitlab/7", None],
            "more": [1, 2],
        }
    )
    pq.write_table(table, path)

    assert load(path) == {7: FULL, 14_000_000_008: BARE}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("none.csv", None, r"cannot read .*none\.csv \(No such file or directory\)"),
        ("none.parquet", None, r"cannot read .*none\.parquet \("),
        ("a.csv", b"", "is empty: `logminer mine --jobs-sql` prints"),
        ("a.csv", b"job_id,project_id\n1,2\n", "has no column job_name, job_status, created_at"),
        ("a.parquet", b"PAR1 and nothing", "is no CSV or Parquet file of jobs"),
        ("a.csv", CSV.replace("7,1,", "seven,1,").encode(), "column job_id holds .* whole numbers"),
        ("a.csv", CSV.replace("08:01:00", "8 am").encode(), "started_at holds .* times in UTC"),
        ("a.csv", CSV.replace("08:02:00+00", "08:02:00+02").encode(), "column finished_at holds"),
        ("a.csv", CSV.replace("7,1,", ",1,").encode(), "column job_id is empty in 1 row"),
        ("a.csv", CSV.encode() + b"9,9\n", "is no CSV or Parquet file of jobs"),
        ("a.csv", CSV.replace("main", "m\xe4in").encode("latin-1"), "file of jobs|column ref"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    """What is no file of jobs is refused in one line that names it and what is wrong."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as error:
        load(path)

    assert "\n" not in str(error.value)


GITLAB = """
create table p_ci_builds (id bigint, partition_id bigint, type text, project_id bigint,
    commit_id bigint, stage_id bigint, name text, ref text, tag boolean, status text,
    failure_reason integer, created_at timestamp, started_at timestamp, finished_at timestamp,
    queued_at timestamp, runner_id bigint);
create table p_ci_pipelines (id bigint, source integer);
create table p_ci_stages (id bigint, partition_id bigint, name text);
create table routes (source_id bigint, source_type text, path text);
insert into p_ci_pipelines values (70, 4);
insert into p_ci_stages values (5, 100, 'test'), (5, 101, 'another');
insert into routes values (1, 'Namespace', 'other'), (1, 'Project', 'shop/api');
insert into p_ci_builds values
    (7, 100, 'Ci::Build', 1, 70, 5, 'unit, fast', 'main', false, 'failed', 1,
     '2026-09-14 08:00:00.123456', '2026-09-14 08:01:00', '2026-09-14 08:02:00.25',
     '2026-09-14 08:00:58.5', 3),
    (8, 100, 'Ci::Build', 1, 70, 5, 'never', 'main', false, 'canceled', null,
     '2026-09-14 08:00:00', null, null, null, null),
    (9, 100, 'Ci::Bridge', 1, 70, 5, 'bridge', 'main', false, 'success', null,
     '2026-09-14 08:00:00', '2026-09-14 08:00:00', null, null, null);
"""
"""What the query reads of GitLab's database, and three jobs in it."""


def test_the_query(tmp_path: Path) -> None:
    """The query runs on tables as GitLab has them; what it gives describes the jobs that ran."""
    query = QUERY.replace(":'url'", "'https://gitlab'").rstrip().rstrip(";")
    with duckdb.connect() as database:
        database.execute(GITLAB)
        database.execute(f"copy ({query}) to '{tmp_path}/jobs.csv' (header)")
    expected = replace(
        FULL,
        finished_at=FULL.finished_at and FULL.finished_at.replace(microsecond=250_000),
        tag_list=(),
        url="https://gitlab/shop/api/-/jobs/7",
    )

    assert all(column in query for column in NEEDED)
    assert load(tmp_path / "jobs.csv") == {7: expected}
