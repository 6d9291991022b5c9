"""Processes that read: they begin soon, and leave the program that begins them as it was.

They are forked by multiprocessing's server, which a program has once, for its own processes, too:
what is particular to ours is settled in each of them, never in the server.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from importlib.abc import MetaPathFinder
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRELOADED: Final = ["logminer.archive.worker"]

_COLLECTING: Final = 50_000
"""So many more objects made than freed before garbage is looked for: those of some batches."""

_STARTING: Final = threading.Lock()
"""Held while a process begins: two at once would take each other's empty program for the real one.
"""


def pool(workers: int) -> ProcessPoolExecutor:
    """Return so many processes that read; the first of them begins with the first order."""
    # Not forked from this process: it may have threads by now, and holds the ledger. The server
    # imports what reading needs once, and its forks begin at once.
    context = _Context()
    context.set_forkserver_preload(_PRELOADED)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_settle)


class _Worker(ForkServerProcess):
    """A process that does not run its parent's main program again, and leaves Ctrl-C to it.

    Nothing of ours stands in that program, it costs what it imports, and one without
    `if __name__ == "__main__"` would mine in each worker, too: an error of multiprocessing's.
    """

    _main: ModuleType | None = None

    def start(self) -> None:
        """Begin, with an empty main program in its place until what is said of it is written down.

        What begins with a signal blocked has it blocked for ever: so has the server, which is begun
        with the first process and would else die of Ctrl-C while it imports, with a traceback.
        """
        with _STARTING:
            self._main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                super().start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                self._put_back()

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to it; that comes right after what is said of the main program."""
        self._put_back()
        return self.__dict__

    def _put_back(self) -> None:
        """Let the main program be found again: other threads may need what stands in it."""
        main, self._main = self._main, None
        if main is not None:
            sys.modules["__main__"] = main


class _Context(ForkServerContext):
    """Makes these processes."""

    Process = _Worker


def _settle() -> None:
    """Leave Ctrl-C to the parent, do without pandas, and end with the parent, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _forgo_pandas()
    # What a batch makes lives until its end, and has no cycles that garbage could be found in.
    gc.freeze()
    gc.set_threshold(_COLLECTING)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


class _WithoutPandas(MetaPathFinder):
    """Lets pandas not be found."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 -- the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Refuse pandas, and leave the rest to others."""
        if fullname == "pandas":
            raise ModuleNotFoundError("not wanted here", name=fullname)


def _forgo_pandas() -> None:
    """Have PyArrow look for pandas in vain; it never looks again in this process.

    For its first array it would import pandas, where that is installed: a third of what a process
    took to begin, for nothing that is done here.
    """
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(finder)
