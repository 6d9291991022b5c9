"""When the next request may start: limits known beforehand, and limits the server tells.

Pure: the caller passes its clock (seconds, monotonic) in, and sleeps. It asks how long to `wait`,
again after each sleep, then takes its turn; callers queue, so that one waits and the others follow.

GitLab has separate limits, so there are separate budgets. Its general throttles announce
themselves in `RateLimit-*` headers and answer for every request. The limit of the jobs list
(600 a minute for each user, on by default since 16.5) shows in no header, not even in its 429:
it is counted here, and a 429 without those headers on a listing holds back listings only.

A server need never answer 429 to make itself heard. What is left of a window is not known before
its first answer, so the first request of every window is a scout: nothing else starts until its
answer is there. A scout also goes first when a 429 has been waited out.
"""

from __future__ import annotations

import math
from collections import deque

from logminer.errors import UsageError
from logminer.gitlab.protocol import RateLimit
from logminer.gitlab.retry import MAX_WAIT

LISTINGS_PER_MINUTE = 600
"""GitLab's default `project_jobs_api_rate_limit`."""

_MINUTE = 61.0
"""A second more than the server's: what leaves within a minute need not arrive within one."""
_SAME_WINDOW = 1.0
"""Seconds by which two announcements of one reset may differ: both clocks are whole seconds."""


class Pacer:
    """One run's view of every limit: `wait`, `take`, then `answered` or `unanswered`."""

    def __init__(
        self,
        *,
        rps: float | None = None,
        listings_per_minute: int | None = LISTINGS_PER_MINUTE,
    ) -> None:
        """Set our own ceilings; None means none.

        `rps` is the most requests a second, and may be below 1.
        Raises UsageError where a ceiling is not positive.
        """
        if rps is not None and not (math.isfinite(rps) and rps > 0):
            raise UsageError("The request ceiling (--rps) must be a number above 0.")
        if listings_per_minute is not None and listings_per_minute < 1:
            raise UsageError("The ceiling of the jobs list must be at least 1 a minute.")
        self._interval = 0.0 if rps is None else 1 / rps
        self._next = -math.inf
        self._blocked = -math.inf
        self._listing_blocked = -math.inf
        self._listings: deque[float] | None = (
            None if listings_per_minute is None else deque(maxlen=listings_per_minute)
        )
        self._known = False
        self._remaining = math.inf
        self._reset = math.inf
        self._in_flight = 0

    def limit(self, now: float) -> RateLimit | None:
        """Return what is left of the window that is running, by our count; None if none is told."""
        if math.isinf(self._remaining) or now >= self._reset:
            return None
        return RateLimit(remaining=max(0, int(self._remaining)), reset_in=self._reset - now)

    def wait(self, now: float) -> float:
        """Return the seconds until a request may start; never negative, at most a bound.

        A server's word keeps a request waiting for `MAX_WAIT` at most.
        """
        if now >= self._reset:
            self._forget()
        start = max(self._next, self._blocked)
        if self._remaining <= 0:
            start = max(start, self._reset)
        return max(0.0, start - now)

    def is_open(self, now: float) -> bool:
        """Whether a request may start at once, and need not be a scout."""
        return self.wait(now) <= 0 and self._known

    def take(self, now: float) -> bool:
        """Start a request; return whether it is a scout, before whose answer no other may start."""
        self._remaining -= 1
        self._next = now + self._interval
        self._in_flight += 1
        return not self._known

    def wait_listing(self, now: float) -> float:
        """Return the seconds that a listing waits for its own budget, before it waits for all."""
        start = self._listing_blocked
        if self._listings is not None and len(self._listings) == self._listings.maxlen:
            start = max(start, self._listings[0] + _MINUTE)
        return max(0.0, start - now)

    def take_listing(self, now: float) -> None:
        """Start a listing, as far as its own budget goes."""
        if self._listings is not None:
            self._listings.append(now)

    def answered(self, now: float, limit: RateLimit | None, *, scout: bool) -> None:
        """Learn from an answer and its `RateLimit-*` headers; `scout` is what `take` said."""
        self._in_flight -= 1
        if not (self._known or scout):
            # It was sent in a window that is over.
            return
        known, self._known = self._known, True
        if limit is None:
            return
        reset = now + min(limit.reset_in, MAX_WAIT)
        if not known or reset > self._reset + _SAME_WINDOW or math.isinf(self._reset):
            # The others under way may count in this window, and the server not have seen them yet.
            self._remaining = float(limit.remaining - self._in_flight)
            self._reset = reset
        elif reset >= self._reset - _SAME_WINDOW:
            # Our own count knows of requests that the server had not seen when it answered.
            self._remaining = min(self._remaining, float(limit.remaining))

    def unanswered(self) -> None:
        """Take note that a request was lost."""
        self._in_flight -= 1

    def hold(self, now: float, seconds: float, *, listing: bool) -> None:
        """Let nothing start for `seconds`; with `listing`, no listing."""
        until = now + min(max(seconds, 0.0), MAX_WAIT)
        if listing:
            self._listing_blocked = max(self._listing_blocked, until)
        else:
            self._blocked = max(self._blocked, until)
            self._forget()

    def _forget(self) -> None:
        """Begin a window of which nothing is known."""
        self._known = False
        self._remaining = math.inf
        self._reset = math.inf
