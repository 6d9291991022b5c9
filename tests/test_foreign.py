"""Foreign text on each surface: read, never obeyed."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.foreign import cell, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("\n=1", "\\n=1"),
        ("\x00=1", "\\x00=1"),
        ("a\x1b]0;owned\x07b", "a\\x1b]0;owned\\x07b"),
        ("a\u202eb", "a\\u202eb"),
        ('a";=1', 'a";=1'),
        ("a=1", "a=1"),
        ("r\u00e9gistre \u05d0", "r\u00e9gistre \u05d0"),
        ("", ""),
    ],
    ids=ascii,
)
def test_a_cell_is_text(text: str, expected: str) -> None:
    """A formula has an apostrophe before it, what cannot be printed is shown, the rest is kept."""
    assert expected == cell(text)


@given(text=st.text())
def test_no_cell_is_ever_obeyed(text: str) -> None:
    """Whatever the text: one line, printable, and its first character begins no formula."""
    shown = cell(text)

    assert shown.isprintable()
    assert shown[:1] not in set("=+-@\t\r\n")
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC).writerow([shown, shown])
    assert len(out.getvalue().splitlines()) == 1


@given(text=st.text())
def test_no_terminal_is_ever_moved(text: str) -> None:
    """Whatever the text: printable; in ASCII where that is asked for."""
    assert visible(text).isprintable()
    assert visible(text, ascii_only=True).isascii()
