"""Periods and moments: the words people use, at the borders of months, years and ISO weeks."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import UsageError
from logminer.period import Period, parse_moment

TODAY = dt.date(2026, 8, 20)
"""A Thursday."""

NOW = dt.datetime(2026, 8, 20, 15, 30, tzinfo=dt.UTC)


def utc(text: str) -> dt.datetime:
    """Read an ISO date or time as UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def bounds(text: str, today: dt.date = TODAY) -> tuple[dt.datetime, dt.datetime]:
    """Since and until of a text."""
    period = Period.parse(text, today=today)
    return period.since, period.until


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("today", "2026-08-20", "2026-08-21"),
        ("yesterday", "2026-08-19", "2026-08-20"),
        ("this-week", "2026-08-17", "2026-08-24"),
        ("last-week", "2026-08-10", "2026-08-17"),
        ("this-month", "2026-08-01", "2026-09-01"),
        ("last-month", "2026-07-01", "2026-08-01"),
        ("this-quarter", "2026-07-01", "2026-10-01"),
        ("last-quarter", "2026-04-01", "2026-07-01"),
        ("this-year", "2026-01-01", "2027-01-01"),
        ("last-year", "2025-01-01", "2026-01-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-Q1", "2026-01-01", "2026-04-01"),
        ("2026-Q3", "2026-07-01", "2026-10-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026-07", "2026-07-01", "2026-08-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2026-W12", "2026-03-16", "2026-03-23"),
        ("2026-W01", "2025-12-29", "2026-01-05"),
        ("2020-W53", "2020-12-28", "2021-01-04"),
        ("2026-W53", "2026-12-28", "2027-01-04"),
        ("2026-07-14", "2026-07-14", "2026-07-15"),
        ("2026-12-31", "2026-12-31", "2027-01-01"),
        ("1d", "2026-08-20", "2026-08-21"),
        ("7d", "2026-08-14", "2026-08-21"),
        ("4w", "2026-07-24", "2026-08-21"),
        ("2026-07-01..2026-10-01", "2026-07-01", "2026-10-01"),
        ("2026-07-01T08:00:00Z..2026-07-02", "2026-07-01T08:00", "2026-07-02"),
        ("2026-07-01..2026-07-01T00:00:00.5z", "2026-07-01", "2026-07-01T00:00:00.500000"),
        ("2026-07-01T01:30+02:00..2026-07-01T01:30-02:00", "2026-06-30T23:30", "2026-07-01T03:30"),
        ("LAST-Quarter", "2026-04-01", "2026-07-01"),
        ("2026-q3", "2026-07-01", "2026-10-01"),
        ("  2026-w12 ", "2026-03-16", "2026-03-23"),
        ("1970", "1970-01-01", "1971-01-01"),
        ("9998", "9998-01-01", "9999-01-01"),
    ],
)
def test_every_form_has_its_bounds(text: str, since: str, until: str) -> None:
    """On a fixed day each form means one half-open stretch of UTC."""
    actual = bounds(text)

    assert (utc(since), utc(until)) == actual


@pytest.mark.parametrize(
    ("today", "text", "since", "until"),
    [
        ("2026-01-01", "yesterday", "2025-12-31", "2026-01-01"),
        ("2026-01-01", "last-month", "2025-12-01", "2026-01-01"),
        ("2026-01-01", "last-quarter", "2025-10-01", "2026-01-01"),
        ("2026-03-31", "this-quarter", "2026-01-01", "2026-04-01"),
        ("2026-04-01", "this-quarter", "2026-04-01", "2026-07-01"),
        ("2026-06-30", "last-quarter", "2026-01-01", "2026-04-01"),
        ("2026-12-31", "this-quarter", "2026-10-01", "2027-01-01"),
        ("2026-12-31", "this-month", "2026-12-01", "2027-01-01"),
        ("2024-02-29", "this-month", "2024-02-01", "2024-03-01"),
        ("2024-02-29", "last-year", "2023-01-01", "2024-01-01"),
        ("2024-03-31", "last-month", "2024-02-01", "2024-03-01"),
        ("2024-03-01", "2d", "2024-02-29", "2024-03-02"),
        ("2021-01-03", "this-week", "2020-12-28", "2021-01-04"),
        ("2021-01-04", "last-week", "2020-12-28", "2021-01-04"),
    ],
)
def test_relative_forms_at_borders(today: str, text: str, since: str, until: str) -> None:
    """The last and first days of units, leap days and ISO years fall on the right side."""
    actual = bounds(text, dt.date.fromisoformat(today))

    assert (utc(since), utc(until)) == actual


@pytest.mark.parametrize(
    ("text", "since", "label"),
    [
        ("2026-Q3", "2026-04-01", "2026-Q2"),
        ("2026-Q1", "2025-10-01", "2025-Q4"),
        ("last-quarter", "2026-01-01", "2026-Q1"),
        ("2026-03", "2026-02-01", "2026-02"),
        ("2024-03", "2024-02-01", "2024-02"),
        ("2026-01", "2025-12-01", "2025-12"),
        ("2026", "2025-01-01", "2025"),
        ("2026-07-01..2026-10-01", "2026-04-01", "2026-Q2"),
        ("2026-02-01..2026-04-01", "2025-12-01", "2025-12-01..2026-02-01"),
        ("2026-02-01..2026-05-01", "2025-11-01", "2025-11-01..2026-02-01"),
        ("2026-02-01..2027-02-01", "2025-02-01", "2025-02-01..2026-02-01"),
        ("today", "2026-08-19", "2026-08-19"),
        ("2026-W12", "2026-03-09", "2026-03-09..2026-03-16"),
        ("7d", "2026-08-07", "2026-08-07..2026-08-14"),
        ("2026-07-02..2026-10-01", "2026-04-02", "2026-04-02..2026-07-02"),
        (
            "2026-07-01T06:00Z..2026-07-01T12:00Z",
            "2026-07-01T00:00",
            "2026-07-01..2026-07-01T06:00:00Z",
        ),
    ],
)
def test_the_period_before(text: str, since: str, label: str) -> None:
    """It ends where the other begins, is of its kind, and has a name of its own."""
    period = Period.parse(text, today=TODAY)
    previous = period.previous()

    assert (utc(since), period.since, label) == (previous.since, previous.until, previous.label)


def test_days_counted_back_are_never_a_month() -> None:
    """On the last of June `30d` covers June, and still the thirty days before it come before."""
    previous = Period.parse("30d", today=dt.date(2026, 6, 30)).previous()

    assert (utc("2026-05-02"), utc("2026-06-01")) == (previous.since, previous.until)
    assert utc("2026-04-02") == previous.previous().since


def test_the_label_is_the_text_as_asked() -> None:
    """A report can show the words of the person who asked."""
    actual = Period.parse(" Last-Quarter ", today=TODAY).label

    assert actual == "Last-Quarter"


def test_a_period_without_label_names_itself() -> None:
    """Made from two moments it carries the calendar's name of them, in UTC."""
    summer = dt.timezone(dt.timedelta(hours=2))
    period = Period(
        since=dt.datetime(2026, 7, 1, 2, tzinfo=summer),
        until=dt.datetime(2026, 8, 1, 2, tzinfo=summer),
    )

    assert (utc("2026-07-01"), "2026-07") == (period.since, period.label)
    assert period.since.tzinfo is dt.UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "quarter",
        "next-week",
        "last week",
        "2026-Q5",
        "2026-Q0",
        "2026-13",
        "2026-00",
        "2026-W00",
        "2025-W53",
        "2026-W54",
        "2026-02-30",
        "2025-02-29",
        "2026-7",
        "26",
        "20260714",
        "0d",
        "-7d",
        "7",
        "12h",
        "999999d",
        "99999999999999999999d",
        "9999",
        "0000",
        "2026-07-01..",
        "..2026-07-01",
        "2026-07..2026-08",
        "2026-07-01..2026-08-01..2026-09-01",
        "2026-07-01T24:00Z..2026-07-03",
        "2026-07-01T00:00+24:00..2026-07-03",
        "0001-01-01T00:00+05:00..2026-07-01",
        "२०२६",
        "x" * 10_000,
    ],
)
def test_what_is_no_period_names_the_forms(text: str) -> None:
    """The message shows the text and the accepted forms with an example, in one short line."""
    with pytest.raises(UsageError) as caught:
        Period.parse(text, today=TODAY)
    message = str(caught.value)

    assert "2026-Q3" in message
    assert "for example last-quarter" in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "2026-10-01..2026-07-01",
        "2026-07-01..2026-07-01",
        "2026-07-01T02:00+02:00..2026-07-01T00:00Z",
    ],
)
def test_empty_and_reversed_ranges_are_refused(text: str) -> None:
    """A range must contain a moment."""
    with pytest.raises(UsageError, match="empty or reversed"):
        Period.parse(text, today=TODAY)


@pytest.mark.parametrize("text", ["1969", "1969-12-31..1970-01-02", "1970-W01", "30000d"])
def test_periods_outside_the_years_are_refused(text: str) -> None:
    """No period begins before 1970."""
    with pytest.raises(UsageError, match="leaves the years 1970 to 9998"):
        Period.parse(text, today=TODAY)


@pytest.mark.parametrize(
    "text",
    ["1970", "1970-Q1", "1970-01-01", "1970-01-01..9998-12-31", "1971-01-01..9999-01-01"],
)
def test_the_period_before_stays_within_the_years(text: str) -> None:
    """Before the first there is none; before one that is too long neither."""
    period = Period.parse(text, today=TODAY)
    with pytest.raises(UsageError, match="1970 to 9998"):
        period.previous()


def test_naive_bounds_are_refused() -> None:
    """A period without a time zone would mean another stretch on every machine."""
    with pytest.raises(UsageError, match="has no time zone"):
        Period(since=utc("2026-07-01"), until=utc("2026-08-01").replace(tzinfo=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01", "2026-07-01"),
        ("2026-07-01T08:15:30Z", "2026-07-01T08:15:30"),
        ("2026-07-01t08:15:30z", "2026-07-01T08:15:30"),
        ("2026-07-01T08:15:30", "2026-07-01T08:15:30"),
        ("2026-07-01 08:15", "2026-07-01T08:15"),
        ("2026-07-01T08:15:30.123456789Z", "2026-07-01T08:15:30.123456"),
        ("2026-07-01T00:30:00+02:00", "2026-06-30T22:30"),
        ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30"),
        ("2024-02-29", "2024-02-29"),
        ("now", "2026-08-20T15:30"),
        ("NOW", "2026-08-20T15:30"),
        ("12h", "2026-08-20T03:30"),
        ("7d", "2026-08-13T15:30"),
        (" 4W ", "2026-07-23T15:30"),
        ("1970-01-01", "1970-01-01"),
        ("9998-12-31T23:59:59Z", "9998-12-31T23:59:59"),
    ],
)
def test_every_form_of_a_moment(text: str, expected: str) -> None:
    """Each form means one moment, aware and in UTC."""
    actual = parse_moment(text, now=NOW)

    assert utc(expected) == actual
    assert actual.tzinfo is dt.UTC


def test_now_may_stand_in_any_zone() -> None:
    """The clock's zone does not show."""
    actual = parse_moment("now", now=NOW.astimezone(dt.timezone(dt.timedelta(hours=-8))))

    assert actual == NOW
    assert actual.tzinfo is dt.UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-07",
        "2026-07-32",
        "2026-7-1",
        "2026-07-01T",
        "2026-07-01T8:00Z",
        "2026-07-01T08:60Z",
        "2026-07-01T08:00:60Z",
        "2026-07-01T08:00+0200",
        "2026-07-01T08:00+25:00",
        "2026-07-01Z",
        "2026-W12-1",
        "20260701T080000Z",
        "0h",
        "7m",
        "-7d",
        "999999w",
        "0001-01-01T00:00+05:00",
        "9999-12-31T23:59-05:00",
        "\x1b[31mred",
        "x" * 10_000,
    ],
)
def test_what_is_no_moment_names_the_forms(text: str) -> None:
    """The message names the accepted forms with an example, in one short line of plain text."""
    with pytest.raises(UsageError, match="RFC 3339") as caught:
        parse_moment(text, now=NOW)
    message = str(caught.value)

    assert "for example 2026-07-01" in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("text", ["1969-12-31", "9999-01-01", "9998-12-31T23:30-01:00", "500000h"])
def test_moments_outside_the_years_are_refused(text: str) -> None:
    """The years that count are those of the moment in UTC."""
    with pytest.raises(UsageError, match="outside the years 1970 to 9998"):
        parse_moment(text, now=NOW)


days = st.dates(dt.date(1975, 1, 1), dt.date(9990, 12, 31))


def midnight(day: dt.date) -> dt.datetime:
    """Begin a day in UTC."""
    return dt.datetime.combine(day, dt.time(), dt.UTC)


@given(days, st.sampled_from(["week", "month", "quarter", "year"]))
def test_this_contains_today_and_last_ends_where_this_begins(day: dt.date, unit: str) -> None:
    """For every day and unit, and `last` is what comes before `this`."""
    this = Period.parse(f"this-{unit}", today=day)
    last = Period.parse(f"last-{unit}", today=day)
    previous = this.previous()

    assert this.since <= midnight(day) < this.until
    assert this.since == last.until
    assert (last.since, last.until) == (previous.since, previous.until)


@given(days)
def test_units_are_named_as_the_calendar_names_them(day: dt.date) -> None:
    """The unit around a day is the one that its number names."""
    year, week, _ = day.isocalendar()
    names = {
        "week": f"{year:04}-W{week:02}",
        "month": f"{day.year:04}-{day.month:02}",
        "quarter": f"{day.year:04}-Q{-(-day.month // 3)}",
        "year": f"{day.year:04}",
    }

    for unit, name in names.items():
        assert bounds(name) == bounds(f"this-{unit}", day)


@given(days, st.integers(1, 1500))
def test_so_many_days_up_to_today(day: dt.date, count: int) -> None:
    """`Nd` covers N whole days and today is the last."""
    since, until = bounds(f"{count}d", day)

    assert until == midnight(day) + dt.timedelta(days=1)
    assert until - since == dt.timedelta(days=count)


@given(days, st.sampled_from(["2000-Q1", "30d", "3w", "this-month", "last-year", "yesterday"]))
def test_the_name_of_the_period_before_is_understood(day: dt.date, text: str) -> None:
    """Its label parses to the same bounds."""
    previous = Period.parse(text, today=day).previous()

    assert (previous.since, previous.until) == bounds(previous.label)


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Nothing but a value or a UsageError comes back."""
    try:
        period = Period.parse(text, today=TODAY)
    except UsageError:
        pass
    else:
        assert period.since < period.until
    try:
        moment = parse_moment(text, now=NOW)
    except UsageError:
        return
    assert moment.tzinfo is dt.UTC
