"""What the report says and in which order: a `Report` as sections of tables, for every page.

Terminal, Markdown and HTML print the same sections; a renderer knows how a cell looks in its
format, and nothing of what the figures mean. A cell is a plain value whose type says how it reads:

    str or None      foreign text or a label of ours; None is what the log does not tell
    int              a count
    Share            a part of a whole
    Change           growth since the period before
    datetime         a moment in UTC
    Evidence         a line of a job log, or of a file
    Spark            counts over time
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from logminer.foreign import visible
from logminer.report import drift, marks, words
from logminer.report.build import MANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.analysis.source import Row, Rows
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
    """The address of a line, `job_url#L<line>`, or of a file; None where the server gave none."""

    address: str | None

    @property
    def url(self) -> str | None:
        """The address, if it may be followed.

        It is foreign text: only what http and https can fetch is a link, anything else is none.
        """
        if self.address is None or not self.address.isprintable() or " " in self.address:
            return None
        try:
            parts = urlsplit(self.address)
        except ValueError:
            return None
        return self.address if parts.scheme in {"http", "https"} and parts.netloc else None


@dataclass(frozen=True, slots=True)
class Spark:
    """Counts in a row of buckets; all rows of a table share one scale."""

    values: tuple[int, ...]
    peak: int
    skipped: int = 0
    """Buckets of the row that lie before the period."""


Cell: TypeAlias = "str | int | Share | Change | dt.datetime | Evidence | Spark | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: what it is called and where there is room for it."""

    title: str
    brief: bool = False
    """Whether it is also shown where there is room for three numbers beside the name."""
    name: bool = False
    """Whether it names the row; the names are the first columns."""
    text: bool = False
    """Whether its cells are texts, which stand on the left; everything else on the right."""
    ours: bool = False
    """Whether its texts are words of ours; else they are foreign, and to be shown with care."""


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
    left: str = ""
    """How many more rows there are, which are not shown; empty where these are all."""

    @property
    def names(self) -> int:
        """How many columns, from the first on, name a row."""
        return sum(column.name for column in self.columns)


def text(cell: Cell, *, ascii_only: bool = False) -> str:
    """Return a cell as text that can do nothing but be read (see `foreign.visible`)."""
    match cell:
        case None:
            said = UNKNOWN
        case str():
            said = visible(cell, ascii_only=ascii_only)
        case int():
            said = words.count(cell)
        case Share():
            said = words.share(cell.part, cell.whole)
        case Change():
            said = words.change(cell.value, cell.before)
        case Evidence():
            _, named, line = (cell.url or "").rpartition("#L")
            said = f"line {line}" if named else "file" if cell.url else ""
        case Spark():
            line = marks.spark(cell.values, cell.peak, ascii_only=ascii_only)
            said = " " * cell.skipped + line
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
        case Spark():
            return float(sum(cell.values))
        case int():
            return cell
        case _:
            return text(cell)


def sections(report: Report) -> tuple[Section, ...]:
    """Return everything there is to say of a period with a job in it, coverage first."""
    return (
        _coverage(report),
        _totals(report),
        _over_time(report),
        _registries(report),
        _repositories(report),
        _roles(report),
        _failures(report),
        _pressure(report),
        _bypass(report),
        _unpinned(report),
        _drift(report),
        *_new_and_gone(report),
        *_declared(report),
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
        columns=(_label(""), _brief("jobs"), _brief("share")),
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
        columns=(_label(""), _brief("now"), _brief("before"), _brief("change")),
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


def _over_time(report: Report) -> Section:
    """Return a row for each month (each year of a long period) with a mark for each bucket.

    All rows share one scale. A dot is a bucket without a pull.
    """
    buckets = [(row["start"].date(), row["pulls"], row["failed"]) for row in report.over_time]
    daily = report.by == "day"
    outer, inner = ("%Y-%m", "%Y-%m-%d") if daily else ("%Y", "%Y-%m")
    best, peak, _ = max(buckets, key=lambda bucket: bucket[1], default=(None, 0, 0))
    lines = []
    for label, group in groupby(buckets, key=lambda bucket: f"{bucket[0]:{outer}}"):
        starts, pulls, failed = zip(*group, strict=True)
        skipped = (starts[0].day if daily else starts[0].month) - 1
        lines.append((label, Spark(pulls, peak, skipped), sum(pulls), sum(failed)))
    highest = f"the highest is {words.count(peak)} ({best:{inner}})" if best and peak else ""
    return Section(
        key="over_time",
        title="Pulls over time",
        says=highest,
        columns=(
            _label("month" if daily else "year"),
            _label(f"by {report.by}"),
            _brief("pulls"),
            Column(title="failed"),
        ),
        rows=tuple(lines),
    )


def _registries(report: Report) -> Section:
    """Return what was asked of each registry."""
    pulls = _pulls(report)
    return _section(
        report.by_registry,
        _text("registry"),
        *_pulled(pulls),
        *map(_also, ("failed", "repositories", "projects")),
        _evidence(),
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
        *_pulled(pulls),
        _also("projects"),
        _evidence(),
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
        *_pulled(pulls),
        *map(_also, ("present", "used", "failed", "rejected", "declared")),
        key="by_role",
        title="Roles",
        says="What the image was for. job: the script ran in it; service: a side container; helper:"
        " the runner's own; build: a base image of a build in the script; script: pulled or run by"
        " the script.",
        bar=(2, pulls),
    )


def _failures(report: Report) -> Section:
    """Return failed pulls by registry and kind of error."""
    return _section(
        report.failed_pulls,
        _text("registry"),
        _text("error_kind", title="reason"),
        _count("failed"),
        _count("rescued"),
        _count("jobs"),
        _evidence(),
        key="failed_pulls",
        title="Failed pulls",
        says="Rescued: the job got the image after all, by another attempt or another policy.",
        bar=(2, sum(row["failed"] for row in report.failed_pulls)),
    )


def _pressure(report: Report) -> Section:
    """Return the six hours in which most was asked of Docker Hub, and who asked."""
    windows = report.hub_pressure
    over = {limit: sum(row[f"over_{limit}"] for row in windows) for limit in (100, 200)}
    return _section(
        windows,
        (_name("runner or proxy"), _asker),
        (_name("from"), lambda row: row["start"]),
        _count("peak"),
        _share("peak", 100, title="of 100"),
        _count("rate_limited", title="refused"),
        *map(_also, ("pulls", "requests", "jobs", "projects")),
        _evidence(),
        key="hub_pressure",
        title="Docker Hub, worst six hours",
        says="Peak: most requests in any six hours that end in this window. Docker Hub grants 100"
        " to an address without an account and 200 to a free account; runners that share an"
        f" address share a limit. Windows over 100: {_at_least(over[100], windows)}, over 200:"
        f" {_at_least(over[200], windows)}.",
        none="Docker Hub was not asked.",
        cut=len(windows) >= MANY,
    )


def _bypass(report: Report) -> Section:
    """Return who goes directly to a registry that others reach through a proxy."""
    direct = sum(row["direct_pulls"] for row in report.bypassed)
    return _section(
        report.proxy_bypass,
        _repository(),
        _text("project_path", title="project"),
        _count("direct_pulls", title="direct"),
        _count("direct_uses", title="uses"),
        _count("proxied_uses", title="proxied"),
        _moment("last_seen", title="last"),
        _evidence(),
        key="proxy_bypass",
        title="Beside the proxy",
        says="Pulled directly from a registry that is also reached through a proxy:"
        f" {words.count(direct)} pulls of {words.count(len(report.bypassed))} repositories."
        " Proxied: uses of this repository through a proxy, by anybody.",
        none="Nothing was pulled directly that is also reached through a proxy.",
        bar=(2, direct),
        whole=sum(row["projects"] for row in report.bypassed),
    )


def _unpinned(report: Report) -> Section:
    """Return how much is named without a digest, and so may change under its name."""
    return _section(
        report.unpinned,
        _text("registry"),
        _count("uses"),
        (
            _brief("no digest"),
            lambda row: Share(row["uses"] - row["pinned"], row["uses"]),
        ),
        (
            _brief("latest"),
            lambda row: Share(row["latest"] + row["untagged"], row["uses"]),
        ),
        *map(_also, ("pinned", "tagged", "projects")),
        _evidence(),
        key="unpinned",
        title="Not pinned",
        says="Uses whose image is named without a digest; latest: without a tag, too, or with"
        " the tag latest.",
    )


def _drift(report: Report) -> Section:
    """Return the tags that had several digests, those that moved most first."""
    tags: dict[str, Row] = {}
    for row in report.drift:  # the digests of a tag, oldest first
        name = f"{row['registry']}/{row['repository']}:{row['tag']}"
        tag = tags.setdefault(name, row | {"name": name, "uses": 0, "stale_uses": 0})
        tag["uses"] += row["uses"]
        tag["stale_uses"] += row["stale_uses"]
        tag |= {"moved": row["first_seen"], "evidence": row["evidence"] or tag["evidence"]}
    return _section(
        list(tags.values()),
        _text("name", title="tag"),
        _count("digests"),
        _count("uses"),
        _count("stale_uses", title="stale"),
        _moment("moved", title="last moved"),
        _evidence(),
        key="drift",
        title="Tags that moved",
        says="One tag, several digests. Stale: uses of a digest after its successor was seen.",
        none="No tag was seen with a second digest.",
    )


def _new_and_gone(report: Report) -> Iterator[Section]:
    """Yield the repositories that came and those that went, where there is a period before."""
    if not report.comparable:
        return
    for change, title, seen in (
        ("new", "New since the period before", "first_seen"),
        ("gone", "Gone since the period before", "last_seen"),
    ):
        yield _section(
            [row for row in report.new_and_gone if row["change"] == change],
            _repository(),
            _count("uses"),
            _count("pulls"),
            _count("projects"),
            _moment(seen, title=seen.replace("_", " ")),
            _evidence(),
            key=change,
            title=title,
        )


def _declared(report: Report) -> Iterator[Section]:
    """Yield what is declared beside what was pulled, where an inventory was taken."""
    built = report.declared
    if built is None:
        return
    says = ". ".join((built.extent, *(note.removesuffix(".") for note in built.notes))) + "."
    for key, title in drift.SECTIONS.items():
        found = built.sections[key]
        # It tells rows of one image apart.
        remarked = any(map(drift.remark, found[:_FEW]))
        yield _section(
            found,
            (_name("image"), drift.named),
            *([(_name("remark"), drift.remark)] if remarked else []),
            *(_count(field) for field in drift.COUNTS if found and field in found[0]),
            _line("file"),
            _line("log"),
            key=f"declared_{key}",
            title=title,
            says=says,
        )
        says = ""


_FEW = 20
"""Rows of a list of which only the beginning matters."""


_Reader: TypeAlias = "tuple[Column, Callable[[Row], Cell]]"
"""A column, and how its cell is read from a row of an answer."""


def _section(  # noqa: PLR0913 -- the fields of a section
    rows: Rows,
    *readers: _Reader,
    key: str,
    title: str,
    says: str = "",
    none: str = "none",
    bar: tuple[int, int] | None = None,
    whole: int | None = None,
    cut: bool = False,
) -> Section:
    """Return a section with a row for each row of an answer, of which there are `whole` in all.

    An answer that was `cut` may have more rows than it says.
    """
    left = (len(rows) if whole is None else whole) - _FEW
    return Section(
        key=key,
        title=title,
        says=says,
        none=none,
        bar=bar,
        left=f"{'at least ' if cut else ''}{words.count(left)}" if left > 0 else "",
        columns=tuple(column for column, _ in readers),
        rows=tuple(tuple(read(row) for _, read in readers) for row in rows[:_FEW]),
    )


def _name(title: str) -> Column:
    return Column(title=title, name=True, text=True)


def _label(title: str) -> Column:
    return Column(title=title, name=True, text=True, ours=True)


def _brief(title: str) -> Column:
    return Column(title=title, brief=True)


def _text(field: str, *, title: str = "") -> _Reader:
    """Return a column of names that the log tells."""
    return _name(title or field), lambda row: row[field]


def _repository() -> _Reader:
    """Return a column of full names of repositories."""
    return _name("repository"), lambda row: "/".join(
        row[field] or UNKNOWN for field in ("registry", "repository")
    )


def _count(field: str, *, title: str = "") -> _Reader:
    """Return a column of counts, shown everywhere."""
    return _brief(title or field), lambda row: row[field]


def _also(field: str) -> _Reader:
    """Return a column of counts, shown where there is room for it."""
    return Column(title=field), lambda row: row[field]


def _share(field: str, whole: int, *, title: str = "share") -> _Reader:
    """Return a column of a count's parts of a whole."""
    return _brief(title), lambda row: Share(row[field], whole)


def _pulled(pulls: int) -> tuple[_Reader, ...]:
    """Return the columns of whatever is counted by pulls: uses, pulls and their part of all."""
    return _count("uses"), _count("pulls"), _share("pulls", pulls)


def _moment(field: str, *, title: str) -> _Reader:
    """Return a column of moments."""
    return Column(title=title), lambda row: row[field]


def _line(kind: str) -> _Reader:
    """Return a column of lines that are evidence of what is declared or pulled."""
    return Column(title=kind), lambda row: Evidence(row[f"{kind}_url"])


def _evidence() -> _Reader:
    """Return a column of lines of job logs."""
    return Column(title="log"), lambda row: Evidence(row["evidence"])


def _asker(row: Row) -> str:
    """Return who asked Docker Hub: a runner, or a proxy by its kind and host."""
    return row["runner"] or f"{row['via'] or UNKNOWN} {row['proxy'] or ''}".strip()


def _at_least(found: int, rows: Rows) -> str:
    """Return a count of rows of which only the first are known."""
    return f"at least {words.count(found)}" if found == len(rows) > 0 else words.count(found)


def _pulls(report: Report) -> int:
    """Return all pulls of the period."""
    return next(figure.value for figure in report.totals if figure.name == "pulls")
