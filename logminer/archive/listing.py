"""Finding logs: a walk through trees and buckets that streams, and names what it cannot enter.

Of a directory only its names are held, never the paths of a whole archive. They come in one order,
so that of two logs of one job the same is met first, whenever one looks.
Links to directories are followed, because archives are spread over volumes with them; one that
leads back to where it stands is named and not followed.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Final

from logminer.archive import buckets
from logminer.archive.keys import hash_of, is_number, jobs_of, key_of, project_of
from logminer.archive.logs import Log
from logminer.errors import UnexpectedAnswerError, UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator

    from logminer.archive.keys import Key, Projects

_DEEPEST: Final = 64
"""Directories within each other: GitLab's own tree has six."""


def check(paths: Iterable[str]) -> None:
    """Raise UsageError where a path is not there; buckets are asked when they are listed."""
    for path in paths:
        if buckets.is_url(path):
            buckets.check(path)
        elif not os.path.exists(path):  # noqa: PTH110
            raise UsageError(f"{path} does not exist: name a directory, a job log or a bucket")


class Finder:
    """Walks through an archive."""

    def __init__(
        self,
        projects: Projects,
        *,
        only: Collection[int] = (),
        failed: Callable[[str], None],
    ) -> None:
        """Look for logs of these projects only, of all without any.

        `failed` is told in one line of what could not be entered.
        """
        self._projects = projects
        self._only = frozenset(only)
        self._only_hashes = frozenset(map(hash_of, only))
        self._failed = failed
        self._unknown: set[str] = set()
        self.others = 0
        """Files that are no job logs."""

    def find(self, path: str) -> Iterator[Log]:
        """Yield the logs at or below a path or URL."""
        if buckets.is_url(path):
            yield from self._in_bucket(path)
            return
        root = os.path.abspath(path)  # noqa: PTH100 -- what it is called, not where links lead
        if os.path.isdir(root):  # noqa: PTH112
            yield from self._below(root, depth=0)
        else:
            yield from self._file(root)

    def _below(self, directory: str, *, depth: int) -> Iterator[Log]:
        hashed = project_of(directory)
        if hashed is not None and self._only and hashed not in self._only_hashes:
            return
        try:
            if (jobs := jobs_of(directory)) is not None:
                yield from self._jobs(directory, *jobs)
                return
            with os.scandir(directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._failed(f"{directory}: cannot be read ({error.strerror})")
            return
        for entry in found:
            try:
                enters = entry.is_dir()
                back = enters and entry.is_symlink() and _leads_back(entry.path, directory)
            except OSError as error:
                self._failed(f"{entry.path}: cannot be read ({error.strerror})")
                continue
            if back or (enters and depth >= _DEEPEST):
                self._failed(f"{entry.path}: leads back to where it stands")
            elif enters:
                yield from self._below(entry.path, depth=depth + 1)
            else:
                yield from self._file(entry.path)

    def _jobs(self, directory: str, hashed: str, day: dt.date) -> Iterator[Log]:
        """Yield the jobs of a day; whether each has a log is found out by who reads it."""
        names = sorted(os.listdir(directory))  # noqa: PTH208 -- a third of the time
        project = self._project(hashed, directory)
        for name in names:
            if not is_number(name):
                self.others += 1
            elif project is not None:
                yield Log(
                    f"{directory}/{name}", int(name), project, day, live=False, directory=True
                )

    def _file(self, path: str) -> Iterator[Log]:
        key = key_of(path)
        if key is None:
            self.others += 1
        else:
            yield from self._keyed(path, key)

    def _in_bucket(self, url: str) -> Iterator[Log]:
        """Yield the logs below a URL; names come sorted, so what is of one job comes together."""
        keyed = ((each, key_of(each.url)) for each in buckets.listed(url))
        try:
            # What is no log is a group of its own, or one of millions would be held.
            for _, group in itertools.groupby(
                keyed, lambda pair: pair[1].job_id if pair[1] is not None else pair[0].url
            ):
                of_job = list(group)
                logs = [(key.rank, each, key) for each, key in of_job if key is not None]
                self.others += len(of_job) - len(logs)
                if logs:
                    _, best, key = min(logs)
                    yield from self._keyed(best.url, key, best)
        except UnexpectedAnswerError as error:
            self._failed(str(error))

    def _keyed(self, path: str, key: Key, listed: buckets.Object | None = None) -> Iterator[Log]:
        project = self._project(key.project, path) if isinstance(key.project, str) else key.project
        if project is not None and (not self._only or project in self._only):
            size, version = (listed.size, listed.version) if listed is not None else (None, None)
            yield Log(path, key.job_id, project, key.day, key.live, size=size, version=version)

    def _project(self, hashed: str, path: str) -> int | None:
        """Return a project's id; None, and one line for each project, where it is not found."""
        project = self._projects.find(hashed)
        if project is None and hashed not in self._unknown:
            self._unknown.add(hashed)
            self._failed(
                f"{path}: no project up to --max-project-id has this hash: raise it, or give --jobs"
            )
        return project


def _leads_back(link: str, directory: str) -> bool:
    """Whether a link leads to a directory in which it stands."""
    target = os.path.realpath(link)
    here = os.path.realpath(directory)
    return os.path.commonpath([target, here]) == target
