"""Since and until: the words people use for a stretch of time, as half-open intervals in UTC.

Every partition, filter and report takes its bounds from here, so that a quarter means the same
everywhere: `since` belongs to it, `until` does not.
No clock is read; the caller says which day or moment it is.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace
from typing import Self

from logminer.errors import UsageError

_FIRST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_YEARS = "the years 1970 to 9998"
"""The last year that ends at a moment a `datetime` can hold is 9998."""

_PERIOD_FORMS = (
    "write today, yesterday, this- or last-week, -month, -quarter or -year, "
    "2026, 2026-Q3, 2026-07, 2026-W12, 2026-07-14, 7d, 4w or SINCE..UNTIL "
    f"in {_YEARS}, for example last-quarter or 2026-07-01..2026-10-01"
)
_MOMENT_FORMS = (
    "write a date, an RFC 3339 time, now, or how long ago in hours, days or weeks, "
    "for example 2026-07-01, 2026-07-01T08:00:00Z, 12h or 7d"
)

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DATE = r"\d{4}-\d\d-\d\d"
_RELATIVE = re.compile(r"(this|last)-(week|month|quarter|year)")
_CALENDAR = re.compile(r"(\d{4})(?:-(?:q([1-4])|w(\d\d)|(\d\d)(?:-(\d\d))?))?", re.ASCII)
_ROLLING = re.compile(r"([1-9]\d{0,5})([dw])", re.ASCII)
_AGO = re.compile(r"([1-9]\d{0,5})([hdw])", re.ASCII)
_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}
# RFC 3339 section 5.6; seconds and offset may be left out.  No leap second: the library's clocks
# know none.
_MOMENT = re.compile(
    rf"({_DATE})(?:[t ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)"
    r"(z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time, half-open: `since` is the first moment in it, `until` the first after.

    Both are aware; other zones are converted to UTC.
    Raises UsageError where it would be empty, reversed or outside the years 1970 to 9998.
    """

    since: dt.datetime
    until: dt.datetime
    label: str = ""
    """The text as asked for, or the calendar's name of it."""
    rolling: bool = field(default=False, repr=False, compare=False)
    """Whether it was counted back from a day (`30d`): never a month, even where it covers one."""

    def __post_init__(self) -> None:
        """Convert to UTC, refuse what is no stretch of time, and name what has no name."""
        for name in ("since", "until"):
            object.__setattr__(self, name, _utc(getattr(self, name)))
        if self.since >= self.until:
            raise UsageError(
                f"the period {_range(self.since, self.until)} is empty or reversed: since must be "
                "earlier than until, which is not part of it, for example 2026-07-01..2026-10-01"
            )
        if self.since < _FIRST or self.until > _LAST:
            raise UsageError(f"the period {_range(self.since, self.until)} leaves {_YEARS}")
        if not self.label:
            object.__setattr__(self, "label", self._calendar_name())

    @classmethod
    def parse(cls, text: str, *, today: dt.date) -> Self:
        """Return the period a text names, where `today` is the current day in UTC.

        Understood, in any case: `today`, `yesterday`, `this-week` and `last-week` (ISO weeks, from
        Monday), the same for `month`, `quarter` and `year`, `2026`, `2026-Q3`, `2026-07`,
        `2026-W12`, `2026-07-14`, `7d` and `4w` (so many whole days up to and including today),
        and `SINCE..UNTIL` with dates or RFC 3339 times.
        Raises UsageError, which names these forms, for anything else.
        """
        words = text.strip().lower()
        try:
            since, until = _bounds(words, today)
            rolling = _ROLLING.fullmatch(words) is not None
            return cls(since=since, until=until, label=text.strip(), rolling=rolling)
        except (ValueError, OverflowError) as error:
            raise UsageError(f"no period: {_shown(text)}; {_PERIOD_FORMS}") from error

    def previous(self) -> Self:
        """Return the period of the same kind directly before: the one that ends where this begins.

        Whole calendar months have as many months before them, so a quarter follows a quarter and
        a year a year; everything else has the same length.
        Raises UsageError where that would begin before 1970.
        """
        months = self._months()
        try:
            if months:
                since = _add_months(self.since, -months)
            else:
                since = self.since - (self.until - self.since)
        except (ValueError, OverflowError) as error:
            raise UsageError(f"the period before {self.label} leaves {_YEARS}") from error
        return replace(self, since=since, until=self.since, label="")

    def _months(self) -> int:
        """Whole calendar months covered; 0 where it is no such period."""
        begins, ends = self.since, self.until
        if self.rolling or any(edge != _midnight(edge.year, edge.month) for edge in (begins, ends)):
            return 0
        return 12 * (ends.year - begins.year) + ends.month - begins.month

    def _calendar_name(self) -> str:
        """Name it as `parse` would understand it."""
        since, months = self.since, self._months()
        if months == _MONTHS["year"] and since.month == 1:
            return f"{since:%Y}"
        if months == _MONTHS["quarter"] and since.month % 3 == 1:
            return f"{since:%Y}-Q{(since.month + 2) // 3}"
        if months == _MONTHS["month"]:
            return f"{since:%Y-%m}"
        if since.time() == dt.time() and self.until - since == _UNITS["d"]:
            return f"{since:%Y-%m-%d}"
        return _range(since, self.until)


def parse_moment(text: str, *, now: dt.datetime) -> dt.datetime:
    """Return the moment a text names, aware and in UTC, where `now` is the current one (aware).

    Understood, in any case: a date (its midnight), an RFC 3339 time (UTC where it has no offset),
    `now`, and `12h`, `7d` or `4w` for so long before `now`.
    Raises UsageError, which names these forms, for anything else.
    """
    words = text.strip().lower()
    try:
        if words == "now":
            moment = now.astimezone(dt.UTC)
        elif match := _AGO.fullmatch(words):
            moment = now.astimezone(dt.UTC) - int(match[1]) * _UNITS[match[2]]
        else:
            moment = _moment(words)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"no moment: {_shown(text)}; {_MOMENT_FORMS}") from error
    if not _FIRST <= moment < _LAST:
        raise UsageError(f"{_shown(text)} lies outside {_YEARS}")
    return moment


def _bounds(words: str, today: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """Return since and until; raises ValueError or OverflowError for what is no period."""
    day, midnight = _UNITS["d"], _midnight(today.year, today.month, today.day)
    if words == "today":
        return midnight, midnight + day
    if words == "yesterday":
        return midnight - day, midnight
    if match := _RELATIVE.fullmatch(words):
        return _relative(match[2], midnight, back=match[1] == "last")
    if match := _ROLLING.fullmatch(words):
        until = midnight + day
        return until - int(match[1]) * _UNITS[match[2]], until
    if match := _CALENDAR.fullmatch(words):
        return _calendar(*match.groups())
    since, separator, until_words = words.partition("..")
    if not separator:
        raise ValueError(words)
    return _moment(since), _moment(until_words)


def _relative(unit: str, today: dt.datetime, *, back: bool) -> tuple[dt.datetime, dt.datetime]:
    """Return the calendar unit that `today` lies in, or the one before."""
    if unit == "week":
        week = _UNITS["w"]
        monday = today - today.weekday() * _UNITS["d"] - back * week
        return monday, monday + week
    months = _MONTHS[unit]
    since = _midnight(today.year, today.month - (today.month - 1) % months)
    since = _add_months(since, -months) if back else since
    return since, _add_months(since, months)


def _calendar(
    year: str, quarter: str | None, week: str | None, month: str | None, day: str | None
) -> tuple[dt.datetime, dt.datetime]:
    """Return the year, quarter, ISO week, month or day that the digits name."""
    if quarter is not None:
        since, months = _midnight(int(year), 3 * int(quarter) - 2), _MONTHS["quarter"]
    elif week is not None:
        monday = dt.date.fromisocalendar(int(year), int(week), 1)
        since = _midnight(monday.year, monday.month, monday.day)
        return since, since + _UNITS["w"]
    elif month is None:
        since, months = _midnight(int(year)), _MONTHS["year"]
    elif day is None:
        since, months = _midnight(int(year), int(month)), _MONTHS["month"]
    else:
        since = _midnight(int(year), int(month), int(day))
        return since, since + _UNITS["d"]
    return since, _add_months(since, months)


def _moment(words: str) -> dt.datetime:
    """Read a date or an RFC 3339 time, in lower case."""
    match = _MOMENT.fullmatch(words)
    if match is None:
        raise ValueError(words)
    date, time, offset = match.groups()
    zone = offset.replace("z", "+00:00") if offset else "+00:00"
    return dt.datetime.fromisoformat(f"{date}T{time or '00:00'}{zone}").astimezone(dt.UTC)


def _midnight(year: int, month: int = 1, day: int = 1) -> dt.datetime:
    return dt.datetime(year, month, day, tzinfo=dt.UTC)


def _add_months(first: dt.datetime, months: int) -> dt.datetime:
    """Move the first of a month by whole months."""
    year, month = divmod(12 * first.year + first.month - 1 + months, 12)
    return _midnight(year, month + 1)


def _utc(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        raise UsageError(f"{moment} has no time zone; a period needs aware times")
    return moment.astimezone(dt.UTC)


def _range(since: dt.datetime, until: dt.datetime) -> str:
    return f"{_iso(since)}..{_iso(until)}"


def _iso(moment: dt.datetime) -> str:
    """Write a midnight as its date and every other moment in RFC 3339."""
    if moment.time() == dt.time():
        return moment.date().isoformat()
    return moment.isoformat().replace("+00:00", "Z")


def _shown(text: str) -> str:
    """Quote foreign text for a message of one line."""
    bound = 60
    return repr(text if len(text) <= bound else f"{text[:bound]}…")
