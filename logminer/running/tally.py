"""What a run has done so far, counted once, shown by whoever wants to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

NAMED: Final = 100
"""Failures and skipped projects that the ledger remembers of a run."""


class Phase(StrEnum):
    """What a run is busy with."""

    DISCOVER = "discover"
    HARVEST = "harvest"
    """Listing projects and reading traces, side by side."""
    INVENTORY = "inventory"
    """Reading what projects declare."""
    PUBLISH = "publish"


@dataclass(slots=True, kw_only=True)
class RunTally:
    """The figures that every run has; the closing summary is made from nothing else."""

    run_id: str = ""
    projects: int = 0
    """In scope."""
    skipped_projects: list[str] = field(default_factory=list)
    """Paths of those that are forbidden or gone: facts, not failures."""
    failures: list[str] = field(default_factory=list)
    """One line for each thing that should have worked and did not."""
    requests: int = 0
    """Discovery's included."""
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    """Requests by endpoint and class of the status: `2xx`, …; `none` where no answer came."""
    retries: int = 0
    rate_limited: int = 0
    """Answers of 429."""
    requests_left: int | None = None
    """In the server's limit, as it last said; None where it says nothing."""
    received: int = 0
    """Bytes of answers as they came over the wire."""
    days: int = 0
    """Partitions rewritten."""
    days_left: int = 0
    """Partitions whose new rows wait for the next run to be published."""
    interrupted: bool = False
    spent: str | None = None
    """What was used up: the budget of requests or the time; None where the run came to its end."""

    @property
    def exit_code(self) -> int:
        """Return 0 complete, 3 partial, 75 out of budget or time, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.spent is not None:
            return 75
        return 3 if self.failures else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, in values that JSON has; of long lists the beginning."""
        return {
            "run_id": self.run_id,
            "projects": self.projects,
            "projects_skipped": len(self.skipped_projects),
            "skipped_projects": self.skipped_projects[:NAMED],
            "failed": len(self.failures),
            "failures": self.failures[:NAMED],
            "requests": self.requests,
            "answers": self.answers,
            "retries": self.retries,
            "rate_limited": self.rate_limited,
            "requests_left": self.requests_left,
            "received": self.received,
            "days": self.days,
            "days_left": self.days_left,
            "interrupted": self.interrupted,
            "spent": self.spent,
        }


_T_contra = TypeVar("_T_contra", contravariant=True)


class Progress(Protocol[_T_contra]):
    """Who is told; every method may do nothing, and is called on the run's own thread."""

    def begin(self, phase: Phase, tally: _T_contra) -> None:
        """Take in that a phase begins."""

    def discovered(self, projects: int) -> None:
        """Take in how many projects of the scope are found so far."""

    def moved(self, tally: _T_contra) -> None:
        """Take in that something of what the run is for was done."""

    def published(self, days: int, of: int) -> None:
        """Take in how many days are written, and how many there are to write."""

    def failed(self, failure: str) -> None:
        """Take in that something that should have worked did not."""


class Silence:
    """Tells nobody."""

    def begin(self, phase: Phase, tally: Any) -> None:  # noqa: ANN401 -- of whichever run
        """Do nothing."""

    def discovered(self, projects: int) -> None:
        """Do nothing."""

    def moved(self, tally: Any) -> None:  # noqa: ANN401 -- of whichever run
        """Do nothing."""

    def published(self, days: int, of: int) -> None:
        """Do nothing."""

    def failed(self, failure: str) -> None:
        """Do nothing."""
