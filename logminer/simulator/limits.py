"""The server's rate limits: one for everything, one of its own for the list of jobs.

Fixed windows of real time, as GitLab's two limiters keep them. The clock is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Limit:
    """Counts requests in windows of time."""

    def __init__(
        self, per_window: int | None, clock: Callable[[], float], window: float = 60.0
    ) -> None:
        """Allow `per_window` requests in `window` seconds of `clock`; None: any number."""
        self.per_window = per_window
        self._clock = clock
        self._window = window
        self._began = clock()
        self.observed = 0
        """Requests in this window so far."""

    def take(self) -> bool:
        """Count a request; return whether it is within the limit."""
        if self._clock() - self._began >= self._window:
            self._began = self._clock()
            self.observed = 0
        self.observed += 1
        return self.per_window is None or self.observed <= self.per_window

    @property
    def resets_in(self) -> float:
        """Seconds to the end of this window."""
        return max(0.0, self._began + self._window - self._clock())
