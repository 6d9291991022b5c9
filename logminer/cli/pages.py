"""Rows for people and for programs: image uses as a table or JSON lines, the data dictionary."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from logminer.cli.output import show
from logminer.foreign import visible
from logminer.report.words import fold
from logminer.store.schema import data_dictionary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from logminer.model import ImageUse
    from logminer.store.schema import Entry
    from logminer.trace import Extraction

_GROUPS: Final = {"trace", "use", "image", "evidence"}
"""Groups of columns that a log alone can fill."""

_GAP: Final = 2
"""Blanks between two columns."""

_LEAST: Final = 16
"""Characters that a column of foreign text keeps on the narrowest screen."""

_COLUMN: Final = 20
_TYPE: Final = 13
"""Characters of the longest name of a column, and of its type."""

_UNBOUNDED: Final = 10_000
"""Columns of a table that is not for a screen: one line for each use, whatever its length."""

_DIGEST: Final = len("sha256:") + 12
"""Characters of a digest that people compare, as the tools they know show it."""

_MARKS: Final = {
    "pulled": "green",
    "present": "green",
    "used": "green",
    "declared": "",
    "rejected": "red",
    "failed": "red",
}
"""Colour only repeats what the word says."""


def use_lines(name: str, extraction: Extraction) -> Iterator[str]:
    """Yield a JSON object for each use: `file`, then the groups trace, use, image, evidence.

    Characters beyond ASCII are escaped: a file's name need not be text, and a program need not
    know our encoding.
    """
    columns = [
        entry.column
        for entry in data_dictionary()
        if entry.table == "images" and entry.group in _GROUPS
    ]
    summary = extraction.summary
    for use in extraction.uses:
        values = {
            column: getattr(use if hasattr(use, column) else summary, column) for column in columns
        }
        yield json.dumps({"file": name, **values}, default=_plain)


def _plain(value: object) -> str:
    """Write the one type that JSON lacks and a use has: RFC 3339, UTC."""
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(type(value).__name__)


def _console(*, width: int | None = None) -> Console:
    """Return stdout as a console to which text is only text."""
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def use_table(logs: Sequence[tuple[str, Sequence[ImageUse]]], *, headed: bool) -> None:
    """Print image uses for a person: a block for each log, headed by its name where asked.

    Nothing is cut. On a screen long names are folded; elsewhere each use is one line, for grep.
    """
    console = _console()
    if not console.is_terminal:
        console = _console(width=_UNBOUNDED)
    widths = _widths([use for _, uses in logs for use in uses], console.width)
    parts: list[RenderableType] = []
    for name, uses in logs:
        if headed:
            blank = [Text()] if parts else []
            parts += [*blank, Text(visible(name), overflow="fold")]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for title, width in widths.items():
            table.add_column(
                title, width=width, justify="right" if title == "line" else "left", overflow="fold"
            )
        for use in uses:
            table.add_row(
                str(use.line),
                str(use.role),
                Text(use.outcome, _MARKS[use.outcome]),
                "\n".join(fold(visible(use.image), widths["image"])),
                _digest(use),
                visible(_remark(use)),
            )
        parts.append(table)
    show(console, *parts)


def _widths(uses: Sequence[ImageUse], page: int) -> dict[str, int]:
    """Return the columns and their widths: the same for every block, so that they stand in line."""
    natural = {
        "line": [str(use.line) for use in uses],
        "role": [str(use.role) for use in uses],
        "outcome": [str(use.outcome) for use in uses],
        "image": [visible(use.image) for use in uses],
        "digest": [_digest(use) for use in uses],
        "remark": [visible(_remark(use)) for use in uses],
    }
    widths = {title: max(map(len, [title, *cells])) for title, cells in natural.items()}
    room = page - sum(widths.values()) - _GAP * (len(widths) - 1)
    for title in ("remark", "image"):
        # Words fold better than names; what neither can give is the terminal's to cut.
        given = min(-min(room, 0), max(0, widths[title] - _LEAST))
        widths[title] -= given
        room += given
    return widths


def _digest(use: ImageUse) -> str:
    """Return as much of a digest as people compare."""
    return (use.digest or "")[:_DIGEST]


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


def dictionary_json(entries: Iterable[Entry]) -> str:
    """Return the data dictionary for a program."""
    return json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2)


def dictionary_table(entries: Iterable[Entry]) -> None:
    """Print the data dictionary for a person: a block for each group of columns of each table."""
    parts: list[RenderableType] = []
    for (name, group), columns in groupby(entries, key=lambda entry: (entry.table, entry.group)):
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        table.add_column(width=_COLUMN)
        table.add_column(width=_TYPE, style="dim")
        table.add_column(overflow="fold")
        for entry in columns:
            table.add_row(entry.column, entry.type + ("?" if entry.nullable else ""), entry.meaning)
        parts += [Text(f"{name}, {group}", style="bold"), table, Text()]
    show(_console(), *parts, Text("A ? behind a type: the value may be null.", style="dim"))
