"""What mining has done so far, counted once, shown by whoever wants to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from logminer.model import TraceState

_NAMED: Final = 100
"""Failures that are kept in words, of what may be millions."""

_READ: Final = (
    *("jobs_done", "images", "read", "undescribed", "waiting", "gone", "without_log"),
    *("traces_cut", "not_understood", "without_image"),
)
"""Figures that whoever reads a batch counts."""


class Phase(StrEnum):
    """What a run is busy with."""

    MINE = "mine"
    """Finding logs and reading them, side by side."""
    PUBLISH = "publish"


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures of one run; the closing summary is made from nothing else."""

    run_id: str = ""
    found: int = 0
    """Logs, and directories of jobs that may hold one."""
    known: int = 0
    """Of jobs that are done: not read."""
    twice: int = 0
    """Of jobs whose log was found elsewhere, too: not read."""
    others: int = 0
    """Files that are no job logs."""
    jobs_done: int = 0
    traces: Counter[TraceState] = field(default_factory=Counter)
    images: int = 0
    read: int = 0
    """Bytes, unpacked."""
    undescribed: int = 0
    """Jobs of which nothing is known but what the place of their log tells."""
    waiting: int = 0
    """Logs left because their jobs have not ended, or they may still grow."""
    gone: int = 0
    """Logs deleted since they were found."""
    without_log: int = 0
    """Jobs that have other artifacts only."""
    traces_cut: int = 0
    """Read only up to `max_bytes`."""
    not_understood: int = 0
    """Logs whose preamble matched no known runner format."""
    without_image: int = 0
    """Docker and Kubernetes logs without an image: has the runner's wording changed?"""
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    """One line for each thing that should have worked and did not; of many the first."""
    days: int = 0
    """Partitions rewritten."""
    days_left: int = 0
    """Partitions whose new rows wait for the next run to be published."""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Return 0 complete, 3 partial, 130 interrupted."""
        if self.interrupted:
            return 130
        return 3 if self.failed else 0

    def fail(self, failure: str) -> None:
        """Count something that should have worked and did not."""
        self.failed += 1
        if len(self.failures) < _NAMED:
            self.failures.append(failure)

    def add(self, part: Tally) -> None:
        """Count what was done elsewhere: a batch that is recorded."""
        for name in _READ:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.traces += part.traces

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, in values that JSON has."""
        return {
            "run_id": self.run_id,
            "found": self.found,
            "known": self.known,
            "twice": self.twice,
            "others": self.others,
            "jobs_done": self.jobs_done,
            "traces": {str(state): count for state, count in sorted(self.traces.items())},
            "images": self.images,
            "read": self.read,
            "undescribed": self.undescribed,
            "waiting": self.waiting,
            "gone": self.gone,
            "without_log": self.without_log,
            "traces_cut": self.traces_cut,
            "not_understood": self.not_understood,
            "without_image": self.without_image,
            "failed": self.failed,
            "failures": self.failures,
            "days": self.days,
            "days_left": self.days_left,
            "interrupted": self.interrupted,
        }


class Progress(Protocol):
    """Who is told; every method may do nothing, and is called on the run's own thread."""

    def begin(self, phase: Phase, tally: Tally) -> None:
        """Take in that a phase begins."""

    def moved(self, tally: Tally) -> None:
        """Take in that a batch is recorded."""

    def published(self, days: int, of: int) -> None:
        """Take in how many days are written, and how many there are to write."""

    def failed(self, failure: str) -> None:
        """Take in that something that should have worked did not."""


class Silence:
    """Tells nobody."""

    def begin(self, phase: Phase, tally: Tally) -> None:
        """Do nothing."""

    def moved(self, tally: Tally) -> None:
        """Do nothing."""

    def published(self, days: int, of: int) -> None:
        """Do nothing."""

    def failed(self, failure: str) -> None:
        """Do nothing."""
