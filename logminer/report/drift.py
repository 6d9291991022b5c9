"""What is declared against what was pulled: asked once, and written as text, CSV or JSON.

The CSV is one table with a column `section`; what a section does not have stays empty. The JSON is
one object with a list for each section. Both hold every row, the text the first ones of each
section, each with the lines that are evidence.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from logminer.analysis import drift
from logminer.foreign import cell, visible
from logminer.period import Period
from logminer.report import words
from logminer.report.stamp import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from logminer.analysis.drift import Both
    from logminer.analysis.source import Row, Rows
    from logminer.report.format import Format

SCHEMA_VERSION: Final = 1
"""Of the JSON: rises when a key changes its meaning or goes away; not when one is added."""

SECTIONS: Final = {
    "pulled_as_declared": "Declared and pulled",
    "never_pulled": "Declared, never pulled",
    "never_declared": "Pulled, never declared",
    "moving_tags": "One declared tag, several digests",
    "detours": "Declared one way, pulled another",
    "became": "What unresolved declarations became",
}
"""The verbs of `logminer.analysis.drift`, in the order of reading, with their titles."""

_COLUMNS: Final = (
    *("section", "reference", "source", "image", "pulled", "variables", "kinds", "cause"),
    *("declared_via", "pulled_via", "projects", "jobs", "uses", "pulls", "declarations"),
    *("elsewhere", "digests", "first_digest", "last_digest", "file_url", "log_url"),
)
COUNTS: Final = ("projects", "jobs", "pulls")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """What a comparison says, before it is words; rows as `logminer.analysis.drift` has them."""

    period: Period
    generated_at: dt.datetime
    coverage: Mapping[str, int]
    sections: Mapping[str, Rows]
    """By the names of the verbs."""

    @property
    def extent(self) -> str:
        """What the comparison rests on."""
        count = {name: words.count(value) for name, value in self.coverage.items()}
        return (
            f"{count['projects']} projects with an inventory, {count['declarations']} declarations,"
            f" {count['unresolved']} of them unresolved"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before believing the figures: one sentence each, ours."""
        coverage, notes = self.coverage, []
        if not coverage["projects"]:
            notes.append("No inventory was taken yet: `logminer inventory` takes one.")
        elif coverage["without_inventory"]:
            notes.append(
                f"Projects with jobs and without an inventory, whose pulls are not compared:"
                f" {words.count(coverage['without_inventory'])}."
            )
        if coverage["gaps"]:
            notes.append(
                "Gaps, where files that may declare images were not read, so that more may be"
                f" declared than is known: {words.count(coverage['gaps'])}."
            )
        return tuple(notes)


def build_drift(source: Both, period: Period | str, now: dt.datetime | None = None) -> Drift:
    """Ask everything that a comparison says about a period; raises as `build` does."""
    moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    if isinstance(period, str):
        period = Period.parse(period, today=moment.date())
    (coverage,) = drift.coverage.rows(source, period=period)
    return Drift(
        period=period,
        generated_at=moment,
        coverage=coverage,
        sections={name: getattr(drift, name).rows(source, period=period) for name in SECTIONS},
    )


def write_drift(built: Drift, form: Format, out: TextIO, *, rows: int) -> None:
    """Write a comparison; as a table, at most so many rows of each section."""
    match form:
        case "csv":
            _write_csv(built, out)
        case "json":
            _write_json(built, out)
        case _:
            out.writelines(f"{line}\n" for line in _lines(built, rows))


def _write_csv(built: Drift, out: TextIO) -> None:
    lines = csv.DictWriter(out, _COLUMNS, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    lines.writeheader()
    for name, found in built.sections.items():
        for row in found:
            lines.writerow({"section": name} | {key: _cell(value) for key, value in row.items()})


def _write_json(built: Drift, out: TextIO) -> None:
    period = built.period
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": stamp(built.generated_at),
        "period": {
            "label": period.label,
            "since": stamp(period.since),
            "until": stamp(period.until),
        },
        "notes": list(built.notes),
        "coverage": dict(built.coverage),
    } | dict(built.sections)
    json.dump(document, out, indent=2, allow_nan=False)
    out.write("\n")


def _lines(built: Drift, rows: int) -> Iterator[str]:
    """Yield the text, top to bottom."""
    yield f"Declared against pulled, {words.spell(built.period)} (UTC)"
    yield built.extent
    yield from built.notes
    for name, title in SECTIONS.items():
        found = built.sections[name]
        shown = f"the first {rows:,} of {len(found):,}" if len(found) > rows else f"{len(found):,}"
        yield ""
        yield f"{title} ({shown})"
        if found:
            yield "".join(f"{each:>9}" for each in (*COUNTS, "")).rstrip() + "  image"
        for row in found[:rows]:
            yield from _entry(row)


def _entry(row: Row) -> Iterator[str]:
    """Yield the lines of one row: its counts and its name, then what is evidence."""
    numbers = "".join(f"{words.count(_number(row.get(each))):>9}" for each in COUNTS)
    said = remark(row)
    beside = f"  ({visible(said)})" if said else ""
    yield f"{numbers}  {visible(named(row))}{beside}"
    for key in ("file_url", "log_url"):
        if isinstance(row[key], str):
            yield " " * (len(numbers) + 4) + visible(str(row[key]))


def named(row: Row) -> str:
    """Return the image that a row is about, as foreign text."""
    return str(row.get("image") or row.get("source") or row["reference"])


def remark(row: Row) -> str:
    """Return what else a reader wants to know of a row, as foreign text; empty if nothing."""
    if "declared_via" in row:
        said = f"declared {row['declared_via']}, pulled {row['pulled_via']}"
    elif "variables" in row:
        said = f"became {row['pulled']}: {row['variables']}" if row["pulled"] else "no log shows it"
    else:
        key = next((key for key in ("cause", "kinds", "digests") if key in row), None)
        said = f"{row[key]}{' digests' if key == 'digests' else ''}" if key else ""
    return said


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    return cell(value) if isinstance(value, str) else value
