"""A project's new and changed jobs into the ledger (design.md, incremental rule 1 to 4 and 6).

New jobs are found by paging down from the newest id to the watermark, and on to what was created
shortly before the last look: a transaction that was open then may have brought lower ids since.
Jobs that were open or asleep are found again through the pipelines that changed, so that ten
thousand untouched manual jobs cost no request of their own. A pipeline that was deleted is in no
list of changes: one night in seven, if anything else is new in the project, two of those waited for
are looked at, the oldest and another each time, and those next to one that is gone. Until that
comes upon it, its jobs are taken for open, and no row is wrong.

A server that lists nothing where there were jobs is not believed: nothing is stored, and what it
forgot to say is found by the next harvest.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from logminer.errors import NotFoundError, OffsetLimitError, UnexpectedAnswerError
from logminer.harvest.rules import OVERLAP, asks_for_children, covers, turn_between

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from logminer.gitlab import Client, JobsPage
    from logminer.harvest.progress import Tally
    from logminer.model import Job, Project
    from logminer.store import Ledger, Listing, WatchedJob

_LOG = logging.getLogger(__name__)

_BEGINNING: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_HIDDEN: Final = 10
"""Pipelines, the newest, that are looked at where the server cannot tell which child pipelines
changed (before 17.0): what changes is seldom old, and what is costs a request for each."""


class Lister:
    """Brings the ledger up to date with the server, a project at a time."""

    def __init__(  # noqa: PLR0913 -- the run's parts and the period, each named by the caller
        self,
        client: Client,
        ledger: Ledger,
        tally: Tally,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        queued: Callable[[list[int]], None] = lambda _ids: None,
    ) -> None:
        """List jobs created in [since, until); None leaves that side open.

        `queued` is told the ids of jobs that are queued now.
        """
        self.client = client
        self.ledger = ledger
        self.tally = tally
        self.since = since
        self.until = until
        self.queued = queued
        self.server_time: dt.datetime | None = None
        """The latest time that the server has told."""

    async def update(self, project: Project) -> bool:
        """List what is new in a project, then look again at what may have changed.

        Returns whether the server was believed: False where it lists no job although there were
        some. Raises what the client raises; what was stored before stays, and the next run goes on
        there.
        """
        listing = await asyncio.to_thread(self.ledger.listing, project)
        watched = await asyncio.to_thread(self.ledger.watched, project.id)
        pager = _Pager(self, project, watched=bool(watched))
        if listing.cursor is not None:
            # A run was cut off: finish its pages first, what came since lies above its ceiling.
            if not await pager.resume(listing):
                return False
            listing = await asyncio.to_thread(self.ledger.listing, project)
        if not await pager.page(listing):
            return False
        if watched and pager.began is not None:
            await self._recheck(
                project, watched, since=listing.checked_at, began=pager.began, active=pager.active
            )
        return True

    async def _recheck(
        self,
        project: Project,
        watched: Sequence[WatchedJob],
        *,
        since: dt.datetime | None,
        began: dt.datetime,
        active: bool,
    ) -> None:
        """Look at the watched jobs of the pipelines that changed since the last look.

        `active` says that the project has new jobs.
        """
        ours: dict[int | None, set[int]] = {}
        for job in watched:
            ours.setdefault(job.pipeline_id, set()).add(job.id)
        # Nothing tells of a job whose pipeline is unknown.
        changed: set[int | None] = {each for each in ours if each is None}
        async for pipeline in self.client.changed_pipelines(
            project.id,
            since=since - OVERLAP if since is not None else _BEGINNING,
            until=began + OVERLAP,
            children=asks_for_children(watched),
        ):
            if pipeline.id in ours:
                changed.add(pipeline.id)
        if not self.client.children_listed:
            hidden = {job.pipeline_id or 0 for job in watched if asks_for_children([job])}
            changed.update(sorted(hidden - {0})[-_HIDDEN:])
        await self._look_at(project, {number: ours[number] for number in changed})
        turn = turn_between(project.id, since, began)
        if turn is not None and (active or changed):
            await self._look_for_deleted(
                project, {number: ours[number] for number in ours if number not in changed}, turn
            )
        await self._settle(project, (), (), checked_at=began)

    async def _look_for_deleted(
        self, project: Project, waiting: Mapping[int | None, set[int]], turn: int
    ) -> None:
        """Look whether two of the pipelines are still there; each has its turn.

        Where one is gone the next are looked at, too: a project that deletes what is old deletes
        many at a time, and the oldest first.
        """
        left = sorted(number for number in waiting if number)
        for start in (0, turn):
            at = start % len(left) if left else 0
            while at < len(left):
                number = left.pop(at)
                jobs, gone = await self._look(project, number, waiting[number])
                await self._settle(project, jobs, gone)
                if jobs:
                    break

    async def _look_at(self, project: Project, wanted: Mapping[int | None, set[int]]) -> None:
        """Look at jobs again, pipeline by pipeline, and keep what is found."""
        for pipeline_id in sorted(wanted, key=lambda number: number or 0):
            jobs, gone = await self._look(project, pipeline_id, wanted[pipeline_id])
            await self._settle(project, jobs, gone)

    async def _look(
        self, project: Project, pipeline_id: int | None, wanted: set[int]
    ) -> tuple[list[Job], list[int]]:
        """Return the wanted jobs of a pipeline as they are now, and the ids of those gone."""
        jobs: list[Job] = []
        if pipeline_id is not None:
            try:
                jobs = [
                    job
                    async for job in self.client.pipeline_jobs(project, pipeline_id)
                    if job.id in wanted
                ]
            except NotFoundError:  # a pipeline that was deleted took its jobs with it
                return [], sorted(wanted)
        gone: list[int] = []
        for job_id in sorted(wanted - {job.id for job in jobs}):
            try:
                jobs.append(await self.client.job(project, job_id))
            except NotFoundError:
                gone.append(job_id)
        return jobs, gone

    async def _settle(
        self,
        project: Project,
        jobs: Sequence[Job],
        gone: Sequence[int],
        *,
        checked_at: dt.datetime | None = None,
    ) -> None:
        await asyncio.to_thread(
            self.ledger.settle, project.id, jobs, gone=gone, checked_at=checked_at
        )
        self.tally.jobs_gone += len(gone)
        self.queued([job.id for job in jobs if job.is_final])


class _Pager:
    """Pages down one project's jobs, in one `update`."""

    def __init__(self, lister: Lister, project: Project, *, watched: bool) -> None:
        """`watched` says that jobs wait for a look which no page gives: nothing is checked yet."""
        self._lister = lister
        self._project = project
        self._watched = watched
        self.began: dt.datetime | None = None
        """The server's time at the first page."""
        self.active = False
        """Whether there were new jobs."""

    async def resume(self, listing: Listing) -> bool:
        """Finish the pages of a run that was cut off; False where the server is not believed."""
        try:
            page = await self._ask(listing.cursor)
        except OffsetLimitError:
            raise
        except UnexpectedAnswerError:
            # The cursor is of another version, or the server's no longer: from the top again.
            await self._store([], listing, replace(listing, ceiling=None, cursor=None))
            return True
        if not page.jobs and not (await self._ask(None)).jobs:
            return False
        await self._go_down(listing, page)
        return True

    async def page(self, listing: Listing) -> bool:
        """Page down from the top; False where the server is not believed."""
        page = await self._ask(None)
        if not page.jobs and not page.skipped and listing.watermark is not None:
            return False
        await self._go_down(listing, page)
        return True

    async def _go_down(self, stored: Listing, page: JobsPage) -> None:
        """Store a page and those below it, to the watermark or to `since`.

        A last page that changes nothing is not stored: most projects have nothing new.
        """
        way = _Way(stored, since=self._lister.since, until=self._lister.until)
        while True:
            new = way.take(page)
            self._lister.tally.failures += [
                f"{self._project.path}: a job is passed over. {row.reason}"
                for row in page.skipped
                if row.id is None or way.floor is None or row.id > way.floor
            ]
            last = way.ends_with(page)
            if not self._watched:
                way.now = replace(way.now, checked_at=self.began)
            before, stored = stored, way.finished() if last else way.unfinished(page.next_cursor)
            late = [job for job in new if way.floor is not None and job.id <= way.floor]
            known = await self._known(late)
            await self._store([job for job in new if job.id not in known], before, stored)
            if last:
                return
            try:
                page = await self._ask(page.next_cursor)
            except OffsetLimitError:
                # All that this server lists is stored: there is nothing to go on with.
                await self._store([], stored, way.finished(cut=True))
                raise

    async def _ask(self, cursor: str | None) -> JobsPage:
        """Return a page; the first one says when the look began."""
        lister = self._lister
        page = await lister.client.jobs_page(self._project, cursor=cursor)
        # A server without a clock gets ours: its open jobs have to be looked at, too.
        now = page.server_time or dt.datetime.now(dt.UTC)
        self.began = self.began or now
        if lister.server_time is None or now > lister.server_time:
            lister.server_time = now
        return page

    async def _known(self, jobs: Sequence[Job]) -> Container[int]:
        """Return the ids of those of the jobs that the ledger has seen."""
        if not jobs:
            return ()
        return await asyncio.to_thread(self._lister.ledger.states, [job.id for job in jobs])

    async def _store(self, jobs: Sequence[Job], before: Listing, listing: Listing) -> None:
        """Keep a page, where it says anything new."""
        if not jobs and listing == before:
            return
        self.active |= bool(jobs)
        lister = self._lister
        await asyncio.to_thread(lister.ledger.store_page, self._project, jobs, listing)
        lister.tally.jobs_listed += len(jobs)
        lister.queued([job.id for job in jobs if job.is_final])


class _Way:
    """The way down one listing: what of each page is taken, where it ends, what it covers then.

    The ceiling is the newest job of the period; what is newer is still to be listed. Whatever lies
    below it is taken: ids rise with creation, but not to the second.
    """

    def __init__(
        self, stored: Listing, *, since: dt.datetime | None, until: dt.datetime | None
    ) -> None:
        self.now = stored
        self.floor = stored.watermark if covers(stored.since, since) else None
        """The watermark, where it is of use: not when more is asked for than it stands for."""
        self._since = since
        self._until = until
        self._ceiling = stored.ceiling
        self._horizon = stored.checked_at - OVERLAP if stored.checked_at is not None else None
        self._hole = False
        """Whether jobs above the floor are left out."""
        self._oldest = stored.since

    def take(self, page: JobsPage) -> list[Job]:
        """Return the jobs of a page that are asked for, those below the floor if they are late."""
        if self._ceiling is None:
            self._ceiling = max(
                (
                    job.id
                    for job in page.jobs
                    if self._until is None or job.created_at < self._until
                ),
                default=None,
            )
        below = [job for job in page.jobs if self._ceiling is not None and job.id <= self._ceiling]
        new = [job for job in below if self._since is None or job.created_at >= self._since]
        if self.floor is not None:
            floor = self.floor
            self._hole |= any(
                job.id > floor and self._since is not None and job.created_at < self._since
                for job in below
            )
            new = [job for job in new if job.id > floor or self._is_late(job)]
        if page.jobs:
            self._oldest = min(job.created_at for job in page.jobs)
        return new

    def ends_with(self, page: JobsPage) -> bool:
        """Whether no page below this one has anything that is asked for."""
        if page.next_cursor is None:
            return True
        if not page.jobs:
            return False
        lowest = min(page.jobs, key=lambda job: job.id)
        if self.floor is not None and lowest.id <= self.floor:
            return not self._is_late(lowest)
        if self._since is not None and lowest.created_at < self._since - OVERLAP:
            self._hole = True  # between here and the floor
            return True
        return False

    def unfinished(self, cursor: str | None) -> Listing:
        """Return how far the listing has come with pages left."""
        if self._ceiling is not None:
            self.now = replace(self.now, ceiling=self._ceiling, cursor=cursor)
        return self.now

    def finished(self, *, cut: bool = False) -> Listing:
        """Return how far it has come with none left; `cut` says that older ones are not to be had.

        A listing that went below the watermark, but began there below it, covers nothing more.
        """
        if self._ceiling is None:
            return self.now
        watermark = max(self._ceiling, self.now.watermark or 0)
        anew = watermark == self._ceiling if self.floor is None else self._hole
        covered = self._since if anew else self.now.since
        if cut:
            covered = self._oldest
        return replace(self.now, watermark=watermark, ceiling=None, cursor=None, since=covered)

    def _is_late(self, job: Job) -> bool:
        """Whether a job below the floor may have been committed after the last look."""
        return self._horizon is not None and job.created_at >= self._horizon
