"""What an inventory has done so far, counted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logminer.running import RunTally


@dataclass(slots=True, kw_only=True)
class SnapshotTally(RunTally):
    """The figures of one inventory."""

    projects_done: int = 0
    """Looked at, whatever came of it."""
    unchanged: int = 0
    """Of them at the commit of their last snapshot."""
    snapshots: int = 0
    """Of them read."""
    by_tree: int = 0
    """Of those read file by file, because no archive was to be had."""
    declarations: int = 0
    unresolved: int = 0
    """Of those whose image only the run knows."""
    gaps: int = 0
    """Places where images may be declared that were not read."""
    merged: int = 0
    """CI configurations that the server merged."""
    not_merged: int = 0
    """Those that were read from the file alone."""

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name, in values that JSON has; of long lists the beginning."""
        return RunTally.as_dict(self) | {
            "inventory": True,
            "projects_done": self.projects_done,
            "unchanged": self.unchanged,
            "snapshots": self.snapshots,
            "by_tree": self.by_tree,
            "declarations": self.declarations,
            "unresolved": self.unresolved,
            "gaps": self.gaps,
            "merged": self.merged,
            "not_merged": self.not_merged,
        }
