"""A log in an archive, and how its bytes are had: from a disk or from a bucket, packed or not.

Everything here may be hostile or broken: a FIFO where a file should be, a file that is rewritten
while it is read, a packed megabyte that unfolds to a terabyte. Each ends in one line that names it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from logminer.archive import buckets
from logminer.archive.keys import PREFERENCE, is_number
from logminer.errors import NotFoundError, UnexpectedAnswerError
from logminer.model import MAX_TRACE_BYTES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
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
        # The newest artifact first. Names are tried and not listed: that would be a third of what
        # it costs to open and read a log.
        for artifact in sorted(filter(is_number, _names(log.path)), key=int, reverse=True):
            for packed in PREFERENCE:
                path = f"{log.path}/{artifact}/job.log{packed}"
                try:
                    os.lstat(path)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                return path
    raise NoLogError(f"{log.path}: no job log in it")


def size_of(log: Log) -> int:
    """Return the bytes of a log as it lies there; raises as `located` and `opened` do."""
    if log.size is not None:
        return log.size
    path = located(log)
    with _OneLine(path):
        return os.stat(path).st_size  # noqa: PTH116 -- as above


def _names(directory: str) -> list[str]:
    """Return the names of what lies in a directory; nothing lies in a file."""
    try:
        return os.listdir(directory)  # noqa: PTH208 -- a third of the time that pathlib takes
    except NotADirectoryError:
        return []


def opened(path: str, log: Log, *, content: bytes | None = None) -> AbstractContextManager[Opened]:
    """Give the bytes of a log, unpacked, in pieces of bounded size.

    `content` is what lies there, where it was read already.

    Raises NotFoundError for one that is gone, UnexpectedAnswerError where it cannot be read, does
    not unpack, unfolds beyond `MAX_TRACE_BYTES`, or (at the end) changed while it was read.
    """
    codec = _CODECS.get(path[path.rfind(".") :])
    if buckets.is_url(path):
        return _of_bucket(path, log, codec, content)
    return _File(path) if codec is None else _packed_file(path, codec)


@contextlib.contextmanager
def _of_bucket(path: str, log: Log, codec: str | None, content: bytes | None) -> Iterator[Opened]:
    object_ = buckets.Object(path, log.size or 0, log.version)
    with _OneLine(path), buckets.opened(object_, content=content) as (source, written):
        yield Opened(_unpacked(path, source, codec), written)


@contextlib.contextmanager
def _packed_file(path: str, codec: str) -> Iterator[Opened]:
    file = _File(path)
    with file as plain, pa.PythonFile(os.fdopen(os.dup(file.descriptor), "rb"), "r") as source:
        yield Opened(_unpacked(path, source, codec), plain.written)


class _File:
    """A file of a disk, as it is: open in a `with`, at whose end it must be what it was.

    A class, as `_OneLine` is one: most logs of most archives are read through it.
    """

    __slots__ = ("_before", "_path", "descriptor")

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Opened:
        """Open it."""
        with _OneLine(self._path):
            # Never waits: a FIFO that nobody writes to would hold us for ever.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            self.descriptor: int = os.open(self._path, flags)
            try:
                before = self._before = _file_status(self._path, self.descriptor)
            except BaseException:
                os.close(self.descriptor)
                raise
        # One of an ordinary size comes in one piece.
        read = partial(os.read, self.descriptor, min(before.st_size + 1, WHOLE))
        return Opened(iter(read, b""), before.st_mtime)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and look whether it has changed."""
        one_line = _OneLine(self._path)
        with one_line:
            try:
                before, after = self._before, os.fstat(self.descriptor)
            finally:
                os.close(self.descriptor)
        one_line.__exit__(kind, error, trace)
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        if changed and error is None:
            raise UnexpectedAnswerError(f"{self._path}: changed while it was read")


def _file_status(path: str, descriptor: int) -> os.stat_result:
    """Return the status of an open file; raises UnexpectedAnswerError where it is another thing."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UnexpectedAnswerError(f"{path}: no file")
    return status


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
