"""The report as Markdown, for a wiki page, an issue or a merge request.

Foreign text stands in code (`logminer.foreign.code`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from logminer.foreign import code
from logminer.report import words
from logminer.report.sections import Cell, Column, Evidence, Section, Spark, sections, text

if TYPE_CHECKING:
    from logminer.report.build import Report


def write(report: Report, out: TextIO) -> None:
    """Write the document."""
    period = report.period
    named = f"{code(report.label)}: " if report.label else ""
    compared = f", compared with {words.spell(report.previous)}" if report.comparable else ""
    lines = [
        "# Container images pulled by CI jobs",
        "",
        f"{named}**{words.spell(period)}** (UTC){compared}",
    ]
    for note in report.notes:
        lines += ["", f"> {note}"]
    if not report.empty:
        for section in sections(report):
            lines += ["", f"## {section.title}", "", *_section(section)]
    out.write("\n".join(lines) + "\n")


def _section(section: Section) -> list[str]:
    """Return a section under its heading, as a table."""
    lines = [words.sentence(section.says), ""] if section.says else []
    if not section.rows:
        return [*lines, section.none]
    lines += [
        _line([column.title for column in section.columns]),
        _line(["---" if column.text else "---:" for column in section.columns]),
    ]
    lines += [
        _line([_cell(*each) for each in zip(section.columns, row, strict=True)])
        for row in section.rows
    ]
    if section.left:
        lines += ["", f"and {section.left} more"]
    return lines


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(column: Column, cell: Cell) -> str:
    """Return a cell; a line of a log or a file is a link to it."""
    match cell:
        case str() if not column.ours:
            return code(cell)
        case Evidence():
            return f"[{column.title}](<{cell.url}>)" if cell.url else ""
        case Spark():
            return f"`{text(cell).strip()}`"
        case _:
            return text(cell)
