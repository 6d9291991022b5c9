"""Progress: bars where somebody looks, a line now and then where nobody does."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

from logminer.cli.talk import counted, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from logminer.harvest import Tally
    from logminer.model import Harvested, Project

_EVERY: Final = 30.0
"""Seconds between two lines in a log that somebody may have to read."""

_FEW: Final = 5
"""Names or failures that a summary shows of what may be thousands."""

_STATES: Final = {
    "ok": "read",
    "empty": "empty",
    "erased": "erased",
    "missing": "missing (404)",
    "forbidden": "forbidden (403)",
    "failed": "could not be fetched",
    "not_started": "never started",
}
"""States of a trace in the words of the report's coverage."""


def watch() -> TerminalProgress | PlainProgress:
    """Return the progress that suits whatever stderr is."""
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()


class TerminalProgress:
    """Two bars: projects listed, jobs read."""

    def __init__(self) -> None:
        """Prepare; nothing is drawn before `with`."""
        from rich.console import Console  # noqa: PLC0415 -- only where a person looks
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bars: Bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[found]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            transient=True,
        )
        self._listing: TaskID | None = None
        self._reading: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave a clean screen."""
        self._bars.stop()

    def listed(self, project: Project, tally: Tally) -> None:
        """Move the bar of projects."""
        del project
        if self._listing is None:
            self._listing = self._bars.add_task("listing projects", total=tally.projects, found="")
        self._bars.update(
            self._listing,
            completed=tally.projects_listed,
            found=f"{tally.jobs_listed:,} new jobs",
        )

    def done(self, harvested: Harvested, tally: Tally) -> None:
        """Move the bar of jobs."""
        del harvested
        if self._reading is None:
            self._reading = self._bars.add_task("reading logs", total=tally.jobs_queued, found="")
        self._bars.update(
            self._reading, completed=tally.jobs_done, found=f"{tally.images:,} images"
        )


class PlainProgress:
    """A line every half minute, for logs of schedulers."""

    def __init__(self) -> None:
        """Begin to count the time."""
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; the summary follows."""

    def listed(self, project: Project, tally: Tally) -> None:
        """Say how many projects are listed."""
        del project
        if self._is_time():
            say(
                f"listed {tally.projects_listed:,} of {tally.projects:,} projects,"
                f" {tally.jobs_listed:,} new jobs"
            )

    def done(self, harvested: Harvested, tally: Tally) -> None:
        """Say how many logs are read."""
        del harvested
        if self._is_time():
            say(f"read {tally.jobs_done:,} of {tally.jobs_queued:,} jobs, {tally.images:,} images")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._said < _EVERY:
            return False
        self._said = now
        return True


def summarise(tally: Tally, *, store: str, seconds: float) -> None:
    """Say what a run has done, and what it could not do."""
    say(
        f"{counted(tally.projects_listed, 'project')} listed,"
        f" {counted(tally.jobs_done, 'job')} harvested, {counted(tally.images, 'image use')} found"
    )
    if tally.traces:
        say("logs: " + ", ".join(f"{n:,} {_STATES[s]}" for s, n in tally.traces.most_common()))
    say(
        f"{counted(tally.requests, 'request')}, {tally.received / 1e6:,.1f} MB received,"
        f" {counted(tally.days, 'day')} written to {store}, {seconds:,.1f} s"
    )
    if tally.jobs_open or tally.jobs_waiting:
        say(
            f"to look at again by the next harvest: {counted(tally.jobs_open, 'job')} not ended,"
            f" {counted(tally.jobs_waiting, 'log')} that may still grow"
        )
    if tally.not_understood:
        say(f"not understood: {counted(tally.not_understood, 'log')} of no known runner")
    if tally.without_image:
        say(
            f"no image in {counted(tally.without_image, 'log')} of docker or kubernetes:"
            " try `logminer extract` on one and report the wording"
        )
    for reason, paths in _by_reason(tally.skipped_projects).items():
        say(f"skipped, {reason}: {_few(paths)}")
    for line in tally.failures[:_FEW]:
        say(f"failed: {line}")
    if tally.failures:
        more = len(tally.failures) - _FEW
        say(
            (f"failed: {more:,} more. " if more > 0 else "")
            + "What failed stays queued: harvest again."
        )
    if tally.interrupted:
        say("Interrupted; everything read so far is kept. Harvest again to go on.")


def _by_reason(skipped: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths of skipped projects by the reason that follows them."""
    groups: dict[str, list[str]] = {}
    for line in skipped:
        path, _, reason = line.rpartition(": ")
        groups.setdefault(reason, []).append(path)
    return groups


def _few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more:,} more" if more > 0 else "")
