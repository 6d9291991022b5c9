"""How long to wait before the next request: limits known beforehand, and limits the server tells.

Pure: the caller passes its clock (seconds, monotonic) in, and sleeps.

GitLab has separate limits, so there are separate budgets. Its general throttles announce
themselves in `RateLimit-*` headers and answer for every request. The limit of the jobs list
(600 a minute for each user, on by default since 16.5) shows in no header, not even in its 429:
it is counted here, and a 429 without those headers on a listing holds back listings only.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from logminer.errors import UsageError
from logminer.gitlab.retry import MAX_WAIT

if TYPE_CHECKING:
    from logminer.gitlab.protocol import RateLimit

LISTINGS_PER_MINUTE = 600
"""GitLab's default `project_jobs_api_rate_limit`."""

_MINUTE = 60.0
_SAME_WINDOW = 1.0
"""Seconds by which two announcements of one reset may differ: both clocks are whole seconds."""


class Pacer:
    """One run's view of every limit; `reserve` before a request, `observe` after it."""

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
        self._remaining = math.inf
        self._reset = -math.inf

    def reserve(self, now: float) -> float:
        """Return the seconds to wait, never negative, and take the place that begins then.

        A server's word keeps a request waiting for `MAX_WAIT` at most; our own ceiling adds
        what the requests reserved before it need.
        """
        start = max(now, self._next, self._blocked)
        if now >= self._reset:
            self._remaining = math.inf
        if self._remaining <= 0:
            start = max(start, self._reset)
        self._remaining -= 1
        self._next = start + self._interval
        return start - now

    def reserve_listing(self, now: float) -> float:
        """Return the seconds that a listing waits for its own budget, before `reserve`.

        Two steps, so that a listing that waits for its minute keeps no place that others need.
        """
        start = max(now, self._listing_blocked)
        if self._listings is not None:
            if len(self._listings) == self._listings.maxlen:
                start = max(start, self._listings[0] + _MINUTE)
            self._listings.append(start)
        return start - now

    def observe(self, now: float, limit: RateLimit | None) -> None:
        """Learn from an answer's `RateLimit-*` headers."""
        if limit is None:
            return
        reset = now + min(limit.reset_in, MAX_WAIT)
        if reset > self._reset + _SAME_WINDOW:
            self._remaining = float(limit.remaining)
            self._reset = reset
        else:
            # Our own count knows of requests that the server had not seen when it answered.
            self._remaining = min(self._remaining, float(limit.remaining))

    def hold(self, now: float, seconds: float, *, listing: bool) -> None:
        """Let nothing start for `seconds`; with `listing`, no listing."""
        until = now + min(max(seconds, 0.0), MAX_WAIT)
        if listing:
            self._listing_blocked = max(self._listing_blocked, until)
        else:
            self._blocked = max(self._blocked, until)
