"""Patience: what waits too long is ended, what merely takes long is not."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from logminer.gitlab.patience import OutOfPatienceError, Patience, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SILENCE = 0.2
STEP = 0.08


def waited(work: Callable[[Wait], Awaitable[object]], *, most: float = 60.0) -> object:
    """Return what comes of some work that waits."""

    async def run() -> object:
        patience = Patience(SILENCE)
        patience.begin()
        try:
            with patience.over(most) as wait:
                return await work(wait)
        finally:
            patience.end()

    return asyncio.run(run())


def test_nothing_comes() -> None:
    """Silence ends a wait, and soon: at the second look that finds it too long."""

    async def work(_wait: Wait) -> None:
        await asyncio.sleep(60)

    async def run() -> float:
        patience, loop = Patience(SILENCE), asyncio.get_running_loop()
        patience.begin()
        began = loop.time()
        with pytest.raises(OutOfPatienceError), patience.over(60.0) as wait:
            await work(wait)
        patience.end()
        return loop.time() - began

    assert SILENCE <= asyncio.run(run()) < 10 * SILENCE


def test_something_comes_now_and_then() -> None:
    """However long it takes, as long as something comes."""

    async def work(wait: Wait) -> str:
        for _ in range(5):
            await asyncio.sleep(STEP)
            wait.come()
        return "all of it"

    assert 5 * STEP > SILENCE
    assert waited(work) == "all of it"


def test_too_long_in_all() -> None:
    """A server that drips is not waited for beyond the whole."""

    async def work(wait: Wait) -> None:
        while True:
            await asyncio.sleep(STEP / 4)
            wait.come()

    with pytest.raises(OutOfPatienceError):
        waited(work, most=0.1)


def test_our_own_time_does_not_count() -> None:
    """What we do with what came is no silence of the server's."""

    async def work(wait: Wait) -> str:
        wait.since = None
        await asyncio.sleep(2 * SILENCE)
        return "done"

    assert waited(work) == "done"


def test_stood_still() -> None:
    """What came while this process was stopped is found when it goes on, and no wait is ended."""

    async def run() -> bytes:
        patience = Patience(SILENCE)
        patience.begin()
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)
        loop = asyncio.get_running_loop()

        def stand_still() -> None:
            time.sleep(3 * SILENCE)
            there.send(b"in time")

        with there:
            loop.call_later(SILENCE / 2, stand_still)
            with patience.over(60.0):
                found = await reader.read(7)
        writer.close()
        patience.end()
        return found

    assert asyncio.run(run()) == b"in time"


def test_others_go_on() -> None:
    """One wait that ends leaves the others alone."""

    async def run() -> tuple[object, object]:
        patience = Patience(SILENCE)
        patience.begin()

        async def silent() -> None:
            with patience.over(60.0):
                await asyncio.sleep(60)

        async def busy() -> str:
            with patience.over(60.0) as wait:
                for _ in range(6):
                    await asyncio.sleep(STEP)
                    wait.come()
            return "done"

        try:
            return await asyncio.gather(silent(), busy(), return_exceptions=True)
        finally:
            patience.end()

    ended, done = asyncio.run(run())
    assert isinstance(ended, OutOfPatienceError)
    assert done == "done"


def test_canceled_meanwhile() -> None:
    """A task that somebody cancels while its wait is given up stays canceled."""

    async def run() -> bool:
        patience = Patience(SILENCE)
        ready = asyncio.Event()

        async def work() -> None:
            with patience.over(60.0) as wait:
                ready.set()
                waits.append(wait)
                await asyncio.sleep(60)

        waits: list[Wait] = []
        task = asyncio.create_task(work())
        await ready.wait()
        waits[0].give_up()
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(run())


def test_given_up_is_forgotten() -> None:
    """After a wait that was given up its task goes on as if nobody had ever canceled it."""

    async def run() -> int:
        patience = Patience(SILENCE)
        patience.begin()
        with pytest.raises(OutOfPatienceError), patience.over(0.0):
            await asyncio.sleep(60)
        patience.end()
        await asyncio.sleep(0.01)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize("error", [TimeoutError("the disk is slow"), asyncio.CancelledError()])
def test_errors_of_others_pass(error: BaseException) -> None:
    """What is raised inside comes out as it is: a TimeoutError, and being canceled, too."""

    async def work(_wait: Wait) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        waited(work)
    assert caught.value is error or isinstance(error, asyncio.CancelledError)
