"""When to try again, and after how long: the one retry policy, pure arithmetic.

The loops around it (one asynchronous in the client, one blocking below python-gitlab) only sleep
for what it says, so their tests pass in a sleep that records.
"""

from __future__ import annotations

from dataclasses import dataclass

from logminer.errors import RateLimitedError, RetryableError, UnavailableError

MAX_WAIT = 3_600.0
"""Seconds a server may make us wait at most. Its longest usual window is an hour: self-managed
GitLab counts 7,200 requests in 3,600 s."""

UNSTATED_WAIT = 60.0
"""Seconds to wait after a 429 that names no time: the interval of GitLab's own limiter, whose
older versions send no Retry-After."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Bounds in attempts and in time; exponential backoff with jitter, or the server's word."""

    attempts: int = 6
    """Tries of one read, the first included: the backoff then lasts about half a minute."""
    total: float = MAX_WAIT
    """Seconds from the first try after which no other one begins."""
    base: float = 1.0
    """Seconds before the second try, doubled for each further one."""
    longest: float = 60.0
    """Seconds that one backoff lasts at most."""

    def wait(
        self,
        error: RetryableError,
        *,
        failures: int,
        elapsed: float,
        chance: float,
    ) -> float | None:
        """Return the seconds before the next try; None to give up.

        `failures` counts the tries so far, `elapsed` the seconds since the first began, `chance`
        is random in [0, 1): it spreads the workers that failed together.
        """
        if failures >= self.attempts:
            return None
        backoff = min(self.longest, self.base * 2.0 ** (failures - 1))
        asked = stated_wait(error)
        # The server's word is a lower bound, so jitter only ever lengthens it.
        wait = backoff * (1 + chance) / 2 if asked is None else asked + backoff * chance
        return wait if elapsed + wait <= self.total else None


def stated_wait(error: RetryableError) -> float | None:
    """Return the seconds the server wants us to wait after `error`; None where it is silent."""
    match error:
        case RateLimitedError(retry_after=None):
            return UNSTATED_WAIT
        case RateLimitedError(retry_after=float(seconds)):
            return min(seconds, MAX_WAIT)
        case UnavailableError(retry_after=float(seconds)):
            return min(seconds, MAX_WAIT)
        case _:
            return None
