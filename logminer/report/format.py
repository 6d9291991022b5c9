"""The formats a report can be written in, each knowing its renderer."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TextIO, assert_never

if TYPE_CHECKING:
    from logminer.report.build import Report


class Format(StrEnum):
    """A choice of `--format`; the value is the word on the command line."""

    TABLE = "table"
    """For people, on a terminal or in a mail."""
    CSV = "csv"
    """For spreadsheets and data frames: one figure for each line."""
    JSON = "json"
    """For programs."""
    MD = "md"
    """For a wiki, an issue or a merge request."""
    HTML = "html"
    """For people, in a browser or attached to a mail: one file with charts."""

    def write(self, report: Report, out: TextIO) -> None:
        """Write a report in this format."""
        match self:
            case Format.TABLE:
                from logminer.report import terminal  # noqa: PLC0415 -- rich, only where used

                terminal.write(report, out)
            case Format.CSV:
                from logminer.report import tidy  # noqa: PLC0415 -- beside its neighbours

                tidy.write(report, out)
            case Format.JSON:
                from logminer.report import document  # noqa: PLC0415 -- beside its neighbours

                document.write(report, out)
            case Format.MD:
                from logminer.report import markdown  # noqa: PLC0415 -- beside its neighbours

                markdown.write(report, out)
            case Format.HTML:
                from logminer.report import page  # noqa: PLC0415 -- heavy: charts

                page.write(report, out)
            case _:
                assert_never(self)
