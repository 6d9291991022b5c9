"""The server's rate limits: one for everything, one of its own for the list of jobs.

Fixed windows of a minute of real time, as GitLab's two limiters keep them. The clock is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOW = 60.0


class Limit:
    """Counts requests in windows of one minute."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float]) -> None:
        """Allow `per_minute` requests a minute of `clock` (seconds); None: any number."""
        self.per_minute = per_minute
        self._clock = clock
        self._began = clock()
        self.observed = 0
        """Requests in this window so far."""

    def take(self) -> bool:
        """Count a request; return whether it is within the limit."""
        if self._clock() - self._began >= _WINDOW:
            self._began = self._clock()
            self.observed = 0
        self.observed += 1
        return self.per_minute is None or self.observed <= self.per_minute

    @property
    def remaining(self) -> int:
        """Requests left in this window; of an absent limit as many as GitLab.com gives."""
        return max(0, (self.per_minute or _UNLIMITED) - self.observed)

    @property
    def shown(self) -> int:
        """The limit as headers name it."""
        return self.per_minute or _UNLIMITED

    @property
    def resets_in(self) -> float:
        """Seconds to the end of this window."""
        return max(0.0, self._began + _WINDOW - self._clock())


_UNLIMITED = 1_000_000
