"""What a harvest has done so far, counted once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from logminer.running import RunTally

if TYPE_CHECKING:
    from logminer.model import Harvested, TraceState


@dataclass(slots=True, kw_only=True)
class Tally(RunTally):
    """The figures of one harvest."""

    reparse: bool = False
    """Whether old logs were read again, and nothing new."""
    projects_listed: int = 0
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
        return RunTally.as_dict(self) | {
            "reparse": self.reparse,
            "projects_listed": self.projects_listed,
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
        }
