"""The report as CSV: one tidy table with one figure on each line.

Columns: `since`, `until` (UTC, half-open), `section`, `name`, `detail`, `measure`, `value`.
Long rather than one table for each section, because an analyst filters and pivots a long table
in one step, reports of many periods can be laid end to end, and a section added later adds lines
and never a column. `value` is always a number, empty where there is none.

| section | name | detail |
|---|---|---|
| coverage, totals | | |
| over_time | first day of the day or month | |
| by_registry | registry | |
| top_repositories | registry | repository |
| by_role | role | |
| failed_pulls | registry | kind of error |

An empty name or detail means that the log does not tell.
A name is foreign text, and a cell of it is nothing but text (`logminer.foreign.cell`).
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, TextIO

from logminer.foreign import cell
from logminer.report.stamp import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from logminer.report.build import Report

COLUMNS = ("since", "until", "section", "name", "detail", "measure", "value")


def write(report: Report, out: TextIO) -> None:
    """Write the table with a header line; lines end in LF, text is quoted, numbers are not."""
    lines = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    lines.writerow(COLUMNS)
    bounds = stamp(report.period.since), stamp(report.period.until)
    for section, name, detail, measure, value in _figures(report):
        lines.writerow((*bounds, section, _text(name), _text(detail), measure, _known(value)))


def _figures(report: Report) -> Iterator[tuple[str, object, object, str, float | None]]:
    """Yield section, name, detail, measure and value of every figure."""
    for measure, count in report.coverage.items():
        yield "coverage", None, None, measure, count
    for figure in report.totals:
        yield "totals", None, None, figure.name, figure.value
        yield "totals", None, None, f"{figure.name}_before", figure.before
    over_time = report.over_time.assign(start=report.over_time["start"].dt.strftime("%Y-%m-%d"))
    yield from _section("over_time", over_time, "start")
    yield from _section("by_registry", report.by_registry, "registry")
    yield from _section("top_repositories", report.top_repositories, "registry", "repository")
    yield from _section("by_role", report.by_role, "role")
    yield from _section("failed_pulls", report.failed_pulls, "registry", "error_kind")


def _section(
    section: str, frame: pd.DataFrame, name: str, detail: str | None = None
) -> Iterator[tuple[str, object, object, str, float | None]]:
    """Yield every figure of a frame: all columns but the ones that name the row or prove it."""
    measures = [column for column in frame.columns if column not in {name, detail, "evidence"}]
    for row in frame.to_dict("records"):
        for measure in measures:
            yield section, row[name], row[detail] if detail else None, measure, row[measure]


def _text(name: object) -> str:
    """Return a name as a cell; empty where the log does not tell."""
    return cell(name) if isinstance(name, str) else ""


def _known(value: float | None) -> float | None:
    """Return a figure, or None (an empty cell) where there is none."""
    return None if value is None or math.isnan(value) else value
