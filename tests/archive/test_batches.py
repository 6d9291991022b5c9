"""Batches: every log once and in its order, and no worker waits long for another at the end."""

from __future__ import annotations

import datetime as dt
import heapq

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logminer.archive import run
from logminer.archive.logs import Log

DAY = dt.date(2026, 11, 28)


def logs(count: int, size: int | None = None) -> list[Log]:
    """Return so many logs of this size."""
    return [Log(f"/{n}", n, 1, DAY, live=False, size=size) for n in range(count)]


@settings(deadline=None)
@given(count=st.integers(0, 6_000), workers=st.integers(1, 20))
@example(count=1_500, workers=2)
@example(count=32_800, workers=2)
def test_all_workers_end_at_about_the_same_time(count: int, workers: int) -> None:
    """Whoever is free reads the next batch: they end at most a quarter of a batch too late."""
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
    found = [*logs(5, 10 * 2**20), *logs(2, 40 * 2**20), *logs(600, 100_000)]
    sizes = [[log.size or 0 for log in batch] for batch in run._batches(found, workers)]

    assert sum(map(len, sizes)) == len(found)
    assert all(sum(batch) <= 32 * 2**20 or len(batch) == 1 for batch in sizes)
    assert max(map(len, sizes)) > 50


def test_a_large_log_between() -> None:
    """What is given out with it is no small batch any more, once all workers have something."""
    found = [*logs(3 * 128 + 639, 1), *logs(1, 200 * 2**20), *logs(2_000, 1)]
    batches = [len(batch) for batch in run._batches(found, 2)]

    assert batches[:6] == [128, 128, 128, 128, 511, 1]


def test_the_first_of_a_slow_listing_are_read_at_once() -> None:
    """Each of two workers has something to do long before a whole batch was found."""
    found = iter(logs(10_000))
    batches = run._batches(found, 2)

    assert [len(next(batches)) for _ in range(2)] == [128, 128]
    assert next(found).job_id == 256
