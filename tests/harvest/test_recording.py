"""How results become transactions, and what becomes of them when a run is cut off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace

from logminer.harvest import recording
from logminer.harvest.recording import Recorder
from logminer.model import TraceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.model import Harvested
    from logminer.store import Batch, Ledger


class Written:
    """A ledger that remembers which jobs each transaction wrote."""

    def __init__(self) -> None:
        """Begin without any."""
        self.jobs: list[list[int]] = []

    def write(self, batch: Batch) -> None:
        """Remember a transaction."""
        self.jobs.append([each.job_id for each in batch.outcomes])


def recorder(ledger: Written) -> Recorder:
    """Return a recorder that writes into this ledger."""
    return Recorder(cast("Ledger", ledger), recorded=lambda _: None, alarm=lambda _: None)


def test_what_comes_soon_after_each_other_is_one_transaction(
    monkeypatch: pytest.MonkeyPatch, make_harvested: Callable[..., Harvested]
) -> None:
    """Results that trickle in are gathered; the end waits for no more of them."""
    monkeypatch.setattr(recording, "_PAUSE", 3_600.0)
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 6):
            await each.put(make_harvested(job_id))
            await asyncio.sleep(0.01)
        await each.end()
        await running

    asyncio.run(main())

    assert ledger.jobs == [[1, 2, 3, 4, 5]]


def test_a_whole_batch_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch, make_harvested: Callable[..., Harvested]
) -> None:
    """No transaction has more than 200 jobs, whatever comes meanwhile, and none is lost."""
    monkeypatch.setattr(recording, "_PAUSE", 3_600.0)
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 1_001):
            await each.put(make_harvested(job_id))
        await each.end()
        await running

    asyncio.run(main())

    assert [job_id for batch in ledger.jobs for job_id in batch] == list(range(1, 1_001))
    assert max(map(len, ledger.jobs)) == 200


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_cut_off_while_it_gathers(make_harvested: Callable[..., Harvested], after: float) -> None:
    """What was read is written; what may be a fault of the server still is not."""
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 21):
            await each.put(replace(make_harvested(job_id), state=TraceState.EMPTY))
        await each.put(replace(make_harvested(21), state=TraceState.MISSING))
        await asyncio.sleep(after)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())

    assert ledger.jobs == [[21]]


def test_cut_off_with_logs_that_are_believed(make_harvested: Callable[..., Harvested]) -> None:
    """Once a log had a byte, empty ones are facts, and what is gathered is written whole."""
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        await each.put(replace(make_harvested(1), state=TraceState.EMPTY))
        await each.put(make_harvested(2))
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())

    assert ledger.jobs == [[1, 2]]
