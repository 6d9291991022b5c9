"""Replacing a file so that a reader sees the old one or the new one, and a power cut neither less.

The steps and their order: write aside, flush the file, rename it into place, flush the directory.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from logminer.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, *, aside: Path) -> Iterator[Path]:
    """Give `aside` to write to; at the end put what was written in the place of `path`, durably.

    `aside` lies on the same file system and is gone afterwards, whatever happens short of a kill.
    """
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        flush(aside)
        new = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)  # another source may have been faster
        for each in new:
            flush(each.parent)
        os.replace(aside, path)  # noqa: PTH105 -- the system call by its name, as os.fsync below
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def remove(path: Path) -> None:
    """Remove a file durably, if it is there."""
    if path.exists():
        path.unlink()
        flush(path.parent)


def flush(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn what the system says of a path that it cannot write into one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {path} ({error.strerror or error}): look at its permissions and the "
            "free space, then harvest again; nothing is lost"
        ) from error
