"""`logminer query` and `logminer exposure`: formats, hostile rows, and how they end."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from logminer.store import Store
from logminer.store.schema import file_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Invoke = Callable[..., Result]
    Complaint = Callable[..., str]

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a\x1b[2J\x1b]0;owned\x07b",
    "a\u202etxt",
    'a"b,c\nd',
    "[red]x[/]",
    "</script><script>alert(1)</script>",
]
"""Names as an attacker gives them to jobs, branches and images."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every free text is one of those."""
    store = Store.create(tmp_path_factory.mktemp("hostile") / "store")
    moment = dt.datetime(2026, 7, 14, 12, tzinfo=dt.UTC)
    free = ("project_path", "job_name", "stage", "ref", "runner_description", "error_message")
    known = {"instance": "gitlab.example.com", "project_id": 1, "job_status": "success"}
    rows: list[dict[str, Any]] = [
        {
            **known,
            **dict.fromkeys((*free, "image", "repository", "tag", "registry", "via"), text),
            "upstream_registry": "docker.io",
            "upstream_repository": "library/redis",
            "job_id": number,
            "ordinal": 1,
            "line": 7,
            "job_url": f"https://gitlab.example.com/-/jobs/{number}{text}",
            "created_at": moment,
            "started_at": moment,
            "role": "job",
            "outcome": "failed",
            "error_kind": "other",
            "executor": "docker",
            "trace_state": "ok",
            "recognised": True,
            "depth": "full",
            "images": 1,
        }
        for number, text in enumerate(HOSTILE, 1)
    ]
    for table in ("images", "jobs"):
        fields = [(field.name, field.type) for field in file_schema(table)]
        path = store.path / table / "date=2026-07-14" / "gitlab.example.com.parquet"
        path.parent.mkdir()
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), path)
    return store.path


@pytest.mark.parametrize(
    "arguments",
    [
        ["exposure", "redis"],
        ["query", "select * from images"],
        ["query", 'select job_name as "=1", ref as "\x1b[2J" from jobs'],
        ["report", "--period", "2026-07"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_no_text_is_obeyed(invoke: Invoke, hostile: Path, arguments: list[str], form: str) -> None:
    """No answer holds a control character or a formula, and none of the rows is lost by it."""
    end = invoke(*arguments, "--store", hostile, "--format", form, COLUMNS="100")

    assert end.exit_code == 0
    assert all(line.isprintable() for line in end.stdout.split("\n"))
    assert "alert" in end.stdout
    assert "owned" in end.stdout
    if form == "csv":
        cells = [cell for row in csv.reader(io.StringIO(end.stdout)) for cell in row]
        assert not [
            cell for cell in cells if cell[:1] in set("=+-@\t\r") and not cell.lstrip("-").isdigit()
        ]
        assert "'=cmd|' /C calc'!A0" in cells
    if form == "json":
        assert end.stdout.isascii()
        assert json.loads(end.stdout)


def test_json_keeps_every_text(invoke: Invoke, hostile: Path) -> None:
    """What is escaped for the eye is whole for a program."""
    end = invoke(
        "query", "select job_name from images order by job_id", "-s", hostile, "-f", "json"
    )

    assert [row["job_name"] for row in json.loads(end.stdout)] == HOSTILE


def test_formats_agree(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """The same rows in every format, Parquet as a file of its own."""
    sql = "select job_id, job_name, started_at, images > 0 as any from jobs order by job_id"
    ends = {form: invoke("query", sql, "-s", harvested, "-f", form) for form in ("csv", "json")}
    done = invoke("query", sql, "-s", harvested, "-f", "parquet", "-o", "rows.parquet")

    frame = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    rows = json.loads(ends["json"].stdout)
    lines = list(csv.DictReader(io.StringIO(ends["csv"].stdout)))
    assert {end.exit_code for end in (*ends.values(), done)} == {0}
    assert len(frame) > 100
    assert [row["job_id"] for row in frame] == [row["job_id"] for row in rows]
    assert [row["started_at"] for row in rows] == [row["started_at"] or None for row in lines]
    assert [str(row["any"]).lower() for row in rows] == [row["any"] for row in lines]


def test_a_statement_from_elsewhere(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """From a file or from stdin, it is the same statement."""
    sql = "select count(*) as n from jobs"
    (tmp_path / "q.sql").write_text(sql)

    ends = [
        invoke("query", sql, "-s", harvested, "-f", "csv"),
        invoke("query", "-", "-s", harvested, "-f", "csv", input=sql.encode()),
        invoke("query", "--file", "q.sql", "-s", harvested, "-f", "csv"),
    ]

    assert {(end.stdout, end.exit_code) for end in ends} == {(ends[0].stdout, 0)}
    assert ends[0].stdout.startswith('"n"\n')


@pytest.mark.parametrize(
    "arguments",
    [
        ["selec 1"],
        ["select nothing from jobs"],
        ["copy jobs to 'out.csv'"],
        ["select * from read_csv('/etc/passwd')"],
        [],
        ["select 1", "--file", "q.sql"],
        ["--file", "nowhere.sql"],
        [""],
    ],
    ids=str,
)
def test_a_wrong_statement_is_2(
    invoke: Invoke, complaint: Complaint, harvested: Path, tmp_path: Path, arguments: list[str]
) -> None:
    """One line on stderr; a file that was to be replaced stays."""
    (tmp_path / "out.csv").write_text("of yesterday")
    end = invoke("query", *arguments, "-s", harvested, "-o", "out.csv")

    assert complaint(end)
    assert end.exit_code == 2
    assert (tmp_path / "out.csv").read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.csv"]


def test_a_wide_row_stands_on_lines_of_its_own(invoke: Invoke, harvested: Path) -> None:
    """Off a screen a row is one line whatever its length, and a header stands above."""
    end = invoke("query", "select * from images limit 3", "-s", harvested)

    assert len(end.stdout.splitlines()) == 4


@pytest.mark.slow
def test_ctrl_c_ends_a_long_statement(
    harvested: Path, command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    """Exit 130, at once, also where DuckDB has not found the first row."""
    five = ", ".join(f"jobs {each}" for each in "abcde")
    sql = f"from {five} where a.job_id + b.job_id > 9 * (c.job_id + d.job_id + e.job_id)"
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
        [*command, "query", sql, "-s", str(harvested)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert (process.returncode, said) == (130, "logminer: interrupted\n")


def test_exposure_as_a_table(invoke: Invoke, harvested: Path) -> None:
    """A block for each name, in the order asked, after what it speaks for."""
    end = invoke("exposure", "docker.io/library/*", "nothing/like-it", "-s", harvested)

    blocks = end.stdout.split("\n\n")
    assert end.exit_code == 0
    assert " jobs harvested, " in blocks[0]
    assert blocks[1].startswith("docker.io/library/*: ")
    assert blocks[1].splitlines()[1].split()[:3] == ["project", "job", "image"]
    assert blocks[2] == "nothing/like-it: nothing depends on it\n"


def test_nothing_depends(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """For programs: a header, exit 0, and on stderr what nothing depends on and how far one saw."""
    (tmp_path / "names").write_text("nothing/like-it\nnor/this\n")
    end = invoke("exposure", "--names", "names", "-s", harvested, "-f", "csv")

    assert end.exit_code == 0
    assert len(end.stdout.splitlines()) == 1
    assert end.stderr.count("nothing depends on") == 2
    assert " jobs harvested" in end.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["a b"], ["redis", "-p", "1999"], ["redis", "-p", "x"], ["--names", "nowhere"]],
    ids=str,
)
def test_what_cannot_be_told_is_2(
    invoke: Invoke, complaint: Complaint, harvested: Path, arguments: list[str]
) -> None:
    """No name, no such name, no file; and no jobs, for that is no all-clear."""
    end = invoke("exposure", *arguments, "-s", harvested)

    assert complaint(end)
    assert end.exit_code == 2
