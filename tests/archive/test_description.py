"""The file of jobs: what psql writes and what Parquet holds, and one line for what is neither."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def test_the_query_gives_what_is_read() -> None:
    """The query names every column that must be there, and no other table than GitLab's own."""
    for column in NEEDED:
        assert column in QUERY
    assert QUERY.endswith(";\n")
