"""One run against a server: its budget, its failures, its end.

What has to survive is in the ledger before anything is called done, so a run may end anywhere: by
an error, by a signal, by SIGKILL.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from logminer.errors import ServerError
from logminer.running.stopping import signals, until_stopped
from logminer.running.tally import RunTally

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from logminer.gitlab import Budget, Client, Counts
    from logminer.running.tally import Progress

HOPELESS: Final = 20
"""Failures without a success between them, each after the client's retries: the server is down."""

_PATIENCE: Final = 4.0
"""Seconds that requests under way get to end after a signal; the rest is read by the next run."""

_PUBLISHING: Final = 3.0
"""Seconds for publishing after a signal: whoever sent it kills what is still there after ten."""

_EVER: Final = 1e9
"""Seconds: thirty years."""

OUT_OF_TIME: Final = (
    "The time for this run (--max-duration) is used up."
    " What was read is kept; the next run goes on from there."
)

_T = TypeVar("_T", bound=RunTally)
_C = TypeVar("_C", bound="Client")


class Run(Generic[_T, _C]):
    """The state of one run."""

    def __init__(self, client: _C, tally: _T, *, progress: Progress[_T], budget: Budget) -> None:
        """Count in this tally what the client does within this budget."""
        self.tally = tally
        self._client = client
        self._progress = progress
        self._budget = budget
        self._stop = asyncio.Event()
        self._stopped_at: float | None = None
        self._failures_in_a_row = 0

    async def _until_done(self, work: Coroutine[None, None, None]) -> None:
        """Do the work with an open client until it is done, a signal comes or time is up."""
        with signals(self._interrupt):
            async with self._client:
                timer = self._start_timer()
                try:
                    await until_stopped(work, self._stop, patience=_PATIENCE)
                finally:
                    timer.cancel()
                    self._measure()

    def _proceed(self, done: int, of: int) -> bool:
        """Tell how many days are published; return whether there is time for another."""
        self._progress.published(done, of)
        end = self._stopped_at + _PATIENCE + _PUBLISHING if self._stopped_at is not None else None
        return end is None or time.monotonic() < end

    # -- ending early --------------------------------------------------------------------------

    def _start_timer(self) -> asyncio.TimerHandle:
        """End the run at its deadline, also while it waits for an answer."""
        left = self._budget.seconds_left(time.monotonic())
        return asyncio.get_running_loop().call_later(
            left if left is not None else _EVER, self._spend, OUT_OF_TIME
        )

    def _interrupt(self) -> None:
        self.tally.interrupted = True
        self._stopped_at = time.monotonic()
        self._end()

    def _spend(self, what: str) -> None:
        """End the run because something is used up."""
        self.tally.spent = self.tally.spent or what
        self._end()

    def _end(self) -> None:
        self._stop.set()

    # -- counting ------------------------------------------------------------------------------

    def _failed(self, failure: str) -> None:
        """Count a failure; many without any success between them are the server's."""
        self._alarm(failure)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= HOPELESS:
            raise ServerError(
                f"{self._client.instance} failed {HOPELESS} times in a row, last: {failure}"
                " What was read until then is kept; try again later."
            )

    def _alarm(self, failure: str) -> None:
        self.tally.failures.append(failure)
        self._progress.failed(failure)

    def _moved(self) -> None:
        self._measure()
        self._progress.moved(self.tally)

    def _measure(self) -> None:
        """Take over what the client counts."""
        counts, tally = self._client.counts, self.tally
        tally.requests = self._budget.spent
        tally.answers = _answers(counts, spent=self._budget.spent)
        tally.retries = counts.retries
        tally.rate_limited = counts.rate_limited
        tally.received = counts.received
        limit = self._client.limit
        tally.requests_left = limit.remaining if limit is not None else None


def _answers(counts: Counts, *, spent: int) -> dict[str, dict[str, int]]:
    """Return how many requests of each endpoint were answered how.

    What the budget was spent on beyond the client's own requests was discovery.
    """
    answers: dict[str, dict[str, int]] = {}
    for (kind, status), number in sorted(counts.answers.items()):
        answers.setdefault(kind, {})[status] = number
    for kind, number in sorted(counts.requests.items()):
        unanswered = number - sum(answers.get(kind, {}).values())
        if unanswered:
            answers.setdefault(kind, {})["none"] = unanswered
    discovery = spent - counts.requests.total()
    if discovery > 0:
        answers["discovery"] = {"any": discovery}
    return answers


async def gather(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run side by side; the first error ends all of them and comes out as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
