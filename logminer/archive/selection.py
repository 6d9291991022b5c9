"""Which of the logs that are found are to be read, and what is known of their jobs.

A job is described by the best there is: the server's own words, where a harvest has listed it and
not read it yet; else the file of jobs; else the place of its log.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from logminer.archive.description import Described
from logminer.archive.keys import Projects
from logminer.archive.listing import Finder
from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from logminer.archive.logs import Log
    from logminer.archive.progress import Tally
    from logminer.model import Job
    from logminer.store import LedgerView

MAX_PROJECT_ID: Final = 1_000_000
"""Ids hashed to find a project by its hash: a second, and 8 MB."""

_ASKED: Final = 1_024
"""Logs of which the ledger is asked at a time."""


class Selection:
    """Chooses logs; to be used in a `with`."""

    def __init__(
        self,
        view: LedgerView | None,
        tally: Tally,
        *,
        failed: Callable[[str], None],
        jobs: Path | None = None,
        aside: Path,
    ) -> None:
        """Choose by what a ledger says, where there is one, and count what is left out.

        `jobs` is a file that describes jobs; it is read when the first of them is wanted, with
        `aside` as a place for that time. `failed` is told in one line of what went wrong.
        """
        self._view = view
        self._tally = tally
        self._failed = failed
        self._file = jobs
        self._aside = aside
        self._described: Described | None = None
        self._paths = {each.id: each.path for each in view.projects()} if view is not None else {}
        self._taken: set[int] = set()
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give back what was needed meanwhile."""
        self._opened.close()

    def choose(
        self,
        paths: Sequence[str],
        *,
        only: Sequence[int | str] = (),
        max_project_id: int = MAX_PROJECT_ID,
    ) -> Iterator[Log]:
        """Yield the logs to read below these paths, of these projects or of all.

        Until `release` no other log of the same job is yielded.
        Raises UsageError for a path where nothing is, a project that nobody knows, and a file of
        jobs that is none.
        """
        finder = Finder(
            Projects(self._paths, self._more_projects, up_to=max_project_id),
            only=[self._project(each) for each in only],
            failed=self._failed,
        )
        found = itertools.chain.from_iterable(map(finder.find, paths))
        while logs := list(itertools.islice(found, _ASKED)):
            self._tally.found += len(logs)
            self._tally.others = finder.others
            yield from self._describe(list(self._fresh(logs)))
        self._tally.others = finder.others

    def release(self, logs: Iterable[Log]) -> None:
        """Forget logs that were yielded: what became of them is recorded, or they failed."""
        self._taken.difference_update(log.job_id for log in logs)

    def _fresh(self, logs: list[Log]) -> Iterator[tuple[Log, str | None]]:
        """Yield those of which the ledger has no outcome, with what it says of them."""
        states = self._view.states(log.job_id for log in logs) if self._view is not None else {}
        for log in logs:
            state = states.get(log.job_id)
            if state in {"done", "asleep"}:
                self._tally.known += 1
            elif log.job_id in self._taken:
                self._tally.twice += 1
            else:
                self._taken.add(log.job_id)
                yield log, state

    def _describe(self, logs: list[tuple[Log, str | None]]) -> Iterator[Log]:
        """Yield logs with what is known of their jobs, but those of jobs that have not ended."""
        jobs: dict[int, Job] = {}
        if logs and (described := self._description()) is not None:
            jobs |= described.jobs(log.job_id for log, _ in logs)
        queued = [log.job_id for log, state in logs if state == "queued"]
        if queued and self._view is not None:
            jobs |= {job.id: job for job in self._view.described(queued)}
        for log, state in logs:
            job = jobs.get(log.job_id)
            if job is None and state != "open":
                path = self._paths.get(log.project_id)
                yield log if path is None else replace(log, project_path=path)
            elif job is None or not job.is_final:
                self._tally.waiting += 1
                self.release([log])
            elif job.project_id != log.project_id:
                self.release([log])
                self._failed(
                    f"{log.path}: a log of project {log.project_id}, but job {job.id} is known as"
                    f" one of project {job.project_id}: is this the archive of that instance?"
                )
            else:
                yield replace(log, job=job)

    def _description(self) -> Described | None:
        """Return the described jobs; the file is read now, unless it was."""
        if self._described is None and self._file is not None:
            self._described = self._opened.enter_context(
                Described.load(self._file, aside=self._aside)
            )
        return self._described

    def _more_projects(self) -> list[int]:
        described = self._description()
        return described.projects() if described is not None else []

    def _project(self, asked: int | str) -> int:
        """Return the id of a project that is named by its id or by its full path."""
        if isinstance(asked, int):
            return asked
        known = {path.lower(): project_id for project_id, path in self._paths.items()}
        found = known.get(asked.lower())
        if found is None and (described := self._description()) is not None:
            found = described.project(asked)
        if found is None:
            raise UsageError(
                f"no project {asked} is known, neither to the store nor to --jobs: give its id"
            )
        return found
