"""Who reads: this process, processes of this machine, or a Dask cluster that is already there.

All of them are `concurrent.futures` executors. What is sent is one function and its order; what
dies on the way is sent again, because the same order always gives the same rows.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import BrokenExecutor, Executor, Future
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from logminer.archive.processes import pool
from logminer.errors import FatalError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")
O = TypeVar("O")  # noqa: E741 -- what an order is

_AHEAD: Final = 3
"""Batches under way for each worker: one that is read, and two so that it never waits."""

_DEATHS: Final = 3
"""Times that a worker may die before it is no accident any more."""

_CONNECTING: Final = 20.0
"""Seconds for a scheduler to answer."""


class EngineName(StrEnum):
    """Which machines read."""

    LOCAL = "local"
    DASK = "dask"


class Engine:
    """Runs orders somewhere; to be used in a `with`."""

    def __init__(self, begin: Callable[[], tuple[Executor, int]]) -> None:
        """Run them with what `begin` gives: an executor, and how many workers it has."""
        self._begin = begin
        self._deaths = 0

    def __enter__(self) -> Self:
        """Begin."""
        self._executor, self.workers = self._begin()
        """How many read at the same time."""
        self.ahead: int = self.workers * _AHEAD
        """How many orders to have under way."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, without waiting for what was not begun."""
        self._executor.shutdown(wait=error is None, cancel_futures=True)

    def submit(self, work: Callable[[O], T], order: O) -> Future[T]:
        """Have an order carried out."""
        try:
            return self._executor.submit(work, order)
        except BrokenExecutor:
            self.renew()
            return self._executor.submit(work, order)

    def renew(self) -> None:
        """Begin anew after a worker has died; raises FatalError where that is no accident."""
        self._deaths += 1
        if self._deaths > _DEATHS:
            raise FatalError(
                f"{self._deaths} times a worker was killed, perhaps for want of memory: try fewer"
                " --workers. What was read is kept; mine again to go on"
            )
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor, _ = self._begin()


def local(workers: int) -> Engine:
    """Return an engine of so many processes; with one, it is this process itself."""
    return Engine(lambda: (pool(workers) if workers > 1 else _Here(), workers))


def dask(scheduler: str) -> Engine:
    """Return an engine of all workers that a Dask scheduler has; each needs logminer, too."""
    return Engine(lambda: _cluster(scheduler))


class _Here(Executor):
    """Carries out an order at once, in this process."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 -- the standard library's
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 -- it is whoever asks for the result that gets it
            done.set_exception(error)
        return done


def _cluster(scheduler: str) -> tuple[Executor, int]:
    try:
        from distributed import Client  # noqa: PLC0415 -- only with this engine
    except ImportError as error:
        raise UsageError("--engine dask needs distributed: pip install 'logminer[dask]'") from error
    try:
        client = Client(scheduler, timeout=_CONNECTING, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"no Dask scheduler answers at {scheduler} ({reason}): give its address as"
            " --scheduler tcp://HOST:8786"
        ) from error
    return _Cluster(client), max(1, sum(client.ncores().values()))


class _Cluster(Executor):
    """A client's own executor, which closes the client at its end."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 -- distributed has no types
        self._client = client
        # Not pure: the same order twice is two readings, not one remembered.
        self._executor: Executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 -- the standard library's
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- the standard library's
        self._executor.shutdown(wait=wait and not cancel_futures)
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close()
