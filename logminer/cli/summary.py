"""What a run does and has done, in its own words and in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from logminer.cli.talk import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from logminer.harvest import Tally
    from logminer.running import RunTally
    from logminer.snapshot import SnapshotTally

Bar: TypeAlias = tuple[str, int, int | None, str]
"""What is done, how much of it, of how much, and what was found."""

_T_contra = TypeVar("_T_contra", contravariant=True)


class Words(Protocol[_T_contra]):
    """How one kind of run is told of."""

    def begun(self, tally: _T_contra) -> str:
        """Say what there is to do."""

    def moved(self, tally: _T_contra) -> str:
        """Say how far the run has come."""

    def bars(self, tally: _T_contra) -> list[Bar]:
        """Show how far the run has come."""

    def figures(self, tally: _T_contra) -> Mapping[str, int]:
        """Name the figures of how far the run has come."""

    def summary(
        self, tally: _T_contra, *, store: str, seconds: float, only_problems: bool
    ) -> Iterator[str]:
        """Yield what a run has done, and what it could not do; or only the latter."""


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


class HarvestWords:
    """How a harvest is told of."""

    def begun(self, tally: Tally) -> str:
        """Say what there is to do."""
        return (
            f"harvesting {counted(tally.projects, 'project')},"
            f" {counted(tally.jobs_queued, 'job')} queued before"
        )

    def moved(self, tally: Tally) -> str:
        """Say how far the run has come."""
        return (
            f"listed {tally.projects_listed:,} of {counted(tally.projects, 'project')}, read"
            f" {tally.jobs_done:,} of {counted(tally.jobs_queued, 'job')},"
            f" {tally.images:,} images"
        )

    def bars(self, tally: Tally) -> list[Bar]:
        """Show projects and jobs."""
        found = f"{tally.jobs_listed:,} new jobs"
        read = f"{tally.images:,} images{_limit(tally)}"
        return [
            ("listing projects", tally.projects_listed, tally.projects, found),
            ("reading logs", tally.jobs_done, tally.jobs_queued, read),
        ]

    def figures(self, tally: Tally) -> Mapping[str, int]:
        """Name the figures of how far the run has come."""
        return {
            "projects_listed": tally.projects_listed,
            "jobs_queued": tally.jobs_queued,
            "jobs_done": tally.jobs_done,
            "images": tally.images,
        }

    def summary(
        self, tally: Tally, *, store: str, seconds: float, only_problems: bool = False
    ) -> Iterator[str]:
        """Yield what a run has done, and what it could not do; or only the latter."""
        if not only_problems:
            yield from _harvested(tally, store=store, seconds=seconds)
        yield from _problems(
            tally, "What failed stays queued: harvest again.", "harvest", "Harvest again"
        )


class InventoryWords:
    """How an inventory is told of."""

    def begun(self, tally: SnapshotTally) -> str:
        """Say what there is to do."""
        return f"taking the inventory of {counted(tally.projects, 'project')}"

    def moved(self, tally: SnapshotTally) -> str:
        """Say how far the run has come."""
        return (
            f"looked at {tally.projects_done:,} of {counted(tally.projects, 'project')},"
            f" {tally.unchanged:,} unchanged, {counted(tally.declarations, 'declaration')}"
        )

    def bars(self, tally: SnapshotTally) -> list[Bar]:
        """Show projects."""
        found = f"{counted(tally.declarations, 'declaration')}{_limit(tally)}"
        return [("reading files", tally.projects_done, tally.projects, found)]

    def figures(self, tally: SnapshotTally) -> Mapping[str, int]:
        """Name the figures of how far the run has come."""
        return {
            "projects_done": tally.projects_done,
            "unchanged": tally.unchanged,
            "declarations": tally.declarations,
        }

    def summary(
        self, tally: SnapshotTally, *, store: str, seconds: float, only_problems: bool = False
    ) -> Iterator[str]:
        """Yield what a run has done, and what it could not do; or only the latter."""
        if not only_problems:
            yield (
                f"{counted(tally.projects_done, 'project')} looked at, {tally.unchanged:,} of them"
                f" unchanged, {counted(tally.declarations, 'declaration')} found"
            )
            if tally.unresolved or tally.gaps:
                yield (
                    f"{counted(tally.unresolved, 'declaration')} not resolved,"
                    f" {counted(tally.gaps, 'gap')} where something was not read"
                )
            if tally.merged or tally.not_merged:
                yield (
                    f"CI configurations: {tally.merged:,} merged by the server,"
                    f" {tally.not_merged:,} read from the file"
                )
            yield _traffic(tally, store=store, seconds=seconds)
            yield from _skipped(tally)
        left = "What failed is left to the next inventory: take it again."
        yield from _problems(tally, left, "inventory", "Take it again")


def _problems(tally: RunTally, left: str, run: str, again: str) -> Iterator[str]:
    """Yield what a run could not do, and what to do next."""
    for line in tally.failures[:_FEW]:
        yield f"failed: {line}"
    if tally.failures:
        more = len(tally.failures) - _FEW
        yield (f"failed: {more:,} more. " if more > 0 else "") + left
    if tally.days_left:
        yield f"{counted(tally.days_left, 'day')} recorded, and published by the next {run}"
    if tally.interrupted:
        yield f"Interrupted; everything read so far is kept. {again} to go on."
    elif tally.spent is not None:
        yield tally.spent


def _harvested(tally: Tally, *, store: str, seconds: float) -> Iterator[str]:
    yield (
        f"{counted(tally.projects_listed, 'project')} listed,"
        f" {counted(tally.jobs_done, 'job')} harvested, {counted(tally.images, 'image use')} found"
    )
    if tally.traces:
        yield "logs: " + ", ".join(f"{n:,} {_STATES[s]}" for s, n in tally.traces.most_common())
    yield _traffic(tally, store=store, seconds=seconds)
    if tally.jobs_open or tally.jobs_waiting:
        yield (
            f"to look at again by the next harvest: {counted(tally.jobs_open, 'job')} not ended,"
            f" {counted(tally.jobs_waiting, 'log')} that may still grow"
        )
    if tally.jobs_gone:
        yield f"gone from the server before they ended: {counted(tally.jobs_gone, 'job')}"
    if tally.traces_cut:
        yield f"cut at --max-trace-size: {counted(tally.traces_cut, 'log')}"
    if tally.not_understood:
        yield f"not understood: {counted(tally.not_understood, 'log')} of no known runner"
    if tally.without_image:
        yield (
            f"no image in {counted(tally.without_image, 'log')} of docker or kubernetes:"
            " try `logminer extract` on one and report the wording"
        )
    yield from _skipped(tally)


def _traffic(tally: RunTally, *, store: str, seconds: float) -> str:
    """Return what was asked of the server, and what became of it."""
    asked = counted(tally.requests, "request")
    if tally.retries:
        asked += f" ({tally.retries:,} repeated, {tally.rate_limited:,} told to slow down)"
    return (
        f"{asked}, {tally.received / 1e6:,.1f} MB received,"
        f" {counted(tally.days, 'day')} written to {store}, {seconds:,.1f} s"
    )


def _limit(tally: RunTally) -> str:
    return f", limit {tally.requests_left:,}" if tally.requests_left is not None else ""


def _skipped(tally: RunTally) -> Iterator[str]:
    for reason, paths in _by_reason(tally.skipped_projects).items():
        yield f"skipped, {reason}: {few(paths)}"


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
