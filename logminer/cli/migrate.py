"""`logminer migrate`: a store of an older logminer becomes one of today's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from logminer.cli.talk import counted, say
from logminer.cli.watch import LogFormat, Volume, watch
from logminer.store import migrate, open_store, outdated

if TYPE_CHECKING:
    from logminer.store import Outdated


def run(location: str, *, dry_run: bool, log_format: LogFormat, quiet: bool) -> None:
    """Write every file of an older version anew, or only say which there are."""
    store = open_store(location)
    found = outdated(store)
    if dry_run:
        for line in _lines(found):
            print(line)
        return
    progress = watch(log_format, volume=Volume.of(quiet=quiet))
    with progress:
        migrate(store, found, proceed=progress.published)
    if not quiet:
        say(
            f"{store}: {_what(found)} brought up to date"
            if found.sources
            else f"{store}: {_NOTHING}"
        )


_NOTHING = "nothing is older than this logminer"


def _what(found: Outdated) -> str:
    return f"{counted(len(found.files), 'file')} and {counted(len(found.ledgers), 'ledger')}"


def _lines(found: Outdated) -> list[str]:
    """Return what would be done, a line for each source and version."""
    if not found.sources:
        return [_NOTHING]
    files = Counter((each.source, each.version) for each in found.files)
    return [
        f"{source}: {counted(number, 'file')} of schema version {version}"
        for (source, version), number in sorted(files.items())
    ] + [f"{source}: the ledger" for source in found.ledgers]
