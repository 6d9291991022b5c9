"""What the report says and in which order: a `Report` as sections of tables, for every page.

Terminal, Markdown and HTML print the same sections; a renderer knows how a cell looks in its
format, and nothing of what the figures mean. A cell is a plain value whose type says how it reads:

    str or None      foreign text or a label of ours; None is what the log does not tell
    int              a count
    Share            a part of a whole
    Change           growth since the period before
    datetime         a moment in UTC
    Evidence         a line of a job log
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from logminer.report import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from logminer.report.build import Report

UNKNOWN = "(unknown)"
"""Stands for a name that the log does not tell."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class Change:
    """A figure beside the same one of the period before; None where there is none."""

    value: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The line of a job log that a row was read from."""

    job_id: int
    job_url: str | None
    line: int

    @property
    def url(self) -> str | None:
        """The address of the line, or None where the server gave none that may be followed.

        The address is foreign text: only http and https are links, anything else is a name.
        """
        if self.job_url is None or not self.job_url.isprintable() or " " in self.job_url:
            return None
        try:
            parts = urlsplit(self.job_url)
        except ValueError:
            return None
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            return None
        return f"{self.job_url.partition('#')[0]}#L{self.line}"


Cell: TypeAlias = "str | int | Share | Change | dt.datetime | Evidence | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: what it is called and where there is room for it."""

    title: str
    brief: bool = False
    """Whether it is also shown where there is room for three numbers beside the name."""
    name: bool = False
    """Whether its cells are names, which stand on the left; everything else on the right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with a table under it."""

    key: str
    """One word, for anchors and charts: the field of `Report` that it tells."""
    title: str
    columns: tuple[Column, ...]
    """The first one names the row."""
    rows: tuple[tuple[Cell, ...], ...]
    says: str = ""
    """A sentence of ours: what is counted, and how it is to be read."""
    none: str = "none"
    """Stands in place of rows."""
    bar: tuple[int, int] | None = None
    """The column whose counts are drawn as bars, and the count that is the whole length."""

    @property
    def names(self) -> int:
        """How many columns, from the first on, name a row."""
        return sum(column.name for column in self.columns)


def text(cell: Cell, *, ascii_only: bool = False) -> str:
    """Return a cell as text that can do nothing but be read (see `words.visible`)."""
    match cell:
        case None:
            said = UNKNOWN
        case str():
            said = words.visible(cell, ascii_only=ascii_only)
        case int():
            said = words.count(cell)
        case Share():
            said = words.share(cell.part, cell.whole)
        case Change():
            said = words.change(cell.value, cell.before)
        case Evidence():
            said = f"{cell.job_id}#L{cell.line}"
        case dt.datetime():
            said = f"{cell:%Y-%m-%d %H:%M}"
    return said


def order(cell: Cell) -> float | str:
    """Return what a cell is sorted by: a number, or its text."""
    match cell:
        case Share():
            return cell.part / cell.whole if cell.whole else -1.0
        case Change():
            return cell.value / cell.before if cell.before else -1.0
        case dt.datetime():
            return cell.timestamp()
        case Evidence():
            return cell.job_id
        case int():
            return cell
        case _:
            return text(cell)


def sections(report: Report) -> tuple[Section, ...]:
    """Return everything there is to say of a period with a job in it, coverage first."""
    return (
        _coverage(report),
        _totals(report),
        _registries(report),
        _repositories(report),
        _roles(report),
        _failures(report),
    )


_COVERAGE = (
    ("jobs", "jobs harvested"),
    ("read", "log read"),
    ("not_understood", "- preamble not understood"),
    ("without_image", "- docker or kubernetes, no image"),
    ("truncated", "- log truncated"),
    ("prepare_only", "- only the preparation read"),
    ("not_started", "never started"),
    ("empty", "log empty"),
    ("erased", "log erased"),
    ("missing", "log missing (404)"),
    ("forbidden", "log forbidden (403)"),
    ("failed", "log could not be fetched"),
)
"""Columns of `analysis.coverage` in the order of reading; with a dash: part of the logs read."""

_TOTALS = {
    "jobs": "jobs harvested",
    "uses": "image uses",
    "pulls": "pulls",
    "repositories": "distinct repositories pulled",
    "failed": "failed pulls",
}


def _coverage(report: Report) -> Section:
    """Return what became of the jobs' logs; a state that did not occur takes no line."""
    counts = report.coverage
    return Section(
        key="coverage",
        title="Coverage",
        says="For how many jobs this report speaks. Logs that are gone, and preambles that were"
        " not understood, are missing from everything below.",
        columns=(_name(""), _brief("jobs"), _brief("share")),
        rows=tuple(
            (label, counts[key], Share(counts[key], counts["jobs"]))
            for key, label in _COVERAGE
            if counts[key] or key in {"jobs", "read"}
        ),
    )


def _totals(report: Report) -> Section:
    """Return the headline figures with their change."""
    return Section(
        key="totals",
        title="Totals",
        columns=(_name(""), _brief("now"), _brief("before"), _brief("change")),
        rows=tuple(
            (
                _TOTALS[figure.name],
                figure.value,
                "" if figure.before is None else figure.before,
                Change(figure.value, figure.before),
            )
            for figure in report.totals
        ),
    )


def _registries(report: Report) -> Section:
    """Return what was asked of each registry."""
    pulls = _pulls(report)
    return _section(
        report.by_registry,
        _text("registry"),
        _count("uses"),
        _count("pulls"),
        _share("pulls", pulls),
        *map(_also, ("failed", "repositories", "projects")),
        key="by_registry",
        title="Registries",
        says="A pull is a use for which the registry was asked and the image obtained.",
        bar=(2, pulls),
    )


def _repositories(report: Report) -> Section:
    """Return the repositories that were pulled most."""
    pulls = _pulls(report)
    return _section(
        report.top_repositories,
        _repository(),
        _count("uses"),
        _count("pulls"),
        _share("pulls", pulls),
        _also("projects"),
        key="top_repositories",
        title="Repositories, most pulled",
        bar=(2, pulls),
    )


def _roles(report: Report) -> Section:
    """Return what the images were for, and what became of them."""
    pulls = _pulls(report)
    return _section(
        report.by_role,
        _text("role"),
        _count("uses"),
        _count("pulls"),
        _share("pulls", pulls),
        *map(_also, ("present", "used", "failed", "rejected", "declared")),
        key="by_role",
        title="Roles",
        says="job: the script ran in it. service: a side container. helper: the runner's own."
        " build: a base image of a build in the script. script: pulled or run by the script.",
        bar=(2, pulls),
    )


def _failures(report: Report) -> Section:
    """Return failed pulls by registry and kind of error."""
    frame = report.failed_pulls
    return _section(
        frame,
        _text("registry"),
        _text("error_kind", title="reason"),
        _count("failed"),
        _count("rescued"),
        _count("jobs"),
        key="failed_pulls",
        title="Failed pulls",
        says="Rescued: the job got the image after all, by another attempt or another policy.",
        bar=(2, sum(map(int, frame["failed"]))),
    )


_Reader: TypeAlias = "tuple[Column, Callable[[Mapping[str, Any]], Cell]]"
"""A column, and how its cell is read from a row of a frame."""


def _section(  # noqa: PLR0913 -- the fields of a section
    frame: pd.DataFrame,
    *readers: _Reader,
    key: str,
    title: str,
    says: str = "",
    none: str = "none",
    bar: tuple[int, int] | None = None,
) -> Section:
    """Return a section with a row for each row of a frame."""
    return Section(
        key=key,
        title=title,
        says=says,
        none=none,
        bar=bar,
        columns=tuple(column for column, _ in readers),
        rows=tuple(tuple(read(row) for _, read in readers) for row in frame.to_dict("records")),
    )


def _name(title: str) -> Column:
    return Column(title=title, name=True)


def _brief(title: str) -> Column:
    return Column(title=title, brief=True)


def _text(field: str, *, title: str = "") -> _Reader:
    """Return a column of names as the log tells them."""
    return _name(title or field), lambda row: _told(row[field])


def _repository() -> _Reader:
    """Return a column of full names of repositories."""
    return _name("repository"), lambda row: "/".join(
        _told(row[field]) or UNKNOWN for field in ("registry", "repository")
    )


def _count(field: str, *, title: str = "") -> _Reader:
    """Return a column of counts, shown everywhere."""
    return _brief(title or field), lambda row: int(row[field])


def _also(field: str) -> _Reader:
    """Return a column of counts, shown where there is room for it."""
    return Column(title=field), lambda row: int(row[field])


def _share(field: str, whole: int) -> _Reader:
    """Return a column of a count's parts of a whole."""
    return _brief("share"), lambda row: Share(int(row[field]), whole)


def _pulls(report: Report) -> int:
    """Return all pulls of the period."""
    return next(figure.value for figure in report.totals if figure.name == "pulls")


def _told(value: object) -> str | None:
    """Return a text, None where the log does not tell: pandas has several words for that."""
    return value if isinstance(value, str) else None
