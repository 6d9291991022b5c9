"""Progress where somebody looks: on stderr alone, and gone when it is done."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest

from logminer.simulator import Behaviour, Company, Server, serve

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

COLUMNS = 80
TOKEN = "glpat-any"  # noqa: S105 -- opens nothing
Watched = Callable[..., tuple[subprocess.Popen[bytes], bytes]]
Answering = Callable[[dict[str | None, tuple[int, str, bytes]]], AbstractContextManager[str]]

SEQUENCE = re.compile(rb"\x1b\[(\??)(\d*)(?:;\d+)*([A-Za-z])")


@pytest.fixture
def watched(tmp_path: Path, environment: dict[str, str], command: list[str]) -> Watched:
    """Run a command with stderr on a terminal; gives the ended process and all that was drawn."""

    def run(*arguments: str, **more: str) -> tuple[subprocess.Popen[bytes], bytes]:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        clean = {name: value for name, value in environment.items() if name != "COLUMNS"}
        seen = b""
        with (
            open(leader, "rb", buffering=0) as screen,  # noqa: PTH123 -- a descriptor
            subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
                [*command, *arguments],
                cwd=tmp_path,
                env=clean | {"TERM": "xterm-256color"} | more,
                stderr=follower,
                stdout=subprocess.PIPE,
            ) as process,
        ):
            os.close(follower)
            while True:
                try:
                    seen += screen.read(65_536)
                except OSError:  # how a terminal ends on Linux
                    break
            assert process.stdout is not None
            assert process.stdout.read() == b""
        return process, seen

    return run


def _screen(drawn: bytes) -> tuple[list[str], bool]:
    """Return what a terminal shows in the end, and whether its cursor is to be seen.

    Knows just the sequences that progress needs, so that any other fails the test.
    """
    lines, row, column, cursor = [""], 0, 0, True
    at = 0
    while at < len(drawn):
        match = SEQUENCE.match(drawn, at)
        if match:
            private, number, letter = match.groups()
            if letter == b"A":
                row -= int(number or 1)
                assert row >= 0
            elif letter == b"K":
                assert number == b"2"
                lines[row] = ""
            elif letter in b"hl":
                assert (private, number) == (b"?", b"25")
                cursor = letter == b"h"
            else:
                assert letter == b"m"
            at = match.end()
            continue
        end = next(
            (n for n in range(at, len(drawn)) if drawn[n : n + 1] in {b"\x1b", b"\r", b"\n"}),
            len(drawn),
        )
        text = drawn[at:end].decode()
        if text:
            assert text.isprintable()
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
            at = end
        elif drawn[at : at + 1] == b"\r":
            column, at = 0, at + 1
        else:
            assert drawn[at : at + 1] == b"\n"
            row, at = row + 1, at + 1
            if row == len(lines):
                lines.append("")
    return lines, cursor


def test_bars_come_and_go(watched: Watched, company: Company) -> None:
    """Both bars are drawn, no line is wider than the screen, and only the summary stays."""
    with serve(company, behaviour=Behaviour(latency=0.01)) as server:
        process, drawn = watched(
            *("harvest", "--all", "--concurrency", "4", "--url", server.url, "--store", "s"),
            GITLAB_TOKEN=server.token,
        )

    lines, cursor = _screen(drawn)
    bare = SEQUENCE.sub(b"", drawn).decode()
    assert process.returncode == 0
    assert "listing projects" in bare
    assert "reading logs" in bare
    bars = [line for line in re.split("[\r\n]+", bare) if "reading logs" in line]
    assert max(map(len, bars)) <= COLUMNS
    assert cursor
    assert lines[0].startswith("11 projects listed, ")
    assert not any("reading logs" in line or "listing projects" in line for line in lines)
    assert lines[-1] == ""
    assert all(lines[:-1])


def test_elsewhere_there_are_no_bars(invoke: Callable[..., Result], server: Server) -> None:
    """In the log of a scheduler stands no control character."""
    end = invoke("harvest", "--all", "--url", server.url, "-s", "s", GITLAB_TOKEN=server.token)

    assert end.exit_code == 0
    assert "reading logs" not in end.stderr
    assert end.stderr.replace("\n", "").isprintable()


def test_a_project_cannot_move_the_cursor(watched: Watched, answering: Answering) -> None:
    """A path of control characters and markup is shown, not obeyed."""
    evil = "group/\x1b[2J\x1b[31m\a[bold red]\u202e\r\nlogminer: all is well"
    project = {
        "id": 1,
        "path_with_namespace": evil,
        "jobs_enabled": True,
        "builds_access_level": "enabled",
        "archived": False,
    }
    answers = {
        "/api/v4/version": (200, "application/json", b'{"version": "18.5.0", "revision": "a"}'),
        "/api/v4/projects/1": (200, "application/json", json.dumps(project).encode()),
        None: (403, "application/json", b'{"message": "403 Forbidden"}'),
    }
    with answering(answers) as url:
        process, drawn = watched("harvest", "-p", "1", "-s", "s", "--url", url, GITLAB_TOKEN=TOKEN)

    lines, _ = _screen(drawn)
    assert process.returncode == 0
    assert not any(line.startswith("logminer: all is well") for line in lines)
    assert r"group/\x1b[2J\x1b[31m\x07[bold red]\u202e\r\nlogminer" in "".join(lines)
