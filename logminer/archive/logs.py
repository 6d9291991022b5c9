"""A log in an archive, and how its bytes are had: from a disk or from a bucket, packed or not.

Everything here may be hostile or broken: a FIFO where a file should be, a file that is rewritten
while it is read, a packed megabyte that unfolds to a terabyte. Each ends in one line that names it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from logminer.archive import buckets
from logminer.archive.keys import key_of
from logminer.errors import NotFoundError, UnexpectedAnswerError
from logminer.model import MAX_TRACE_BYTES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from types import TracebackType

    from logminer.model import Job

CHUNK: Final = 1 << 17
"""Bytes read at a time."""

WHOLE: Final = 1 << 20
"""Bytes read at a time of what is not packed: most logs are shorter."""

_CODECS: Final = {".gz": "gzip", ".zst": "zstd"}


class Log(NamedTuple):
    """A log that was found, or the directory of an archived job that may hold one."""

    path: str
    job_id: int
    project_id: int
    day: dt.date
    """When it was archived; for a live log the first day of the month of the job's creation."""
    live: bool
    directory: bool = False
    """Whether it is only known where the log lies, if there is one."""
    size: int | None = None
    """Bytes; None where nobody has looked yet."""
    version: str | None = None
    """What the bucket calls this state of the object; None for a file."""
    job: Job | None = None
    """The job, where somebody has described it."""
    project_path: str | None = None
    """The project's full path, where it is known."""


class NoLogError(NotFoundError):
    """The job has other artifacts only."""


class Opened(NamedTuple):
    """A log that is being read."""

    chunks: Iterator[bytes]
    written: float
    """When it was written last, in Unix seconds."""


def located(log: Log) -> str:
    """Return where the log itself lies: in the directory of an archived job, the one that counts.

    Raises NoLogError where there is none.
    """
    if not log.directory:
        return log.path
    with _OneLine(log.path):
        found = [
            (key.rank, path)
            for artifact in _names(log.path)
            for path in _names(artifact)
            if (key := key_of(path)) is not None
        ]
    if not found:
        raise NoLogError(f"{log.path}: no job log in it")
    return min(found)[1]


def size_of(log: Log) -> int:
    """Return the bytes of a log as it lies there; raises as `located` and `opened` do."""
    if log.size is not None:
        return log.size
    path = located(log)
    with _OneLine(path):
        return os.stat(path).st_size  # noqa: PTH116 -- as above


def _names(directory: str) -> list[str]:
    """Return the paths of what lies in a directory; nothing lies in a file."""
    try:
        # A third of the time that pathlib takes, and done twice for each log.
        return [f"{directory}/{name}" for name in os.listdir(directory)]  # noqa: PTH208
    except NotADirectoryError:
        return []


@contextlib.contextmanager
def opened(path: str, log: Log, *, content: bytes | None = None) -> Iterator[Opened]:
    """Give the bytes of a log, unpacked, in pieces of bounded size.

    `content` is what lies there, where it was read already.

    Raises NotFoundError for one that is gone, UnexpectedAnswerError where it cannot be read, does
    not unpack, unfolds beyond `MAX_TRACE_BYTES`, or (at the end) changed while it was read.
    """
    codec = _CODECS.get(path[path.rfind(".") :])
    with _OneLine(path):
        if buckets.is_url(path):
            object_ = buckets.Object(path, log.size or 0, log.version)
            with buckets.opened(object_, content=content) as (source, written):
                yield Opened(_unpacked(path, source, codec), written)
        else:
            # Never waits: a FIFO that nobody writes to would hold us for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                before = os.fstat(descriptor)
                if not stat.S_ISREG(before.st_mode):
                    raise UnexpectedAnswerError(f"{path}: no file")
                if codec is None:
                    yield Opened(_read(descriptor, before.st_size), before.st_mtime)
                else:
                    with pa.PythonFile(os.fdopen(os.dup(descriptor), "rb"), "r") as source:
                        yield Opened(_unpacked(path, source, codec), before.st_mtime)
                after = os.fstat(descriptor)
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise UnexpectedAnswerError(f"{path}: changed while it was read")
            finally:
                os.close(descriptor)


def _read(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file, as they are; one of an ordinary size in one piece."""
    while chunk := os.read(descriptor, min(size + 1, WHOLE)):
        yield chunk


def _unpacked(path: str, source: pa.NativeFile, codec: str | None) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked where it is packed."""
    size = 0
    with pa.CompressedInputStream(source, codec) if codec else source as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > MAX_TRACE_BYTES:
                raise UnexpectedAnswerError(f"{path}: unfolds to more than any log GitLab keeps")
            yield chunk


class _OneLine:
    """Turns what the system says of a file into one line that names it.

    A class, because a generator in its place costs as much as the system calls that it guards.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Guard."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise in our own words what is one of the system's."""
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"{self._path}: gone") from error
        if isinstance(error, (OSError, pa.ArrowException)):
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise UnexpectedAnswerError(f"{self._path}: cannot be read ({reason})") from error
