"""Charts of the verbs' frames: a DataFrame in, an Altair chart out; page and notebooks share them.

    >>> weeks = analysis.pulls_over_time(store, by="week", split="registry", period="last-quarter")
    >>> charts.pulls_over_time(weeks, by="week", split="registry")

Strategy: a chart is small, static in its looks and complete without a script. Everything that a
pointer can ask stands as a description on a mark, most often an unseen one that fills a column or a
row: Altair's own tooltip shows it in a notebook, a few lines of script show it in the page.
Times are UTC.

Channels are given as objects: of a text Altair asks its whole schema what it stands for.

Seven colours at most: those of Okabe and Ito, which colour-blind readers can tell apart; what has
no colour of its own is "other", and grey. Foreign text is data and never markup, and goes through
`foreign.visible`.

This module is heavy (Altair, and V8 with the first picture): import it where a chart is drawn.
"""

from __future__ import annotations

import datetime as dt
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import altair as alt

from logminer.foreign import visible
from logminer.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from logminer.analysis.source import Rows

Chart: TypeAlias = alt.LayerChart
Frame: TypeAlias = "pd.DataFrame | Rows"
"""An answer of a verb, or its rows."""
Bucket: TypeAlias = Literal["day", "week", "month"]
Span: TypeAlias = tuple[dt.datetime, dt.datetime]
"""What a chart's time reaches over, from and to; without one, it is as long as its data."""

COLOURS: Final = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#d55e00")
GREY: Final = "#b4bac2"
INK: Final = "#1f2328"
"""Text that is read."""
DIM: Final = "#59636e"
"""Text that labels."""
LINE: Final = "#d8dee4"
"""Axes and grids."""
ALARM: Final = "#b3341f"
"""A limit."""

WIDE: Final = 720
"""Pixels, as a notebook has them."""

_NARROW: Final = 480
"""Pixels; a chart below has fewer ticks."""
_CHARACTER: Final = 7.2
"""Pixels of a character of a name, on average and rounded up."""
_ENTRY: Final = 220
"""Pixels of an entry of a legend."""
_LEGEND: Final = "legend"
"""Where a chart carries its legend, for a page that writes it in letters of its own."""
_ROW: Final = 32
"""Pixels of a name and the bar under it."""
_GAP: Final = 0.12
"""Part of a bucket that stays free between two columns."""
_WIDEST: Final = 56
"""Pixels of a column, also where there are few."""

_BARS: Final = alt.NamedData("bars")
_LABELS: Final = alt.NamedData("labels")
_HOVER: Final = alt.NamedData("hover")
"""Names of a chart's data: each layer draws one of them."""

_FEW_DAYS: Final = dt.timedelta(days=6)
_OTHER: Final = "other"
_UNKNOWN: Final = "(unknown)"
_AXIS: Final = {"day": "%-d %b", "week": "%-d %b", "month": "%b %Y"}
_SAID: Final = {"day": "%a %Y-%m-%d", "week": "week of %Y-%m-%d", "month": "%B %Y"}
_LIMITS: Final = (100, 200)
"""What Docker Hub grants in six hours: without an account, with a free one."""
_WINDOW: Final = dt.timedelta(hours=6)


def pulls_over_time(
    frame: Frame,
    *,
    split: str | None = None,
    by: Bucket = "day",
    span: Span | None = None,
    width: int = WIDE,
) -> Chart:
    """Return a column of pulls for each bucket, stacked by the column `split` of the frame, if any.

    `frame` is an answer of `analysis.pulls_over_time` with the same `by` and `split`.
    """
    return _columns(frame, "pulls", split=split, by=by, span=span, width=width, height=220)


def failures_over_time(
    frame: Frame,
    *,
    split: str | None = "error_kind",
    by: Bucket = "week",
    span: Span | None = None,
    width: int = WIDE,
) -> Chart:
    """Return a column of failed pulls for each bucket, stacked by their reason or another column.

    `frame` is an answer of `analysis.failed_pulls_over_time` with the same `by`.
    """
    return _columns(frame, "failed", split=split, by=by, span=span, width=width, height=150)


def top_repositories(frame: Frame, *, width: int = WIDE) -> Chart:
    """Return a bar for each repository of `analysis.top_repositories`, in its order."""
    bars: list[_Row] = [
        (
            _repository(row),
            {"pulls": int(row["pulls"])},
            f"{row['pulls']:,} pulls in {row['uses']:,} uses, by {row['projects']:,} projects",
        )
        for row in _each(frame)
    ]
    return _ranked(bars, width=width)


def exposure(frame: Frame, *, limit: int = 15, width: int = WIDE) -> Chart:
    """Return a bar for each project of `analysis.exposure`, most uses first.

    Uses in pipelines that a schedule started stand apart: nobody looks on when these break.
    """
    projects: dict[str, list[Mapping[str, Any]]] = {}
    for row in _each(frame):
        projects.setdefault(_name(row["project_path"]), []).append(row)
    bars: list[_Row] = []
    for project, each in projects.items():
        uses = sum(int(row["uses"]) for row in each)
        scheduled = sum(int(row["scheduled_uses"]) for row in each)
        images = len({(row["registry"], row["repository"]) for row in each})
        jobs = len({row["job_name"] for row in each})
        bars.append(
            (
                project,
                {"not scheduled": uses - scheduled, "scheduled": scheduled},
                f"{uses:,} uses of {images:,} repositories in {jobs:,} jobs by name",
            )
        )
    return _ranked(_largest(bars, limit), width=width)


def proxy_bypass(frame: Frame, *, limit: int = 10, width: int = WIDE) -> Chart:
    """Return a bar for each repository of `analysis.proxy_bypass`, or of `bypassed`.

    Most direct uses first.
    Both ways to it stand one behind the other: beside the proxy, and through it.
    """
    repositories: dict[str, list[Mapping[str, Any]]] = {}
    for row in _each(frame):
        repositories.setdefault(_repository(row), []).append(row)
    bars: list[_Row] = []
    for repository, each in repositories.items():
        direct = sum(int(row["direct_uses"]) for row in each)
        proxied = int(each[0]["proxied_uses"])
        projects = sum(int(row.get("projects", 1)) for row in each)
        said = f"{direct:,} uses beside the proxy, by {projects:,} projects; {proxied:,} through it"
        bars.append((repository, {"direct": direct, "through a proxy": proxied}, said))
    bars.sort(key=lambda row: -row[1]["direct"])
    return _ranked(bars[:limit], width=width)


def hub_pressure(frame: Frame, *, span: Span | None = None, width: int = WIDE) -> Chart:
    """Return a dot for each window of `analysis.docker_hub_pressure`, and the limits near it."""
    values: list[dict[str, Any]] = [
        {
            "start": _iso(row["start"] + _WINDOW / 2),
            "peak": int(row["peak"]),
            "over": int(row["over_100"]) + int(row["over_200"]),
            "said": f"{asker(row)}\nsix hours from {row['start']:%a %Y-%m-%d %H:%M}\npeak of"
            f" {row['peak']:,} requests, {row['pulls']:,} pulls, {row['rate_limited']:,} refused",
        }
        for row in _each(frame)
    ]
    top = max((each["peak"] for each in values), default=0)
    limits = [limit for limit in _LIMITS if limit == _LIMITS[0] or top > limit / 2]
    y = alt.Y(
        "peak:Q",
        axis=alt.Axis(title=None, tickCount=4, format="~s"),
        scale=alt.Scale(domain=[0, max(top, limits[-1]) * 1.1]),
    )
    dots = (
        alt.Chart(_BARS)
        .mark_circle(size=64, opacity=0.8)
        .encode(
            x=_span_axis(span or _extent(row["start"] for row in _each(frame)), width),
            y=y,
            color=alt.Color(
                "over:O",
                scale=alt.Scale(domain=[0, 1, 2], range=[COLOURS[0], COLOURS[3], COLOURS[5]]),
                legend=None,
            ),
            description=alt.Description("said:N"),
            tooltip=alt.Tooltip("said:N"),
        )
    )
    lines = alt.Chart(_LABELS)
    limited = [{"peak": limit, "says": f"{limit} in six hours"} for limit in limits]
    rules = lines.mark_rule(aria=False, color=ALARM, strokeDash=[4, 3]).encode(y=y)
    labels = lines.mark_text(
        aria=False, color=ALARM, align="left", baseline="bottom", dx=2, dy=-3, fontSize=11
    ).encode(x=alt.value(0), y=y, text=alt.Text("says:N"))
    return _finished(
        [rules, labels, dots], {"bars": values, "labels": limited}, width=width, height=180
    )


def drift(frame: Frame, *, limit: int = 12, span: Span | None = None, width: int = WIDE) -> Chart:
    """Return a line in time for each tag of `analysis.digest_drift`, each of its digests a span."""
    tags: dict[str, list[Mapping[str, Any]]] = {}
    for each in _each(frame):
        tags.setdefault(f"{_repository(each)}:{_name(each['tag'])}", []).append(each)
    spans: list[dict[str, object]] = []
    labels: list[tuple[str, str]] = []
    for place, (tag, digests) in enumerate(list(tags.items())[:limit]):
        labels.append((tag, f"{len(digests)} digests"))
        for at, (row, after) in enumerate(zip_longest(digests, digests[1:])):
            stale = f", {row['stale_uses']:,} of them after the tag had moved on" if after else ""
            spans.append(
                {
                    "row": place,
                    "start": _iso(row["first_seen"]),
                    "end": _iso(after["first_seen"] if after else row["last_seen"]),
                    "name": str(at % 2),
                    "said": f"{_name(row['digest'])[:23]}…\n{tag}\nfirst seen"
                    f" {row['first_seen']:%Y-%m-%d %H:%M}, last {row['last_seen']:%Y-%m-%d %H:%M}\n"
                    f"{row['uses']:,} uses in {row['projects']:,} projects{stale}",
                }
            )
    moments = (row[key] for row in _each(frame) for key in ("first_seen", "last_seen"))
    y, x = _rows_axis(), _span_axis(span or _extent(moments), width)
    base = alt.Chart(_BARS).encode(
        y=y,
        x=x,
        color=alt.Color(
            "name:N", scale=alt.Scale(domain=["0", "1"], range=list(COLOURS[:2])), legend=None
        ),
        description=alt.Description("said:N"),
        tooltip=alt.Tooltip("said:N"),
    )
    lines = base.mark_bar(height=8, yOffset=8).encode(x2=alt.X2("end:T"))
    moves = base.mark_tick(thickness=4, height=14, yOffset=8)
    data = {"bars": spans, "labels": _labels(labels, width - 90)}
    height = _ROW * max(1, len(labels)) + 20
    return _finished([lines, moves, *_names()], data, width=width, height=height)


def asker(row: Mapping[str, Any]) -> str:
    """Return who asked Docker Hub in a row of `analysis.docker_hub_pressure`."""
    if isinstance(row["runner"], str):
        return _name(row["runner"])
    return f"{_name(row['via'])} at {_name(row['proxy'])}"


def legend(chart: Chart) -> dict[str, str]:
    """Return the colour of each name in a chart; none where there is nothing to tell apart."""
    return dict(chart.usermeta[_LEGEND])


def picture(chart: Chart) -> str:
    """Return a chart as SVG text, without legend or ground of its own; nothing is fetched."""
    import vl_convert  # noqa: PLC0415 -- V8, only where a picture is asked for

    chart = chart.copy(deep=False)
    chart.config = chart.config.copy(deep=False)
    chart.config.legend = alt.LegendConfig(disable=True)
    chart.config.background = "transparent"
    # Vega-Lite itself refuses what is no chart; asking the schema first takes longer than drawing.
    svg: str = vl_convert.vegalite_to_svg(chart.to_json(validate=False), allowed_base_urls=[])
    return svg


_Row: TypeAlias = tuple[str, dict[str, int], str]
"""A bar: its name, its parts one behind another, and what a pointer is told."""

_Data: TypeAlias = "Mapping[str, Sequence[Mapping[str, object]]]"
"""What each of the named data of a chart holds."""


def _columns(  # noqa: PLR0913 -- what the public functions fix
    frame: Frame,
    value: str,
    *,
    split: str | None,
    by: Bucket,
    span: Span | None,
    width: int,
    height: int,
) -> Chart:
    """Return stacked columns; the pointer finds the whole column and reads all of its parts."""
    buckets: dict[dt.datetime, dict[str, int]] = {}
    for row in _each(frame):
        parts = buckets.setdefault(row["start"], {})
        name = _name(row[split]) if split else value
        parts[name] = parts.get(name, 0) + int(row[value])
    names = [*_most(buckets.values()), _OTHER]
    starts = _starts(buckets, by, span)
    gap = max(_GAP, 1 - _WIDEST * len(starts) / width)
    values, columns = [], []
    for start, counts in sorted(buckets.items()):
        end = _end(start, by)
        bounds = {"start": _iso(start), "end": _iso(end)}
        edge = _iso(end - (end - start) * gap)
        said = [f"{start:{_SAID[by]}}: {sum(counts.values()):,} {value}"]
        floor = 0
        for name in names:
            count = counts.get(name, 0) if name != _OTHER else sum(counts.values()) - floor
            if count:
                values.append(
                    {**bounds, "edge": edge, "name": name, "from": floor, "to": floor + count}
                )
                floor += count
                if split:
                    said.append(f"{name} {count:,}")
        columns.append({**bounds, "said": "\n".join(said)})
    top = max((sum(counts.values()) for counts in buckets.values()), default=0)
    axis = alt.Axis(title=None, tickCount=min(4, max(1, top)), format="~s")
    drawn = {each["name"] for each in values}
    key = _key([name for name in names if name in drawn]) if split else {}
    ticks = starts[:: -(-len(starts) // _ticks(width)) or 1]
    whole = (starts[0], _end(starts[-1], by)) if starts else None
    x = _time_axis(_AXIS[by], width, whole, ticks)
    bars = (
        alt.Chart(_BARS)
        .mark_bar(aria=False)
        .encode(
            x=x,
            x2=alt.X2("edge:T"),
            y=alt.Y("from:Q", axis=axis),
            y2=alt.Y2("to:Q"),
            color=_colour(key) if split else alt.value(COLOURS[0]),
        )
    )
    hover = _hover().encode(x=x, x2=alt.X2("end:T"), y=alt.value(0), y2=alt.value("height"))
    data: _Data = {"bars": values, "hover": columns}
    return _finished([bars, hover], data, width=width, height=height, key=key)


def _ranked(rows: Sequence[_Row], *, width: int) -> Chart:
    """Return a bar for each row under its name, as long as its parts together."""
    key = _key(list(dict.fromkeys(part for _, counts, _ in rows for part in counts)))
    if len(key) < 2:  # noqa: PLR2004 -- one thing needs no legend
        key = {}
    values, labels = [], []
    for place, (name, counts, _) in enumerate(rows):
        floor = 0
        for part, count in counts.items():
            values.append({"row": place, "name": part, "from": floor, "to": floor + count})
            floor += count
        labels.append((name, f"{floor:,}"))
    bars = (
        alt.Chart(_BARS)
        .mark_bar(aria=False, height=8, yOffset=8)
        .encode(
            y=_rows_axis(),
            x=alt.X("from:Q", axis=None),
            x2=alt.X2("to:Q"),
            color=_colour(key) if key else alt.value(COLOURS[0]),
        )
    )
    hover = _hover().encode(y=_rows_axis(), x=alt.value(0), x2=alt.value("width"))
    said = [{"row": place, "said": f"{row[0]}\n{row[2]}"} for place, row in enumerate(rows)]
    data: _Data = {"bars": values, "labels": _labels(labels, width - 70), "hover": said}
    height = _ROW * max(1, len(rows))
    return _finished([bars, *_names(), hover], data, width=width, height=height, key=key)


def _labels(labels: Sequence[tuple[str, str]], width: int) -> list[dict[str, object]]:
    """Return a name and a figure for each row, the name shortened to so many pixels."""
    room = int(width / _CHARACTER)
    return [
        {"row": place, "label": words.shortened(name, room), "total": total}
        for place, (name, total) in enumerate(labels)
    ]


def _names() -> tuple[alt.Chart, alt.Chart]:
    """Return the name on the left of each row and the figure on its right."""
    base = alt.Chart(_LABELS)
    names = base.mark_text(align="left", color=INK, aria=False, dy=-6, fontSize=12)
    totals = base.mark_text(align="right", color=DIM, aria=False, dy=-6, fontSize=12)
    return (
        names.encode(y=_rows_axis(), x=alt.value(0), text=alt.Text("label:N")),
        totals.encode(y=_rows_axis(), x=alt.value("width"), text=alt.Text("total:N")),
    )


def _hover() -> alt.Chart:
    """Return marks that nobody sees and every pointer finds, each with its words."""
    marks = alt.Chart(_HOVER).mark_rect(opacity=0, fill=INK)
    hover: alt.Chart = marks.encode(
        description=alt.Description("said:N"), tooltip=alt.Tooltip("said:N")
    )
    return hover


def _ticks(width: int) -> int:
    """Return how many moments there is room for under a chart."""
    return 4 if width < _NARROW else 9


def _extent(moments: Iterable[dt.datetime]) -> Span | None:
    """Return the first and the last of some moments; None where there is none."""
    known = sorted(moments)
    return (known[0], known[-1]) if known else None


def _span_axis(span: Span | None, width: int) -> alt.X:
    """Return a horizontal axis on which days are told apart, or hours where they are few."""
    few = span is not None and span[1] - span[0] < _FEW_DAYS
    return _time_axis("%-d %b %H:%M" if few else _AXIS["day"], width, span)


def _time_axis(
    form: str, width: int, span: Span | None, ticks: Sequence[dt.datetime] = ()
) -> alt.X:
    """Return a horizontal axis of moments in UTC over a span, labelled at these moments, if any."""
    axis = alt.Axis(format=form, title=None, grid=False, tickCount=_ticks(width))
    if ticks:
        axis.values = [tick.timestamp() * 1000 for tick in ticks]
    scale = alt.Scale(type="utc")
    if span is not None:
        scale.domain = [moment.timestamp() * 1000 for moment in span]
    return alt.X("start:T", scale=scale, axis=axis)


def _rows_axis() -> alt.Y:
    """Return a vertical axis of rows, one below the other."""
    return alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))


def _key(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name, in order; grey for what is left over."""
    return {name: GREY if name == _OTHER else COLOURS[at] for at, name in enumerate(names)}


def _colour(key: Mapping[str, str]) -> alt.Color:
    """Return the colours of a chart."""
    return alt.Color(
        "name:N", title=None, scale=alt.Scale(domain=list(key), range=list(key.values()))
    )


def _finished(
    layers: list[alt.Chart],
    data: _Data,
    *,
    width: int,
    height: int,
    key: Mapping[str, str] | None = None,
) -> Chart:
    """Return the layers as one chart, exactly so wide and in the one dress of all charts."""
    chart: Chart = (
        alt.layer(*layers)
        .properties(
            width=width,
            height=height,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
            usermeta={_LEGEND: dict(key or {})},
        )
        .configure(background="white", font="Arial, Helvetica, sans-serif", padding=2)
        .configure_view(stroke=None)
        .configure_axis(
            aria=False,
            domain=False,
            ticks=False,
            gridColor=LINE,
            gridOpacity=0.7,
            labelColor=DIM,
            labelFontSize=11,
            labelPadding=6,
        )
        .configure_legend(
            orient="top",
            columns=max(1, width // _ENTRY),
            labelColor=DIM,
            labelFontSize=12,
            labelLimit=_ENTRY - 30,
            offset=12,
            rowPadding=2,
            symbolType="square",
        )
    )
    # Last: Altair copies a chart at every step, with everything that hangs on it.
    chart.datasets = data
    return chart


def _each(frame: Frame) -> Rows:
    """Return the rows of an answer."""
    return frame if isinstance(frame, list) else cast("Rows", frame.to_dict("records"))


def _most(buckets: Iterable[Mapping[str, int]]) -> list[str]:
    """Return the names with the largest sums, largest first, as many as there are colours."""
    sums: dict[str, int] = {}
    for counts in buckets:
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count
    names = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    return [name for name in names if name != _OTHER][: len(COLOURS)]


def _largest(rows: list[_Row], limit: int) -> list[_Row]:
    """Return the longest bars, longest first."""
    return sorted(rows, key=lambda row: (-sum(row[1].values()), row[0]))[:limit]


def _repository(row: Mapping[str, Any]) -> str:
    """Return the full name of a repository."""
    return f"{_name(row['registry'])}/{_name(row['repository'])}"


def _name(value: object) -> str:
    """Return foreign text as it may be read; what the log does not tell is said to be unknown."""
    return visible(value) if isinstance(value, str) else _UNKNOWN


def _starts(known: Iterable[dt.datetime], by: Bucket, span: Span | None) -> list[dt.datetime]:
    """Return the first moment of every bucket of a span; without one, of those that are known."""
    starts = sorted(known)
    if span is None:
        return starts
    since, until = span
    start = since.replace(hour=0, minute=0, second=0, microsecond=0)
    if by != "day":
        start -= dt.timedelta(days=start.weekday() if by == "week" else start.day - 1)
    every = []
    while start < until:
        every.append(start)
        start = _end(start, by)
    return every


def _end(start: dt.datetime, by: Bucket) -> dt.datetime:
    """Return the first moment after a bucket."""
    if by == "month":
        return (start.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return start + dt.timedelta(days=7 if by == "week" else 1)


def _iso(moment: dt.datetime) -> str:
    """Return a moment as Vega reads it: RFC 3339, UTC."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
