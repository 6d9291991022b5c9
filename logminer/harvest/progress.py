"""What a run has done so far, counted once, shown by whoever wants to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from logminer.model import Harvested, Project, TraceState


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures of one run; the closing summary is made from nothing else."""

    projects: int = 0
    """In scope."""
    projects_listed: int = 0
    skipped_projects: list[str] = field(default_factory=list)
    """Paths of those that are forbidden or gone: facts, not failures."""
    failures: list[str] = field(default_factory=list)
    """One line for each thing that should have worked and did not."""
    jobs_listed: int = 0
    jobs_queued: int = 0
    """Found in the queue when reading began."""
    jobs_done: int = 0
    jobs_waiting: int = 0
    """Left in the queue because their traces may still grow."""
    jobs_open: int = 0
    traces: Counter[TraceState] = field(default_factory=Counter)
    images: int = 0
    not_understood: int = 0
    """Traces whose preamble matched no known runner format."""
    without_image: int = 0
    """Docker and Kubernetes traces without an image: has the runner's wording changed?"""
    requests: int = 0
    received: int = 0
    """Bytes of answers as they came over the wire."""
    days: int = 0
    """Partitions rewritten."""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Return 0 complete, 3 partial, 130 interrupted."""
        if self.interrupted:
            return 130
        return 3 if self.failures else 0


class Progress(Protocol):
    """Who is told; every method may do nothing."""

    def listed(self, project: Project, tally: Tally) -> None:
        """Take in that a project is listed, skipped or failed."""

    def done(self, harvested: Harvested, tally: Tally) -> None:
        """Take in that a job's contribution is known."""


class Silence:
    """Tells nobody."""

    def listed(self, project: Project, tally: Tally) -> None:
        """Do nothing."""

    def done(self, harvested: Harvested, tally: Tally) -> None:
        """Do nothing."""
