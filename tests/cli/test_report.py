"""`logminer report` and `logminer schema`: results on stdout or whole in a file."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from logminer.store.schema import data_dictionary

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
Digests = Callable[[Path], dict[str, str]]
PERIOD = "2026-Q3"


def test_formats_parse_and_agree(invoke: Invoke, harvested: Path) -> None:
    """Table, CSV and JSON tell the same number of jobs, on stdout alone."""
    ends = {
        form: invoke("report", "-s", harvested, "-p", PERIOD, "--format", form)
        for form in ("table", "csv", "json")
    }

    document = json.loads(ends["json"].stdout)
    rows = list(csv.DictReader(io.StringIO(ends["csv"].stdout)))
    table = ends["table"].stdout.splitlines()
    jobs = document["coverage"]["jobs"]
    assert {(end.exit_code, end.stderr) for end in ends.values()} == {(0, "")}
    assert jobs > 0
    assert str(jobs) in {value for row in rows for value in row.values()}
    assert any(line.split() == ["jobs", "harvested", str(jobs), "100.0%"] for line in table)


def test_pages_for_people(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """Markdown goes to stdout, the page whole into its file; both begin with coverage."""
    md = invoke("report", "-s", harvested, "-p", PERIOD, "--format", "md")
    html = invoke("report", "-s", harvested, "-p", PERIOD, "--format", "html", "-o", "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")

    assert (md.exit_code, md.stderr) == (html.exit_code, html.stderr) == (0, "")
    assert md.stdout.index("## Coverage") < md.stdout.index("## Totals")
    assert page.startswith("<!doctype html>")
    assert page.index(">Coverage</a>") < page.index(">Totals</a>")
    assert html.stdout == ""


def test_a_table_draws_nothing(command: list[str], environment: dict[str, str]) -> None:
    """Whoever asks for no chart does not wait for the library that draws them."""
    code = (
        "import sys, logminer.report.terminal, logminer.report.tidy, logminer.report.markdown;"
        "print('altair' in sys.modules, 'vl_convert' in sys.modules)"
    )
    end = subprocess.run(  # noqa: S603 -- our own interpreter
        [command[0], "-c", code], check=True, env=environment, capture_output=True, text=True
    )

    assert end.stdout == "False False\n"


def test_a_table_needs_no_frame(
    command: list[str], environment: dict[str, str], harvested: Path
) -> None:
    """Whoever asks for text does not wait for pandas, nor for Arrow: DuckDB reads the files."""
    code = (
        "import io, sys, logminer; from logminer.report import Format, report\n"
        "store = logminer.open(sys.argv[1])\n"
        "for name in ('table', 'csv', 'json', 'md'):\n"
        f"    assert not report(store, {PERIOD!r}, format=Format(name), out=io.StringIO()).empty\n"
        "print({'pandas', 'pyarrow', 'numpy'} & set(sys.modules))"
    )
    end = subprocess.run(  # noqa: S603 -- our own interpreter
        [command[0], "-c", code, str(harvested)],
        check=True,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert end.stdout == "set()\n"


def test_the_store_may_come_from_the_environment(invoke: Invoke, harvested: Path) -> None:
    """`LOGMINER_STORE` stands in for the flag."""
    asked = invoke("report", "-p", PERIOD, LOGMINER_STORE=str(harvested))

    assert asked.exit_code == 0
    assert asked.stdout.startswith("Container images pulled by CI jobs\n")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(invoke: Invoke, harvested: Path, width: int) -> None:
    """No line is longer than the screen, none ends in blanks."""
    end = invoke("report", "-s", harvested, "-p", PERIOD, COLUMNS=str(width))

    lines = end.stdout.splitlines()
    assert len(lines) > 20
    assert all(len(line) <= width and line == line.rstrip() for line in lines)


@pytest.mark.parametrize("period", ["last-quartre", "2026-Q5", "", "2026-10-01..2026-07-01"])
def test_a_period_that_does_not_parse_is_2(
    invoke: Invoke, complaint: Complaint, harvested: Path, tmp_path: Path, period: str
) -> None:
    """One line names the period and the forms; a file that was to be replaced stays."""
    (tmp_path / "out.csv").write_text("of yesterday")
    end = invoke("report", "-s", harvested, f"--period={period}", "-o", "out.csv")

    assert "for example" in complaint(end)
    assert end.exit_code == 2
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "of yesterday"


def test_an_empty_period_is_an_answer(invoke: Invoke, harvested: Path) -> None:
    """Exit 0; what to do stands in the table, and beside the formats for programs."""
    table = invoke("report", "-s", harvested, "-p", "1999")
    data = invoke("report", "-s", harvested, "-p", "1999", "-f", "json")

    assert table.exit_code == data.exit_code == 0
    assert "No jobs were harvested for 1999" in table.stdout
    assert data.stderr.startswith("logminer: No jobs were harvested for 1999")
    assert json.loads(data.stdout)["coverage"]["jobs"] == 0


def test_a_missing_store_is_2(invoke: Invoke, complaint: Complaint, tmp_path: Path) -> None:
    """Asking makes nothing, and the line says what would."""
    end = invoke("report", "--store", "missing")

    assert complaint(end) == (
        "missing is no logminer store: `logminer harvest --store missing` makes one"
    )
    assert end.exit_code == 2
    assert not (tmp_path / "missing").exists()


def test_a_file_is_replaced_whole(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """`-o` holds what stdout would, also behind a link, and nothing is left beside it."""
    (tmp_path / "real.csv").write_text("of yesterday")
    (tmp_path / "out.csv").symlink_to("real.csv")
    said = invoke("report", "-s", harvested, "-p", PERIOD, "-f", "csv")
    end = invoke("report", "-s", harvested, "-p", PERIOD, "-f", "csv", "-o", "out.csv")

    assert (end.exit_code, end.stdout, end.stderr) == (0, "", "")
    assert (tmp_path / "real.csv").read_text() == said.stdout
    assert (tmp_path / "out.csv").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "real.csv"]


def test_a_pipe_stays_a_pipe(invoke: Invoke, harvested: Path, tmp_path: Path) -> None:
    """`-o` writes into what is no file instead of replacing it."""
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    end = invoke("report", "-s", harvested, "-p", PERIOD, "-f", "json", "-o", "pipe")
    reader.join()

    assert end.exit_code == 0
    assert json.loads(read[0])["coverage"]["jobs"] > 0
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["missing/out.csv", "directory", "file/out.csv", ""])
def test_an_unwritable_output_is_2(  # noqa: PLR0913, PLR0917 -- five fixtures
    invoke: Invoke,
    complaint: Complaint,
    harvested: Path,
    tmp_path: Path,
    digests: Digests,
    name: str,
) -> None:
    """One line names the file; nothing is left behind, the store is as it was."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("mine")
    before = digests(harvested), digests(tmp_path)
    end = invoke("report", "-s", harvested, "-p", PERIOD, f"--output={name}")

    assert complaint(end).startswith(f"cannot write {tmp_path}")
    assert complaint(end).rpartition("; ")[2] in {"name another file", "name a file"}
    assert end.exit_code == 2
    assert (digests(harvested), digests(tmp_path)) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "-p", PERIOD],
        pytest.param(["report", "-p", PERIOD, "--format", "csv"], marks=pytest.mark.slow),
        ["schema"],
    ],
)
def test_a_reader_who_leaves_is_no_failure(
    command: list[str], environment: dict[str, str], harvested: Path, arguments: list[str]
) -> None:
    """Where nobody reads the result, nothing is said about it."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:  # noqa: PTH123 -- a descriptor
        end = subprocess.run(  # noqa: S603 -- our own interpreter, our own module
            [*command, *arguments],
            check=False,
            env=environment | {"LOGMINER_STORE": str(harvested)},
            stderr=subprocess.PIPE,
            stdout=nobody,
        )

    assert (end.returncode, end.stderr) == (0, b"")


def test_any_encoding_will_do(
    run: Callable[..., subprocess.CompletedProcess[str]], harvested: Path
) -> None:
    """On a terminal that knows ASCII only, every word is still there."""
    for arguments in (["report", "-s", harvested, "-p", PERIOD], ["schema"]):
        end = run(*arguments, PYTHONIOENCODING="ascii")

        assert (end.returncode, end.stderr) == (0, "")
        assert end.stdout.isascii()


def test_a_damaged_file_is_1(
    invoke: Invoke, complaint: Complaint, harvested: Path, tmp_path: Path
) -> None:
    """A day that cannot be read is named, not left out."""
    shutil.copytree(harvested, tmp_path / "s")
    victim = min((tmp_path / "s" / "jobs").glob("date=2026-0[789]-*/*.parquet"))
    victim.write_bytes(b"no parquet at all")
    end = invoke("report", "-s", "s", "-p", PERIOD)

    assert str(victim.relative_to(tmp_path)) in complaint(end)
    assert end.exit_code == 1


def test_the_schema_names_every_column(invoke: Invoke) -> None:
    """JSON is the dictionary itself; the table has each column, and fits."""
    data = invoke("schema", "--format", "json")
    table = invoke("schema", COLUMNS="80").stdout

    entries = list(data_dictionary())
    assert [(each["table"], each["column"]) for each in json.loads(data.stdout)] == [
        (entry.table, entry.column) for entry in entries
    ]
    assert set(json.loads(data.stdout)[0]) == {
        *("table", "group", "column", "type", "nullable", "meaning")
    }
    assert [
        line.split()[0]
        for line in table.splitlines()
        if line[:1].islower() and "," not in line.split()[0]
    ] == [entry.column for entry in entries]
    assert "date32[day]" in table
    assert max(map(len, table.splitlines())) <= 80
