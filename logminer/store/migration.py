"""Migration: files of an older schema are written anew, so that one schema holds for all of them.

Nothing waits for it: a store of several versions is read as one, and a day that a harvest touches
is written in today's version anyway. What it gains is for readers that know nothing of versions:
plain Parquet readers take the columns of the first file that they meet.

Each file is replaced whole, under its source's lock. So a migration may be killed anywhere and is
simply run again: what is left is what still says an older version.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from logminer.errors import OlderLedgerError
from logminer.store.dataset import data_file
from logminer.store.publishing import renew, version_of
from logminer.store.schema import ALL_TABLES, SCHEMA_VERSION

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from logminer.store.dataset import Store
    from logminer.store.schema import Table


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
    for table in ALL_TABLES:
        for day, name in store.days(table):
            version = version_of(store, name)
            if version is not None and version < SCHEMA_VERSION:
                source = PurePosixPath(name).stem
                files.append(OldFile(source=source, table=table, day=day, version=version))
    ledgers = [source for source in store.sources() if _is_old(store, source)]
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
    # A migration that was killed at its very end has only its end left to do.
    for source in wanted.sources or store.sources()[:1]:
        # Opened for writing it is brought up to date; who has no ledger any more gets an empty one.
        with store.open_ledger(source) as ledger:
            ledger.checkpoint()
            store.announce(ledger)
            for old in wanted.files:
                if old.source != source:
                    continue
                proceed(done, len(wanted.files))
                version = version_of(store, data_file(old.table, old.day, source))
                # A harvest may have touched that day since that was looked up, or emptied it.
                if version is not None and version < SCHEMA_VERSION:
                    renew(store, ledger, old.table, old.day)
                done += 1
            if store.versions().oldest < SCHEMA_VERSION and not outdated(store).files:
                store.mark(ledger, oldest=SCHEMA_VERSION)
    proceed(done, len(wanted.files))


def _is_old(store: Store, source: str) -> bool:
    try:
        store.read_ledger(source).close()
    except OlderLedgerError:
        return True
    return False
