"""How results become transactions, and what becomes of them when a run is cut off."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, cast

import pytest

from logminer.harvest import recording
from logminer.harvest.recording import Recorder
from logminer.model import Depth, Harvested, Job, TraceState, TraceSummary

if TYPE_CHECKING:
    from logminer.store import Batch, Ledger

NOON = dt.datetime(2026, 9, 14, 12, tzinfo=dt.UTC)


class Written:
    """A ledger that remembers which jobs each transaction wrote."""

    def __init__(self) -> None:
        """Begin without any."""
        self.jobs: list[list[int]] = []

    def write(self, batch: Batch) -> None:
        """Remember a transaction."""
        self.jobs.append([each.job_id for each in batch.outcomes])


def outcome(job_id: int, state: TraceState = TraceState.OK) -> Harvested:
    """Return the outcome of a job."""
    job = Job(
        project_id=1,
        project_path="shop/api",
        pipeline_id=1,
        id=job_id,
        name="test",
        stage="test",
        ref="main",
        ref_is_tag=False,
        status="success",
        failure_reason=None,
        created_at=NOON,
        started_at=NOON,
        finished_at=NOON,
        erased_at=None,
        queued_duration=None,
        duration=None,
        runner_id=None,
        runner_description=None,
        tag_list=(),
        url=None,
        trace_size=None,
    )
    summary = TraceSummary(
        runner_version="18.6.0",
        executor="docker",
        recognised=True,
        truncated=False,
        bytes=10,
        lines=1,
        cut_lines=0,
    )
    return Harvested(
        instance="gitlab.example.com",
        job=job,
        state=state,
        depth=Depth.FULL,
        summary=summary if state is TraceState.OK else None,
        uses=(),
        extractor_version="1",
        harvested_at=NOON,
    )


def recorder(ledger: Written) -> Recorder:
    """Return a recorder that writes into this ledger."""
    return Recorder(cast("Ledger", ledger), recorded=lambda _: None, alarm=lambda _: None)


def test_what_comes_soon_after_each_other_is_one_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Results that trickle in are gathered; the end waits for no more of them."""
    monkeypatch.setattr(recording, "_PAUSE", 3_600.0)
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 6):
            await each.put(outcome(job_id))
            await asyncio.sleep(0.01)
        await each.end()
        await running

    asyncio.run(main())

    assert ledger.jobs == [[1, 2, 3, 4, 5]]


def test_a_whole_batch_waits_for_nothing() -> None:
    """No transaction has more than 200 jobs, whatever comes meanwhile, and none is lost."""
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 1_001):
            await each.put(outcome(job_id))
        await each.end()
        await running

    asyncio.run(main())

    assert [job_id for batch in ledger.jobs for job_id in batch] == list(range(1, 1_001))
    assert max(map(len, ledger.jobs)) == 200


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_cut_off_while_it_gathers(after: float) -> None:
    """What was read is written; what may be a fault of the server still is not."""
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        for job_id in range(1, 21):
            await each.put(outcome(job_id, TraceState.EMPTY))
        await each.put(outcome(21, TraceState.MISSING))
        await asyncio.sleep(after)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())

    assert ledger.jobs == [[21]]


def test_cut_off_with_logs_that_are_believed() -> None:
    """Once a log had a byte, empty ones are facts, and what is gathered is written whole."""
    ledger = Written()

    async def main() -> None:
        each = recorder(ledger)
        running = asyncio.create_task(each.run())
        await each.put(outcome(1, TraceState.EMPTY))
        await each.put(outcome(2))
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(main())

    assert ledger.jobs == [[1, 2]]
