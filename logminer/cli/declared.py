"""Declarations and findings as a table, CSV and JSON, and findings for GitLab's pipelines."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TextIO
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from logminer.foreign import cell, visible
from logminer.model import Resolution
from logminer.reference import image_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from logminer.inventory import Finding
    from logminer.model import Declaration
    from logminer.reference import ImageColumns, Upstreams

_UNBOUNDED: Final = 10_000
"""Columns of a table that is not for a screen: one line for each row, whatever its length."""


def row_dict(row: Declaration, columns: ImageColumns) -> dict[str, Any]:
    """Return a declaration with its normalised columns, by name, in the order they are shown."""
    return {**asdict(row), "variables": list(row.variables), **asdict(columns)}


def finding_dict(finding: Finding) -> dict[str, Any]:
    """Return a finding with the declaration that it speaks of."""
    told = {"rule": finding.rule, "message": finding.message, "fingerprint": finding.fingerprint}
    return {**told, **row_dict(finding.row, finding.columns)}


def row_dicts(rows: Iterable[Declaration], upstreams: Upstreams) -> list[dict[str, Any]]:
    """Return every declaration with its normalised columns."""
    return [row_dict(each, image_columns(each.resolved, upstreams)) for each in rows]


def write_json(values: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    """Write a JSON list, one object on a line; all beyond ASCII is escaped."""
    lines = ",\n".join(json.dumps(each) for each in values)
    out.write(f"[\n{lines}\n]\n" if values else "[]\n")


def write_csv(values: Sequence[Mapping[str, Any]], columns: Sequence[str], out: TextIO) -> None:
    """Write a table with a header; a cell that a spreadsheet would run is text."""
    lines = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    lines.writerow(columns)
    for each in values:
        lines.writerow([_cell(each[name]) for name in columns])


def _cell(value: object) -> object:
    """Return a number as it is, and text or a list of names as harmless text."""
    if value is None or isinstance(value, int):
        return value
    return cell(" ".join(value) if isinstance(value, list) else str(value))


def write_rows(rows: Iterable[Declaration], out: TextIO) -> None:
    """Write declarations for a person: where, what for, which image, and what it resolves to."""
    cells = [
        (_where(row), str(row.kind), row.name or "", row.image or "", _told(row)) for row in rows
    ]
    _write_table(("where", "kind", "name", "image", "resolved"), cells, out)


def write_findings(findings: Iterable[Finding], out: TextIO) -> None:
    """Write findings for a person."""
    cells = [
        (_where(each.row), str(each.rule), each.row.image or "", each.message) for each in findings
    ]
    _write_table(("where", "rule", "image", "finding"), cells, out)


def _where(row: Declaration) -> str:
    return f"{row.path}:{row.line}" if row.line is not None else row.path


def _told(row: Declaration) -> str:
    """Say in a few words what an image resolves to, and why not."""
    if row.resolution is Resolution.LITERAL:
        return ""
    if row.resolved is not None:
        return f"{row.resolved} ({row.resolution})"
    names = f": {' '.join(row.variables)}" if row.variables else ""
    note = f": {row.note}" if row.note and row.resolution is Resolution.UNREAD else names
    return f"{row.resolution}{note}"


def _write_table(titles: Sequence[str], rows: Iterable[Sequence[str]], out: TextIO) -> None:
    """Write a table of foreign text; nothing is cut, on a screen it is folded."""
    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=out, width=_UNBOUNDED, highlight=False, markup=False, emoji=False)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(each)) for each in row))
    with console.capture() as captured:
        console.print(table)
    out.writelines(f"{line.rstrip()}\n" for line in captured.get().removesuffix("\n").split("\n"))


def write_codequality(findings: Iterable[Finding], out: TextIO) -> None:
    """Write a code quality report of GitLab's, which shows findings in a merge request."""
    write_json(
        [
            {
                "description": visible(": ".join(_described(each))),
                "check_name": f"logminer/{each.rule}",
                "fingerprint": each.fingerprint,
                "severity": each.rule.severity,
                "location": {"path": each.row.path, "lines": {"begin": each.row.line or 1}},
            }
            for each in findings
        ],
        out,
    )


def _described(finding: Finding) -> Iterator[str]:
    """Yield who declares what, and what is wrong with it."""
    yield from (part for part in (finding.row.name, finding.row.image) if part)
    yield finding.message


def write_junit(rows: Sequence[Declaration], findings: Sequence[Finding], out: TextIO) -> None:
    """Write a JUnit report: a test for each declaration, a failure for each that breaks a rule."""
    broken: dict[Declaration, list[Finding]] = {}
    for each in findings:
        broken.setdefault(each.row, []).append(each)
    gaps = [each for each in rows if each.resolution is Resolution.UNREAD and each not in broken]
    suite = ET.Element(
        "testsuite",
        name="logminer inventory",
        tests=str(len(rows)),
        failures=str(len(broken)),
        errors="0",
        skipped=str(len(gaps)),
    )
    for row in rows:
        name = " ".join(part for part in (row.name, row.image) if part) or "not read"
        case = ET.SubElement(suite, "testcase", classname=_legal(row.path), name=_legal(name))
        case.set("file", _legal(row.path))
        if row.line is not None:
            case.set("line", str(row.line))
        if row in broken:
            message = "; ".join(each.message for each in broken[row])
            failure = ET.SubElement(case, "failure", message=_legal(message))
            failure.set("type", " ".join(each.rule for each in broken[row]))
            failure.text = _legal(f"{_where(row)}: {message}")
        elif row.resolution is Resolution.UNREAD:
            ET.SubElement(case, "skipped", message=_legal(row.note or "not read"))
    ET.indent(suite)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(ET.tostring(suite, encoding="unicode"))
    out.write("\n")


def _legal(text: str) -> str:
    """Return text that XML can hold: whatever cannot be printed is escaped."""
    return visible(text)
