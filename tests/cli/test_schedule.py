"""`logminer schedule`: what it takes from flags and environment, and what it never says."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

import logminer

if TYPE_CHECKING:
    from logminer.simulator import Server

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
TOKEN = "glpat-must-not-be-seen"  # noqa: S105 -- opens nothing
KINDS = ["systemd", "cron", "kubernetes", "gitlab", "container", "grafana", "alerts"]


def harvest_of(script: str) -> list[str]:
    """Return the words of the harvest in a shell script."""
    (line,) = (
        line for line in script.replace("\\\n", " ").splitlines() if "/logminer harvest " in line
    )
    return shlex.split(line)


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_in_any_file(
    invoke: Invoke, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a token may be found, it is not read: not in the environment, not in a file."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "gl.cfg").write_text(
        f"[global]\ndefault = a\n[a]\nurl = x\nprivate_token = {TOKEN}"
    )
    monkeypatch.setenv("PYTHON_GITLAB_CFG", str(tmp_path / "gl.cfg"))
    more = dict.fromkeys(("GITLAB_TOKEN", "GITLAB_PRIVATE_TOKEN", "GL_TOKEN"), TOKEN)
    end = invoke("schedule", kind, "--group", "a", "--token-file", "token", **more)

    assert end.exit_code == 0
    assert end.stdout
    assert TOKEN not in end.stdout + end.stderr


def test_a_url_with_a_password_is_refused(invoke: Invoke) -> None:
    """A file is no place for one."""
    end = invoke("schedule", "cron", "--url", f"https://me:{TOKEN}@gitlab.example.com")

    assert end.exit_code == 2
    assert TOKEN not in end.stdout + end.stderr


def test_flags_are_those_of_the_harvest(invoke: Invoke, tmp_path: Path) -> None:
    """Each by its long name, as it was given; paths as they are from anywhere."""
    end = invoke(
        *("schedule", "cron", "-g", "my group", "-p", "a/b", "-p", "7", "--no-archived"),
        *("--exclude", "*/x", "--since", "2026-07-01", "--depth", "prepare", "--rps", "0.5"),
        *("--max-duration", "3h", "--mirrors", "m.toml", "-s", "s", "--keep-preamble"),
        *("--url", "https://gitlab.example.com/", "--token-file", "t", "--metrics-file", "m.prom"),
        *("--concurrency", "4", "-v"),
    )
    program, *words = harvest_of(end.stdout)

    assert (end.exit_code, end.stderr) == (0, "")
    assert Path(program).is_absolute()
    assert os.access(program, os.X_OK)
    assert words == [
        *("harvest", "--url", "https://gitlab.example.com", "--token-file", str(tmp_path / "t")),
        *("--store", str(tmp_path / "s"), "--project", "a/b", "--project", "7"),
        *("--group", "my group", "--exclude", "*/x", "--no-archived", "--since", "2026-07-01"),
        *("--depth", "prepare", "--mirrors", str(tmp_path / "m.toml"), "--concurrency", "4"),
        *("--rps", "0.5", "--max-duration", "3h", "--keep-preamble"),
        *("--metrics-file", str(tmp_path / "m.prom"), "--log-format", "plain", "--quiet"),
    ]


def test_the_environment_is_as_good(invoke: Invoke, tmp_path: Path) -> None:
    """Store, server, scope and mirrors may stand there, as for a harvest."""
    end = invoke(
        *("schedule", "cron"),
        GITLAB_URL="https://gitlab.example.com",
        LOGMINER_STORE="s",
        LOGMINER_MIRRORS="m.toml",
        GL_GROUP_ID="42",
    )

    assert (end.exit_code, end.stderr) == (0, "")
    assert harvest_of(end.stdout)[1:11] == [
        *("harvest", "--url", "https://gitlab.example.com", "--token-file", "/etc/logminer/token"),
        *("--store", str(tmp_path / "s"), "--group", "42", "--mirrors"),
    ]


def test_a_bucket_stays_a_bucket(invoke: Invoke) -> None:
    """The address of an object store is no path: no volume, and both slashes."""
    end = invoke("schedule", "kubernetes", "-g", "a", "--store", "s3://bucket/prefix")

    assert end.exit_code == 0
    assert '"s3://bucket/prefix"' in end.stdout
    assert "PersistentVolumeClaim" not in end.stdout


def test_what_is_missing_is_said(invoke: Invoke) -> None:
    """What neither flags nor environment say is named, and stands in the files as CHANGE-ME."""
    said = "CHANGE-ME stands where you have to fill in: "
    for kind, flags, names in (
        ("cron", [], "--url, --group or --project"),
        ("cron", ["--all", "--url", "https://gitlab.example.com"], None),
        ("kubernetes", ["-g", "a"], "--url, --image"),
        ("container", ["-g", "a", "--image", "r.example.com/l:1"], None),
        ("grafana", [], None),
    ):
        end = invoke("schedule", kind, *flags)

        assert end.stderr == (f"{said}{names}\n" if names else "")
        assert ("CHANGE-ME" in end.stdout) == (names is not None)


def test_into_a_directory(invoke: Invoke, complaint: Complaint, tmp_path: Path) -> None:
    """Each file under its name; written twice is the same; what somebody changed is left alone."""
    ask = ("schedule", "cron", "--all", "--url", "https://gitlab.example.com", "-o", "out")
    first, second = invoke(*ask), invoke(*ask)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    script = tmp_path / "out" / "logminer-harvest.sh"

    assert first.stdout == second.stdout == "out/logminer-harvest.sh\nout/logminer.cron\n"
    assert names == ["logminer-harvest.sh", "logminer.cron"]
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    script.write_text("mine\n")
    third = invoke(*ask)
    assert third.exit_code == 2
    assert "exists and says something else" in complaint(third)
    assert script.read_text() == "mine\n"


def test_several_are_told_apart(invoke: Invoke) -> None:
    """Printed together, each file is headed by its name; one alone is only itself."""
    many = invoke("schedule", "systemd", "--all", "--name", "night-2")
    one = invoke("schedule", "grafana")

    assert [line for line in many.stdout.splitlines() if line.startswith("# -----")] == [
        "# ----- night-2.service -----",
        "# ----- night-2.timer -----",
        "# ----- night-2-health.service -----",
        "# ----- night-2-health.timer -----",
    ]
    assert json.loads(one.stdout)["title"] == "logminer"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dry-run"], "--dry-run is nothing for every night"),
        (["--reparse"], "--reparse is nothing for every night"),
        (["--max-duration", "soon"], "--max-duration 'soon' is no length of time"),
        (["--max-trace-size", "big"], "--max-trace-size 'big' is no size"),
        (["--since", "once"], "once"),
        (["--at", "25:00"], "--at '25:00' is no time of day"),
        (["--name", "No Name"], "--name 'No Name'"),
        (["--url", "gitlab"], "URL"),
        (["-g", "a\nb"], "no schedule can carry"),
    ],
)
def test_what_a_harvest_would_refuse(
    invoke: Invoke, complaint: Complaint, arguments: list[str], says: str
) -> None:
    """Said by day, in one line, and not found out at night."""
    end = invoke("schedule", "systemd", *arguments)

    assert end.exit_code == 2
    assert says in complaint(end)


def test_unknown_flags_are_the_parsers(invoke: Invoke) -> None:
    """A flag that no harvest has, and a kind that is none, are refused as everywhere."""
    for arguments in (["systemd", "--nonsense"], ["launchd"], []):
        end = invoke("schedule", *arguments)

        assert (end.exit_code, end.stdout) == (2, "")
        assert "--help' for help." in end.stderr


@pytest.mark.slow
def test_the_script_harvests_for_real(
    invoke: Invoke, server: Server, tmp_path: Path, environment: dict[str, str]
) -> None:
    """What is printed for cron, run by a shell, fills a store, writes metrics, and says nothing.

    Its health check then finds nothing to say, either; of a store that nobody filled it does.
    """
    (tmp_path / "token").write_text(server.token)
    invoke(
        *("schedule", "cron", "--all", "--url", server.url, "--token-file", "token"),
        *("-s", "my store", "--metrics-file", "m.prom", "-o", "out"),
    )
    script = tmp_path / "out" / "logminer-harvest.sh"

    def shell(*arguments: str) -> tuple[int, str, str]:
        end = subprocess.run(  # noqa: S603 -- a shell, and a script of ours
            ["/bin/sh", script, *arguments],
            capture_output=True,
            check=False,
            cwd="/",
            env=environment,
            text=True,
            timeout=100,
        )
        return end.returncode, end.stdout, end.stderr

    before = shell("--health")
    night = shell()
    after = shell("--health")

    assert before[0] == 2
    assert night == (0, "", "")
    assert after == (0, "", "")
    assert len(logminer.open(tmp_path / "my store").jobs()) > 100
    assert "logminer_last_run_exit_code" in (tmp_path / "m.prom").read_text()
