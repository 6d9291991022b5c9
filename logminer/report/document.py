"""The report as one JSON object, for programs.

Keys are those of `Report` and of its rows, in a fixed order, and always all present;
what is not known is null, and so is `declared` where no inventory was taken.
Times are RFC 3339 in UTC, shares and changes are fractions.
Everything beyond ASCII is escaped, so that the text is also harmless on a terminal.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, TextIO

from logminer.report.stamp import stamp

if TYPE_CHECKING:
    from logminer.analysis.source import Rows
    from logminer.period import Period
    from logminer.report.build import Report
    from logminer.report.drift import Drift

SCHEMA_VERSION = 1
"""Rises when a key changes its meaning or goes away; not when one is added."""


def write(report: Report, out: TextIO) -> None:
    """Write the object, indented, and a final line end."""
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
        "over_time": {"by": report.by, "buckets": _rows(report.over_time)},
        "by_registry": _rows(report.by_registry),
        "top_repositories": _rows(report.top_repositories),
        "by_role": _rows(report.by_role),
        "failed_pulls": _rows(report.failed_pulls),
        "pulls_by_registry": {
            "by": report.charted_by,
            "buckets": _rows(report.pulls_by_registry),
        },
        "failed_by_kind": {"by": report.charted_by, "buckets": _rows(report.failed_by_kind)},
        "hub_pressure": _rows(report.hub_pressure),
        "proxy_bypass": _rows(report.proxy_bypass),
        "bypassed": _rows(report.bypassed),
        "unpinned": _rows(report.unpinned),
        "drift": _rows(report.drift),
        "new_and_gone": _rows(report.new_and_gone),
        "declared": _declared(report.declared),
    }
    json.dump(document, out, indent=2, allow_nan=False)
    out.write("\n")


def _declared(built: Drift | None) -> dict[str, object] | None:
    """Return what is declared beside what was pulled, under the names `logminer drift` uses."""
    if built is None:
        return None
    return {
        "notes": list(built.notes),
        "coverage": dict(built.coverage),
        **{name: _rows(rows) for name, rows in built.sections.items()},
    }


def _period(period: Period) -> dict[str, str]:
    """Return a period as it was asked for and both its ends; `until` is not part of it."""
    return {"label": period.label, "since": stamp(period.since), "until": stamp(period.until)}


def _rows(rows: Rows) -> Rows:
    """Return rows as JSON has them: times as text."""
    return [
        {
            name: stamp(value) if isinstance(value, dt.datetime) else value
            for name, value in row.items()
        }
        for row in rows
    ]
