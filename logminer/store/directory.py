"""A store in a directory: files that are replaced by renaming, so that no reader sees half of one.

    STORE/state/<source>.sqlite, .lock     the ledger and its lock
    STORE/state/tmp/<source>/              files in the making

The source's lock keeps other writers away, so nothing is conditional here.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.errors import NotAStoreError, StoreError
from logminer.store.durable import flush, remove, replacing, writable
from logminer.store.ledger import Ledger, LedgerView
from logminer.store.schema import TABLES
from logminer.store.shelf import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pyarrow import fs

_LEDGER: Final = ".sqlite"
_LAYOUT: Final = {*TABLES, "state"}

_NOT_OURS: Final = {"lost+found"}
"""What a fresh volume may hold: the root of an ext4 file system has it."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The files of a store below a directory."""

    path: Path

    def __str__(self) -> str:
        """Return the path as it was given."""
        return str(self.path)

    @property
    def can_remove(self) -> bool:
        """Files can be removed under the lock."""
        return True

    def exists(self) -> bool:
        """Whether there is a directory, or anything else."""
        return self.path.exists()

    def read(self, name: str) -> bytes | None:
        """Return a small file; None if there is none."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from error

    def lay_out(self, name: str, marker: bytes) -> None:
        """Make the directories and, last of all, the marker: without it there is no store."""
        with writable(self.path):
            if self.path.exists() and not self.path.is_dir():
                raise NotAStoreError(f"{self.path} is no directory: name a new or an empty one")
            path = self.path / name
            aside = self.path / "state" / "tmp" / path.name
            self.path.mkdir(parents=True, exist_ok=True)
            # What a creation that was killed leaves behind is no reason to refuse.
            for entry in self.path.iterdir():
                inside = set(entry.rglob("*")) - {aside.parent, aside}
                if entry.name not in _NOT_OURS and (entry.name not in _LAYOUT or inside):
                    raise NotAStoreError(
                        f"{self.path} is no logminer store and not empty ({entry.name} lies in"
                        " it): name a new or an empty directory"
                    )
            for each in sorted(_LAYOUT):
                (self.path / each).mkdir(exist_ok=True)
            flush(self.path)
            with replacing(path, aside=aside) as file:
                file.write_bytes(marker)

    def names(self, directory: str) -> list[str]:
        """Return the names of what lies in `directory` and one level deeper."""
        found = []
        for entry in _entries(self.path / directory):
            name = f"{directory}/{entry.name}"
            found.append(name)
            if entry.is_dir():
                found += [f"{name}/{each.name}" for each in _entries(entry)]
        return found

    def filesystem(self) -> fs.FileSystem:
        """Return the local file system."""
        from pyarrow import fs  # noqa: PLC0415 -- heavy: only who reads through Arrow waits for it

        return fs.LocalFileSystem()

    def location(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.path / name)

    def find(self, name: str) -> Found | None:
        """Return a file; None if there is none."""
        path = self.path / name
        return Found(content=path) if path.exists() else None

    @contextmanager
    def replacing(
        self,
        name: str,
        *,
        seen: Found | None,  # noqa: ARG002 -- the lock is enough
        aside: Path,
        confirm: Callable[[], None],
    ) -> Iterator[Path]:
        """Give `aside` to write to; at the end rename it to `name`, durably."""
        path = self.path / name
        with writable(path), replacing(path, aside=aside) as file:
            yield file
            confirm()

    def remove(self, name: str) -> None:
        """Remove a file durably, if it is there."""
        path = self.path / name
        with writable(path):
            remove(path)

    def ledger_path(self, source: str) -> Path:
        """Return where the ledger of a source lies, whether or not there is one yet."""
        return self.path / "state" / f"{source}{_LEDGER}"

    def has_ledger(self, source: str) -> bool:
        """Whether a source has a ledger here."""
        return self.ledger_path(source).exists()

    def open_ledger(self, source: str) -> Ledger:
        """Open the ledger of a source for writing, where it lies."""
        return Ledger.open(self.ledger_path(source))

    def read_ledger(self, source: str) -> LedgerView:
        """Open the ledger of a source to look at it, where it lies."""
        return Ledger.read(self.ledger_path(source))

    def sources(self) -> list[str]:
        """Return the names of the sources that have a ledger here, sorted."""
        return sorted(path.stem for path in (self.path / "state").glob(f"*{_LEDGER}"))


def _entries(directory: os.PathLike[str]) -> list[os.DirEntry[str]]:
    """Return what lies in a directory; nothing where there is none, or none any more."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {os.fspath(directory)}: {error.strerror}") from error
