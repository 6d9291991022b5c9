"""What a run would do, before it does it: projects, jobs, requests, minutes.

GitLab tells no totals of jobs. So a sample of the projects is asked for the first page of its jobs,
which a run asks for anyway, and what lies below that page is concluded from how fast jobs came. No
more can be known without listing everything; where a project was never listed and nobody named a
`since`, the figure is a lower bound.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.errors import SkippableError
from logminer.gitlab import Client, Pacer
from logminer.harvest.rules import covers, state_without_asking
from logminer.store import Listing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from logminer.gitlab import Budget, JobsPage, Settings
    from logminer.harvest.run import Options
    from logminer.model import Project

_SAMPLE: Final = 200
"""Projects that are asked, evenly spread by id."""

_PAGE: Final = 100
"""Jobs in a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would do; every figure but `projects` is an estimate."""

    projects: int
    asked: int
    """Projects that the estimate rests on."""
    jobs: int
    """To harvest, those that are queued already included."""
    is_lower_bound: bool
    """Whether there may be far more jobs, of projects never listed before."""
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guess:
    """What one project's first page says of it."""

    jobs: float
    traces: float
    pages: float
    is_lower_bound: bool = False


def estimate(  # noqa: PLR0913 -- what is estimated, and from what, each named by the caller
    settings: Settings,
    projects: Sequence[Project],
    *,
    known: Mapping[int, Listing],
    queued: int,
    options: Options,
    budget: Budget | None = None,
) -> Estimate:
    """Return what harvesting these projects would take; reads the server, writes nothing.

    `known` says how far each project was listed, `queued` how many jobs wait already.
    Raises AuthorisationError, ServerError and BudgetSpentError.
    """
    active = [project for project in projects if project.ci_enabled]
    step = max(1, -(-len(active) // _SAMPLE))
    sample = active[::step]
    guesses, latency = asyncio.run(_ask(settings, sample, known, options, budget))
    scale = len(active) / len(guesses) if guesses else 0.0
    jobs = queued + scale * sum(guess.jobs for guess in guesses)
    lists = scale * sum(guess.pages for guess in guesses)
    requests = lists + queued + scale * sum(guess.traces for guess in guesses)
    seconds = requests * latency / options.concurrency
    if options.rps is not None:
        seconds = max(seconds, requests / options.rps)
    return Estimate(
        projects=len(projects),
        asked=len(guesses),
        jobs=round(jobs),
        is_lower_bound=any(guess.is_lower_bound for guess in guesses),
        requests=round(requests),
        seconds=seconds,
    )


async def _ask(
    settings: Settings,
    sample: Sequence[Project],
    known: Mapping[int, Listing],
    options: Options,
    budget: Budget | None,
) -> tuple[list[_Guess], float]:
    """Return what the projects' first pages say, and the seconds that an answer took."""
    guesses: list[_Guess] = []
    waited = 0.0
    async with Client(settings, pacer=Pacer(rps=options.rps), budget=budget) as client:
        for project in sample:
            began = time.perf_counter()
            try:
                page = await client.jobs_page(project)
            except SkippableError:
                # Forbidden or gone: a run would count and name it.
                guesses.append(_Guess(jobs=0, traces=0, pages=1))
                continue
            finally:
                waited += time.perf_counter() - began
            guesses.append(guess(page, known.get(project.id) or Listing(), options))
    return guesses, waited / len(sample) if sample else 0.0


def guess(page: JobsPage, listing: Listing, options: Options) -> _Guess:
    """Conclude from a project's first page how much of it a run would read."""
    if not page.jobs:
        return _Guess(jobs=0, traces=0, pages=1)
    since = options.since
    floor = listing.watermark if covers(listing.since, since) else None
    new = [
        job
        for job in page.jobs
        if (floor is None or job.id > floor)
        and (since is None or job.created_at >= since)
        and (options.until is None or job.created_at < options.until)
    ]
    ended = [job for job in new if job.is_final]
    asked = sum(state_without_asking(job) is None for job in ended)
    oldest, newest = page.jobs[-1], page.jobs[0]
    whole = (
        page.next_cursor is None
        or (floor is not None and oldest.id <= floor)
        or (since is not None and oldest.created_at < since)
    )
    if whole:
        return _Guess(jobs=len(ended), traces=asked, pages=1)
    # Below this page: as many jobs in an hour as on it, back to where a run would stop.
    begin = listing.checked_at if floor is not None else since
    if begin is None:
        return _Guess(jobs=len(ended), traces=asked, pages=1, is_lower_bound=True)
    span = max(newest.created_at - oldest.created_at, dt.timedelta(seconds=1))
    end = min(newest.created_at, options.until or newest.created_at)
    jobs = len(page.jobs) * max(0.0, (end - begin) / span)
    pages = max(1.0, (newest.created_at - begin) / span * len(page.jobs) / _PAGE)
    share = sum(job.is_final for job in page.jobs) / len(page.jobs)
    started = sum(job.is_final and state_without_asking(job) is None for job in page.jobs) / len(
        page.jobs
    )
    return _Guess(jobs=jobs * share, traces=jobs * started, pages=pages)
