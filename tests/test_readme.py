"""The README is the front door: what it shows is what the program prints.

Run as a script, this writes the generated parts anew.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import tempfile
from pathlib import Path

import pytest
from typer.main import get_command

import logminer
from logminer.cli import demo
from logminer.cli.app import app
from logminer.store.schema import data_dictionary

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TODAY = dt.date(2026, 11, 23)
"""The day on which the README's demo was run."""
SHOWN = "Repositories, most pulled"
"""The section of the report with which the excerpt ends."""
ROWS = 12
"""Lines of that section that are shown."""


def _run_demo(directory: Path) -> str:
    """Run the demo in a directory; returns the beginning of what it prints, as a fenced block."""
    out = io.StringIO()
    with (
        contextlib.chdir(directory),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        demo.run(Path("logminer-demo"), keep=False, seed=1, today=TODAY)
    lines = out.getvalue().splitlines()
    end = next(number for number, line in enumerate(lines) if line.startswith(SHOWN))
    shown = "\n".join(line.rstrip() for line in lines[: end + ROWS])
    return f"```\n{shown}\n…\n```\n"


def _commands() -> str:
    """Return the commands with the first line of their help."""
    command = get_command(app)
    rows = [
        f"| `logminer {name}` | {(each.help or '').partition(chr(10))[0].rstrip('.')} |"
        for name, each in command.commands.items()  # type: ignore[attr-defined] # typer's own group
    ]
    return "\n".join(["| command | does |", "|---|---|", *rows]) + "\n"


def _schema() -> str:
    """Return the data dictionary as tables."""
    lines: list[str] = []
    table = ""
    for entry in data_dictionary():
        if entry.table != table:
            table = entry.table
            lines += [
                "",
                f"### `{table}`",
                "",
                "| group | column | type | meaning |",
                "|---|---|---|---|",
            ]
        mark = "?" if entry.nullable else ""
        lines.append(f"| {entry.group} | `{entry.column}` | {entry.type}{mark} | {entry.meaning} |")
    return "\n".join(lines[1:]) + "\n"


def _part(text: str, name: str) -> str:
    """Return what stands between a part's marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    return text[text.index(begin) + len(begin) : text.index(end)]


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the demo of a company of some projects has run."""
    directory = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_PROJECTS", 40)
        patch.setattr(demo, "_JOBS", 400)
        _run_demo(directory)
    return directory


@pytest.mark.slow
def test_the_output_shown_is_real(tmp_path: Path) -> None:
    """The README shows what the demo printed on its day."""
    printed = _run_demo(tmp_path)

    assert _part(README.read_text(), "demo") == printed
    assert len(logminer.open(tmp_path / "logminer-demo").images()) > 1_000


def test_tables_are_current() -> None:
    """Commands and columns are those of the program; `python tests/test_readme.py` writes them."""
    text = README.read_text()

    assert _part(text, "commands") == _commands()
    assert _part(text, "schema") == _schema()


def test_the_front_door() -> None:
    """Both commands stand in the first 15 lines, real output by line 40."""
    lines = README.read_text().splitlines()

    assert any("pip install . && logminer demo" in line for line in lines[:15])
    assert any("pip install -e '.[test]' && pytest" in line for line in lines[:15])
    assert any("image uses" in line for line in lines[:40])


def test_ci_calls_the_test_command() -> None:
    """What decides is what the README tells a new contributor to type."""
    assert "pip install --quiet -e '.[test]' && pytest\n" in (ROOT / ".ci" / "run").read_text()


def test_python_examples_run(demonstrated: Path) -> None:
    """Every Python example runs as it stands, in the directory where the demo ran."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    assert len(blocks) == 4
    with contextlib.chdir(demonstrated):
        for block in blocks:
            names: dict[str, object] = {}
            exec(compile(block, str(README), "exec"), names)  # noqa: S102 -- our own README
            assert len(names) > 1


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(notebook: Path, demonstrated: Path) -> None:
    """Every cell of every notebook runs, from top to bottom, where the demo ran."""
    cells = [
        "".join(cell["source"])
        for cell in json.loads(notebook.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]

    assert cells
    names: dict[str, object] = {}
    with contextlib.chdir(demonstrated):
        for cell in cells:
            exec(compile(cell, str(notebook), "exec"), names)  # noqa: S102 -- our own notebook


def main() -> None:
    """Write every generated part anew."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as directory:
        parts = {"demo": _run_demo(Path(directory)), "commands": _commands(), "schema": _schema()}
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->\n{_part(text, name)}", f"<!-- {name} -->\n{part}", 1)
    README.write_text(text)


if __name__ == "__main__":
    main()
