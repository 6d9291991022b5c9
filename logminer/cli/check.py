"""`logminer verify`: the store held against the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logminer.cli.nightly import moments
from logminer.cli.summary import few
from logminer.cli.talk import counted, say
from logminer.errors import StoreError, UsageError
from logminer.foreign import visible
from logminer.gitlab import Pacer
from logminer.harvest import verify
from logminer.harvest.verify import repair as queue_missing
from logminer.store import Ledger, open_store, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logminer.cli.asking import Server
    from logminer.harvest import Verification
    from logminer.model import Project
    from logminer.store import Listing

_LISTED: Final = 20
"""Projects with gaps that are named."""


def run(  # noqa: PLR0913 -- one for each flag
    location: str,
    server: Server,
    *,
    projects: Sequence[str],
    since: str,
    until: str | None,
    rps: float | None,
    repair: bool,
) -> int:
    """Compare, print what is missing, and return 0, or 3 where something is."""
    begin, end = moments(since, until)
    Pacer(rps=rps)  # knows what is no ceiling
    settings = server.settings()
    store, source = open_store(location), source_of(settings.instance)
    if not store.has_ledger(source):
        raise StoreError(f"nothing of {settings.instance} was harvested into {store} yet")
    # Only who queues something needs the source for himself.
    with store.open_ledger(source) if repair else store.read_ledger(source) as ledger:
        scope = _scope(ledger.projects(), projects)
        found = verify(store, ledger, settings, scope, since=begin, until=end, rps=rps)
        if repair and isinstance(ledger, Ledger):
            queue_missing(ledger, found)
    _tell(found)
    return found.exit_code


def _scope(known: dict[Project, Listing], asked: Sequence[str]) -> dict[Project, Listing]:
    """Return the projects that are asked for; raises UsageError for one never harvested."""
    if not asked:
        return known
    by_name = {name: it for it in known for name in (str(it.id), it.path.lower())}
    for name in asked:
        if name.lower() not in by_name:
            raise UsageError(f"{name} was never harvested into this store: check the id or path")
    chosen = [by_name[name.lower()] for name in asked]
    return {project: known[project] for project in chosen}


def _tell(found: Verification) -> None:
    """Print the gaps on stdout, and what else there is to say beside it."""
    checked = found.projects
    gaps = [each for each in checked if each.missing]
    for each in gaps[:_LISTED]:
        names = [str(job.id) for job in each.missing]
        print(f"{visible(each.project.path)}: {counted(len(names), 'job')} missing: {few(names)}")
    if len(gaps) > _LISTED:
        print(f"and {len(gaps) - _LISTED:,} more projects")
    for each in checked:
        if each.problem is not None:
            say(f"not checked: {each.project.path}: {each.problem}")
    hidden = [each.project.path for each in checked if each.hidden]
    if hidden:
        say(f"not shown to this token (any more): {few(hidden)}")
    if found.unfinished:
        say(f"the list was cut off, the next harvest goes on with it: {few(found.unfinished)}")
    say(
        f"{counted(len(checked), 'project')} checked,"
        f" {counted(sum(each.jobs for each in checked), 'job')} on the server:"
        f" {sum(each.stored for each in checked):,} stored,"
        f" {sum(each.waiting for each in checked):,} still to come,"
        f" {found.missing:,} missing;"
        f" {counted(sum(each.gone for each in checked), 'job')} gone since, kept"
    )
    _tell_what_to_do(found)


def _tell_what_to_do(found: Verification) -> None:
    """Say what was repaired, or could be."""
    if found.settled:
        say(
            f"{counted(found.settled, 'job')} of deleted pipelines: nothing waits for them any more"
        )
    elif found.forgotten:
        many = counted(found.forgotten, "open job")
        say(f"{many} of deleted pipelines: verify --repair ends the waiting for them")
    if found.repaired:
        say(f"{counted(found.repaired, 'job')} queued: harvest again to read them")
    elif found.missing:
        say("verify --repair queues what is missing for the next harvest")
