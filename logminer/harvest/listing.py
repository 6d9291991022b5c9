"""A project's new and changed jobs into the ledger (design.md, incremental rule 1 to 4 and 6).

New jobs are found by paging down from the newest id to the watermark; jobs that were still open
are found again through the pipelines that changed, so that ten thousand untouched manual jobs cost
no request of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from logminer.harvest.rules import OVERLAP, covers, earlier, wanted

if TYPE_CHECKING:
    import datetime as dt

    from logminer.gitlab import Client
    from logminer.harvest.progress import Tally
    from logminer.model import Project
    from logminer.store import Ledger, Listing


class Lister:
    """Brings the ledger up to date with the server, a project at a time."""

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        tally: Tally,
        *,
        since: dt.datetime | None,
        until: dt.datetime | None,
    ) -> None:
        """List jobs created in [since, until); None leaves that side open."""
        self._client = client
        self._ledger = ledger
        self._tally = tally
        self._since = since
        self._until = until
        self.server_time: dt.datetime | None = None
        """The latest time that the server has told."""

    async def update(self, project: Project) -> None:
        """List what is new in a project, then look again at what was open.

        Raises what the client raises; what was stored before stays, and the next run goes on there.
        """
        listing = self._ledger.listing(project)
        open_before = {job.id: job.pipeline_id for job in self._ledger.open_jobs(project.id)}
        began = None
        if listing.cursor is not None:
            # A run was cut off: finish its pages first, what came since lies above its ceiling.
            began = await self._page(project, listing, began, look_again=bool(open_before))
            listing = self._ledger.listing(project)
        began = await self._page(project, listing, began, look_again=bool(open_before))
        if open_before:
            await self._recheck(project, listing, open_before, began)

    async def _page(
        self,
        project: Project,
        listing: Listing,
        began: dt.datetime | None,
        *,
        look_again: bool,
    ) -> dt.datetime | None:
        """Page downward to the watermark or to `since`; returns the server's time at the start.

        `look_again` says that jobs are open which no page will show: they are not checked yet.
        A last page that changes nothing is not stored: most projects have nothing new.
        """
        client, ledger = self._client, self._ledger
        floor = listing.watermark if covers(listing.since, self._since) else None
        first = listing.watermark is None
        reached = self._since if first else earlier(listing.since, self._since)
        cursor = listing.cursor
        ceiling = listing.ceiling if cursor is not None else None
        stored = listing
        while True:
            page = await client.jobs_page(project, cursor=cursor)
            began = began or page.server_time
            self._learn(page.server_time)
            jobs = wanted(page.jobs, since=self._since, until=self._until)
            new = [job for job in jobs if floor is None or job.id > floor]
            if ceiling is None and jobs:
                # The newest job in the period: what is newer than the period is still to be listed.
                ceiling = max(jobs[0].id, listing.watermark or 0)
            last = (
                page.next_cursor is None
                or any(floor is not None and job.id <= floor for job in page.jobs)
                or any(
                    self._since is not None and job.created_at < self._since for job in page.jobs
                )
            )
            cursor = None if last else page.next_cursor
            known = stored if look_again or began is None else replace(stored, checked_at=began)
            if ceiling is not None and last:
                known = replace(known, watermark=ceiling, ceiling=None, cursor=None, since=reached)
            elif ceiling is not None:
                known = replace(known, ceiling=ceiling, cursor=cursor)
            if new or known != stored:
                ledger.store_page(project.id, new, known)
                stored = known
            self._tally.jobs_listed += len(new)
            if last:
                return began

    async def _recheck(
        self,
        project: Project,
        listing: Listing,
        open_before: dict[int, int | None],
        began: dt.datetime | None,
    ) -> None:
        """Look at the open jobs of the pipelines that changed since the last look."""
        changed: set[int] = set()
        if listing.checked_at is not None and began is not None:
            pipelines = set(open_before.values())
            async for pipeline in self._client.changed_pipelines(
                project.id, since=listing.checked_at - OVERLAP, until=began + OVERLAP
            ):
                if pipeline.id in pipelines:
                    changed.add(pipeline.id)
        for pipeline_id in sorted(changed):
            jobs = [
                job
                async for job in self._client.pipeline_jobs(project, pipeline_id)
                if job.id in open_before
            ]
            self._ledger.settle(project.id, jobs, checked_at=None)
        if began is not None:
            self._ledger.settle(project.id, (), checked_at=began)

    def _learn(self, time: dt.datetime | None) -> None:
        """Keep the latest of the server's times."""
        if time is not None and (self.server_time is None or time > self.server_time):
            self.server_time = time
