"""Golden folders: the files of a repository, and by hand what they declare.

Each folder of `golden/` has `files/` and `expected.json`: why it is there, what is known of the
project, what all rows have in common, and the rows. `resolved` is the image itself where it is
literal and stands there otherwise.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from logminer.inventory import Facts, predefined, read_file, read_tree
from logminer.model import Declaration

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(each.name for each in GOLDEN.iterdir())


def _files(case: str) -> list[tuple[str, bytes]]:
    root = GOLDEN / case / "files"
    return [
        (path.relative_to(root).as_posix(), path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    ]


def _expected(case: str) -> tuple[Facts, list[dict[str, Any]]]:
    told = json.loads((GOLDEN / case / "expected.json").read_text())
    facts = dict(told.get("facts", {}))
    settings = facts.pop("settings", {})
    known = predefined(**facts) if facts else {}
    empty: dict[str, Any] = dict.fromkeys(each.name for each in fields(Declaration))
    empty["variables"] = []
    rows = []
    for row in told["rows"]:
        whole = {**empty, **told.get("all", {}), **row}
        if whole["resolution"] == "literal" and "resolved" not in row:
            whole["resolved"] = whole["image"]
        if whole["resolution"] == "unread":
            whole["role"] = None
        rows.append(whole)
    return Facts(predefined=known, settings=settings), rows


def _plain(rows: list[Declaration]) -> list[dict[str, Any]]:
    return [{**asdict(each), "variables": list(each.variables)} for each in rows]


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    """Every row that a person expects is found as they wrote it, and none besides."""
    facts, expected = _expected(case)

    assert _sorted(_plain(read_tree(_files(case), facts))) == _sorted(expected)


@pytest.mark.parametrize("case", CASES)
def test_order_of_files_never_shows(case: str) -> None:
    """Files in any order give the same rows in the same order: by path, then by line."""
    facts, _ = _expected(case)
    rows = read_tree(_files(case), facts)

    assert read_tree(reversed(_files(case)), facts) == rows
    assert [(each.path, each.line or 0) for each in rows] == sorted(
        (each.path, each.line or 0) for each in rows
    )


@pytest.mark.parametrize("case", CASES)
def test_line_holds_what_is_written(case: str) -> None:
    """The line of a row holds its image as written; of one put together, a part of it."""
    facts, _ = _expected(case)
    files = dict(_files(case))
    for row in read_tree(files.items(), facts):
        if row.image is None or row.line is None or row.note is not None:
            continue
        line = files[row.path].decode().split("\n")[row.line - 1]
        if row.kind == "kustomize" and (row.name or "").startswith("/"):
            assert line.endswith("patch: |-")
        elif row.kind in {"helm", "kustomize"}:
            assert any(part in line for part in re.split("[/:@]", row.image))
        else:
            assert row.image in line or line.endswith(">-")


def test_one_file_is_a_tree_of_one() -> None:
    """A file by itself declares what it declares alone in a tree; any name will do for CI."""
    image = b"build:\n  image: alpine:3\n  script: [x]\n"

    assert read_file("a.Dockerfile", b"FROM a:1\n", Facts()) == read_tree(
        [("a.Dockerfile", b"FROM a:1\n")], Facts()
    )
    assert [row.resolved for row in read_file("jobs/mine.yml", image, Facts())] == ["alpine:3"]
    assert read_tree([("jobs/mine.yml", image)], Facts()) == []
