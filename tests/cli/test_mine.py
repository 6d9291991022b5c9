"""`logminer mine` as a command: flags, mistakes, figures, both surfaces."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import logminer
from logminer.archive import Tally
from logminer.cli.mining import MineWords

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    Invoke = Callable[..., Result]

HOST = ("--instance", "gitlab.example.com")


@pytest.fixture
def archive(tmp_path: Path, traces: Path) -> Path:
    """An archive of three logs, as GitLab lays one out."""
    root = tmp_path / "archive"
    log = (traces / "docker-13.4-digest.log").read_bytes()
    hashed = hashlib.sha256(b"81").hexdigest()
    for job in (1, 2, 3):
        folder = root / hashed[:2] / hashed[2:4] / hashed / "2026_09_14" / f"{job}" / f"{job + 10}"
        folder.mkdir(parents=True)
        (folder / "job.log").write_bytes(log)
    return root


def test_mine(invoke: Invoke, archive: Path) -> None:
    """An archive becomes rows; mined again, nothing is read; status names the source."""
    first = invoke("mine", archive, "--store", "store", *HOST, "--workers", 1)
    second = invoke("mine", archive, "--store", "store", *HOST, "--workers", 1)
    status = invoke("status", "--store", "store")
    jobs = logminer.open("store").jobs()

    assert (first.exit_code, first.stdout) == (0, "")
    assert "3 logs mined" in first.stderr
    assert "without name, status and times: 3 jobs" in first.stderr
    assert "0 logs mined, 0 image uses found, 3 done before" in second.stderr
    assert jobs["instance"].unique().tolist() == ["gitlab.example.com"]
    assert jobs["project_id"].unique().tolist() == [81]
    assert status.stdout.startswith("gitlab.example.com: 1 project, 3 jobs done, 0 queued, ")
    assert ", 0 gaps\n" in status.stdout
    assert "mined only" in status.stdout


def test_two_instances(invoke: Invoke, archive: Path) -> None:
    """Each instance is a source of its own in status, in every format."""
    for host in ("a.example.com", "b.example.com:8443"):
        invoke("mine", archive, "--store", "store", "--instance", host, "--workers", 1)
    shown = json.loads(invoke("status", "--store", "store", "--format", "json").stdout)

    assert [each["source"] for each in shown] == ["a.example.com", "b.example.com_8443"]
    assert [len(each["projects"]) for each in shown] == [1, 1]
    assert [each["runs"][0]["tally"]["jobs_done"] for each in shown] == [3, 3]
    assert set(logminer.open("store").jobs()["instance"]) == {"a.example.com", "b.example.com:8443"}


def test_url_names_the_instance(invoke: Invoke, archive: Path) -> None:
    """The server that the environment names is the instance, as a harvest would name it."""
    invoke("mine", archive, "--store", "store", GITLAB_URL="https://GitLab.example.com:443/")

    assert logminer.open("store").jobs()["instance"].unique().tolist() == ["gitlab.example.com"]


def test_dry_run(invoke: Invoke, archive: Path) -> None:
    """What there is to do is said, and nothing is written."""
    end = invoke("mine", archive, "--store", "store", *HOST, "--dry-run")

    assert end.exit_code == 0
    assert "mining would read 3 logs with 0.0 MB (0 done before," in end.stderr
    assert not Path("store").exists()


def test_json_lines(invoke: Invoke, archive: Path) -> None:
    """For programs every line is an object, the last one has all figures."""
    end = invoke("mine", archive, "-s", "store", *HOST, "--workers", 1, "--log-format", "json")
    lines = [json.loads(line) for line in end.stderr.splitlines()]

    assert [each["event"] for each in lines] == ["phase", "phase", "end"]
    assert [each.get("phase") for each in lines] == ["mine", "publish", None]
    assert lines[-1]["exit_code"] == 0
    assert (lines[-1]["jobs_done"], lines[-1]["traces"], lines[-1]["days"]) == (3, {"ok": 3}, 1)


def test_failures_are_named(invoke: Invoke, archive: Path) -> None:
    """What could not be read is named, and the exit code says that it is not everything."""
    (folder,) = archive.rglob("1/11")
    (folder / "job.log").unlink()
    (folder / "job.log.gz").write_bytes(b"no gzip")
    (archive / "a\x1b[2Jb").mkdir()
    (archive / "a\x1b[2Jb" / "c").symlink_to(archive)
    end = invoke("mine", archive, "--store", "store", *HOST, "--workers", 1, "--quiet")

    assert end.exit_code == 3
    assert "1/11/job.log.gz: cannot be read (" in end.stderr
    assert "leads back" in end.stderr
    assert "\x1b" not in end.stderr
    assert end.stderr.endswith("What failed was not recorded: mine again.\n")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("archive",), "whose logs are these? Give the host of their GitLab as --instance"),
        (
            ("archive", "--instance", "https://"),
            "The URL must look like https://gitlab.example.com.",
        ),
        (("nowhere", *HOST), "nowhere does not exist: name a directory, a job log or a bucket"),
        (("archive", *HOST, "--engine", "dask"), "--engine dask and --scheduler"),
        (("archive", *HOST, "--scheduler", "tcp://h:1"), "--engine dask and --scheduler"),
        (("archive", *HOST, "--jobs", "none.csv"), "cannot read none.csv (No such file"),
        (("archive", *HOST, "--project", "shop/api"), "no project shop/api is known"),
        (("archive", *HOST, "--max-trace-size", "big"), "--max-trace-size 'big' is no size"),
    ],
)
def test_mistakes(invoke: Invoke, archive: Path, flags: tuple[str, ...], complaint: str) -> None:
    """A user's mistake is one line that says what to do, and exit code 2."""
    assert archive.is_dir()
    end = invoke("mine", *flags, "--store", "store", "--workers", 1, "--log-format", "plain")

    assert end.exit_code == 2
    assert complaint in end.stderr.splitlines()[-1]
    assert end.stderr.splitlines()[-1].startswith("logminer: ")


def test_plain_http(invoke: Invoke) -> None:
    """A bucket that would be asked without TLS is refused before a store is made."""
    end = invoke(
        *("mine", "s3://logs/x", "--store", "store", *HOST),
        AWS_ENDPOINT_URL="http://storage.invalid",
    )

    assert end.exit_code == 2
    assert "or set AWS_ALLOW_HTTP=true" in end.stderr
    assert not Path("store").exists()


def test_the_query(invoke: Invoke) -> None:
    """The query for --jobs is printed without anything else being asked for."""
    end = invoke("mine", "--jobs-sql")

    assert end.exit_code == 0
    assert end.stdout.startswith("-- The jobs table")


def test_nothing_found(invoke: Invoke, tmp_path: Path) -> None:
    """Where no log is found, the way in which GitLab keeps them is said."""
    (tmp_path / "empty").mkdir()
    end = invoke("mine", "empty", "--store", "store", *HOST, "--workers", 1)

    assert end.exit_code == 0
    assert "GitLab keeps them as HASH/YYYY_MM_DD/JOB/ARTIFACT/job.log" in end.stderr


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(  # noqa: PLR0913, PLR0917 -- what the test looks at
    archive: Path,
    command: list[str],
    environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
    pause: float,
) -> None:
    """It reaches the whole process group, also while processes begin: one line, and none stays."""
    hashed = next(archive.glob("*/*/*"))
    log = next(hashed.rglob("job.log")).read_bytes()
    for job in range(100, 900):
        folder = hashed / "2026_09_15" / f"{job}" / "1"
        folder.mkdir(parents=True)
        (folder / "job.log").write_bytes(log)
    flags = ["mine", str(archive), "--store", str(tmp_path / "store"), *HOST, "--workers", "2"]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
        [*command, *flags],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith("mining\n")
        time.sleep(pause)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("Interrupted; everything read so far is kept. Mine again to go on.\n")
    end = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(process.pid, 0)  # asks whether anybody is left
            time.sleep(0.05)
    assert time.monotonic() < end


def test_words() -> None:
    """Progress says how far it is in every form."""
    tally = Tally(found=9, known=2, jobs_done=3, images=4, read=5_000_000, twice=1)
    words = MineWords()

    assert words.moved(tally) == "read 3 logs of 9 found, 2 done before, 5 MB, 4 images"
    assert list(words.bars(tally)) == [("reading logs", 6, None, "4 images, 5 MB")]
