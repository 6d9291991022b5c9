"""The page for people: golden text at two widths, and foreign text that stays text."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from logminer.foreign import visible
from logminer.period import Period
from logminer.report import Report, build, marks, terminal, words

if TYPE_CHECKING:
    from logminer.analysis import Source

GOLDEN = Path(__file__).parent / "golden"


def page(report: Report, width: int) -> str:
    """Return a report as a console of this width, without colours, shows it."""
    out = io.StringIO()
    terminal.render(report, Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_golden(width: int, report: Report) -> None:
    """The page is exactly the text beside this file."""
    expected = (GOLDEN / f"report-{width}.txt").read_text(encoding="utf-8")

    assert expected == page(report, width)


@pytest.mark.parametrize("width", [20, 40, 63, 80, 120])
def test_no_line_is_too_wide_nor_ends_in_blanks(width: int, report: Report) -> None:
    """The page fits the console; names are folded and lose no character."""
    lines = page(report, width).split("\n")

    if width > 60:  # below, numbers need more than there is, and a console folds them itself
        assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


def test_a_very_wide_console_is_not_filled(report: Report) -> None:
    """Beyond 120 columns the page does not grow."""
    assert page(report, 120) == page(report, 300)


def test_an_empty_period_says_so(nothing: Source) -> None:
    """No table of noughts: what is missing and what to do about it."""
    now = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
    expected = """\
Container images pulled by CI jobs
last-quarter: 2026-07-01 to 2026-09-30 (UTC)
No jobs were harvested for 2026-07-01 to 2026-09-30.
Harvest them with `logminer harvest --since 2026-07-01 --until 2026-10-01`, or
ask for another period.
"""

    assert expected == page(build(nothing, "last-quarter", now), 80)


def test_nothing_to_compare_with(store: Source) -> None:
    """Without a period before, no figure stands beside another, and the page says why."""
    text = page(build(store, "2026-Q2", dt.datetime(2026, 10, 5, tzinfo=dt.UTC)), 120)

    assert "compared with" not in text
    assert "for 2026-01-01 to 2026-03-31: there is nothing to compare with.\n" in text


def test_a_page_before_its_time(report: Report) -> None:
    """A period that lies in the future has no bucket, and still a page."""
    early = replace(report, over_time=[])

    assert "Pulls over time  a character is a day\n" in page(early, 80)


def test_months_stand_in_lines_of_years(report: Report) -> None:
    """By month, a line is a year, and the months before the first are blank."""
    months = [
        {"start": dt.datetime(year, month, 1, tzinfo=dt.UTC), "pulls": pulls, "failed": 0}
        for year, month, pulls in ((2025, 11, 8), (2025, 12, 0), (2026, 1, 1000))
    ]
    text = page(replace(report, by="month", over_time=months), 80)

    assert "a character is a month, the highest is 1,000 (2026-01)" in text
    assert "  2025            ▁·      8\n" in text
    assert "  2026  █             1,000\n" in text


def test_no_failures(report: Report) -> None:
    """An empty table says that it is."""
    text = page(replace(report, failed_pulls=[]), 80)

    assert "jobs\n  none\n" in text


def test_colour_only_on_request(report: Report) -> None:
    """A pipe gets plain text; a terminal gets the same text with colours."""
    plain, colourful = io.StringIO(), io.StringIO()
    terminal.write(report, plain)
    terminal.render(
        report, Console(file=colourful, width=80, force_terminal=True, color_system="standard")
    )

    assert "\x1b" not in plain.getvalue()
    assert "\x1b[" in colourful.getvalue()


def test_ascii_only(report: Report) -> None:
    """An output that knows ASCII only gets every mark in ASCII."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="")
    registry = [row | {"registry": "r\u00e9gistre"} for row in report.by_registry]
    console = Console(file=out, width=80)
    terminal.render(replace(report, by_registry=registry), console)
    out.flush()

    text = raw.getvalue().decode("ascii")
    assert "  2026-07  1112.22333" in text
    assert "#####" in text
    assert "r\\xe9gistre" in text


HOSTILE = [
    ("[red]x[/]", "[red]x[/]"),
    ("[/nothing]", "[/nothing]"),
    (":pizza:", ":pizza:"),
    ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
    ("a\x1b[2Jb", "a\\x1b[2Jb"),
    ("a\x9b2Jb", "a\\x9b2Jb"),
    ("a\nb\rc\td", "a\\nb\\rc\\td"),
    ("a\u202etxt\u202c", "a\\u202etxt\\u202c"),
    ("a\u2066b\u200bc\ufeffd", "a\\u2066b\\u200bc\\ufeffd"),
    ("\u05d0\u05d1 1", "\\u05d0\\u05d1 1"),
    ("a\u2028b\x85c", "a\\u2028b\\x85c"),
    ("a\x00b\x7fc", "a\\x00b\\x7fc"),
    ("r\u00e9gistre-\U0001f433", "r\u00e9gistre-\U0001f433"),
]


@pytest.mark.parametrize(("name", "shown"), HOSTILE, ids=ascii)
def test_foreign_text_is_only_read(name: str, shown: str, report: Report) -> None:
    """No name is markup, moves the cursor, breaks a line or turns its direction."""
    counts = {"uses": 1, "pulls": 1, "share": 1.0, "projects": 1, "evidence": None}
    names = {"registry": name, "repository": "x", **counts}
    text = page(
        replace(
            report,
            by_registry=[row | {"registry": name} for row in report.by_registry[:1]],
            top_repositories=[names],
            failed_pulls=[row | {"registry": name} for row in report.failed_pulls[:1]],
        ),
        80,
    )

    assert text.count(shown) == 3
    assert page(report, 80).count("\n") - 10 < text.count("\n") < page(report, 80).count("\n")


def test_the_name_of_the_period_is_foreign_too(report: Report) -> None:
    """A label comes from the command line, and is shown as carefully as a name."""
    period = Period(since=report.period.since, until=report.period.until, label="[b]\x1b")

    assert "\n[b]\\x1b: 2026-07-01" in page(replace(report, period=period), 80)


@given(st.text())
def test_visible_text_can_do_nothing(text: str) -> None:
    """Whatever comes in, what goes out is printable and reads from left to right."""
    shown = visible(text)

    assert shown.isprintable()
    assert visible(text, ascii_only=True).isascii()
    assert visible(shown) == shown


@given(st.text(alphabet="ab/ ", max_size=60), st.integers(1, 20))
def test_folding_loses_nothing(text: str, width: int) -> None:
    """Joined, the lines are the text, and none is wider than asked."""
    lines = words.fold(text, width)

    assert "".join(lines) == text
    assert all(len(line) <= width for line in lines)


def test_folding_breaks_after_a_slash_or_a_blank() -> None:
    """A name is broken between its parts where it has any."""
    assert words.fold("ab/cdef/gh", 6) == ["ab/", "cdef/", "gh"]
    assert words.fold("not understood", 12) == ["not ", "understood"]
    assert words.fold("abcdefgh", 3) == ["abc", "def", "gh"]


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0.0%"),
        (10, 10, "100.0%"),
        (1, 3, "33.3%"),
        (1, 1999, "0.1%"),
        (1, 2001, "<0.1%"),
        (1998, 1999, "99.9%"),
        (2000, 2001, ">99.9%"),
        (0, 0, ""),
    ],
)
def test_honest_shares(part: int, whole: int, text: str) -> None:
    """Something is never nothing, and not all is never all."""
    assert text == words.share(part, whole)


@pytest.mark.parametrize(
    ("value", "before", "text"),
    [
        (110, 100, "+10.0%"),
        (50, 100, "-50.0%"),
        (0, 100, "-100.0%"),
        (100, 100, "same"),
        (10999, 1000, "+999.9%"),
        (11000, 1000, "+1,000%"),
        (1, 0, "new"),
        (0, 0, ""),
        (1, None, ""),
    ],
)
def test_changes(value: int, before: int | None, text: str) -> None:
    """A change has a sign, and a word where a number would mislead."""
    assert text == words.change(value, before)


@pytest.mark.parametrize(
    ("part", "ascii_only", "mark"),
    [
        (0, False, ""),
        (1, False, "▏"),
        (500, False, "██"),
        (562, False, "██▎"),
        (1000, False, "████"),
        (0, True, ""),
        (1, True, "#"),
        (1000, True, "####"),
    ],
)
def test_bars(part: int, ascii_only: bool, mark: str) -> None:  # noqa: FBT001 -- a case of the table
    """A bar is an eighth of a character exact, and what is more than nothing is seen."""
    assert mark == marks.bar(part, 1000, 4, ascii_only=ascii_only)


def test_sparks() -> None:
    """The peak is a full block, a little is the lowest one, nought is a dot."""
    assert marks.spark([0, 1, 50, 51, 100], 100) == "·▁▄▅█"
    assert marks.spark([0, 1, 50, 51, 100], 100, ascii_only=True) == ".1458"
    assert marks.spark([0, 0], 0) == "··"
