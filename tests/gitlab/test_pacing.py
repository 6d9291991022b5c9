"""Pacing, budget and retrying: how long to wait, by our ceilings and the server's word."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import (
    BudgetSpentError,
    ConnectionFailedError,
    RateLimitedError,
    RetryableError,
    UnavailableError,
    UsageError,
)
from logminer.gitlab.budget import Budget
from logminer.gitlab.pacing import Pacer
from logminer.gitlab.protocol import RateLimit
from logminer.gitlab.retry import MAX_WAIT, RetryPolicy


def start(pacer: Pacer, now: float, *, answered: RateLimit | None = None) -> float:
    """Start a request as soon as the pacer lets it, its answer there at once; return the wait."""
    wait = pacer.wait(now)
    scout = pacer.take(now + wait)
    pacer.answered(now + wait, answered, scout=scout)
    return wait


class TestPacer:
    """`Pacer`."""

    def test_no_ceiling(self) -> None:
        """Without limits nothing waits."""
        pacer = Pacer()

        assert [start(pacer, 5.0) for _ in range(3)] == [0.0, 0.0, 0.0]
        assert pacer.limit(5.0) is None

    @pytest.mark.parametrize(("rps", "step"), [(4.0, 0.25), (0.5, 2.0)])
    def test_own_ceiling(self, rps: float, step: float) -> None:
        """Requests are spaced by the ceiling, also by one below 1 a second."""
        pacer = Pacer(rps=rps)

        assert [start(pacer, now) for now in (10.0, 10.0, 10.0 + step)] == [0.0, step, step]
        assert start(pacer, 10.0 + 10 * step) == 0.0

    def test_listings_have_their_own_budget(self) -> None:
        """The first listing beyond the budget waits for the minute; nothing else does."""
        pacer = Pacer(listings_per_minute=2)

        waits = []
        for now in (0.0, 10.0, 20.0):
            waits.append(pacer.wait_listing(now))
            pacer.take_listing(now + waits[-1])

        assert waits == [0.0, 0.0, 41.0]
        assert pacer.wait(20.0) == 0.0

    def test_listings_without_a_budget(self) -> None:
        """The ceiling of the jobs list can be left to the server."""
        pacer = Pacer(listings_per_minute=None)
        for _ in range(1_000):
            pacer.take_listing(0.0)

        assert pacer.wait_listing(0.0) == 0.0

    def test_first_request_goes_alone(self) -> None:
        """Until one answer is there nobody knows what is left: the first request is a scout."""
        pacer = Pacer()
        first = pacer.take(0.0)
        pacer.unanswered()
        second = pacer.take(1.0)
        pacer.answered(2.0, None, scout=second)

        assert (first, second, pacer.take(3.0)) == (True, True, False)

    def test_open_behind_the_scout_only(self) -> None:
        """A request may start at once where the window is known and has room, and not before."""
        pacer = Pacer(rps=1)
        opened = [pacer.is_open(0.0)]
        scout = pacer.take(0.0)
        opened.append(pacer.is_open(5.0))
        pacer.answered(5.0, RateLimit(remaining=1, reset_in=30.0), scout=scout)
        opened.append(pacer.is_open(5.0))
        pacer.take(5.0)
        opened += [pacer.is_open(5.5), pacer.is_open(7.0), pacer.is_open(35.0)]

        assert opened == [False, False, True, False, False, False]

    def test_empty_window_waits_for_reset(self) -> None:
        """When the server's window is used up, the next request waits for its end, and scouts."""
        pacer = Pacer()
        start(pacer, 100.0, answered=RateLimit(remaining=2, reset_in=30.0))
        before = [start(pacer, 101.0) for _ in range(2)]

        assert before == [0.0, 0.0]
        assert pacer.wait(101.0) == 29.0
        assert pacer.limit(101.0) == RateLimit(remaining=0, reset_in=29.0)
        assert pacer.wait(130.0) == 0.0
        assert pacer.take(130.0)

    def test_late_answers_do_not_refill(self) -> None:
        """An answer that had not seen our last requests gives nothing back."""
        pacer = Pacer()
        start(pacer, 0.0, answered=RateLimit(remaining=2, reset_in=30.0))
        late = [pacer.take(0.0), pacer.take(0.0)]
        pacer.answered(0.5, RateLimit(remaining=2, reset_in=29.0), scout=late[0])

        assert pacer.wait(1.0) == 29.0

    def test_requests_under_way_count_in_the_new_window(self) -> None:
        """What is under way when a window ends may be counted in the next one, so it is."""
        pacer = Pacer()
        start(pacer, 0.0, answered=RateLimit(remaining=9, reset_in=30.0))
        for _ in range(3):
            pacer.take(29.9)
        pacer.wait(30.0)
        scout = pacer.take(30.0)
        pacer.answered(30.0, RateLimit(remaining=4, reset_in=60.0), scout=scout)

        assert pacer.limit(30.0) == RateLimit(remaining=1, reset_in=60.0)

    def test_answers_of_an_old_window_do_not_speak_of_the_new(self) -> None:
        """A late answer neither empties the new window nor stands in for its scout."""
        pacer = Pacer()
        start(pacer, 0.0, answered=RateLimit(remaining=9, reset_in=30.0))
        late = [pacer.take(29.0), pacer.take(29.0)]
        pacer.wait(30.0)
        pacer.answered(30.0, RateLimit(remaining=0, reset_in=0.0), scout=late[0])
        scout = pacer.take(30.0)
        pacer.answered(30.1, RateLimit(remaining=5, reset_in=60.0), scout=scout)
        pacer.answered(30.2, RateLimit(remaining=0, reset_in=0.0), scout=late[1])

        assert scout
        assert pacer.wait(30.2) == 0.0

    def test_new_window_refills(self) -> None:
        """A later reset is a new window, with what it says is left."""
        pacer = Pacer()
        start(pacer, 0.0, answered=RateLimit(remaining=0, reset_in=30.0))
        start(pacer, 31.0, answered=RateLimit(remaining=9, reset_in=60.0))

        assert pacer.wait(31.0) == 0.0

    def test_nothing_left_for_ever(self) -> None:
        """A server that never has anything left gets one request in each of its windows."""
        pacer = Pacer()
        told = RateLimit(remaining=0, reset_in=30.0)
        now, waits = 0.0, []
        for _ in range(4):
            waits.append(start(pacer, now, answered=told))
            now += waits[-1]

        assert waits == [0.0, 30.0, 30.0, 30.0]

    def test_hold(self) -> None:
        """A 429 holds everything, or listings alone."""
        pacer = Pacer()
        pacer.hold(0.0, 60.0, listing=True)
        before = (pacer.wait(0.0), pacer.wait_listing(0.0))
        pacer.hold(0.0, 20.0, listing=False)
        after = (pacer.wait(0.0), pacer.wait_listing(0.0))

        assert (before, after) == ((0.0, 60.0), (20.0, 60.0))

    def test_one_goes_first_after_a_hold(self) -> None:
        """After a 429 one request tries whether it is over; other answers of before do not say."""
        pacer = Pacer()
        start(pacer, 0.0)
        late = pacer.take(0.0)
        pacer.hold(0.0, 20.0, listing=False)
        pacer.answered(0.1, None, scout=late)

        assert pacer.take(20.0)

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
                st.booleans(),
            ),
            max_size=30,
        ),
    )
    def test_waits_are_bounded(
        self,
        events: list[tuple[float, bool, RateLimit | None, float | None, bool]],
    ) -> None:
        """Whatever servers say, a wait is never negative and never beyond the bound."""
        pacer = Pacer(listings_per_minute=5)
        now = 0.0
        for step, listing, limit, held, answered in events:
            now += step
            wait = pacer.wait_listing(now) if listing else pacer.wait(now)
            if listing:
                pacer.take_listing(now)
            scout = pacer.take(now)
            if answered:
                pacer.answered(now, limit, scout=scout)
            if held is not None:
                pacer.hold(now, held, listing=listing)

            assert 0 <= wait <= MAX_WAIT + 61


class TestBudget:
    """`Budget`."""

    def test_requests(self) -> None:
        """So many requests and no more."""
        budget = Budget(max_requests=2)
        budget.take(0.0)
        budget.take(0.0)

        with pytest.raises(BudgetSpentError, match="--max-requests"):
            budget.take(0.0)
        assert (budget.spent, budget.left) == (2, 0)

    def test_deadline(self) -> None:
        """Neither a request after the deadline nor a wait that would end there."""
        budget = Budget(deadline=10.0)
        budget.take(9.0)
        budget.wait(5.0, 4.9)

        with pytest.raises(BudgetSpentError, match="--max-duration"):
            budget.take(10.0)
        with pytest.raises(BudgetSpentError, match="--max-duration"):
            budget.wait(5.0, 5.0)

    def test_none(self) -> None:
        """Without bounds there is always more."""
        budget = Budget()
        for _ in range(100):
            budget.take(1e9)

        assert budget.left is None

    def test_nothing_at_all(self) -> None:
        """A budget of nothing is a mistake."""
        with pytest.raises(UsageError):
            Budget(max_requests=0)


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
