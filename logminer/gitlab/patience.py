"""How long is waited for a server: one look at all that wait, every second or sooner.

aiohttp sets a timer for each answer and moves another with each piece that comes, of which there
are thousands a second: 4 % of a harvest. Two things are limited here: the seconds in which nothing
comes while we wait for something, connecting and the headers as one; and those of a request from
its beginning to the end of its answer.

A wait ends when two looks have found it too long: where this process stood still, stopped or with
its machine, what came meanwhile is only taken in after the first.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_LOOK: Final = 1.0
"""Seconds between two looks, at most: a wait ends up to twice as much late."""

_LOOKS: Final = 4
"""Looks in the time that is waited, at least."""


class OutOfPatienceError(Exception):
    """Nothing came, or not all of it came in time. A TimeoutError may be somebody else's."""


class Patience:
    """Ends what waits too long; `begin` and `end` it in the loop in which there is waiting."""

    def __init__(self, silence: float) -> None:
        """Wait so many seconds for the next thing to come."""
        self._silence = silence
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin to look."""
        every = min(_LOOK, self._silence / _LOOKS)

        def look() -> None:
            self._timer = loop.call_later(every, look)
            self._look()

        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(every, look)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def over(self, most: float) -> Wait:
        """Return what waits, in a `with`, at most so many seconds in all."""
        return Wait(self._waits, most)

    def _look(self) -> None:
        now = monotonic()
        for wait in tuple(self._waits):
            late = now > wait.until
            late = late or (wait.since is not None and now > wait.since + self._silence)
            if late and wait.was_late:
                wait.give_up()
            wait.was_late = late


class Wait:
    """One wait, whose `with` ends in OutOfPatienceError where it was too long.

    `asyncio.timeout` for a time that is not known before, and without two calls for each request.
    """

    __slots__ = ("_before", "_given_up", "_task", "_waits", "since", "until", "was_late")

    def __init__(self, waits: set[Wait], most: float) -> None:
        """Wait at most so many seconds; `Patience.over` makes one."""
        self._waits = waits
        self._given_up = False
        self.until = monotonic() + most
        self.since: float | None = None
        """Since when nothing has come; None while it is not the server's turn."""
        self.was_late = False
        """Whether the last look found that it takes too long."""

    def __enter__(self) -> Self:
        """Begin, in the task that waits: it is the server's turn."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Only a task can wait.")
        self._task = task
        self._before = task.cancelling()
        self._waits.add(self)
        self.come()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; raises OutOfPatienceError where it took too long."""
        self._waits.discard(self)
        # Where somebody else has canceled the task, too, it stays so.
        if (
            self._given_up
            and self._task.uncancel() <= self._before
            and kind is asyncio.CancelledError
        ):
            raise OutOfPatienceError from None

    def come(self) -> None:
        """Take in that something came, and that more is waited for."""
        self.since = monotonic()

    def suspend(self) -> None:
        """Leave it to another wait, inside of this one, to end."""
        self._waits.discard(self)

    def give_up(self) -> None:
        """Wait no longer."""
        self._waits.discard(self)
        self._given_up = True
        self._task.cancel()
