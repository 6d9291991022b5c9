"""The report as one page of HTML: everything in it, nothing fetched, and a policy that says so.

Strategy: the page is whole before its script runs. Charts are pictures in SVG, drawn twice (for a
screen and for a phone) because letters must not shrink with them; their colours are CSS variables,
so that one picture serves light, dark and paper. The script adds what a pointer can ask.

Foreign text reaches the page only through Jinja's escaping, `foreign.visible` and Vega's escaping;
the policy allows this very style and script by their hashes, and nothing else: neither a request
nor a script that a name might smuggle in would run.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TextIO

import jinja2
from markupsafe import Markup

from logminer import __version__
from logminer.foreign import visible
from logminer.report import charts, words
from logminer.report.sections import Cell, Column, Evidence, Section, Spark, order, sections, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.report.build import Report

_WIDTHS: Final = {"wide": 1012, "narrow": 360}
"""Pixels of a chart on a screen and on a phone; `page.css` shows one of them."""

_VARIABLES: Final = {
    **{colour: f"var(--c{at})" for at, colour in enumerate(charts.COLOURS)},
    charts.GREY: "var(--other)",
    charts.INK: "var(--ink)",
    charts.DIM: "var(--dim)",
    charts.LINE: "var(--line)",
    charts.ALARM: "var(--alarm)",
}
"""The colours of a chart, and what `page.css` calls them."""

_BARS: Final = 10
"""Bars of a chart that ranks."""

_STRIP: Final = {
    "read": "read",
    "not_understood": "unread",
    "empty": "gone",
    "erased": "gone",
    "missing": "gone",
    "forbidden": "gone",
    "failed": "gone",
    "not_started": "idle",
}
"""How the counts of coverage stand side by side; together they are all jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """A cell of a table in the template's words."""

    text: Markup
    order: float | str
    css: str
    url: str | None
    bar: float | None


def write(report: Report, out: TextIO) -> None:
    """Write the page."""
    style, script = (_part(name) for name in ("page.css", "page.js"))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_part("page.html"))
    out.write(
        template.render(
            style=Markup(style),  # noqa: S704 -- a file of ours
            script=Markup(script),  # noqa: S704 -- a file of ours
            style_hash=_allowed(style),
            script_hash=_allowed(script),
            label=visible(report.label),
            period=words.spell(report.period),
            previous=words.spell(report.previous) if report.comparable else "",
            generated_at=f"{report.generated_at:%Y-%m-%d %H:%M}",
            version=__version__,
            notes=report.notes,
            sections=[] if report.empty else list(_sections(report)),
        )
    )


def _part(name: str) -> str:
    """Return a file that lies beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _allowed(source: str) -> str:
    """Return the word by which a policy allows one inline style or script."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _sections(report: Report) -> Iterator[dict[str, object]]:
    """Yield what the template needs of each section, charts included."""
    drawn = _charts(report)
    for section in sections(report):
        chart = drawn.get(section.key)
        cards = section.key == "totals"
        # A sparkline is for where there is no chart.
        shown = [
            at
            for at in range(len(section.columns))
            if not section.rows or not isinstance(section.rows[0][at], Spark)
        ]
        pictures = _pictures(chart) if chart and section.rows else []
        yield {
            "key": section.key,
            "title": section.title,
            "says": words.sentence(section.says),
            "left": section.left,
            "none": "" if cards else section.none,
            "columns": [section.columns[at] for at in shown],
            "rows": [] if cards else [_cells(section, row, shown) for row in section.rows],
            "small": section.key == "coverage",
            "sortable": section.key != "coverage" and len(section.rows) > 1,
            "folded": section.key == "over_time",
            "pictures": pictures,
            "cards": _cards(report) if cards else [],
            "strip": list(_strip(report)) if section.key == "coverage" else [],
            "strip_label": "What became of the jobs' logs",
        }


def _charts(report: Report) -> dict[str, Callable[[int], charts.Chart]]:
    """Return how to draw the chart of a section at a width, for those that have one.

    Time reaches over the whole period, whatever was harvested of it.
    """
    span = (report.period.since, report.period.until)
    return {
        "over_time": lambda width: charts.pulls_over_time(
            report.pulls_by_registry, split="registry", by=report.charted_by, span=span, width=width
        ),
        "top_repositories": lambda width: charts.top_repositories(
            report.top_repositories[:_BARS], width=width
        ),
        "failed_pulls": lambda width: charts.failures_over_time(
            report.failed_by_kind, by=report.charted_by, span=span, width=width
        ),
        "hub_pressure": lambda width: charts.hub_pressure(
            report.hub_pressure, span=span, width=width
        ),
        "proxy_bypass": lambda width: charts.proxy_bypass(report.bypassed, width=width),
        "drift": lambda width: charts.drift(report.drift, span=span, width=width),
    }


def _pictures(chart: Callable[[int], charts.Chart]) -> list[dict[str, object]]:
    """Return a chart for a screen and for a phone, in the colours of the page."""
    pictures: list[dict[str, object]] = []
    for size, width in _WIDTHS.items():
        # The page has a legend of its own, which wraps, in the fonts that the reader has.
        drawn = chart(width)
        svg = charts.picture(drawn)
        for colour, variable in _VARIABLES.items():
            svg = svg.replace(f'="{colour}"', f'="{variable}"')
        pictures.append(
            {
                "size": size,
                "svg": Markup(svg),  # noqa: S704 -- Vega has escaped it
                "legend": {
                    name: _VARIABLES[colour] for name, colour in charts.legend(drawn).items()
                },
            }
        )
    return pictures


def _cells(section: Section, row: tuple[Cell, ...], shown: list[int]) -> list[_Cell]:
    """Return a row of a table."""
    cells = []
    for at in shown:
        column, cell, bar = section.columns[at], row[at], None
        if section.bar and section.bar[0] == at and section.bar[1] and isinstance(cell, int):
            bar = round(100 * cell / section.bar[1], 2)
        cells.append(
            _Cell(
                text=_breakable(text(cell)),
                order=order(cell),
                css=_css(column, cell),
                url=cell.url if isinstance(cell, Evidence) else None,
                bar=bar,
            )
        )
    return cells


def _breakable(name: str) -> Markup:
    """Return a text that may go on in the next line after a slash."""
    return Markup("/<wbr>").join(name.split("/"))


def _css(column: Column, cell: Cell) -> str:
    """Return the class of a cell."""
    if isinstance(cell, dt.datetime):
        return "when"
    return "" if column.text else "number"


def _cards(report: Report) -> list[dict[str, str]]:
    """Return the headline figures, each beside the one of the period before."""
    section = next(each for each in sections(report) if each.key == "totals")
    return [
        {"name": text(name), "now": text(now), "before": text(before), "change": text(change)}
        for name, now, before, change in section.rows
    ]


def _strip(report: Report) -> Iterator[dict[str, object]]:
    """Yield the parts of the bar that shows what became of the jobs' logs."""
    counts = dict(report.coverage)
    counts["read"] -= counts["not_understood"]
    labels = {"read": "log read and understood", "not_understood": "preamble not understood"}
    whole, x = counts["jobs"], 0.0
    for key, kind in _STRIP.items():
        if counts[key]:
            width = 100 * counts[key] / whole
            said = labels.get(key, key.replace("_", " "))
            share = words.share(counts[key], whole)
            yield {
                "kind": kind,
                "x": round(x, 3),
                "width": round(width, 3),
                "said": f"{said}: {words.count(counts[key])} ({share})",
            }
            x += width
