"""A log in an archive, and how its bytes are had: from a disk or from a bucket, packed or not.

Everything here may be hostile or broken: a FIFO where a file should be, a file that is rewritten
while it is read, a packed megabyte that unfolds to a terabyte. Each ends in one line that names it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import pyarrow as pa
from msgspec import Struct

from logminer.archive import buckets
from logminer.archive.keys import PREFERENCE, is_number
from logminer.errors import NotFoundError, UnexpectedAnswerError
from logminer.model import MAX_TRACE_BYTES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from logminer.model import Job

T = TypeVar("T")

CHUNK: Final = 1 << 17
"""Bytes read at a time."""

WHOLE: Final = 1 << 20
"""Bytes read at a time of what is not packed: most logs are shorter."""

_AHEAD: Final = 16
"""Logs that are opened before the first of them is read: alternating between opening and reading
costs a twentieth of the time."""

_CODECS: Final = {".gz": "gzip", ".zst": "zstd"}

_ABSENT: Final = (FileNotFoundError, NotADirectoryError)
"""Raised for a place where nothing is."""

_FAULTS: Final = (OSError, pa.ArrowException)
"""Raised for what cannot be read or does not unpack."""


class Log(Struct, frozen=True, gc=False):
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


def size_of(log: Log) -> int:
    """Return the bytes of a log as it lies there; raises as `opened` does."""
    if log.size is not None:
        return log.size
    return _first(log, _stat).st_size


def opened(logs: Sequence[Log]) -> Iterator[tuple[Log, AbstractContextManager[Opened]]]:
    """Yield logs, each with what gives its bytes, unpacked, in pieces of bounded size.

    That is to be entered before the next log is asked for. Entering it raises NoLogError for a job
    that has none, NotFoundError for one that is gone, UnexpectedAnswerError where it cannot be
    read, does not unpack, unfolds beyond `MAX_TRACE_BYTES`, or (at the end) changed while it was
    read, UsageError for a bucket that cannot be asked from here.
    """
    for in_bucket, group in itertools.groupby(logs, lambda log: buckets.is_url(log.path)):
        some = list(group)
        yield from _of_bucket(some) if in_bucket else _of_disk(some)


def _of_bucket(logs: list[Log]) -> Iterator[tuple[Log, AbstractContextManager[Opened]]]:
    """Yield objects of buckets; of several the bytes are asked for at a time."""
    objects = [buckets.Object(log.path, log.size or 0, log.version) for log in logs]
    for log, each, content in zip(logs, objects, buckets.fetched(objects), strict=True):
        yield log, _from_bucket(each, content)


def _of_disk(logs: list[Log]) -> Iterator[tuple[Log, AbstractContextManager[Opened]]]:
    """Yield files; several are opened at a time, where this process can have one such reader only.

    Of readers in other threads there may be many, as on a cluster, and of descriptors too few.
    """
    ahead = _AHEAD if threading.current_thread() is threading.main_thread() else 1
    for begin in range(0, len(logs), ahead):
        files: list[_File] = []
        try:
            yield from [(log, _tried(log, files)) for log in logs[begin : begin + ahead]]
        finally:
            for file in files:
                if file.descriptor >= 0:  # it was never read, and no fault of it matters
                    with contextlib.suppress(OSError):
                        file.close()


def _tried(log: Log, files: list[_File]) -> AbstractContextManager[Opened]:
    """Open a log, and note its file; what goes wrong is raised when it is to be read."""
    try:
        file = _first(log, _File)
    except Exception:  # noqa: BLE001 -- it is raised in its turn
        return _in_turn(log)
    files.append(file)
    return _content(file)


@contextlib.contextmanager
def _in_turn(log: Log) -> Iterator[Opened]:
    """Open a log where it is to be read: it fails as it did ahead, unless too many were open."""
    with _content(_first(log, _File)) as content:
        yield content


def _first(log: Log, use: Callable[[str], T]) -> T:
    """Use the file that is the log: in the directory of an archived job, the one that counts."""
    path = log.path  # whichever place is looked at: a fault is that place's
    try:
        if not log.directory:
            return use(path)
        places = _places(path)
        for path in places[:1]:
            # Nearly always there: to look for it first would be a tenth of what opening it costs.
            try:
                return use(path)
            except _ABSENT:  # looked for below like the others
                continue
        for path in places:
            try:
                os.lstat(path)
            except _ABSENT:
                continue
            return use(path)  # it is gone where it is a link that leads nowhere
    except _FAULTS as error:
        raise _said(path, error) from error
    raise NoLogError(f"{log.path}: no job log in it")


def _places(directory: str) -> list[str]:
    """Return where the log of an archived job may lie; the newest artifact's first."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 -- a third of the time that pathlib takes
    except NotADirectoryError:
        names = []
    return [
        f"{directory}/{artifact}/job.log{packed}"
        for artifact in sorted(filter(is_number, names), key=int, reverse=True)
        for packed in PREFERENCE
    ]


def _stat(path: str) -> os.stat_result:
    """Return the status of a file; raises UnexpectedAnswerError where it is another thing."""
    return _of_file(path, os.stat(path))  # noqa: PTH116 -- half the time that pathlib takes


def _of_file(path: str, status: os.stat_result) -> os.stat_result:
    """Return this status, if it is a file's; raises UnexpectedAnswerError for another thing's."""
    if not stat.S_ISREG(status.st_mode):
        raise UnexpectedAnswerError(f"{path}: no file")
    return status


def _codec(path: str) -> str | None:
    """Return how a log is packed, by its name; None where it is not."""
    return _CODECS.get(path[path.rfind(".") :])


@contextlib.contextmanager
def _from_bucket(each: buckets.Object, content: bytes | None) -> Iterator[Opened]:
    try:
        with buckets.opened(each, content=content) as (source, written):
            yield Opened(_unpacked(each.url, source, _codec(each.url)), written)
    except _FAULTS as error:
        raise _said(each.url, error) from error


def _content(file: _File) -> AbstractContextManager[Opened]:
    """Return what gives the bytes of a file, unpacked."""
    codec = _codec(file.path)
    return file if codec is None else _packed_file(file, codec)


@contextlib.contextmanager
def _packed_file(file: _File, codec: str) -> Iterator[Opened]:
    with file as plain, pa.PythonFile(os.fdopen(os.dup(file.descriptor), "rb"), "r") as source:
        yield Opened(_unpacked(file.path, source, codec), plain.written)


class _File:
    """A file of a disk, as it is: open, and in a `with`, at whose end it must be what it was.

    A class, because a generator in its place costs as much as the system calls that it makes: most
    logs of most archives are read through it.
    """

    __slots__ = ("_before", "descriptor", "path")

    def __init__(self, path: str) -> None:
        """Open it."""
        self.path = path
        # Never waits: a FIFO that nobody writes to would hold us for ever.
        self.descriptor: int = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._before = _of_file(path, os.fstat(self.descriptor))
        except BaseException:
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """Close it, unless it is closed."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Opened:
        """Read it."""
        return Opened(self._pieces(), self._before.st_mtime)

    def _pieces(self) -> Iterator[bytes]:
        """Yield its bytes; one of an ordinary size comes in one piece, for which one call does."""
        size = self._before.st_size
        room = min(size + 1, WHOLE)
        had = 0
        while piece := os.read(self.descriptor, room):
            yield piece
            had += len(piece)
            if had == size and len(piece) < room:
                return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and look whether it has changed."""
        try:
            try:
                before, after = self._before, os.fstat(self.descriptor)
            finally:
                self.close()
        except OSError as fault:
            raise _said(self.path, fault) from fault
        if isinstance(error, _FAULTS):
            raise _said(self.path, error) from error
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        if changed and error is None:
            raise UnexpectedAnswerError(f"{self.path}: changed while it was read")


def _unpacked(path: str, source: pa.NativeFile, codec: str | None) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked where it is packed."""
    size = 0
    with pa.CompressedInputStream(source, codec) if codec else source as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > MAX_TRACE_BYTES:
                raise UnexpectedAnswerError(f"{path}: unfolds to more than any log GitLab keeps")
            yield chunk


def _said(path: str, fault: OSError | pa.ArrowException) -> NotFoundError | UnexpectedAnswerError:
    """Return what the system says of a file as one line that names it."""
    if isinstance(fault, FileNotFoundError):
        return NotFoundError(f"{path}: gone")
    reason = getattr(fault, "strerror", None) or str(fault).partition("\n")[0]
    return UnexpectedAnswerError(f"{path}: cannot be read ({reason})")
