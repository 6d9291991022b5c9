"""`logminer harvest --reparse`: which old logs are asked for, by what the store itself knows."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from logminer.cli.talk import counted
from logminer.errors import StoreError, UsageError
from logminer.gitlab import path_filter
from logminer.harvest import reparse
from logminer.harvest.rereading import wanted_of
from logminer.store import Ledger, count_old, open_store, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from logminer.cli.nightly import Asked, End
    from logminer.cli.watch import Watch
    from logminer.model import Project
    from logminer.store import Store


def reread(location: str, asked: Asked, run_id: str, progress: Watch, end: End) -> int:
    """Read again what older rules have read, say what was done, and return the exit code.

    The scope is looked up in the ledger: only what was harvested can be read again.
    """
    began = time.monotonic()
    options = asked.options()
    budget = asked.budget(began)
    projects, groups = asked.scope()
    settings = None if asked.offline else asked.server.settings()
    store = open_store(location)
    end.source = source_of(settings.instance) if settings else _source(store, asked.server.url)
    if not store.has_ledger(end.source):
        raise StoreError(f"nothing of {end.source} was harvested into {store} yet")
    with contextlib.ExitStack() as opened:
        # Only who writes needs the source for himself.
        ledger = opened.enter_context(
            store.read_ledger(end.source) if asked.dry_run else store.open_ledger(end.source)
        )
        known = ledger.projects()
        ids = None if asked.everything else _named(known, projects, groups)
        if asked.include or asked.exclude:
            fits = path_filter(tuple(asked.include), tuple(asked.exclude))
            ids = {each.id for each in known if fits(each.path) and (ids is None or each.id in ids)}
        old = count_old(store, end.source, wanted_of(options, ids))
        if not isinstance(ledger, Ledger):
            progress.line(f"a reparse would read {counted(old, 'log')} again")
            return 0
        with progress:
            tally = reparse(
                store,
                ledger,
                settings,
                project_ids=ids,
                options=options,
                progress=progress,
                budget=budget,
                run_id=run_id,
            )
    progress.summary(tally, store=location, seconds=time.monotonic() - began)
    return tally.exit_code


def _source(store: Store, url: str | None) -> str:
    """Return the source that is meant, where no server is asked: the URL's, or the only one."""
    if url:
        return source_of(urlsplit(url).netloc.rpartition("@")[2] or url)
    sources = store.sources()
    if len(sources) != 1:
        raise UsageError(f"{store} holds {counted(len(sources), 'source')}: name one by --url")
    return sources[0]


def _named(known: Iterable[Project], projects: Sequence[str], groups: Sequence[str]) -> set[int]:
    """Return the ids of the projects that are named; raises UsageError for a name not known."""
    ids: set[int] = set()
    for name in (*projects, *groups):
        wanted = name.lower().strip("/")
        found = {
            each.id
            for each in known
            if (name in projects and wanted in {str(each.id), each.path.lower()})
            or (name in groups and each.path.lower().startswith(f"{wanted}/"))
        }
        if not found:
            raise UsageError(
                f"{name} was never harvested into this store: check the full path, in which a"
                " group is named here, too"
            )
        ids |= found
    return ids
