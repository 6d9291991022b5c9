"""`logminer status`: what the ledgers of a store say, without asking any server."""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from logminer.cli import values
from logminer.cli.output import show
from logminer.cli.talk import complain, counted
from logminer.errors import UsageError
from logminer.foreign import visible
from logminer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logminer.store import ProjectCounts, Run, Store

_SCREEN: Final = 40
"""Projects that a table shows; programs get all of them."""

_RUNS: Final = 5

_ENDS: Final = {
    0: "complete",
    1: "failed",
    2: "usage",
    3: "partial",
    4: "not authorised",
    75: "out of budget",
    130: "interrupted",
}
_COLUMNS: Final = (
    *("source", "project_id", "project", "watermark", "since", "checked_at"),
    *("done", "queued", "open", "gone", "unpublished", "gap"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What one ledger says."""

    name: str
    projects: list[ProjectCounts]
    runs: list[Run]
    last_success: Run | None


def run(
    location: str,
    *,
    projects: Sequence[str],
    format: str,  # noqa: A002 -- the flag's word
    max_age: str | None = None,
) -> int:
    """Print the state of every source of a store, or of some of its projects.

    Returns 0, or 3 where a last success is older than `max_age` or there is none.
    """
    oldest = values.seconds(max_age, flag="--max-age") if max_age is not None else None
    store = open_store(location)
    late = oldest is not None and not _is_fresh(store, oldest, tell=format == "table")
    if oldest is None or format != "table":
        _print(store, projects=projects, format=format)
    return 3 if late else 0


def _is_fresh(store: Store, seconds: float, *, tell: bool) -> bool:
    """Whether every source was harvested completely within this time; which were not is said.

    Asks only how runs ended, so it costs the same whatever the ledgers hold.
    """
    now = dt.datetime.now(dt.UTC)
    fresh = []
    for name in store.sources():
        with store.read_ledger(name) as ledger:
            last = ledger.last_success()
        ended = last.ended if last else None
        fresh.append(ended is not None and (now - ended).total_seconds() <= seconds)
        line = f"{visible(name)}: last complete run: {_minute(ended)}"
        if not fresh[-1]:
            complain(f"stale: {line}")
        elif tell:
            print(f"fresh: {line}")
    if not fresh:
        complain("stale: nothing was harvested yet")
    return bool(fresh) and all(fresh)


def _print(store: Store, *, projects: Sequence[str], format: str) -> None:  # noqa: A002 -- the flag's word
    """Print every source."""
    sources = []
    for name in store.sources():
        with store.read_ledger(name) as ledger:
            sources.append(
                _Source(
                    name=name,
                    projects=[each for each in ledger.counts() if _is_asked(each, projects)],
                    runs=ledger.runs(_RUNS),
                    last_success=ledger.last_success(),
                )
            )
    if projects and not any(source.projects for source in sources):
        raise UsageError(
            f"no harvest into {store} has seen {', '.join(projects)}: check the id or the full path"
        )
    if format == "json":
        print(json.dumps([_as_dict(source) for source in sources], indent=2))
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for source in sources:
            writer.writerows(_row(source.name, each) for each in source.projects)
    elif not sources:
        print(f"{store}: nothing was harvested yet")
    else:
        for number, source in enumerate(sources):
            if number:
                print()
            _show(source)


def _is_asked(project: ProjectCounts, asked: Sequence[str]) -> bool:
    wanted = {each.lower() for each in asked}
    return not wanted or bool(wanted & {str(project.project_id), project.path.lower()})


def _has_gap(project: ProjectCounts) -> bool:
    """Whether the list of a project's jobs was cut off, or never begun."""
    never = project.listing.checked_at is None and not _is_mined(project)
    return project.listing.cursor is not None or never


def _is_mined(project: ProjectCounts) -> bool:
    """Whether a project is known from an archive alone: harvests list before they read."""
    listing = project.listing
    return listing.checked_at is None and listing.ceiling is None and project.done > 0


def _looked_at(project: ProjectCounts) -> str:
    """Return when a project was listed last, or that its list was cut off."""
    if project.listing.cursor is not None:
        return "list cut off"
    if _is_mined(project):
        return "mined only"
    return _minute(project.listing.checked_at)


def _row(source: str, project: ProjectCounts) -> dict[str, Any]:
    listing = project.listing
    return {
        "source": source,
        "project_id": project.project_id,
        "project": project.path,
        "watermark": listing.watermark,
        "since": _time(listing.since),
        "checked_at": _time(listing.checked_at),
        "done": project.done,
        "queued": project.queued,
        "open": project.open,
        "gone": project.gone,
        "unpublished": project.pending,
        "gap": _has_gap(project),
    }


def _as_dict(source: _Source) -> dict[str, Any]:
    return {
        "source": source.name,
        "last_success": _time(source.last_success.ended) if source.last_success else None,
        "runs": [
            {
                "id": run.id,
                "began": _time(run.began),
                "ended": _time(run.ended),
                "exit_code": run.exit_code,
                "tally": dict(run.tally),
            }
            for run in source.runs
        ],
        "projects": [_row(source.name, each) for each in source.projects],
    }


def _show(source: _Source) -> None:
    """Print a source for people: totals, runs, and the projects that wait for something first."""
    console = Console()
    projects = source.projects
    gaps = sum(map(_has_gap, projects))
    print(
        f"{visible(source.name)}: {counted(len(projects), 'project')},"
        f" {counted(sum(each.done for each in projects), 'job')} done,"
        f" {sum(each.queued for each in projects):,} queued,"
        f" {sum(each.open for each in projects):,} open,"
        f" {sum(each.gone for each in projects):,} gone,"
        f" {counted(gaps, 'gap')}"
    )
    last = source.last_success
    print(f"last complete run: {_minute(last.ended) if last else 'none'}")
    for each in source.runs:
        print(f"  {_described(each)}")
    print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("project", overflow="fold", ratio=1)
    for name in ("done", "queued", "open", "gone"):
        table.add_column(name, justify="right")
    table.add_column("looked at (UTC)")
    order = sorted(projects, key=lambda each: (not _has_gap(each), -each.queued, each.path))
    for project in order[:_SCREEN]:
        table.add_row(
            Text(visible(project.path)),
            *(f"{n:,}" for n in (project.done, project.queued, project.open, project.gone)),
            _looked_at(project),
        )
    show(console, table)
    if len(order) > _SCREEN:
        print(f"and {len(order) - _SCREEN:,} more projects: --format csv prints all of them")


def _described(run: Run) -> str:
    """Return a run in one line; its id says when it began."""
    if run.ended is None:
        return f"{run.id}  has not ended: it runs, or was killed"
    took = (run.ended - run.began).total_seconds()
    end = _ENDS.get(run.exit_code or 0, str(run.exit_code))
    if run.tally.get("inventory"):
        found = counted(int(run.tally.get("declarations", 0)), "declaration")
        return f"{run.id}  inventory {end}, {found}, {took:,.0f} s"
    jobs, images = int(run.tally.get("jobs_done", 0)), int(run.tally.get("images", 0))
    return f"{run.id}  {end}, {counted(jobs, 'job')}, {counted(images, 'image use')}, {took:,.0f} s"


def _minute(moment: dt.datetime | None) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if moment else "never"


def _time(moment: dt.datetime | None) -> str | None:
    """Write RFC 3339, UTC."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
