"""Where a store's files lie: in a directory, or below a prefix of a bucket on object storage.

    Shelf        what the store asks of either
    directory    the one: files, replaced by renaming
    bucket       the other: objects, replaced by one conditional PUT each

Names are relative and have slashes, the same in both: `images/date=2026-09-14/<source>.parquet`.
Whatever tells the two apart stands in those two modules (and in `carried` and `lease`, for the
ledger of a bucket); the layout, the rows and their order do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from pyarrow import fs

    from logminer.store.ledger import Ledger, LedgerView

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKETS: Final = frozenset({"s3", "gs", "az"})


Version: TypeAlias = "Mapping[str, str]"
"""What tells one state of an object from any other: S3 and Azure compare `e_tag`, Google Cloud its
`version`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file as it was found."""

    content: Path | pa.BufferReader
    """Where its bytes are to be read."""
    version: Version | None = None
    """What replacing it is conditional on; None where a lock is enough."""


class Shelf(Protocol):
    """The files of one store. `str` gives the name that people know it by."""

    @property
    def can_remove(self) -> bool:
        """Whether a file can be removed without the risk that it is a successor's."""
        ...

    def exists(self) -> bool:
        """Whether anything is there."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a small file; None if there is none."""
        ...

    def lay_out(self, name: str, marker: bytes) -> None:
        """Prepare an empty place and, last of all, put the marker there.

        Raises NotAStoreError where anything else lies there.
        """
        ...

    def names(self, directory: str) -> list[str]:
        """Return the names of what lies in `directory` and one level deeper."""
        ...

    def filesystem(self) -> fs.FileSystem:
        """Return what Arrow reads these files with, each by its `location`."""
        ...

    def location(self, name: str) -> str:
        """Return the path or the URL of a file."""
        ...

    def find(self, name: str) -> Found | None:
        """Return a file to be read and then replaced; None if there is none."""
        ...

    def replacing(
        self, name: str, *, seen: Found | None, aside: Path, confirm: Callable[[], None]
    ) -> AbstractContextManager[Path]:
        """Give `aside` to write to; at the end put that in the place of `name`, in one step.

        `confirm` is called before that step, and raises where the source's lock is lost.
        Raises ChangedError where the file is not the one that was `seen` any more.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file, where `can_remove`."""
        ...

    def has_ledger(self, source: str) -> bool:
        """Whether a source has a ledger here."""
        ...

    def open_ledger(self, source: str) -> Ledger:
        """Open the ledger of a source for writing; create it if there is none.

        Takes the source's lock, and raises BusyError, which names the holder.
        """
        ...

    def read_ledger(self, source: str) -> LedgerView:
        """Open the ledger of a source to look at it, also while a harvest is writing."""
        ...

    def sources(self) -> list[str]:
        """Return the names of the sources that have a ledger here, sorted."""
        ...


def shelf_of(location: Path | str) -> Shelf:
    """Return the files at a path or at a URL: s3://bucket/prefix, gs://… or az://….

    Raises UsageError for another kind of URL, and where the library for them is not installed.
    """
    scheme = _URL.match(location) if isinstance(location, str) else None
    if scheme is None:
        from logminer.store.directory import Directory  # noqa: PLC0415 -- only what is asked for

        return Directory(Path(location))
    if scheme[1].lower() not in _BUCKETS:
        raise UsageError(
            f"a store cannot be at {scheme[0]}…: give a directory, or s3://, gs:// or az://"
        )
    try:
        from logminer.store.bucket import Bucket  # noqa: PLC0415 -- optional
    except ModuleNotFoundError as error:
        raise UsageError(
            "a store on object storage needs obstore: pip install 'logminer[s3]'"
        ) from error
    return Bucket.at(str(location))
