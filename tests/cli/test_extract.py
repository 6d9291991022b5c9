"""`logminer extract`: logs in, image uses out, and one line for whatever is no log."""

from __future__ import annotations

import json
import os
import pty
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from logminer.store.schema import data_dictionary

Invoke = Callable[..., Result]
Complaint = Callable[..., str]

PULLED = "docker-13.4-digest.log"
SERVICES = "docker-17.1-service-digest.log"
NO_IMAGE = "shell-18.11-no-image.log"
COLUMNS = [
    *("file", "runner_version", "executor"),
    *("ordinal", "role", "origin", "outcome", "downloaded", "pull_policy", "pull_attempts"),
    *("credentials", "platform", "error_kind", "error_message", "seen_at"),
    *("image", "registry", "repository", "tag", "digest", "image_id", "reference"),
    *("via", "upstream_registry", "upstream_repository"),
    *("rule", "section", "line", "offset"),
]


def test_lines_have_the_columns_of_the_schema_in_its_order(invoke: Invoke, traces: Path) -> None:
    """Each line is an object: file, then the groups trace, use, image and evidence."""
    end = invoke("extract", traces / SERVICES, "--format", "jsonl")

    rows = [json.loads(line) for line in end.stdout.splitlines()]
    groups = ("trace", "use", "image", "evidence")
    named = [
        entry.column
        for entry in data_dictionary()
        if entry.table == "images" and entry.group in groups
    ]
    assert (end.exit_code, end.stderr) == (0, "")
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert ["file", *named] == COLUMNS
    assert [(row["role"], row["image"].partition("@")[0]) for row in rows] == [
        ("job", "golang:1.24"),
        ("service", "postgres"),
        ("service", "redis:7"),
    ]
    assert rows[0]["seen_at"].endswith("Z")
    assert {row["executor"] for row in rows} == {"docker"}


def test_the_table_keeps_each_use_on_one_line_off_screen(invoke: Invoke, traces: Path) -> None:
    """Without a terminal nothing is folded, cut or padded."""
    end = invoke("extract", traces / SERVICES)

    lines = end.stdout.splitlines()
    assert lines[0].split() == ["line", "role", "outcome", "image", "digest", "remark"]
    assert len(lines) == 4
    assert any(line.split()[3].startswith("postgres@sha256:0a38") for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_the_table_folds_on_a_screen(
    traces: Path, tmp_path: Path, environment: dict[str, str], command: list[str]
) -> None:
    """On 80 columns no line is longer, and every character of a name is still there."""
    leader, follower = pty.openpty()
    with open(leader, "rb", buffering=0) as screen:  # noqa: PTH123 -- a descriptor
        subprocess.run(  # noqa: S603 -- our own interpreter, our own module
            [*command, "extract", str(traces / SERVICES), str(traces / PULLED)],
            check=True,
            cwd=tmp_path,
            env=environment | {"NO_COLOR": "1", "TERM": "dumb"},
            stdout=follower,
        )
        os.close(follower)
        seen = b""
        while True:
            try:
                seen += screen.read(4096)
            except OSError:  # how a terminal ends on Linux
                break

    lines = seen.decode().splitlines()
    tables = [line for line in lines if str(traces) not in line]
    assert max(map(len, tables)) <= 80
    digest = "0a384c0ca4034bfc6c412c4b011832d811f3fa31e242acb6a598b174c4345965"
    assert digest in "".join(line[24:51].strip() for line in tables)


def test_several_files_each_have_their_block(invoke: Invoke, traces: Path) -> None:
    """Blocks are headed by the file's name, stand in the order asked for, and in line."""
    end = invoke("extract", traces / SERVICES, traces / PULLED)

    blocks = end.stdout.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [
        str(traces / SERVICES),
        str(traces / PULLED),
    ]
    assert len({block.splitlines()[1].index("image") for block in blocks}) == 1


def test_standard_input(invoke: Invoke, traces: Path) -> None:
    """`-` is standard input, and is called so."""
    log = (traces / PULLED).read_bytes()
    end = invoke("extract", "-", "--format", "jsonl", input=log)

    from_file = invoke("extract", traces / PULLED, "--format", "jsonl").stdout
    assert end.exit_code == 0
    assert end.stdout == from_file.replace(str(traces / PULLED), "-")
    assert end.stdout.count("\n") >= 1


def test_a_log_without_images_is_good(invoke: Invoke, traces: Path) -> None:
    """A shell job's log names none; that is said, and is no failure."""
    for form in ("table", "jsonl"):
        end = invoke("extract", traces / NO_IMAGE, "--format", form)

        assert (end.exit_code, end.stdout) == (0, "")
        assert "names no image (executor shell)" in end.stderr


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _random(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(300_000))  # noqa: S311 -- noise, no secret


def _text(path: Path) -> None:
    path.write_text("Dear all,\n\nplease find attached.\n" * 50)


def _directory(path: Path) -> None:
    path.mkdir()


def _nothing(path: Path) -> None:
    """Leave no file there."""


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_empty, "empty; save the log again"),
        (_random, "no GitLab job log"),
        (_text, "no GitLab job log"),
        (_directory, "Is a directory"),
        (_nothing, "No such file or directory"),
    ],
)
def test_what_is_no_log(  # noqa: PLR0913, PLR0917 -- four fixtures and what is wrong
    invoke: Invoke,
    complaint: Complaint,
    tmp_path: Path,
    traces: Path,
    make: Callable[[Path], None],
    why: str,
) -> None:
    """One line names the file and the reason, exit 1; beside a good log 3, and that one is read."""
    make(tmp_path / "it")

    alone = invoke("extract", tmp_path / "it")
    beside = invoke("extract", tmp_path / "it", traces / PULLED, "--format", "jsonl")
    assert alone.exit_code == 1
    assert complaint(alone).startswith(f"{tmp_path / 'it'}: ")
    assert why in complaint(alone)
    assert beside.exit_code == 3
    assert beside.stderr == alone.stderr
    assert beside.stdout == invoke("extract", traces / PULLED, "--format", "jsonl").stdout


def test_names_that_are_no_text(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, traces: Path
) -> None:
    """A file's name may be any bytes: it moves no cursor, and JSON gives it back."""
    name = os.fsdecode(b"evil\x1b[2J\xff[red].log")
    (tmp_path / name).write_bytes((traces / PULLED).read_bytes())

    lines = run("extract", name, "--format", "jsonl")
    table = run("extract", name, name)
    assert {json.loads(line)["file"] for line in lines.stdout.splitlines()} == {name}
    assert table.returncode == 0
    assert "\x1b" not in table.stdout
    assert r"evil\x1b[2J\udcff[red].log" in table.stdout


def test_a_reader_who_leaves_is_no_failure(
    tmp_path: Path, traces: Path, environment: dict[str, str], command: list[str]
) -> None:
    """`| head -1` gets its line, without a word on stderr, however much was still to come."""
    many = [str(traces / SERVICES)] * 400
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
        [*command, "extract", "--format", "jsonl", *many],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        json.loads(process.stdout.readline())
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (0, b"")


def test_a_short_result_that_nobody_reads(
    tmp_path: Path, traces: Path, environment: dict[str, str], command: list[str]
) -> None:
    """What is still buffered at the end is no failure either; a wrong file still is one."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:  # noqa: PTH123 -- a descriptor
        end = subprocess.run(  # noqa: S603 -- our own interpreter, our own module
            [*command, "extract", str(traces / PULLED), "missing.log"],
            check=False,
            cwd=tmp_path,
            env=environment,
            stdout=nobody,
            stderr=subprocess.PIPE,
        )

    assert end.returncode == 3
    assert end.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(
    tmp_path: Path, traces: Path, environment: dict[str, str], command: list[str]
) -> None:
    """A result that could not be written is a failure, in one line."""
    with Path("/dev/full").open("wb") as full:
        end = subprocess.run(  # noqa: S603 -- our own interpreter, our own module
            [*command, "extract", str(traces / PULLED)],
            check=False,
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
        )

    assert end.returncode == 1
    assert end.stderr.startswith(b"logminer: cannot write the result: no space left")
    assert end.stderr.count(b"\n") == 1


def test_closed_streams(tmp_path: Path, environment: dict[str, str], command: list[str]) -> None:
    """Without standard input `-` cannot be read, and says so."""
    shell = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command, "extract", "-"]
    end = subprocess.run(  # noqa: S603 -- our own interpreter, our own module
        shell, capture_output=True, check=False, cwd=tmp_path, env=environment, text=True
    )

    assert end.returncode == 1
    assert end.stderr == "logminer: -: cannot be read (Bad file descriptor); name a job log\n"


def test_explain_shows_each_line_and_what_became_of_it(invoke: Invoke, traces: Path) -> None:
    """What a rule read stands there with its rule, verdict and row; forgeries with the reason."""
    end = invoke("extract", traces / "forgery-runner-lines-in-script-timestamps.log", "--explain")

    assert (end.exit_code, end.stderr) == (0, "")
    lines = end.stdout.splitlines()
    seen = [line.split() for line in lines if line[:7].strip().isdecimal()]
    assert ["docker.job", "runner", "1.", "job"] in [words[3:7] for words in seen]
    forged = [words for words in seen if "wrong_stream" in words]
    assert forged
    assert {words[1] for words in forged} <= {"01O", "01E"}
    assert "preamble recognised" in end.stdout
    assert any(line.startswith("line  role") for line in lines)


def test_explain_as_json_lines(invoke: Invoke, traces: Path) -> None:
    """Each line that a rule read is one object, and nothing else is printed."""
    end = invoke("extract", traces / PULLED, "--explain", "--format", "jsonl")

    sightings = [json.loads(line) for line in end.stdout.splitlines()]
    assert {"file", "line", "section", "stream", "rule", "verdict", "image"} <= set(sightings[0])
    assert sightings[0]["rule"] == "runner.header"
    assert "docker.using_for" in {sighting["rule"] for sighting in sightings}


# --- mirrors ---------------------------------------------------------------------------------

MIRROR = """
[[mirror]]
name     = "harbor"
registry = "harbor.example.com"
prefix   = "dockerhub"
upstream = "docker.io"
"""
CACHED = b"Status: Downloaded newer image for harbor.example.com/dockerhub/redis:7\n"


def test_a_table_of_mirrors_is_seen_through(invoke: Invoke, tmp_path: Path) -> None:
    """By flag or environment; without it the cache is a registry like any other."""
    (tmp_path / "mirrors.toml").write_text(MIRROR)
    asked = ("extract", "-", "--format", "jsonl")
    ends = [
        invoke(*asked, input=CACHED),
        invoke(*asked, "--mirrors", "mirrors.toml", input=CACHED),
        invoke(*asked, input=CACHED, LOGMINER_MIRRORS="mirrors.toml"),
    ]

    rows = [json.loads(end.stdout) for end in ends]
    assert [end.exit_code for end in ends] == [0, 0, 0]
    assert [(row["via"], row["upstream_repository"]) for row in rows] == [
        (None, None),
        ("harbor", "library/redis"),
        ("harbor", "library/redis"),
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (None, "m.toml: cannot be read: No such file or directory; name a TOML file of [[mirror]]"),
        ("[[mirror", "m.toml: is not TOML: "),
        ("[mirrors]", "m.toml: unknown name 'mirrors'; write [[mirror]] entries"),
        (MIRROR + "nmae = 'x'", "m.toml: entry 1 has an unknown key 'nmae'; an entry has name, "),
    ],
)
def test_a_wrong_table_of_mirrors_is_one_line(
    invoke: Invoke, complaint: Complaint, tmp_path: Path, table: str | None, expected: str
) -> None:
    """It is said before any log is read, and what to do stands in it."""
    if table is not None:
        (tmp_path / "m.toml").write_text(table)
    end = invoke("extract", "-", "--mirrors", "m.toml", input=CACHED)

    assert end.exit_code == 2
    assert complaint(end).startswith(expected)
