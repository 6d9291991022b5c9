"""Which of the runner's sections is open: asked for at few lines, marked at many.

Markers are a trace's most frequent hits and matter only where a line beside them does. So they are
passed over, and read backward from where somebody asks: the last start decides, unless its own end
follows. Forward and backward give the same answer.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

RUNNING: Final = frozenset(
    {
        "get_sources",
        "clear_worktree",
        "restore_cache",
        "download_artifacts",
        "build_script",
        "after_script",
    }
)
"""Sections that begin only when the job's containers run; `step_…` besides."""

NAMES: Final = RUNNING | {
    "prepare_executor",
    "resolve_secrets",
    "prepare_script",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
}
"""The runner's own (common/build.go); others are the script's and mean nothing here."""

STEP: Final = "step_"
"""How the names of the script's sections begin, from 13.1 on."""

FOUND: Final = tuple(
    begin.encode()
    for begin in sorted({STEP, *NAMES})
    if not any(begin != other and begin.startswith(other) for other in NAMES)
)
"""The names, or how they begin, by which a scanner finds the runner's markers."""

FOUND_RUNNING: Final = tuple(b":" + name.encode() for name in sorted({STEP, *RUNNING}))
"""How a hit on a marker ends that may begin a section of a running job."""


@final
class Marker:
    """A section's start or end, as the runner prints it."""

    __slots__ = ("name", "start", "time")

    def __init__(self, *, name: str, start: bool, time: int | None) -> None:
        """Take what was read."""
        self.name = name
        self.start = start
        self.time = time
        """When it was printed, in Unix seconds; None where the line's timestamp says so better."""

    @property
    def is_runners(self) -> bool:
        """Whether the runner has a section of this name."""
        return self.name in NAMES or self.name.startswith(STEP)

    @property
    def begins_run(self) -> bool:
        """Whether it begins a section that begins only when the job's containers run."""
        return self.start and (self.name in RUNNING or self.name.startswith(STEP))


def marker_of(match: re.Match[bytes], *, stamped: bool) -> Marker:
    """Return the marker that the rule `runner.section` has read."""
    edge, time, name = match.groups()
    return Marker(
        name=name.decode("ascii"),
        start=edge == b"start",
        time=None if stamped else int(time),
    )


class Sections:
    """The state of one trace."""

    def __init__(self) -> None:
        """Begin outside of any section."""
        self.open: str | None = None
        """The section that is open; None between sections."""
        self.running = False
        """Whether a section has begun that needs the job's containers."""
        self.time: dt.datetime | None = None
        """When the last one began or ended, where the log has no timestamps."""

    def take_back(self, markers: Iterable[Marker | None]) -> None:
        """Take in markers, the last one first; those that are none of the runner's mean nothing."""
        ended: set[str] = set()
        first = True
        for marker in markers:
            if marker is None or not marker.is_runners:
                continue
            if first and marker.time is not None:
                self.time = dt.datetime.fromtimestamp(marker.time, dt.UTC)
            first = False
            if marker.start:
                self.open = None if marker.name in ended else marker.name
                return
            ended.add(marker.name)
        if self.open in ended:
            self.open = None
