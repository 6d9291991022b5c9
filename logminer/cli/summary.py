"""What a run has done, in a few lines, whatever it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logminer.cli.talk import counted
from logminer.harvest import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from enum import StrEnum

    from logminer.harvest import Tally
    from logminer.running import RunTally

FEW: Final = 5
"""Names or failures that a summary shows of what may be thousands."""

STATES: Final = {
    "ok": "read",
    "empty": "empty",
    "erased": "erased",
    "missing": "missing (404)",
    "forbidden": "forbidden (403)",
    "failed": "could not be fetched",
    "not_started": "never started",
}
"""States of a trace in the words of the report's coverage."""


class HarvestWords:
    """How a harvest speaks of its tally."""

    def begin(self, phase: StrEnum, tally: Tally) -> str | None:
        """Return what there is to do; before that, whoever mistyped a flag gets one line."""
        if phase is not Phase.HARVEST:
            return None
        return (
            f"harvesting {counted(tally.projects, 'project')},"
            f" {counted(tally.jobs_queued, 'job')} queued before"
        )

    def moved(self, tally: Tally) -> str:
        """Return how far the run has come."""
        left = tally.requests_left
        limit = f", {left:,} requests left in the limit" if left is not None else ""
        return (
            f"listed {tally.projects_listed:,} of {counted(tally.projects, 'project')}, read"
            f" {tally.jobs_done:,} of {counted(tally.jobs_queued, 'job')},"
            f" {tally.images:,} images{limit}"
        )

    def figures(self, tally: Tally) -> dict[str, int | None]:
        """Return how far the run has come, by names."""
        return {
            "projects": tally.projects,
            "projects_listed": tally.projects_listed,
            "jobs_queued": tally.jobs_queued,
            "jobs_done": tally.jobs_done,
            "images": tally.images,
            "requests": tally.requests,
            "requests_left": tally.requests_left,
        }

    def bars(self, tally: Tally) -> Iterator[tuple[str, int, int | None, str]]:
        """Yield how many projects are listed, and how many jobs are read."""
        found = f"{tally.jobs_listed:,} new jobs"
        yield "listing projects", tally.projects_listed, tally.projects, found
        read = f"{tally.images:,} images"
        if tally.requests_left is not None:
            read += f", limit {tally.requests_left:,}"
        yield "reading logs", tally.jobs_done, tally.jobs_queued, read

    def summary(
        self, tally: Tally, *, store: str, seconds: float, only_problems: bool
    ) -> Iterator[str]:
        """Yield what was done, and what could not be done; or only the latter."""
        return summary_lines(tally, store=store, seconds=seconds, only_problems=only_problems)


def summary_lines(
    tally: Tally, *, store: str, seconds: float, only_problems: bool = False
) -> Iterator[str]:
    """Yield what a run has done, and what it could not do; or only the latter."""
    if not only_problems:
        yield from _done(tally, store=store, seconds=seconds)
    for line in tally.failures[:FEW]:
        yield f"failed: {line}"
    if tally.failures:
        more = len(tally.failures) - FEW
        yield (
            f"failed: {more:,} more. " if more > 0 else ""
        ) + "What failed stays queued: harvest again."
    if tally.days_left:
        yield f"{counted(tally.days_left, 'day')} recorded, and published by the next harvest"
    if tally.interrupted:
        yield "Interrupted; everything read so far is kept. Harvest again to go on."
    elif tally.spent is not None:
        yield tally.spent


def _done(tally: Tally, *, store: str, seconds: float) -> Iterator[str]:
    listed = "" if tally.reparse else f"{counted(tally.projects_listed, 'project')} listed, "
    yield (
        f"{listed}{counted(tally.jobs_done, 'job')} harvested,"
        f" {counted(tally.images, 'image use')} found"
    )
    if tally.traces:
        yield "logs: " + ", ".join(f"{n:,} {STATES[s]}" for s, n in tally.traces.most_common())
    yield traffic(tally, store=store, seconds=seconds)
    if tally.jobs_open or tally.jobs_waiting:
        yield (
            f"to look at again by the next harvest: {counted(tally.jobs_open, 'job')} not ended,"
            f" {counted(tally.jobs_waiting, 'log')} that may still grow"
        )
    if tally.jobs_gone:
        yield f"gone from the server before they ended: {counted(tally.jobs_gone, 'job')}"
    yield from _again(tally)
    if tally.traces_cut:
        yield f"cut at --max-trace-size: {counted(tally.traces_cut, 'log')}"
    if tally.not_understood:
        yield f"not understood: {counted(tally.not_understood, 'log')} of no known runner"
    if tally.without_image:
        yield (
            f"no image in {counted(tally.without_image, 'log')} of docker or kubernetes:"
            " try `logminer extract` on one and report the wording"
        )
    yield from skipped(tally)


def traffic(tally: RunTally, *, store: str, seconds: float) -> str:
    """Return what was asked of the server, and what became of it."""
    asked = counted(tally.requests, "request")
    if tally.retries:
        asked += f" ({tally.retries:,} repeated, {tally.rate_limited:,} told to slow down)"
    return (
        f"{asked}, {tally.received / 1e6:,.1f} MB received,"
        f" {counted(tally.days, 'day')} written to {store}, {seconds:,.1f} s"
    )


def skipped(tally: RunTally) -> Iterator[str]:
    """Yield which projects were left out, by the reason."""
    for reason, paths in _by_reason(tally.skipped_projects).items():
        yield f"skipped, {reason}: {few(paths)}"


def _again(tally: Tally) -> Iterator[str]:
    """Yield what was read again, and what cannot be some day."""
    if tally.reparse:
        yield (
            f"read again: {tally.from_kept:,} from what was kept,"
            f" {tally.jobs_done - tally.from_kept:,} from the server;"
            f" {counted(tally.jobs_kept, 'job')} left as they are, their logs are gone or shorter"
        )
    if tally.not_keepable:
        yield f"not kept: {counted(tally.not_keepable, 'log')}, too much of which tells of images"


def _by_reason(skipped: Sequence[str]) -> dict[str, list[str]]:
    """Return the paths of skipped projects by the reason that follows them."""
    groups: dict[str, list[str]] = {}
    for line in skipped:
        path, _, reason = line.rpartition(": ")
        groups.setdefault(reason, []).append(path)
    return groups


def few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more:,} more" if more > 0 else "")
