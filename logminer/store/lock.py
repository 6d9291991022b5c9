"""One writer for each source: a lock that dies with its holder, and that names its holder.

The kernel holds the lock (`flock`) and gives it back however the process ends; what the file says
is only for people. The file is never removed: a lock on a file that is being deleted holds nobody.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import socket
import weakref
from typing import TYPE_CHECKING, Final

from logminer.errors import BusyError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST: Final = 500
"""Bytes of a lock file that are read: a pid, a host name (at most 255 bytes) and a time."""


class Lock:
    """A lock file held by this process, from construction until `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once, or raise BusyError, which names the holder."""
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot write {path}: {error.strerror}; give the harvest a writable store"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(self._descriptor)
        except BlockingIOError:
            holder = os.pread(self._descriptor, _LONGEST, 0).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            raise BusyError(
                f"{path.stem} is being harvested by {holder or 'another process'}: "
                "wait for it to end, or stop it, and try again"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise StoreError(
                f"cannot lock {path}: {error.strerror}; the store needs a file system with locks "
                "and free space"
            ) from error
        _held.add(self)

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        if self in _held:
            _held.discard(self)
            os.close(self._descriptor)


def _write(descriptor: int) -> None:
    """Say who holds the lock; the name of the previous holder goes."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    holder = f"process {os.getpid()} on {socket.gethostname()} since {now}\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, holder.encode(), 0)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _release_in_child() -> None:
    """Close the copies a forked worker inherited.

    An flock belongs to the open file, so a worker that outlives a killed parent would keep the
    source locked for as long as it waits for work that never comes.
    """
    for lock in tuple(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
