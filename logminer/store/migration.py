"""Migration: files of an older schema are written anew, so that one schema holds for all of them.

Nothing waits for it: a store of several versions is read as one, and a day that a harvest touches
is written in today's version anyway. What it gains is for readers that know nothing of versions:
plain Parquet readers take the columns of the first file that they meet.

Each file is replaced whole, under its source's lock. So a migration may be killed anywhere and is
simply run again: what is left is what still says an older version.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.store.dataset import data_file
from logminer.store.ledger import Ledger
from logminer.store.lock import Lock
from logminer.store.publishing import renew, version_of
from logminer.store.schema import FILES, SCHEMA_VERSION
from logminer.store.tables import LEDGER_VERSION, ledger_version

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from logminer.store.dataset import Store
    from logminer.store.schema import Table

_ASIDE: Final = "migrated.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldFile:
    """A Parquet file of an older version."""

    source: str
    table: Table
    day: dt.date
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """What a migration has to do."""

    files: tuple[OldFile, ...]
    ledgers: tuple[str, ...]
    """Sources whose ledgers are of an older version."""

    @property
    def sources(self) -> list[str]:
        """Return the sources that have anything old, sorted."""
        return sorted({*(each.source for each in self.files), *self.ledgers})


def outdated(store: Store) -> Outdated:
    """Return what is older than this logminer: looks at every file's footer, writes nothing.

    Raises NewerStoreError where a file or a ledger is from a newer logminer.
    """
    files = []
    for table in FILES:
        for day, path in store.days(table):
            version = version_of(path)
            if version < SCHEMA_VERSION:
                files.append(OldFile(source=path.stem, table=table, day=day, version=version))
    ledgers = [
        source
        for source in store.sources()
        if ledger_version(store.ledger_path(source)) < LEDGER_VERSION
    ]
    return Outdated(files=tuple(files), ledgers=tuple(ledgers))


def migrate(
    store: Store,
    wanted: Outdated,
    *,
    proceed: Callable[[int, int], object] = lambda _done, _of: None,
) -> None:
    """Bring a store up to date: first each source's ledger, then its files, oldest day first.

    `proceed` is told before each file how many are done and how many there are.
    Raises BusyError where a source is being harvested, StoreError where a file cannot be read or
    written; what was done until then is done.
    """
    done = 0
    for source in wanted.sources:
        with _held(store, source) as aside:
            if store.versions().newest < SCHEMA_VERSION:
                store.mark(store.versions().oldest, aside=aside / "store.json")
            for old in wanted.files:
                if old.source != source:
                    continue
                proceed(done, len(wanted.files))
                path = data_file(store.path, old.table, old.day, source)
                # A harvest may have touched that day since that was looked up, or emptied it.
                if path.exists() and version_of(path) < SCHEMA_VERSION:
                    renew(path, old.table, aside=aside / _ASIDE)
                done += 1
    if store.versions().oldest < SCHEMA_VERSION and not outdated(store).files:
        store.mark(SCHEMA_VERSION, aside=store.path / "state" / "tmp" / "store.json")
    proceed(done, len(wanted.files))


@contextmanager
def _held(store: Store, source: str) -> Iterator[Path]:
    """Be the one writer of a source, and give a directory for files in the making.

    A source whose ledger is gone is held all the same.
    """
    path = store.ledger_path(source)
    if path.exists():
        with Ledger.open(path) as ledger:
            yield ledger.aside
        return
    lock = Lock(path.with_suffix(".lock"))
    aside = path.parent / "tmp" / source
    try:
        shutil.rmtree(aside, ignore_errors=True)
        yield aside
    finally:
        lock.release()
