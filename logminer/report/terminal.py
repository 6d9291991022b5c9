"""The report for people: coverage first, then the headline, then where it all came from.

Strategy: every table stands on the same grid (a name, three numbers, a bar), so that the eye
runs down one set of columns; the grid takes its widths from the console, up to `_WIDEST`, and
from the largest number there is to show.
Names are folded, never cut: a report that is piped to a file loses nothing.
Colour carries no meaning of its own; without it, and in a mail, the text says the same.

Foreign text reaches rich only as `Text`, which is never read as markup, and only through
`foreign.visible`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from logminer.foreign import visible
from logminer.report import marks, words
from logminer.report.sections import sections, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from logminer.report.build import Report
    from logminer.report.sections import Cell, Section

_WIDEST = 120
"""Columns; beyond it a number stands too far from its name."""

_INDENT = 2
_NUMBERS = 3
_NUMBER_AT_LEAST = 9
"""Columns of a number, with the gap before it."""
_NAME_AT_LEAST = 24
_BAR_AT_LEAST = 10
"""Columns of a bar, with the gap before it; a console too narrow for it shows none."""


def write(report: Report, out: TextIO) -> None:
    """Write the report as wide and as colourful as `out` allows (rich decides both)."""
    render(report, Console(file=out, highlight=False))


def render(report: Report, console: Console) -> None:
    """Print the report on a console; no line ends in blanks."""
    page = _Page(report=report, grid=_Grid.fit(report, console.width), ascii_only=_plain(console))
    with console.capture() as captured:
        for part in page.parts():
            console.print(part)
    for line in captured.get().removesuffix("\n").split("\n"):
        console.file.write(line.rstrip() + "\n")


def _plain(console: Console) -> bool:
    """Return whether the console's encoding knows ASCII only."""
    return console.options.ascii_only


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Widths in columns."""

    page: int
    name: int
    number: int
    bar: int
    """0 where there is no room."""

    @classmethod
    def fit(cls, report: Report, width: int) -> _Grid:
        """Return the grid of a console this wide, with room for the report's largest number."""
        page = min(width, _WIDEST)
        largest = max(max(figure.value, figure.before or 0) for figure in report.totals)
        number = max(_NUMBER_AT_LEAST, len(words.count(largest)) + 2)
        rest = page - _INDENT - _NUMBERS * number
        bar = max(_BAR_AT_LEAST, rest // 4)
        if rest - bar < _NAME_AT_LEAST:
            bar = 0
        return cls(page=page, name=max(1, rest - bar), number=number, bar=bar)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One report on one console."""

    report: Report
    grid: _Grid
    ascii_only: bool

    def parts(self) -> Iterator[RenderableType]:
        """Yield what is to be printed, from top to bottom."""
        report = self.report
        yield Text("Container images pulled by CI jobs", style="bold")
        yield from self._times()
        for note in report.notes:
            yield Text(note, style="yellow")
        if report.empty:
            return
        for section in sections(report):
            yield Text()
            yield self._over_time(section) if section.key == "over_time" else self._section(section)

    def _times(self) -> Iterator[Text]:
        """Yield the period, under the name it was asked by, and the one it is compared with."""
        label = self.report.label
        named = f"{self._visible(label)}: " if label else ""
        yield Text(f"{named}{words.spell(self.report.period)} (UTC)")
        if self.report.comparable:
            yield Text(f"compared with {words.spell(self.report.previous)}", style="dim")

    def _over_time(self, section: Section) -> Table:
        """Return the sparklines on a grid of their own; a blank is not in the period."""
        title = Text(section.title, style="bold")
        says = f"a character is a {self.report.by}" + (f", {section.says}" if section.says else "")
        title.append(f"  {says}", style="not bold dim")
        table = Table.grid(padding=(0, _INDENT, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, justify="right")
        for label, line, pulls, _ in section.rows:
            table.add_row(" " * _INDENT + self._cell(label), *map(self._cell, (line, pulls)))
        whole = Table.grid()
        whole.add_row(title)
        whole.add_row(table)
        return whole

    def _section(self, section: Section) -> Table:
        """Return the brief columns of a section on the grid."""
        shown = [at for at, column in enumerate(section.columns) if column.brief]
        table = self._table(section.title, *(section.columns[at].title for at in shown))
        for row in section.rows:
            name = "  ".join(map(self._cell, row[: section.names]))
            self._row(table, name, *(self._cell(row[at]) for at in shown), self._bar(section, row))
        if not section.rows:
            self._row(table, section.none)
        if section.left:
            self._row(table, f"and {section.left} more")
        return table

    def _table(self, title: str, *numbers: str) -> Table:
        """Return an empty table on the grid, headed by its title."""
        grid = self.grid
        table = Table(box=None, padding=0, show_edge=False, header_style="")
        table.add_column(Text(title, style="bold"), width=_INDENT + grid.name, overflow="fold")
        for number in (*numbers, *[""] * (_NUMBERS - len(numbers))):
            table.add_column(
                Text(number, style="dim"), width=grid.number, justify="right", no_wrap=True
            )
        table.add_column(width=grid.bar, no_wrap=True, style="cyan")
        return table

    def _row(self, table: Table, name: str, *cells: str) -> None:
        """Add a row; a name longer than its column goes on under itself."""
        lines = (" " * _INDENT + line for line in words.fold(name, self.grid.name))
        table.add_row(Text("\n".join(lines)), *(Text(cell) for cell in cells))

    def _bar(self, section: Section, row: Sequence[Cell]) -> str:
        """Return a bar in the last column, set off from the number before it."""
        width = self.grid.bar - _INDENT
        if width <= 0 or not section.bar:
            return ""
        at, whole = section.bar
        part = row[at]
        if not whole or not isinstance(part, int):
            return ""
        return " " * _INDENT + marks.bar(part, whole, width, ascii_only=self.ascii_only)

    def _cell(self, cell: Cell) -> str:
        return text(cell, ascii_only=self.ascii_only)

    def _visible(self, name: str) -> str:
        return visible(name, ascii_only=self.ascii_only)
