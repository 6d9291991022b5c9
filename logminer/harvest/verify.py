"""The store held against the server: every job that ended there must be here.

For each project that was harvested, the server's jobs of a period are listed again and each id is
looked up: in the dataset, in the ledger's queue, among its open jobs. What is in none of them is a
gap. Jobs above the watermark are no gap: the next harvest lists them. Rows whose job the server has
since forgotten are counted and kept; of open jobs that it has forgotten nobody need wait any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from logminer.errors import FatalError, ForbiddenError, LogminerError, NotFoundError
from logminer.gitlab import Client, Pacer
from logminer.harvest.rules import OVERLAP
from logminer.running import gather

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from logminer.gitlab import Settings
    from logminer.model import Job, Project
    from logminer.store import Ledger, LedgerView, Listing, Store

_LISTERS: Final = 8
_WAITING: Final = frozenset({"open", "queued"})
"""States of jobs that a harvest will still bring in."""


@dataclass(slots=True, kw_only=True)
class Checked:
    """What was found of one project."""

    project: Project
    jobs: int = 0
    """That the server lists in the period."""
    stored: int = 0
    """Of them in the dataset, or recorded and about to be published."""
    waiting: int = 0
    """Of them queued, open, or newer than the last harvest."""
    missing: list[Job] = field(default_factory=list)
    """Gaps: the server has them, and no harvest would bring them in."""
    late: list[Job] = field(default_factory=list)
    """Of those waiting, jobs taken for open that have ended; the next harvest should find them."""
    forgotten: list[int] = field(default_factory=list)
    """Jobs that are watched, and that the server has no more: their pipelines were deleted."""
    gone: int = 0
    """Rows whose job the server has no more; they are kept."""
    hidden: bool = False
    """Whether the server does not show the project to this token (any more): a fact."""
    problem: str | None = None
    """Why the project could not be checked; None where it was."""


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was found of all projects."""

    projects: list[Checked] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Paths of projects whose listing was cut off: the next harvest goes on with it."""
    repaired: int = 0
    """Jobs that were queued because they were missing."""
    settled: int = 0
    """Jobs that are no longer watched because they were forgotten."""

    @property
    def missing(self) -> int:
        """Return how many jobs are missing."""
        return sum(len(each.missing) for each in self.projects)

    @property
    def forgotten(self) -> int:
        """Return how many jobs are watched for nothing."""
        return sum(len(each.forgotten) for each in self.projects)

    @property
    def exit_code(self) -> int:
        """Return 0 nothing missing, 3 gaps or projects that could not be checked."""
        return 3 if self.missing or any(each.problem for each in self.projects) else 0


def verify(  # noqa: PLR0913 -- what is compared, each named by the caller
    store: Store,
    ledger: LedgerView,
    settings: Settings,
    projects: Mapping[Project, Listing],
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
    rps: float | None = None,
) -> Verification:
    """Compare the ids of the jobs created in [since, until) with the server's.

    Writes nothing. Raises AuthorisationError, ServerError and StoreError.
    """
    checker = _Checker(store, ledger, settings.instance, since=since, until=until)
    client = Client(settings, connections=_LISTERS, pacer=Pacer(rps=rps))
    asyncio.run(checker.check(client, projects))
    checker.found.projects.sort(key=lambda each: each.project.path)
    return checker.found


def repair(ledger: Ledger, found: Verification) -> None:
    """Queue what is missing or late, for the next harvest to read; watch nothing for nothing."""
    for each in found.projects:
        if each.forgotten:
            ledger.settle(each.project.id, (), gone=each.forgotten, checked_at=None)
            found.settled += len(each.forgotten)
        lost = each.missing + each.late
        if lost:
            ledger.restore(each.project.id, lost)
            found.repaired += len(lost)


class _Checker:
    """Compares project by project."""

    def __init__(
        self,
        store: Store,
        ledger: LedgerView,
        instance: str,
        *,
        since: dt.datetime | None,
        until: dt.datetime | None,
    ) -> None:
        self.found = Verification()
        self._ledger = ledger
        self._since = since
        self._until = until
        self._stored = _job_ids(store, instance, since=since, until=until)

    async def check(self, client: Client, projects: Mapping[Project, Listing]) -> None:
        """Check every project, some at a time."""
        waiting = iter(projects.items())

        async def worker() -> None:
            for project, listing in waiting:
                checked = Checked(project=project)
                try:
                    await self._check_one(client, checked, listing)
                except FatalError:
                    raise
                except (ForbiddenError, NotFoundError):
                    checked.hidden = True
                except LogminerError as error:
                    checked.problem = str(error)
                self.found.projects.append(checked)

        async with client:
            # One that is down or refuses the token is said once, and not of each project.
            await client.version()
            await gather(worker() for _ in range(_LISTERS))

    async def _check_one(self, client: Client, checked: Checked, listing: Listing) -> None:
        if listing.cursor is not None:
            self.found.unfinished.append(checked.project.path)
        ours = self._stored.get(checked.project.id, np.empty(0, dtype=np.int64))
        theirs: list[int] = []
        listed: set[int | None] = set()
        cursor = None
        while True:
            page = await client.jobs_page(checked.project, cursor=cursor)
            listed.update(job.id for job in page.jobs)
            listed.update(row.id for row in page.skipped)
            jobs = [job for job in page.jobs if self._is_asked_for(job)]
            theirs += [job.id for job in jobs]
            await self._compare(checked, listing, jobs, ours)
            cursor = page.next_cursor
            if cursor is None or (
                page.jobs
                and self._since is not None
                and page.jobs[-1].created_at < self._since - OVERLAP
            ):
                break
        checked.forgotten = await self._forgotten(checked.project, listed, whole=cursor is None)
        checked.gone = int(np.isin(ours, np.array(theirs, dtype=np.int64), invert=True).sum())

    async def _forgotten(
        self, project: Project, listed: Collection[int | None], *, whole: bool
    ) -> list[int]:
        """Return the watched jobs that are not among those listed, the newest or the `whole`.

        None of a server that lists nothing, or a row that does not say of which job it is.
        """
        ids = {job_id for job_id in listed if job_id is not None}
        if not ids or None in listed:
            return []
        # Above the newest stands what a harvest may have found since.
        lowest, highest = 0 if whole else min(ids), max(ids)
        watched = await asyncio.to_thread(self._ledger.watched, project.id)
        return [job.id for job in watched if lowest <= job.id <= highest and job.id not in ids]

    def _is_asked_for(self, job: Job) -> bool:
        return (self._since is None or job.created_at >= self._since) and (
            self._until is None or job.created_at < self._until
        )

    async def _compare(
        self,
        checked: Checked,
        listing: Listing,
        jobs: Sequence[Job],
        ours: npt.NDArray[np.int64],
    ) -> None:
        """Look up the jobs of a page."""
        ids = [job.id for job in jobs]
        stored = set(np.array(ids, dtype=np.int64)[np.isin(ids, ours)].tolist())
        states = await asyncio.to_thread(self._ledger.states, ids)
        pending = await asyncio.to_thread(self._ledger.unpublished, ids)
        for job in jobs:
            checked.jobs += 1
            if job.id in stored or job.id in pending:
                checked.stored += 1
            elif (
                states.get(job.id) in _WAITING
                or listing.watermark is None
                or job.id > listing.watermark
                or (listing.cursor is not None and job.id not in states)
                or _beyond(job, listing)
            ):
                checked.waiting += 1
                if states.get(job.id) == "open" and job.is_final:
                    checked.late.append(job)
            else:
                checked.missing.append(job)


def _beyond(job: Job, listing: Listing) -> bool:
    """Whether a job is older than what was ever asked for."""
    return listing.since is not None and job.created_at < listing.since


def _job_ids(
    store: Store, instance: str, *, since: dt.datetime | None, until: dt.datetime | None
) -> dict[int, npt.NDArray[np.int64]]:
    """Return the ids of the stored jobs created in the period, by project.

    A job lies on the day it started, which may be long after its creation: so the days are not
    bounded above.
    """
    columns = ["instance", "project_id", "job_id", "created_at"]
    jobs = store.jobs(since=since, columns=columns)
    jobs = jobs[jobs["instance"] == instance]
    if since is not None:
        jobs = jobs[jobs["created_at"] >= since]
    if until is not None:
        jobs = jobs[jobs["created_at"] < until]
    projects = jobs["project_id"].to_numpy(dtype=np.int64)
    numbers = jobs["job_id"].to_numpy(dtype=np.int64)
    return {int(each): numbers[projects == each] for each in np.unique(projects)}
