"""What a harvest has done so far, counted once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from logminer.running import RunTally

if TYPE_CHECKING:
    from logminer.model import TraceState


@dataclass(slots=True, kw_only=True)
class Tally(RunTally):
    """The figures of one harvest."""

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
    traces: Counter[TraceState] = field(default_factory=Counter)
    traces_cut: int = 0
    """Read only up to the limit of `max_trace_bytes`."""
    images: int = 0
    not_understood: int = 0
    """Traces whose preamble matched no known runner format."""
    without_image: int = 0
    """Docker and Kubernetes traces without an image: has the runner's wording changed?"""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, in values that JSON has; of long lists the beginning."""
        return RunTally.as_dict(self) | {
            "projects_listed": self.projects_listed,
            "jobs_listed": self.jobs_listed,
            "jobs_queued": self.jobs_queued,
            "jobs_done": self.jobs_done,
            "jobs_waiting": self.jobs_waiting,
            "jobs_open": self.jobs_open,
            "jobs_gone": self.jobs_gone,
            "traces": {str(state): count for state, count in sorted(self.traces.items())},
            "traces_cut": self.traces_cut,
            "images": self.images,
            "not_understood": self.not_understood,
            "without_image": self.without_image,
        }
