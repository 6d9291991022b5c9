"""An installation whose names are as hostile as GitLab and a file system allow, and a witness."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from logminer.schedule import Installation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = "we \"ird' $HOME `id` $(id) ${x} 50% %n %% \\ \\n ; & | <a> # é ☃ 😀"
"""No group has this name; whoever can write it can write every name."""


@pytest.fixture
def witness(tmp_path: Path) -> tuple[str, Callable[[], list[list[str]]]]:
    """A program that notes its arguments and leaves with $WITNESS, and what it has noted."""
    book = tmp_path / "book"
    program = tmp_path / "bin dir $x%" / "logminer"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"with open({str(book)!r}, 'a') as book:\n"
        "    book.write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "sys.exit(int(os.environ.get('WITNESS', '0')))\n"
    )
    program.chmod(0o755)

    def noted() -> list[list[str]]:
        return [json.loads(line) for line in book.read_text().splitlines()]

    return str(program), noted


@pytest.fixture
def hostile(witness: tuple[str, Callable[[], list[list[str]]]], tmp_path: Path) -> Installation:
    """An installation of the witness, everything in it hostile."""
    return Installation(
        executable=witness[0],
        flags=("--group", HOSTILE, "--exclude", "*/x y", "--project=-dash", "--max-duration", "3h"),
        url="https://gitlab.example.com",
        store=str(tmp_path / "st ore $x% \"q'"),
        token_file=str(tmp_path / "to ken%n"),
        metrics_file=str(tmp_path / "m $x" / "logminer.prom"),
        name="night-2",
        image="registry.example.com/ops/logminer:1",
    )
