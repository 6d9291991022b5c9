"""Where GitLab keeps job logs, and what a place tells of its job. Pure.

    archived  <h[0:2]>/<h[2:4]>/<h>/YYYY_MM_DD/<job id>/<artifact id>/job.log
    live      YYYY_MM/<project id>/<job id>.log

h is the SHA-256 of the project's decimal id, the day that of the archiving; the month of a live log
is that of its job's creation (gitlab-api.md, section 7). Either may lie at any depth, on a disk or
in a bucket, and may have been compressed since: `.gz` or `.zst` follows.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_HASHED: Final = r"(?:^|/)(?P<a>[0-9a-f]{2})/(?P<b>[0-9a-f]{2})/(?P<hash>(?P=a)(?P=b)[0-9a-f]{60})"
_DAY: Final = r"/(?P<day>[0-9]{4}_[0-9]{2}_[0-9]{2})"
_PACKED: Final = r"(?P<packed>\.gz|\.zst)?\Z"
_ARCHIVED: Final = re.compile(
    _HASHED + _DAY + r"/(?P<job>[0-9]{1,18})/(?P<artifact>[0-9]{1,18})/job\.log" + _PACKED, re.ASCII
)
_LIVE: Final = re.compile(
    r"(?:^|/)(?P<month>[0-9]{4}_[0-9]{2})/(?P<project>[0-9]{1,18})/(?P<job>[0-9]{1,18})\.log"
    + _PACKED,
    re.ASCII,
)
_PROJECT: Final = re.compile(_HASHED + r"\Z", re.ASCII)
_JOBS: Final = re.compile(_HASHED + _DAY + r"\Z", re.ASCII)

PREFERENCE: Final = ("", ".gz", ".zst")
"""Of one log in several forms the first is read: the one that costs least."""

_AT_A_TIME: Final = 1 << 12
"""Ids hashed before a look whether the one sought is among them."""


class Key(NamedTuple):
    """What the place of a log tells."""

    job_id: int
    project: int | str
    """The project's id, or its hash."""
    day: dt.date
    """The day of the archiving, or the first of the month."""
    artifact_id: int
    """0 for a live log, which is none yet."""
    packed: str
    """What its name ends in where it is compressed: `.gz`, `.zst`; else nothing."""

    @property
    def live(self) -> bool:
        """Whether its job may still write to it."""
        return not self.artifact_id

    @property
    def rank(self) -> tuple[int, int]:
        """Which of several logs of one job is the one to read: that of the lowest rank.

        The newest artifact, because GitLab keeps one: an older one was left behind.
        """
        return -self.artifact_id, PREFERENCE.index(self.packed)


def key_of(path: str) -> Key | None:
    """Return what a file's path tells, `/` between its parts; None where it is no job log's."""
    if match := _ARCHIVED.search(path):
        day = _day(match["day"])
        if day is None:
            return None
        artifact, packed = int(match["artifact"]), match["packed"] or ""
        return Key(int(match["job"]), match["hash"], day, artifact, packed)
    if match := _LIVE.search(path):
        day = _day(match["month"] + "_01")
        if day is None:
            return None
        return Key(int(match["job"]), int(match["project"]), day, 0, match["packed"] or "")
    return None


def project_of(path: str) -> str | None:
    """Return the hash of the project whose archived logs lie below a directory; None for others."""
    match = _PROJECT.search(path)
    return match and match["hash"]


def jobs_of(path: str) -> tuple[str, dt.date] | None:
    """Return project's hash and day of a directory that has one of each job; None for others."""
    match = _JOBS.search(path)
    day = match and _day(match["day"])
    return (match["hash"], day) if match and day else None


def is_number(name: str) -> bool:
    """Whether a name is an id as GitLab writes one."""
    return name.isascii() and name.isdecimal() and len(name) <= 18  # noqa: PLR2004 -- an int64's


def hash_of(project_id: int) -> str:
    """Return the hash that stands for a project in the places of its archived logs."""
    return hashlib.sha256(str(project_id).encode()).hexdigest()


class Projects:
    """Finds the project with a hash: among those expected, else by hashing one id after another."""

    def __init__(
        self,
        expected: Iterable[int],
        more: Callable[[], Iterable[int]] = tuple,
        *,
        up_to: int,
    ) -> None:
        """Expect these ids, and where none fits, `more`; then try all up to a highest one."""
        self._known: dict[str, int] = {}
        self._expect(expected)
        self._more: Callable[[], Iterable[int]] | None = more
        self._unknown: set[str] = set()
        self._begins = _beginnings(up_to)
        self._hashed: list[np.ndarray] = []

    def find(self, hashed: str) -> int | None:
        """Return the id of a project; None where no id up to the highest has this hash."""
        if hashed not in self._known and self._more is not None:
            self._expect(self._more())
            self._more = None
        if hashed in self._known or hashed in self._unknown:
            return self._known.get(hashed)
        found = self._search(hashed)
        if found is None:
            self._unknown.add(hashed)
        else:
            self._known[hashed] = found
        return found

    def _expect(self, project_ids: Iterable[int]) -> None:
        self._known |= {hash_of(project_id): project_id for project_id in project_ids}

    def _search(self, hashed: str) -> int | None:
        begin = np.uint64(int(hashed[:16], 16))
        for number, begins in enumerate(self._all()):
            for at in np.flatnonzero(begins == begin).tolist():
                candidate = number * _AT_A_TIME + at + 1
                if hash_of(candidate) == hashed:
                    return candidate
        return None

    def _all(self) -> Iterator[np.ndarray]:
        """Yield the beginnings of the hashes of all ids, each computed once."""
        yield from self._hashed
        for begins in self._begins:
            self._hashed.append(begins)
            yield begins


def _beginnings(up_to: int) -> Iterator[np.ndarray]:
    """Yield the first 8 bytes of the hash of each id from 1 on: 8 MB for a million of them."""
    for first in range(1, up_to + 1, _AT_A_TIME):
        ids = range(first, min(first + _AT_A_TIME, up_to + 1))
        hashes = b"".join(hashlib.sha256(b"%d" % each).digest()[:8] for each in ids)
        yield np.frombuffer(hashes, ">u8").astype(np.uint64)


@lru_cache(1024)
def _day(text: str) -> dt.date | None:
    try:
        return dt.date(*map(int, text.split("_")))
    except ValueError:
        return None
