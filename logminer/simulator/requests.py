"""What the server was asked, for tests and benchmarks that count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


KINDS = frozenset({
    "version", "user", "projects", "project", "group", "group_projects", "jobs", "job", "trace",
    "pipelines", "pipeline_jobs", "branch", "lint", "archive", "tree", "file", "search", "unknown",
})  # fmt: skip
"""The kinds of requests: the names of the routes."""


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise ValueError for a kind that does not exist: a switch for it would never do anything."""
    unknown = set(kinds) - KINDS
    if unknown:
        raise ValueError(f"no such kind of request: {', '.join(sorted(unknown))}")


@dataclass(slots=True)
class Requests:
    """What the server was asked."""

    counts: Counter[str] = field(default_factory=Counter)
    """How often for what: by kind."""
    faults: Counter[str] = field(default_factory=Counter)
    """Which of the faults the client met how often."""
    statuses: Counter[int] = field(default_factory=Counter)
    """0 where the connection ended before a status was sent."""
    log: list[tuple[str, str, int]] = field(default_factory=list)
    """Kind, path with query, and status of every request, oldest first."""

    def note(self, kind: str, path: str, status: int) -> None:
        """Add one request."""
        self.counts[kind] += 1
        self.statuses[status] += 1
        self.log.append((kind, path, status))

    @property
    def total(self) -> int:
        """How many there were."""
        return len(self.log)

    def summary(self) -> dict[str, object]:
        """Return the counts as JSON can hold them."""
        return {
            "total": self.total,
            "counts": dict(self.counts),
            "faults": dict(self.faults),
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }
