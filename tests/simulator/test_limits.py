"""Rate limits, with a clock of our own."""

from __future__ import annotations

from logminer.simulator.limits import Limit


def test_window() -> None:
    """Requests over the limit are refused until the minute is over."""
    now = [100.0]
    limit = Limit(2, lambda: now[0])
    taken = [limit.take() for _ in range(3)]
    now[0] = 130.0
    resets_in = limit.resets_in
    now[0] = 160.0

    assert taken == [True, True, False]
    assert resets_in == 30.0
    assert limit.take()
    assert limit.observed == 1


def test_length_of_the_window() -> None:
    """The window may be shorter than a minute."""
    now = [100.0]
    limit = Limit(1, lambda: now[0], window=2.0)
    taken = [limit.take() for _ in range(2)]
    now[0] = 102.0

    assert taken == [True, False]
    assert limit.take()


def test_no_limit() -> None:
    """Without a limit everything is allowed."""
    limit = Limit(None, lambda: 0.0)

    assert all(limit.take() for _ in range(1000))
