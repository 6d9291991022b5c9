"""Batches: every log once and in its order, and no worker waits long for another at the end."""

from __future__ import annotations

import datetime as dt
import heapq

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logminer.archive import run
from logminer.archive.logs import Log

DAY = dt.date(2026, 11, 28)


def logs(count: int, size: int | None = None) -> list[Log]:
    """Return so many logs of this size."""
    return [Log(f"/{n}", n, 1, DAY, live=False, size=size) for n in range(count)]


@given(count=st.integers(0, 6_000), workers=st.integers(1, 20))
@example(count=1_500, workers=2)
@example(count=32_800, workers=2)
def test_all_workers_end_at_about_the_same_time(count: int, workers: int) -> None:
    """Whoever is free reads the next batch: together they take a quarter of a batch too long."""
    found = logs(count)
    batches = list(run._batches(found, workers))

    assert [log for batch in batches for log in batch] == found
    busy_until = [0] * workers
    for batch in batches:
        heapq.heappush(busy_until, heapq.heappop(busy_until) + len(batch))
    assert max(busy_until) <= count / workers + run._BATCH / 4


def test_alone_nobody_waits() -> None:
    """One worker reads whole batches: making rows of small ones would cost it time."""
    assert [len(batch) for batch in run._batches(logs(1_300), 1)] == [512, 512, 276]


@pytest.mark.parametrize("workers", [1, 2])
def test_bytes_in_a_batch_are_bounded(workers: int) -> None:
    """Logs of a bucket are held in memory: of large ones a batch has fewer, one at least."""
    batches = list(run._batches([*logs(5, 10 * 2**20), *logs(2, 40 * 2**20)], workers))

    assert [len(batch) for batch in batches] == [3, 2, 1, 1]
