"""Which time a question is about: a period, or two bounds, or everything."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from logminer.errors import UsageError
from logminer.period import Period, parse_moment

Moment: TypeAlias = dt.datetime | dt.date | str
"""A point in time: a datetime (naive means UTC), a date (its first moment in UTC) or text."""


class When(TypedDict, total=False):
    """The arguments of time that every verb takes; without any, everything is counted.

    Bounds are half-open: `since` is counted, `until` is not.
    """

    period: Period | str | None
    """A period, or its text: `last-quarter`, `2026-Q3`, `2026-07`; not together with bounds."""
    since: Moment | None
    until: Moment | None
    now: dt.datetime | None
    """What relative texts (`last-quarter`, `7d`) are counted from; None means the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Two moments in UTC, half-open; None where that side is not bounded."""

    since: dt.datetime | None
    until: dt.datetime | None

    @property
    def days(self) -> tuple[dt.date | None, dt.date | None]:
        """The day partitions that can hold rows of this span, the second one exclusive."""
        until = self.until
        if until is None:
            last = None
        elif until.timetz().replace(tzinfo=None) == dt.time.min:
            last = until.date()
        else:
            last = until.date() + dt.timedelta(days=1)
        return (None if self.since is None else self.since.date()), last


def clock(when: When) -> dt.datetime:
    """Return the moment that relative texts are counted from, in UTC."""
    return (when.get("now") or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)


def span(when: When) -> Span:
    """Return the bounds that the arguments of a verb ask for.

    Raises UsageError for a text that names no time, for a period together with bounds and for
    bounds that enclose nothing.
    """
    now = clock(when)
    period, since, until = when.get("period"), when.get("since"), when.get("until")
    if period is not None:
        if since is not None or until is not None:
            raise UsageError("give a period, or since and until, not both")
        if isinstance(period, str):
            period = Period.parse(period, today=now.date())
        return Span(since=period.since, until=period.until)
    bounds = Span(since=_moment(since, now), until=_moment(until, now))
    if bounds.since is not None and bounds.until is not None and bounds.since >= bounds.until:
        raise UsageError(f"nothing lies between since {since} and until {until}")
    return bounds


def _moment(moment: Moment | None, now: dt.datetime) -> dt.datetime | None:
    """Return a point in time as an aware datetime in UTC."""
    if moment is None:
        return None
    if isinstance(moment, str):
        return parse_moment(moment, now=now)
    if not isinstance(moment, dt.datetime):
        return dt.datetime.combine(moment, dt.time.min, dt.UTC)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.UTC)
    return moment.astimezone(dt.UTC)
