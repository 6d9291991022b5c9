"""Markdown: tables that are tables, and foreign text that is code and nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.foreign import code
from logminer.report import Format, Report, build

if TYPE_CHECKING:
    from logminer.analysis import Source


def text(report: Report) -> str:
    """Return a report as Markdown."""
    out = io.StringIO()
    Format.MD.write(report, out)
    return out.getvalue()


def test_coverage_comes_first(report: Report) -> None:
    """Title, period and coverage open the document; every section has a heading."""
    lines = text(report).splitlines()

    assert lines[0] == "# Container images pulled by CI jobs"
    assert lines[2].startswith("`last-quarter`: **2026-07-01 to 2026-09-30** (UTC), compared with")
    assert lines[4] == "## Coverage"
    assert lines[8] == "|  | jobs | share |"
    assert [line for line in lines if line.startswith("## ")] == [
        "## Coverage",
        "## Totals",
        "## Pulls over time",
        "## Registries",
        "## Repositories, most pulled",
        "## Roles",
        "## Failed pulls",
        "## Docker Hub, worst six hours",
        "## Beside the proxy",
        "## Not pinned",
        "## Tags that moved",
        "## New since the period before",
        "## Gone since the period before",
    ]


def test_rows_are_figures_with_their_evidence(report: Report) -> None:
    """Names are code, numbers have separators, and a line of a log is a link to it."""
    lines = text(report).splitlines()

    line = "[log](<https://gitlab.example.com/a/b/-/jobs/7#L12>)"
    assert f"| `docker.io` | `rate_limited` | 20 | 3 | 23 | {line} |" in lines
    assert f"| `docker.io` | 1,100,000 | 999,998 | >99.9% | 30 | 38 | 17 | {line} |" in lines
    assert "| `quay.io` | 1 | 0 | 0.0% | 0 | 1 | 1 |  |" in lines  # its address was a script
    assert "| log missing (404) | 200 | 1.6% |" in lines


@pytest.mark.parametrize(
    "name",
    ["a|b", "a`b", "@all", "<b>", "![x](http://x)", "a\nb", "\u202etxt", "www.example.com"],
    ids=ascii,
)
def test_a_name_is_code(name: str, report: Report) -> None:
    """No name ends its cell, its line or its code."""
    hostile = replace(
        report, by_registry=[row | {"registry": name} for row in report.by_registry[:1]]
    )
    (row,) = [line for line in text(hostile).splitlines() if "| 1,100,000 |" in line]
    cells = row.removeprefix("| ").removesuffix(" |").split(" | ")

    assert len(cells) == 8
    assert cells[0] == code(name)


@given(st.text())
def test_code_cannot_be_left(name: str) -> None:
    """What stands between the two marks has no mark, no bar and no end of line."""
    shown = code(name)

    assert shown == "" or (shown[0] == shown[-1] == "`" and len(shown) > 2)
    assert not set(shown[1:-1]) & set("`|\r\n")
    assert shown.isprintable()


def test_an_empty_period(nothing: Source) -> None:
    """The notes say what is missing; there is no table."""
    written = text(build(nothing, "2026-Q3"))

    assert "> No jobs were harvested for 2026-07-01 to 2026-09-30." in written
    assert "|" not in written


def test_what_is_left_out_is_counted(report: Report) -> None:
    """Exactly where all is known; of windows, only the worst are."""
    windows, ways = report.hub_pressure[:1], report.proxy_bypass[:1]
    many = replace(report, hub_pressure=windows * 299, proxy_bypass=ways * 300)
    most = replace(
        many,
        hub_pressure=windows * 300,
        bypassed=[row | {"projects": 4_000} for row in report.bypassed] * 2,
    )

    assert "\nand 279 more\n" in text(many)
    assert "\nand at least 280 more\n" in text(most)
    assert "\nand 7,980 more\n" in text(most)
