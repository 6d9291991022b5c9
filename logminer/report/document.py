"""The report as one JSON object, for programs.

Keys are those of `Report` and of the frames' columns, in a fixed order, and always all present;
what is not known is null. Times are RFC 3339 in UTC, shares and changes are fractions.
Everything beyond ASCII is escaped, so that the text is also harmless on a terminal.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, TextIO

from logminer.report.stamp import stamp

if TYPE_CHECKING:
    import pandas as pd

    from logminer.period import Period
    from logminer.report.build import Report

SCHEMA_VERSION = 1
"""Rises when a key changes its meaning or goes away; not when one is added."""


def write(report: Report, out: TextIO) -> None:
    """Write the object, indented, and a final line end."""
    over_time = report.over_time.assign(start=[stamp(day) for day in report.over_time["start"]])
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": stamp(report.generated_at),
        "period": _period(report.period),
        "previous": _period(report.previous),
        "notes": list(report.notes),
        "coverage": dict(report.coverage),
        "totals": {
            figure.name: {"value": figure.value, "before": figure.before, "change": figure.change}
            for figure in report.totals
        },
        "over_time": {"by": report.by, "buckets": _rows(over_time)},
        "by_registry": _rows(report.by_registry),
        "top_repositories": _rows(report.top_repositories),
        "by_role": _rows(report.by_role),
        "failed_pulls": _rows(report.failed_pulls),
    }
    json.dump(document, out, indent=2, allow_nan=False)
    out.write("\n")


def _period(period: Period) -> dict[str, str]:
    """Return a period as it was asked for and both its ends; `until` is not part of it."""
    return {"label": period.label, "since": stamp(period.since), "until": stamp(period.until)}


def _rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return a frame as objects: numbers as numbers, null where a value is missing."""
    return [
        {str(name): _known(value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _known(value: object) -> object:
    """Return a value, or None for pandas' word for a missing one."""
    return None if isinstance(value, float) and math.isnan(value) else value
