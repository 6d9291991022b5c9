"""Pacing and retrying: how long to wait, by our ceilings and the server's word."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import (
    ConnectionFailedError,
    RateLimitedError,
    RetryableError,
    UnavailableError,
    UsageError,
)
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.protocol import RateLimit
from logminer.gitlab.retry import MAX_WAIT, RetryPolicy


class TestPacer:
    """`Pacer`."""

    def test_no_ceiling(self) -> None:
        """Without limits nothing waits."""
        pacer = Pacer()

        assert [pacer.reserve(5.0) for _ in range(3)] == [0.0, 0.0, 0.0]

    @pytest.mark.parametrize(("rps", "step"), [(4.0, 0.25), (0.5, 2.0)])
    def test_own_ceiling(self, rps: float, step: float) -> None:
        """Requests are spaced by the ceiling, also by one below 1 a second."""
        pacer = Pacer(rps=rps)

        assert [pacer.reserve(10.0) for _ in range(3)] == [0.0, step, 2 * step]
        assert pacer.reserve(10.0 + 10 * step) == 0.0

    def test_listings_have_their_own_budget(self) -> None:
        """The first listing beyond the budget waits for the minute; nothing else does."""
        pacer = Pacer(listings_per_minute=2)

        waits = [pacer.reserve_listing(now) for now in (0.0, 10.0, 20.0)]

        assert waits == [0.0, 0.0, 40.0]
        assert pacer.reserve(20.0) == 0.0

    def test_listings_without_a_budget(self) -> None:
        """The ceiling of the jobs list can be left to the server."""
        pacer = Pacer(listings_per_minute=None)

        assert [pacer.reserve_listing(0.0) for _ in range(1_000)] == [0.0] * 1_000

    def test_empty_window_waits_for_reset(self) -> None:
        """When the server's window is used up, the next request waits for its end."""
        pacer = Pacer()
        pacer.observe(100.0, RateLimit(remaining=2, reset_in=30.0))

        assert [pacer.reserve(101.0) for _ in range(3)] == [0.0, 0.0, 29.0]
        assert pacer.reserve(130.0) == 0.0

    def test_late_answers_do_not_refill(self) -> None:
        """An answer that had not seen our last requests gives nothing back."""
        pacer = Pacer()
        pacer.observe(0.0, RateLimit(remaining=2, reset_in=30.0))
        pacer.reserve(0.0)
        pacer.reserve(0.0)
        pacer.observe(0.5, RateLimit(remaining=2, reset_in=29.0))

        assert pacer.reserve(1.0) == 29.0

    def test_new_window_refills(self) -> None:
        """A later reset is a new window, with what it says is left."""
        pacer = Pacer()
        pacer.observe(0.0, RateLimit(remaining=0, reset_in=30.0))
        pacer.observe(31.0, RateLimit(remaining=9, reset_in=60.0))

        assert pacer.reserve(31.0) == 0.0

    def test_hold(self) -> None:
        """A 429 holds everything, or listings alone."""
        pacer = Pacer()
        pacer.hold(0.0, 60.0, listing=True)
        before = (pacer.reserve(0.0), pacer.reserve_listing(0.0))
        pacer.hold(0.0, 20.0, listing=False)
        after = (pacer.reserve(0.0), pacer.reserve_listing(0.0))

        assert (before, after) == ((0.0, 60.0), (20.0, 60.0))

    @pytest.mark.parametrize("rps", [0.0, -1.0, math.inf, math.nan])
    def test_bad_ceiling(self, rps: float) -> None:
        """A ceiling must be a number above zero."""
        with pytest.raises(UsageError):
            Pacer(rps=rps)
        with pytest.raises(UsageError):
            Pacer(listings_per_minute=0)

    @given(
        st.lists(
            st.tuples(
                st.floats(0, 100),
                st.booleans(),
                st.none() | st.builds(RateLimit, remaining=st.integers(0), reset_in=st.floats(0)),
                st.none() | st.floats(allow_nan=False),
            ),
            max_size=30,
        ),
    )
    def test_waits_are_bounded(
        self,
        events: list[tuple[float, bool, RateLimit | None, float | None]],
    ) -> None:
        """Whatever servers say, a wait is never negative and never beyond the bound."""
        pacer = Pacer(listings_per_minute=5)
        now = 0.0
        for step, listing, limit, held in events:
            now += step
            wait = pacer.reserve_listing(now) if listing else pacer.reserve(now)
            pacer.observe(now, limit)
            if held is not None:
                pacer.hold(now, held, listing=listing)

            assert 0 <= wait <= MAX_WAIT + 60 * len(events)


class TestRetryPolicy:
    """`RetryPolicy`."""

    POLICY = RetryPolicy(attempts=4, total=100.0, base=1.0, longest=3.0)

    @pytest.mark.parametrize(
        ("error", "failures", "elapsed", "chance", "wait"),
        [
            (ConnectionFailedError("x"), 1, 0.0, 0.0, 0.5),
            (ConnectionFailedError("x"), 1, 0.0, 0.5, 0.75),
            (UnavailableError("x"), 2, 0.0, 0.0, 1.0),
            (UnavailableError("x"), 3, 0.0, 0.0, 1.5),
            (UnavailableError("x"), 4, 0.0, 0.0, None),
            (UnavailableError("x"), 1, 99.9, 0.0, None),
            (UnavailableError("x", retry_after=20.0), 1, 0.0, 0.0, 20.0),
            (RateLimitedError("x", retry_after=20.0), 1, 0.0, 0.5, 20.5),
            (RateLimitedError("x", retry_after=0.0), 1, 0.0, 0.0, 0.0),
            (RateLimitedError("x", retry_after=None), 1, 0.0, 0.0, 60.0),
            (RateLimitedError("x", retry_after=1e9), 1, 0.0, 0.0, None),
        ],
    )
    def test_table(
        self,
        error: RetryableError,
        failures: int,
        elapsed: float,
        chance: float,
        wait: float | None,
    ) -> None:
        """Backoff doubles up to a bound; the server's word is never undercut; both bounds hold."""
        found = self.POLICY.wait(error, failures=failures, elapsed=elapsed, chance=chance)

        assert found == wait
