"""What a person sees before anything runs, and how soon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from logminer import __version__

if TYPE_CHECKING:
    from pathlib import Path

Invoke = Callable[..., Result]
COMMANDS = [
    "demo",
    "harvest",
    "status",
    "verify",
    "extract",
    "report",
    "schema",
    "exposure",
    "query",
    "inventory",
    "drift",
    "migrate",
    "schedule",
]
HEAVY = {"pandas", "pyarrow", "duckdb", "httpx", "aiohttp", "hyperscan", "gitlab", "rich", "jinja2"}

LOADED = """
import json, sys
{work}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""
HELP = """
import contextlib
from logminer.cli import main
sys.argv = ["logminer", "--help"]
with contextlib.suppress(SystemExit):
    main()
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(invoke: Invoke, name: str) -> None:
    """Help is on stdout, fits 80 columns and is listed with its whole first line."""
    end = invoke(name, "--help", COLUMNS="80")

    first = end.stdout.splitlines()[2].strip()
    assert end.exit_code == 0
    assert end.stderr == ""
    assert f"  {name:<{max(map(len, COMMANDS))}}  {first}\n" in invoke("--help").stdout
    assert max(map(len, end.stdout.splitlines())) <= 80


def test_every_option_has_help(invoke: Invoke) -> None:
    """No option stands there without a word."""
    for name in ([], *([command] for command in COMMANDS)):
        lines = invoke(*name, "--help").stdout.splitlines()
        options = lines[lines.index("Options:") + 1 :]
        for at, line in enumerate(options):
            if line.startswith("  -"):
                words = line.strip().split("  ", 1)
                assert len(words) == 2 or options[at + 1].startswith("    "), line


def test_exit_codes_are_told(invoke: Invoke) -> None:
    """The help names every exit code of the design."""
    text = " ".join(invoke("--help").stdout.split())

    for code in ("0 complete", "1 failed", "2 usage", "3 partial", "4 not", "75 locked", "130 int"):
        assert code in text


def test_version(invoke: Invoke) -> None:
    """`--version` prints the name and the version, as a result."""
    end = invoke("--version")

    assert (end.stdout, end.stderr, end.exit_code) == (f"logminer {__version__}\n", "", 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["extract"],
        ["harvest"],
        ["report", "--format", "xml"],
        ["harvest", "--store", "s", "--concurrency", "0"],
    ],
)
def test_wrong_usage_is_2(invoke: Invoke, arguments: list[str]) -> None:
    """What the parser refuses says how to go on, on stderr."""
    end = invoke(*arguments)

    assert end.exit_code == 2
    assert end.stdout == ""
    assert "--help' for help." in end.stderr
    assert "Error: " in end.stderr


@pytest.mark.parametrize("work", [HELP, "import logminer", "import logminer.cli"])
def test_nothing_heavy_is_imported_early(
    tmp_path: Path, environment: dict[str, str], work: str
) -> None:
    """Neither help nor `import logminer` waits for a heavy library."""
    end = subprocess.run(  # noqa: S603 -- our own interpreter, code from above
        [sys.executable, "-c", LOADED.format(work=work)],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=environment,
        text=True,
    )

    assert HEAVY & set(json.loads(end.stderr.splitlines()[-1])) == set()
