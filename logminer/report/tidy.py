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
| pulls_by_registry | first day of the bucket | registry |
| failed_by_kind | first day of the bucket | kind of error |
| hub_pressure | runner or proxy | begin of the six hours |
| proxy_bypass | repository | project |
| bypassed | repository | |
| unpinned | registry | |
| drift | tag | digest |
| new, gone | registry | repository |
| declared_coverage | | |
| declared_pulled_as_declared, …_never_pulled, …_moving_tags | reference | |
| declared_never_declared | reference | cause |
| declared_detours | source | declared way, pulled way |
| declared_became | image as written | image that it became |

An empty name or detail means that the log does not tell.
A name is foreign text, and a cell of it is nothing but text (`logminer.foreign.cell`).
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO, TypeAlias

from logminer.foreign import cell
from logminer.report.drift import named
from logminer.report.stamp import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.analysis.source import Row, Rows
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
    yield from _section("over_time", report.over_time, _day)
    yield from _section("by_registry", report.by_registry, "registry")
    yield from _section("top_repositories", report.top_repositories, "registry", "repository")
    yield from _section("by_role", report.by_role, "role")
    yield from _section("failed_pulls", report.failed_pulls, "registry", "error_kind")
    yield from _section("pulls_by_registry", report.pulls_by_registry, _day, "registry")
    yield from _section("failed_by_kind", report.failed_by_kind, _day, "error_kind")
    yield from _section("hub_pressure", report.hub_pressure, _asker, _window)
    yield from _section("proxy_bypass", report.proxy_bypass, _repository, _project)
    yield from _section("bypassed", report.bypassed, _repository)
    yield from _section("unpinned", report.unpinned, "registry")
    yield from _section("drift", report.drift, _tag, "digest")
    for change in ("new", "gone"):
        part = [row for row in report.new_and_gone if row["change"] == change]
        yield from _section(change, part, "registry", "repository")
    if report.declared is not None:
        for measure, count in report.declared.coverage.items():
            yield "declared_coverage", None, None, measure, count
        for name, rows in report.declared.sections.items():
            yield from _section(f"declared_{name}", rows, named, _beside)


_Key: TypeAlias = "str | Callable[[Row], object]"
"""What names a row: a column, or what is made of several."""


def _section(
    section: str, rows: Rows, name: _Key, detail: _Key | None = None
) -> Iterator[tuple[str, object, object, str, float | None]]:
    """Yield every figure of some rows: all numbers, and shares of nothing, which are missing."""
    for row in rows:
        keys = [_told(key, row) for key in (name, detail)]
        for measure, value in row.items():
            if measure in _IDS:
                continue
            if isinstance(value, int | float) or measure.endswith("share"):
                yield section, *keys, measure, value


_IDS = frozenset({"project_id"})
"""Numbers that are names."""


def _told(key: _Key | None, row: Row) -> object:
    """Return what names a row."""
    if key is None:
        return None
    return row[key] if isinstance(key, str) else key(row)


def _day(row: Row) -> object:
    """Return the first day of a bucket."""
    return f"{row['start']:%Y-%m-%d}"


def _window(row: Row) -> object:
    """Return the first moment of six hours."""
    return stamp(row["start"])


def _asker(row: Row) -> object:
    """Return who asked Docker Hub."""
    if isinstance(row["runner"], str):
        return f"{row['instance']} {row['runner']}"
    return f"{row['via']} {row['proxy']}"


def _repository(row: Row) -> object:
    """Return the full name of a repository."""
    return f"{row['registry']}/{row['repository']}"


def _tag(row: Row) -> object:
    """Return a tag with the repository that it is in."""
    return f"{_repository(row)}:{row['tag']}"


def _project(row: Row) -> object:
    """Return a project, told apart from its namesakes on other servers."""
    return f"{row['instance']}/{row['project_path']}"


def _beside(row: Row) -> object:
    """Return what tells apart rows about one declared image."""
    if "declared_via" in row:
        return f"{row['declared_via']}, {row['pulled_via']}"
    return row.get("cause", row.get("pulled"))


def _text(name: object) -> str:
    """Return a name as a cell; empty where the log does not tell."""
    return cell(name) if isinstance(name, str) else ""


def _known(value: float | None) -> float | None:
    """Return a figure, or None (an empty cell) where there is none; yes is 1 and no is 0."""
    return None if value is None else +value
