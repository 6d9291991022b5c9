"""Rows for people and for programs: image uses as a table or JSON lines, the data dictionary."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from logminer.model import ImageUse
    from logminer.store.schema import Entry
    from logminer.trace import Extraction

_MARKS = {
    "pulled": "green",
    "present": "green",
    "used": "green",
    "declared": "",
    "rejected": "red",
    "failed": "red",
}
"""Colour only repeats what the word says."""


def shown(foreign: object) -> str:
    """Return foreign text that a terminal can only print."""
    return "".join(each if each.isprintable() else "\ufffd" for each in str(foreign))


def use_lines(name: str, extraction: Extraction) -> Iterator[str]:
    """Yield a JSON object for each use: `file`, then the groups trace, use, image, evidence."""
    summary = extraction.summary
    for use in extraction.uses:
        values = {
            "file": name,
            "runner_version": summary.runner_version,
            "executor": summary.executor,
            **{field.name: getattr(use, field.name) for field in dataclasses.fields(use)},
        }
        yield json.dumps(values, ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    """Write the one type that JSON lacks and a use has: RFC 3339, UTC."""
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def use_table(found: Iterable[tuple[str, ImageUse]], *, files: bool) -> None:
    """Print image uses for a person; with a column of file names where there are several."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    if files:
        table.add_column("file", overflow="fold")
    table.add_column("line", justify="right")
    table.add_column("role")
    table.add_column("outcome")
    table.add_column("image", overflow="fold", ratio=3)
    table.add_column("digest", overflow="fold", ratio=2)
    table.add_column("remark", overflow="fold", ratio=2)
    for name, use in found:
        table.add_row(
            *([Text(shown(name))] if files else []),
            str(use.line),
            str(use.role),
            Text(use.outcome, _MARKS[use.outcome]),
            Text(shown(use.image)),
            Text((use.digest or "")[: len("sha256:") + 12]),
            Text(shown(_remark(use))),
        )
    Console(file=sys.stdout).print(table)


def _remark(use: ImageUse) -> str:
    """Say what else a person wants to know of a use."""
    parts = []
    if use.error_kind is not None:
        parts.append(str(use.error_kind))
    if use.pull_attempts > 1:
        parts.append(f"{use.pull_attempts} attempts")
    if use.via is not None:
        parts.append(f"via {use.via}")
    if use.origin == "script":
        parts.append("said by the script")
    return ", ".join(parts)


def dictionary_table(entries: Iterable[Entry]) -> None:
    """Print the data dictionary for a person."""
    console = Console(file=sys.stdout)
    table: Table | None = None
    name = group = None
    for entry in entries:
        if entry.table != name:
            if table is not None:
                console.print(table)
                console.print()
            name, group = entry.table, None
            table = Table(
                box=None, pad_edge=False, title=name, title_style="bold", title_justify="left"
            )
            table.add_column("group", style="dim")
            table.add_column("column")
            table.add_column("type")
            table.add_column("meaning", overflow="fold", ratio=1)
        assert table is not None  # noqa: S101 -- the first entry made one
        table.add_row(
            entry.group if entry.group != group else "",
            entry.column,
            entry.type + ("" if not entry.nullable else "?"),
            entry.meaning,
        )
        group = entry.group
    if table is not None:
        console.print(table)
    console.print("\nA ? behind a type: the value may be null.", style="dim")
