"""What a run has done, in a few lines, whatever it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logminer.cli.talk import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from logminer.harvest import Tally

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


def summary_lines(
    tally: Tally, *, store: str, seconds: float, only_problems: bool = False
) -> Iterator[str]:
    """Yield what a run has done, and what it could not do; or only the latter."""
    if not only_problems:
        yield from _done(tally, store=store, seconds=seconds)
    for line in tally.failures[:_FEW]:
        yield f"failed: {line}"
    if tally.failures:
        more = len(tally.failures) - _FEW
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
        yield "logs: " + ", ".join(f"{n:,} {_STATES[s]}" for s, n in tally.traces.most_common())
    asked = counted(tally.requests, "request")
    if tally.retries:
        asked += f" ({tally.retries:,} repeated, {tally.rate_limited:,} told to slow down)"
    yield (
        f"{asked}, {tally.received / 1e6:,.1f} MB received,"
        f" {counted(tally.days, 'day')} written to {store}, {seconds:,.1f} s"
    )
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
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more:,} more" if more > 0 else "")
