"""The notebooks run from top to bottom, and what is shown of them is fit to be shown.

Run as a script, this executes every notebook where a demo has run and keeps its outputs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
MOST_BYTES = 300_000
SHOWN = {"text/plain", "text/html", "image/png", "image/svg+xml"}
"""What a code-hosting page can show; it runs no script."""


def _outputs(notebook: Path) -> list[dict[str, Any]]:
    """Return every output of a notebook."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [output for cell in cells for output in cell.get("outputs", ())]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_shown_is_fit_to_be_shown(notebook: Path) -> None:
    """Pictures and tables, small, without a script, a warning or a path of somebody's machine."""
    outputs = _outputs(notebook)
    kinds = {kind for output in outputs for kind in output["data"]}
    texts = json.dumps([output["data"].get("text/html", "") for output in outputs])

    assert notebook.stat().st_size < MOST_BYTES
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data"}
    assert "image/svg+xml" in kinds
    assert "text/html" in kinds
    assert kinds <= SHOWN
    assert "<script" not in texts
    assert not re.search(
        r"/(home|root|tmp|Users|work)/|127\.0\.0\.1|localhost", json.dumps(outputs)
    )


@pytest.mark.slow
def test_notebooks_run_as_jupyter_runs_them(tmp_path: Path) -> None:
    """Nbmake executes every notebook beside the store of a demo."""
    _beside_a_demo(tmp_path)
    run = subprocess.run(  # noqa: S603 -- our own interpreter
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbmake",
            "-p",
            "no:cacheprovider",
            *tmp_path.glob("*.ipynb"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(NOTEBOOKS)} passed" in run.stdout


def _beside_a_demo(directory: Path) -> None:
    """Run a demo in a directory and put the notebooks beside its store."""
    subprocess.run(
        [sys.executable, "-m", "logminer", "demo"],
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    for notebook in NOTEBOOKS:
        shutil.copy(notebook, directory)


def main() -> None:
    """Execute every notebook and keep its outputs."""
    import nbformat  # noqa: PLC0415 -- the script's
    from nbclient import NotebookClient  # noqa: PLC0415 -- the script's

    with tempfile.TemporaryDirectory() as directory:
        _beside_a_demo(Path(directory))
        os.chdir(directory)
        for notebook in NOTEBOOKS:
            read = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
            NotebookClient(read, record_timing=False, timeout=300).execute()
            for cell in read.cells:
                cell.metadata.clear()
            read.metadata.language_info = {"name": "python"}
            nbformat.write(read, notebook)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
