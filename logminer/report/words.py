"""Numbers and foreign text as a reader of plain text sees them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logminer.period import Period

_LEAST = 0.0005
"""Half of the last digit shown of a share: what is less rounds to a nought that is not true."""

_COARSE = 10.0
"""A change from here on (times eleven) is shown without decimals."""


def fold(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` characters, broken after a slash or a blank.

    A stretch without either is broken where the line is full; joined, the lines are the text.
    """
    lines = []
    while len(text) > width:
        at = max(text.rfind("/", 0, width), text.rfind(" ", 0, width)) + 1 or width
        lines.append(text[:at])
        text = text[at:]
    return [*lines, text]


def shortened(text: str, width: int) -> str:
    """Return a text in at most `width` characters; what is too long loses its middle.

    The end of a name tells more than what stands before it.
    """
    if len(text) <= width:
        return text
    head = max(0, width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (max(1, width) - 1 - head) :]}"


def sentence(text: str) -> str:
    """Return words of ours as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")


def count(number: int) -> str:
    """Return a count with thousands separators."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent; never 0.0% of something nor 100.0% of not all.

    Nothing where the whole is nought.
    """
    if not whole:
        return ""
    fraction = part / whole
    if 0 < fraction < _LEAST:
        return "<0.1%"
    if 1 - _LEAST <= fraction < 1:
        return ">99.9%"
    return f"{fraction:.1%}"


def change(value: int, before: int | None) -> str:
    """Return growth in per cent with its sign, `new` from nought, nothing without a base."""
    if before is None:
        return ""
    if before == 0:
        return "new" if value else ""
    growth = value / before - 1
    if growth == 0:
        return "same"
    return f"{growth:+,.0%}" if abs(growth) >= _COARSE else f"{growth:+.1%}"


def spell(period: Period) -> str:
    """Return a period as a reader counts days: both ends included; to the second if need be."""
    since, until = period.since, period.until
    if since.time() == until.time() == dt.time.min:
        last = until - dt.timedelta(days=1)
        return f"{since:%Y-%m-%d}" if since == last else f"{since:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S}"
