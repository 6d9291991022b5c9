"""What a run has done so far, counted once, shown by whoever wants to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from logminer.model import Harvested, TraceState

_NAMED: int = 100
"""Failures and skipped projects that the ledger remembers of a run."""


class Phase(StrEnum):
    """What a run is busy with."""

    DISCOVER = "discover"
    HARVEST = "harvest"
    """Listing projects and reading traces, side by side."""
    PUBLISH = "publish"


@dataclass(slots=True, kw_only=True)
class Tally:
    """The figures of one run; the closing summary is made from nothing else."""

    run_id: str = ""
    reparse: bool = False
    """Whether old logs were read again, and nothing new."""
    projects: int = 0
    """In scope."""
    projects_listed: int = 0
    skipped_projects: list[str] = field(default_factory=list)
    """Paths of those that are forbidden or gone: facts, not failures."""
    failures: list[str] = field(default_factory=list)
    """One line for each thing that should have worked and did not."""
    jobs_listed: int = 0
    jobs_queued: int = 0
    """Found in the queue at the beginning, or put there by this run."""
    jobs_done: int = 0
    jobs_waiting: int = 0
    """Left in the queue because their traces may still grow."""
    jobs_open: int = 0
    """Not ended when they were last seen."""
    jobs_gone: int = 0
    """Forgotten by the server before they ended."""
    from_kept: int = 0
    """Read again from what was kept of them, without asking the server."""
    jobs_kept: int = 0
    """Not read again, because their logs are gone or shorter now: their rows stay as they are."""
    not_keepable: int = 0
    """Read, and too much of them would have to be kept."""
    traces: Counter[TraceState] = field(default_factory=Counter)
    traces_cut: int = 0
    """Read only up to the limit of `max_trace_bytes`."""
    images: int = 0
    not_understood: int = 0
    """Traces whose preamble matched no known runner format."""
    without_image: int = 0
    """Docker and Kubernetes traces without an image: has the runner's wording changed?"""
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

    def count(self, each: Harvested, *, limit: int | None, keep: bool) -> None:
        """Count what one job contributes; `limit` and `keep` are what the run was asked for."""
        self.jobs_done += 1
        self.traces[each.state] += 1
        self.images += len(each.uses)
        summary = each.summary
        if summary is None:
            return
        self.traces_cut += limit is not None and summary.bytes >= limit
        self.not_keepable += keep and each.kept is None
        if not summary.recognised:
            self.not_understood += 1
        elif not each.uses and summary.names_images:
            self.without_image += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, in values that JSON has; of long lists the beginning."""
        return {
            "run_id": self.run_id,
            "reparse": self.reparse,
            "projects": self.projects,
            "projects_listed": self.projects_listed,
            "projects_skipped": len(self.skipped_projects),
            "skipped_projects": self.skipped_projects[:_NAMED],
            "failed": len(self.failures),
            "failures": self.failures[:_NAMED],
            "jobs_listed": self.jobs_listed,
            "jobs_queued": self.jobs_queued,
            "jobs_done": self.jobs_done,
            "jobs_waiting": self.jobs_waiting,
            "jobs_open": self.jobs_open,
            "jobs_gone": self.jobs_gone,
            "from_kept": self.from_kept,
            "jobs_kept": self.jobs_kept,
            "not_keepable": self.not_keepable,
            "traces": {str(state): count for state, count in sorted(self.traces.items())},
            "traces_cut": self.traces_cut,
            "images": self.images,
            "not_understood": self.not_understood,
            "without_image": self.without_image,
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


class Progress(Protocol):
    """Who is told; every method may do nothing, and is called on the run's own thread."""

    def begin(self, phase: Phase, tally: Tally) -> None:
        """Take in that a phase begins."""

    def discovered(self, projects: int) -> None:
        """Take in how many projects of the scope are found so far."""

    def moved(self, tally: Tally) -> None:
        """Take in that a project is listed or jobs are done."""

    def published(self, days: int, of: int) -> None:
        """Take in how many days are written, and how many there are to write."""

    def failed(self, failure: str) -> None:
        """Take in that something that should have worked did not."""


class Silence:
    """Tells nobody."""

    def begin(self, phase: Phase, tally: Tally) -> None:
        """Do nothing."""

    def discovered(self, projects: int) -> None:
        """Do nothing."""

    def moved(self, tally: Tally) -> None:
        """Do nothing."""

    def published(self, days: int, of: int) -> None:
        """Do nothing."""

    def failed(self, failure: str) -> None:
        """Do nothing."""
