"""What one run may spend: requests, and time. Pure: the clock is passed in.

One budget serves everything that asks the server, discovery and harvest alike.
"""

from __future__ import annotations

from logminer.errors import BudgetSpentError, UsageError


class Budget:
    """How many requests may still be sent, and until when."""

    def __init__(self, max_requests: int | None = None, deadline: float | None = None) -> None:
        """Allow so many requests until `deadline` (monotonic seconds); None is no bound.

        Raises UsageError where not even one request is allowed.
        """
        if max_requests is not None and max_requests < 1:
            raise UsageError("The request budget (--max-requests) must be at least 1.")
        self._max_requests = max_requests
        self._deadline = deadline
        self.spent = 0
        """Requests taken so far."""

    @property
    def left(self) -> int | None:
        """Requests that may still be sent; None for any number."""
        return None if self._max_requests is None else self._max_requests - self.spent

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the deadline; None where there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - now)

    def wait(self, now: float, seconds: float = 0.0) -> None:
        """Raise BudgetSpentError where a wait of `seconds` would end after the deadline."""
        if self._deadline is not None and now + seconds >= self._deadline:
            raise BudgetSpentError(
                "The time for this run (--max-duration) is used up. "
                "What was read is kept; the next run goes on from there.",
            )

    def take(self, now: float) -> None:
        """Spend a request; raise BudgetSpentError where there is none left, or no time."""
        self.wait(now)
        if self.left == 0:
            raise BudgetSpentError(
                f"The budget of {self._max_requests} requests (--max-requests) is used up. "
                "What was read is kept; the next run goes on from there.",
            )
        self.spent += 1
