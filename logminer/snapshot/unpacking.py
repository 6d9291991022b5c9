"""An archive into the files that may declare something, read in one pass and within bounds.

Whoever pushes makes the archive: it may unfold without end, hold a million files or headers of a
gigabyte, and name paths that lead elsewhere. Nothing of it is ever written to a disk, only regular
files of wanted names are kept, and what is over a bound is left out and named.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from logminer.errors import UnexpectedAnswerError
from logminer.inventory import MAX_FILE_BYTES, wanted

if TYPE_CHECKING:
    from typing import IO

MAX_UNFOLDED: Final = 4 * 2**30
"""Bytes that an archive unfolds to; a larger one is read by its tree."""
MAX_ENTRIES: Final = 500_000
"""Files of an archive: five times the Linux kernel's."""
MAX_KEPT: Final = 64 * 2**20
"""Bytes of the files that are kept of one repository."""
MAX_FILES: Final = 20_000
"""Files that are kept of one repository, and as many that are named as left out."""
MAX_HEADER: Final = 2**20
"""Bytes of one extended header: git writes a path and a comment into it."""
MAX_PATH: Final = 4_096
"""Characters of a path: what Linux can open."""

_EXTENDED: Final = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_DAMAGE: Final = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError)
"""What the libraries raise for bytes that are no archive, or not all of one."""


class TooMuchError(Exception):
    """The archive is over a bound: it has to be read in another way."""


@dataclass(slots=True)
class Files:
    """The files of a repository that may declare something."""

    contents: dict[str, bytes] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    """Those that were not taken, with the reason."""
    size: int = 0
    """Bytes of all contents."""

    def take(self, path: str, size: int) -> bool:
        """Return whether there is room for a file of this size; where not, name it."""
        if size > MAX_FILE_BYTES:
            reason = f"larger than {MAX_FILE_BYTES // 2**20} MiB"
        elif self.size + size > MAX_KEPT or len(self.contents) >= MAX_FILES:
            reason = f"beyond the {MAX_KEPT // 2**20} MiB that are read of one repository"
        else:
            self.size += size
            return True
        if len(self.left) < MAX_FILES:
            self.left[path] = reason
        return False


def unpack(packed: IO[bytes]) -> Files:
    """Return the wanted files of a tar.gz.

    Raises TooMuchError where it is over a bound, UnexpectedAnswerError where it is damaged.
    """
    files = Files()
    try:
        with (
            gzip.GzipFile(fileobj=packed, mode="rb") as zipped,
            tarfile.open(fileobj=_Bounded(zipped), mode="r|", tarinfo=_Entry) as archive,  # type: ignore[call-overload] # it is only read
        ):
            for count, entry in enumerate(archive):
                if count >= MAX_ENTRIES:
                    raise TooMuchError
                archive.members.clear()  # tarfile would keep them all
                path = inner_path(entry.name.partition("/")[2])
                if path is None or not entry.isreg() or entry.issparse() or not wanted(path):
                    continue
                content = archive.extractfile(entry) if files.take(path, entry.size) else None
                if content is not None:
                    files.contents[path] = content.read()
    except _DAMAGE as error:
        raise UnexpectedAnswerError(
            f"the archive is damaged or broke off ({type(error).__name__})"
        ) from error
    return files


def inner_path(path: str) -> str | None:
    """Return a path inside of a repository in UTF-8; None where it is none."""
    parts = path.split("/")
    if len(path) > MAX_PATH or "\0" in path or not {"", ".", ".."}.isdisjoint(parts):
        return None
    return path.encode("utf-8", "replace").decode("utf-8")


class _Bounded:
    """Reads a file as far as an archive may go."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self._left = MAX_UNFOLDED

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchError
        return data


class _Entry(tarfile.TarInfo):
    """A header that is read only where it is whole and of a sensible size.

    The library takes a damaged header for the end of the archive, and reads an extended one into
    memory however long it says to be.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            entry = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError | tarfile.EmptyHeaderError):  # type: ignore[attr-defined] # typeshed names only the public ones
                raise
            raise _DamagedError from error
        if entry.size < 0:
            raise _DamagedError
        if entry.type in _EXTENDED and entry.size > MAX_HEADER:
            raise TooMuchError
        return entry


class _DamagedError(ValueError):
    """A header is none."""
