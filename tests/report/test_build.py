"""The build step: every figure of the period, the period before, and what must be said of them."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING

import pytest

from logminer import analysis
from logminer.analysis import engine
from logminer.errors import UsageError
from logminer.period import Period
from logminer.report import Figure, Format, Report, build, report

if TYPE_CHECKING:
    import pyarrow as pa

    from logminer.analysis import Source
    from logminer.analysis.source import Table

NOW = dt.datetime(2026, 10, 5, 6, 30, tzinfo=dt.UTC)


def test_the_period_beside_the_one_before(store: Source) -> None:
    """Totals are those of the period, each beside the same figure of the period before."""
    built = build(store, "last-quarter", NOW)

    assert built.totals == (
        Figure(name="jobs", value=2, before=1),
        Figure(name="uses", value=4, before=1),
        Figure(name="pulls", value=2, before=1),
        Figure(name="repositories", value=1, before=1),
        Figure(name="failed", value=1, before=0),
    )
    assert built.coverage["jobs"] == built.coverage["read"] == 2
    assert built.previous == Period.parse("2026-Q2", today=NOW.date())
    assert not built.empty
    assert built.notes == ()


def test_every_section_is_of_the_period(store: Source) -> None:
    """No frame counts a use of another period."""
    built = build(store, Period.parse("2026-Q3", today=NOW.date()), NOW)

    assert [row["uses"] for row in built.by_registry] == [3, 1]
    assert [row["repository"] for row in built.top_repositories] == ["library/alpine"]
    assert [row["role"] for row in built.by_role] == ["job", "service", "helper"]
    assert [row["error_kind"] for row in built.failed_pulls] == ["tls"]
    assert sum(row["pulls"] for row in built.over_time) == 2


@pytest.mark.parametrize("few", [True, False])
def test_rows_say_what_frames_say(
    few: bool,  # noqa: FBT001 -- a parameter of the test
    store: Source,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether rows lie in memory or in files, a report has what the verbs answer."""
    if not few:
        monkeypatch.setattr(engine, "_FEW", 1)
    built = build(store, "2026-Q3", NOW)

    for verb, rows in (
        (analysis.by_registry, built.by_registry),
        (analysis.by_role, built.by_role),
        (analysis.failed_pulls, built.failed_pulls),
        (analysis.docker_hub_pressure, built.hub_pressure),
        (analysis.unpinned, built.unpinned),
    ):
        frame = verb(store, period="2026-Q3")
        assert len(frame) > 0 or verb is analysis.unpinned
        assert frame.astype(object).where(frame.notna(), None).to_dict("records") == rows


def test_a_small_store_is_read_once(store: Source) -> None:
    """Its files are listed once for each table, and every question finds its columns loaded."""
    asked = []

    class Noted:
        """The store, which notes what it is asked for."""

        def files(self, table: Table, since: dt.date | None, until: dt.date | None) -> list[str]:
            """Return the files."""
            asked.append(table)
            return store.files(table, since, until)

        def schema(self, table: Table) -> pa.Schema:
            """Return the columns and types."""
            return store.schema(table)

    build(Noted(), "2026-Q3", NOW)

    assert asked == ["images", "jobs"]


@pytest.mark.parametrize(
    ("period", "by", "buckets"),
    [("2026-Q3", "day", 92), ("2024", "day", 366), ("2025-01-01..2026-01-03", "month", 13)],
)
def test_a_long_period_is_drawn_by_month(period: str, by: str, buckets: int, store: Source) -> None:
    """Up to a leap year every day is a bucket."""
    built = build(store, period, NOW)

    assert (by, buckets) == (built.by, len(built.over_time))


def test_a_period_that_is_not_over(store: Source) -> None:
    """The future is not drawn as days without a pull, and the reader is told."""
    built = build(store, "2026-Q3", dt.datetime(2026, 7, 31, 12, tzinfo=dt.UTC))

    assert len(built.over_time) == 31
    assert built.notes == (
        "The period is not over: figures so far, compared with the whole period before.",
    )


def test_nothing_before(store: Source) -> None:
    """Without a job in the period before there is no figure of it, rather than noughts."""
    built = build(store, "2026-Q2", NOW)

    assert {figure.before for figure in built.totals} == {None}
    assert {figure.change for figure in built.totals} == {None}
    assert not built.comparable
    assert "2026-01-01 to 2026-03-31" in built.notes[0]


def test_an_empty_period(nothing: Source) -> None:
    """The notes say that nothing was harvested, and the command that changes it."""
    built = build(nothing, "2026-07-14", NOW)

    assert built.empty
    assert "No jobs were harvested for 2026-07-14." in built.notes
    assert "logminer harvest --since 2026-07-14 --until 2026-07-15`" in built.notes[1]


def test_a_period_to_the_second(nothing: Source) -> None:
    """Bounds that are no dates are spelled out, and go into the command as they are."""
    built = build(nothing, "2026-07-14T06:00:00Z..2026-07-14T18:30:15Z", NOW)

    assert "2026-07-14 06:00:00 to 2026-07-14 18:30:15" in built.notes[0]
    assert "--since 2026-07-14T06:00:00Z --until 2026-07-14T18:30:15Z" in built.notes[1]


@pytest.mark.parametrize(
    ("value", "before", "change"),
    [(12, 10, 0.2), (5, 10, -0.5), (1, 1, 0.0), (0, 4, -1.0), (3, 0, None), (3, None, None)],
)
def test_change(value: int, before: int | None, change: float | None) -> None:
    """Growth needs a base."""
    actual = Figure(name="jobs", value=value, before=before).change

    assert actual == (None if change is None else pytest.approx(change))


@pytest.mark.parametrize("format", Format)
def test_a_report_is_written_and_returned(format: Format, store: Source) -> None:  # noqa: A002 -- the keyword under test
    """One call writes the chosen format, and the caller has the figures."""
    out, again = io.StringIO(), io.StringIO()

    built = report(store, "last-quarter", format=format, out=out, now=NOW)
    format.write(built, again)

    assert isinstance(built, Report)
    assert out.getvalue()
    assert out.getvalue() == again.getvalue()


def test_nothing_is_written_for_a_wrong_period(store: Source) -> None:
    """A failure leaves the output untouched."""
    out = io.StringIO()
    with pytest.raises(UsageError):
        report(store, "fortnight", out=out, now=NOW)

    assert out.getvalue() == ""
