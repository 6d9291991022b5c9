"""CSV and JSON: what a program reads back is what the report holds."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from logminer.report import Format, Report, build
from logminer.report.drift import SECTIONS, Drift

if TYPE_CHECKING:
    from logminer.analysis import Source

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "[red]x[/]",
    'a"b,c\nd\r\ne',
    "a\x1b[2Jb",
    "\u202etxt",
]


def lines(report: Report) -> list[dict[str, str]]:
    """Return a report's CSV as the csv module reads it."""
    out = io.StringIO(newline="")
    Format.CSV.write(report, out)
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline=""), strict=True))


def document(report: Report) -> Any:  # noqa: ANN401 -- JSON
    """Return a report's JSON as a strict reader reads it."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    out = io.StringIO()
    Format.JSON.write(report, out)
    return json.loads(out.getvalue(), parse_constant=refuse)


def figures(report: Report, section: str) -> dict[tuple[str, str, str], str]:
    """Return one section of the CSV by its keys."""
    return {
        (line["name"], line["detail"], line["measure"]): line["value"]
        for line in lines(report)
        if line["section"] == section
    }


def test_csv_is_one_tidy_table(report: Report) -> None:
    """Every line has the same columns, the bounds of the period and one number."""
    table = lines(report)

    assert set(table[0]) == {"since", "until", "section", "name", "detail", "measure", "value"}
    assert {(line["since"], line["until"]) for line in table} == {
        ("2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z")
    }
    assert all(line["value"] == "" or float(line["value"]) >= 0 for line in table)
    keys = [(line["section"], line["name"], line["detail"], line["measure"]) for line in table]
    assert len(keys) == len(set(keys))
    assert list(dict.fromkeys(line["section"] for line in table)) == [
        "coverage",
        "totals",
        "over_time",
        "by_registry",
        "top_repositories",
        "by_role",
        "failed_pulls",
        "pulls_by_registry",
        "failed_by_kind",
        "hub_pressure",
        "proxy_bypass",
        "bypassed",
        "unpinned",
        "drift",
        "new",
        "gone",
    ]


def test_csv_figures(report: Report) -> None:
    """Each section names its rows by its own keys; what is not told is empty."""
    assert figures(report, "coverage")["", "", "read"] == "12001"
    assert figures(report, "totals")["", "", "uses_before"] == "1234567"
    assert figures(report, "over_time")["2026-07-31", "", "pulls"] == "248"
    assert figures(report, "by_registry")["docker.io", "", "share"] == "0.999998"
    assert figures(report, "by_registry")["", "", "uses"] == "34566"
    assert figures(report, "top_repositories")["docker.io", "library/python", "pulls"] == "600000"
    assert figures(report, "by_role")["helper", "", "present"] == "109567"
    assert figures(report, "failed_pulls")["docker.io", "not_found", "failed"] == "10"
    assert figures(report, "failed_pulls")["", "", "rescued"] == "1"
    assert figures(report, "pulls_by_registry")["2026-07-01", "docker.io", "pulls"] == "7"
    assert figures(report, "failed_by_kind")["2026-07-04", "", "rescued"] == "1"
    window = ("gitlab.example.com big runner #7", "2026-07-10T06:00:00Z")
    assert figures(report, "hub_pressure")[*window, "peak"] == "210"
    assert figures(report, "hub_pressure")[*window, "over_200"] == "1"
    proxied = ("docker.io/library/python", "gitlab.example.com/shop/checkout")
    assert figures(report, "proxy_bypass")[*proxied, "direct_pulls"] == "15"
    assert (*proxied, "project_id") not in figures(report, "proxy_bypass")
    assert figures(report, "bypassed")["docker.io/library/python", "", "proxied_uses"] == "300"
    assert figures(report, "unpinned")["docker.io", "", "floating_share"] == "0.2"
    moved = ("docker.io/library/python:3.12", f"sha256:{'a' * 64}")
    assert figures(report, "drift")[*moved, "stale_uses"] == "4"
    assert figures(report, "new")["quay.io", "skopeo/stable", "pulls"] == "29"
    assert figures(report, "gone")["docker.io", "bitnami/redis", "uses"] == "4"


def compared(report: Report) -> Report:
    """Return a report with a comparison, which is written by hand."""
    way = {"declared_via": "directly", "pulled_via": "dependency_proxy"}
    urls = {"file_url": "https://gitlab.example.com/f#L1", "log_url": None}
    return replace(
        report,
        declared=Drift(
            period=report.period,
            generated_at=report.generated_at,
            coverage={
                "projects": 3,
                "without_inventory": 1,
                "declarations": 20,
                "unresolved": 2,
                "gaps": 0,
            },
            sections={
                "pulled_as_declared": [],
                "never_pulled": [{"reference": "a:1", "kinds": "ci", "projects": 2, **urls}],
                "never_declared": [
                    {"reference": "b:1", "cause": "script", "projects": 1, "pulls": 4, **urls},
                    {"reference": "b:1", "cause": "runner", "projects": 1, "pulls": 3, **urls},
                ],
                "moving_tags": [],
                "detours": [{"source": "c:1", **way, "pulls": 5, **urls}],
                "became": [
                    {"image": "$X:1", "pulled": "d:1", "variables": "X=d", "uses": 6, **urls},
                    {"image": "$Y:1", "pulled": None, "variables": None, "uses": 0, **urls},
                ],
            },
        ),
    )


def test_csv_of_what_is_declared(report: Report) -> None:
    """Where an inventory was taken, the comparison's figures follow, each under its own keys."""
    part = compared(report)

    assert figures(part, "declared_coverage")["", "", "declarations"] == "20"
    assert figures(part, "declared_never_pulled") == {("a:1", "", "projects"): "2"}
    assert figures(part, "declared_never_declared")["b:1", "script", "pulls"] == "4"
    assert figures(part, "declared_never_declared")["b:1", "runner", "pulls"] == "3"
    assert figures(part, "declared_detours") == {
        ("c:1", "directly, dependency_proxy", "pulls"): "5"
    }
    assert figures(part, "declared_became") == {
        ("$X:1", "d:1", "uses"): "6",
        ("$Y:1", "", "uses"): "0",
    }
    assert lines(report) == lines(part)[: len(lines(report))]


def test_json_of_what_is_declared(report: Report) -> None:
    """The same object as `logminer drift` writes: its coverage, its notes and its lists."""
    read = document(compared(report))["declared"]

    assert list(read) == ["notes", "coverage", *SECTIONS]
    assert read["coverage"]["without_inventory"] == 1
    assert "without an inventory" in read["notes"][0]
    assert read["became"][1]["pulled"] is None
    assert read["never_declared"][0]["file_url"] == "https://gitlab.example.com/f#L1"


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_csv_cells_are_text(name: str, report: Report) -> None:
    """What a spreadsheet would run has an apostrophe before it; what no one can print is shown."""
    expected = f"'{name}" if name[0] in "=+-@" else name.encode("unicode_escape").decode()
    hostile = replace(
        report,
        by_registry=[row | {"registry": name} for row in report.by_registry[:1]],
        top_repositories=[row | {"repository": name} for row in report.top_repositories[:1]],
        failed_pulls=[row | {"error_kind": name} for row in report.failed_pulls[:1]],
    )

    assert {key[0] for key in figures(hostile, "by_registry")} == {expected}
    assert {key[1] for key in figures(hostile, "top_repositories")} == {expected}
    assert {key[1] for key in figures(hostile, "failed_pulls")} == {expected}


def test_json_figures(report: Report) -> None:
    """Numbers are numbers, times are RFC 3339 in UTC, and what is not told is null."""
    read = document(report)

    assert list(read) == [
        "schema_version",
        "generated_at",
        "period",
        "previous",
        "notes",
        "coverage",
        "totals",
        "over_time",
        "by_registry",
        "top_repositories",
        "by_role",
        "failed_pulls",
        "pulls_by_registry",
        "failed_by_kind",
        "hub_pressure",
        "proxy_bypass",
        "bypassed",
        "unpinned",
        "drift",
        "new_and_gone",
        "declared",
    ]
    assert read["declared"] is None
    assert read["generated_at"] == "2026-10-05T06:30:00Z"
    assert read["period"] == {
        "label": "last-quarter",
        "since": "2026-07-01T00:00:00Z",
        "until": "2026-10-01T00:00:00Z",
    }
    assert read["coverage"]["missing"] == 200
    assert read["totals"]["failed"] == {"value": 30, "before": 60, "change": -0.5}
    assert read["totals"]["pulls"]["change"] is None
    assert read["over_time"]["by"] == "day"
    assert read["over_time"]["buckets"][30] == {
        "start": "2026-07-31T00:00:00Z",
        "pulls": 248,
        "failed": 0,
    }
    assert read["by_registry"][2]["registry"] is None
    assert read["by_registry"][0]["share"] == 0.999998
    assert read["failed_pulls"][2]["error_kind"] is None
    assert read["pulls_by_registry"]["buckets"][2]["registry"] is None
    assert read["hub_pressure"][0]["start"] == "2026-07-10T06:00:00Z"
    assert read["hub_pressure"][0]["over_200"] is True
    assert read["hub_pressure"][1]["runner"] is None
    assert read["drift"][1]["replaced_at"] is None


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_json_text_comes_back(name: str, report: Report) -> None:
    """A name comes back as it was, and the text itself has no character that could act."""
    hostile = replace(
        report, by_registry=[row | {"registry": name} for row in report.by_registry[:1]]
    )
    out = io.StringIO()
    Format.JSON.write(hostile, out)

    assert document(hostile)["by_registry"][0]["registry"] == name
    assert out.getvalue().replace("\n", "").isprintable()
    assert out.getvalue().isascii()


def test_an_empty_period_is_noughts_and_a_note(nothing: Source) -> None:
    """A program sees no jobs, empty lists and the reason."""
    read = document(build(nothing, "2026-Q3"))

    assert read["coverage"]["jobs"] == 0
    assert read["by_registry"] == read["failed_pulls"] == []
    assert read["notes"][0] == "No jobs were harvested for 2026-07-01 to 2026-09-30."
