"""The whole run: look at every project's default branch, read those that moved, publish.

Projects that were looked at longest ago come first, so that runs with a small budget go round.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logminer import __version__
from logminer.errors import (
    BudgetSpentError,
    FatalError,
    ForbiddenError,
    LogminerError,
    NotFoundError,
)
from logminer.gitlab import Budget, Pacer, RepositoryClient
from logminer.model import Resolution, Snapshot
from logminer.reference import Upstreams
from logminer.running import Phase, Run, Silence, gather
from logminer.snapshot.progress import SnapshotTally
from logminer.snapshot.reading import Reader
from logminer.store import Snapshots, new_run_id, publish_snapshots, remembered, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from logminer.gitlab import Settings
    from logminer.model import Project
    from logminer.running import Progress
    from logminer.snapshot.reading import Read
    from logminer.store import Ledger, Store, Taken

MAX_ARCHIVE: Final = 100 * 2**20
"""Bytes of an archive, as it travels, that is not too much to ask for."""

_LOG = logging.getLogger(__name__)

_REQUESTS_BESIDE: Final = 6
"""Connections for each project under way: the files of a tree, and the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOptions:
    """What a person may ask of an inventory."""

    concurrency: int = 16
    """Projects read at a time."""
    rps: float | None = None
    """Most requests a second, below 1 allowed; None for as many as the server allows."""
    upstreams: Upstreams = field(default_factory=Upstreams.default)
    """The mirrors and caches to see through."""
    max_archive: int = MAX_ARCHIVE
    """Bytes; a repository that is larger is read file by file."""
    again: bool = False
    """Whether projects whose default branch did not move are read, too."""


def take_inventory(  # noqa: PLR0913 -- what a run works on and with, each named by the caller
    store: Store,
    settings: Settings,
    projects: Sequence[Project],
    *,
    options: SnapshotOptions | None = None,
    progress: Progress[SnapshotTally] | None = None,
    ledger: Ledger | None = None,
    pacer: Pacer | None = None,
    budget: Budget | None = None,
    run_id: str | None = None,
) -> SnapshotTally:
    """Read what projects declare into a store and return what was done.

    Ends early, with everything committed and published, as `harvest` does; raises as it does.
    `projects` say what `discover` learned of their repositories.
    """
    began = dt.datetime.now(dt.UTC)
    with contextlib.ExitStack() as opened:
        if ledger is None:
            ledger = opened.enter_context(store.open_ledger(source_of(settings.instance)))
        options = options or SnapshotOptions()
        run = _Run(
            Snapshots(ledger),
            settings,
            options,
            progress or Silence(),
            pacer or Pacer(rps=options.rps),
            budget or Budget(),
        )
        run.tally.run_id = run_id or new_run_id(began)
        with remembered(ledger, run.tally, began):
            try:
                asyncio.run(run.work(projects))
            finally:
                run.publish(store)
        return run.tally


class _Run(Run[SnapshotTally, RepositoryClient]):
    """The state of one inventory."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a run works on and with
        self,
        snapshots: Snapshots,
        settings: Settings,
        options: SnapshotOptions,
        progress: Progress[SnapshotTally],
        pacer: Pacer,
        budget: Budget,
    ) -> None:
        client = RepositoryClient(
            settings,
            connections=options.concurrency * _REQUESTS_BESIDE,
            pacer=pacer,
            budget=budget,
        )
        super().__init__(client, SnapshotTally(), progress=progress, budget=budget)
        self._known = snapshots
        self._options = options
        scratch = snapshots.ledger.aside
        scratch.mkdir(parents=True, exist_ok=True)
        self._reader = Reader(client, settings, scratch=scratch, max_archive=options.max_archive)
        self._taken: dict[int, Taken] = {}
        self._clock_ahead = dt.timedelta()
        """By how much the server's clock is ahead of ours."""
        self._snapshots: list[Snapshot] = []
        self._looks: list[tuple[Project, dt.datetime]] = []
        self._writing = asyncio.Lock()

    async def work(self, projects: Sequence[Project]) -> None:
        """Look at every project until all is done, a signal comes or the budget is spent."""
        self.tally.projects = len(projects)
        self._taken = self._known.taken()
        self._progress.begin(Phase.INVENTORY, self.tally)
        try:
            await self._until_done(self._look_at_all(projects))
        finally:
            # Cut off, what was read is worth more than a second read.
            self._keep(self._snapshots, self._looks)

    def publish(self, store: Store) -> None:
        """Publish what is recorded; after a signal, as much as there is time for."""
        self._progress.begin(Phase.PUBLISH, self.tally)
        published = publish_snapshots(store, self._known, proceed=self._proceed)
        self.tally.days, self.tally.days_left = published.days, published.left

    async def _look_at_all(self, projects: Sequence[Project]) -> None:
        order = sorted(projects, key=self._turn)
        # An empty repository is not asked for: the others tell what day it is on the server.
        for empty in (False, True):
            waiting = iter([each for each in order if _is_empty(each) is empty])
            await gather(self._look(waiting) for _ in range(self._workers()))
        await self._write()

    async def _look(self, waiting: Iterator[Project]) -> None:
        for project in waiting:
            if self._stop.is_set():
                return
            await self._look_at(project)

    def _workers(self) -> int:
        """Return how many projects are read at a time: no more than the budget can finish."""
        left = self._budget.left
        most = self._options.concurrency
        return most if left is None else max(1, min(most, left // _REQUESTS_BESIDE))

    def _turn(self, project: Project) -> dt.datetime:
        """Return when a project is looked at: by its last look, those without any first."""
        known = self._taken.get(project.id)
        return known.looked_at if known else dt.datetime.min.replace(tzinfo=dt.UTC)

    async def _look_at(self, project: Project) -> None:
        """Look at one project; what is wrong with it alone is counted and named."""
        tally = self.tally
        try:
            await self._read(project)
        except BudgetSpentError as error:
            self._spend(str(error))
            return
        except FatalError:
            raise
        except (ForbiddenError, NotFoundError) as error:
            reason = "forbidden" if isinstance(error, ForbiddenError) else "not found"
            tally.skipped_projects.append(f"{project.path}: {reason}")
            self._looks.append((project, self._now()))
        except LogminerError as error:
            self._failed(f"{project.path}: {error}")
        except Exception as error:  # noqa: BLE001 -- see below
            # A fault of ours: it must not cost the other projects their night.
            _LOG.exception("project %d", project.id)
            self._failed(f"{project.path}: internal error, {error!r}")
        else:
            self._failures_in_a_row = 0
        tally.projects_done += 1
        self._moved()

    async def _read(self, project: Project) -> None:
        """Take a snapshot of a project, unless its last one still holds."""
        branch = project.repository.branch
        commit = None
        if branch is not None and not _is_empty(project):
            tip = await self._client.tip(project, branch)
            commit = tip.commit
            if tip.server_time is not None:
                self._clock_ahead = tip.server_time - dt.datetime.now(dt.UTC)
        now = self._now()
        known = self._taken.get(project.id)
        if (
            known is not None
            and (known.commit, known.tool_version) == (commit, __version__)
            and not self._options.again
        ):
            self.tally.unchanged += 1
            self._looks.append((project, now))
            return
        read = await self._reader.read(project, commit) if commit is not None else None
        self._snapshots.append(
            Snapshot(
                instance=self._client.instance,
                project=project,
                commit=commit,
                taken_at=now,
                declarations=read.declarations if read else (),
                tool_version=__version__,
            )
        )
        self._count(read)
        await self._write()

    def _now(self) -> dt.datetime:
        """Return the server's time."""
        return dt.datetime.now(dt.UTC) + self._clock_ahead

    def _count(self, read: Read | None) -> None:
        tally = self.tally
        tally.snapshots += 1
        if read is None:
            return
        tally.by_tree += read.by_tree
        tally.merged += read.merged is True
        tally.not_merged += read.merged is False
        for each in read.declarations:
            gap = each.resolution is Resolution.UNREAD
            tally.gaps += gap
            tally.declarations += not gap
            tally.unresolved += each.resolution in {Resolution.UNRESOLVED, Resolution.UNRENDERED}

    async def _write(self) -> None:
        """Record what has come together: while one writes, the others' snapshots gather."""
        async with self._writing:
            if self._snapshots or self._looks:
                snapshots, self._snapshots = self._snapshots, []
                looks, self._looks = self._looks, []
                await asyncio.shield(asyncio.to_thread(self._keep, snapshots, looks))

    def _keep(
        self, snapshots: Sequence[Snapshot], looks: Sequence[tuple[Project, dt.datetime]]
    ) -> None:
        """Record snapshots and looks; the same twice is the same as once."""
        if snapshots or looks:
            self._known.keep(snapshots, looks, self._options.upstreams)


def _is_empty(project: Project) -> bool:
    return project.repository.empty or project.repository.branch is None
