"""The answer to "what did our CI pull?": one build step, and one small renderer for each format.

    >>> report(store, "last-quarter", format=Format.TABLE, out=sys.stdout)

`build` asks every question once and returns a `Report`, plain figures and rows without a word
of presentation; a renderer turns one into text and computes nothing that another would need too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from logminer.report.build import Figure, Report, build
from logminer.report.format import Format

if TYPE_CHECKING:
    import datetime as dt

    from logminer.analysis import Source
    from logminer.period import Period

__all__ = ["Figure", "Format", "Report", "build", "report"]


def report(
    source: Source,
    period: Period | str,
    *,
    format: Format = Format.TABLE,  # noqa: A002 -- the word of the command line's flag
    out: TextIO,
    now: dt.datetime | None = None,
) -> Report:
    """Write the report on a period to `out` and return it, for a caller that wants its figures.

    `now` stands in for the clock. Nothing is written before every question is answered.
    Raises UsageError for a period that cannot be understood and StoreError for a store that
    cannot be read.
    """
    built = build(source, period, now)
    format.write(built, out)
    return built
