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
    assert (limit.observed, limit.remaining) == (1, 1)


def test_no_limit() -> None:
    """Without a limit everything is allowed."""
    limit = Limit(None, lambda: 0.0)

    assert all(limit.take() for _ in range(1000))
    assert limit.remaining > 0
