"""How fast an inventory is, and what it finds, against the published script's serial loop.

    python tests/benchmarks/snapshot.py [--projects 1000] [--files 200] [--latency 0.03]

The simulator runs in a process of its own; so does each that asks it:
* `serial`: the published inventory script's way: python-gitlab, `ci_lint.get()` for each project,
  one after the other; the list of projects is not timed;
* `lint`: the same answers through our client, as many at a time as an inventory asks for;
* `inventory`: everything into a store: lint results, archives of all files, rows, Parquet;
* `again`: the same once more, with nothing changed.
Wall time, requests for each project and peak memory of the client's process. Afterwards every row
of the store is held against what the simulator planted.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import Serving, measured, simulator

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 7
TODAY = dt.date(2026, 11, 23)
DAYS = 40
JOBS = 5
TRUTH = ("path", "line", "kind", "name", "role", "image", "resolved", "resolution")


def serial() -> dict[str, Any]:
    """Lint every project as the published script does."""
    import gitlab  # noqa: PLC0415 -- only this rival's

    server = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token=os.environ["GITLAB_TOKEN"])
    projects = server.projects.list(get_all=True, per_page=100)
    began = time.perf_counter()
    merged = 0
    for project in projects:
        try:
            merged += bool(project.ci_lint.get().merged_yaml)
        except gitlab.GitlabGetError:
            continue
    return {"seconds": time.perf_counter() - began, "merged": merged}


def lint(concurrency: int) -> dict[str, Any]:
    """Lint every project with our client."""
    from logminer.errors import SkippableError  # noqa: PLC0415 -- only this one's
    from logminer.gitlab import RepositoryClient, discover  # noqa: PLC0415

    settings = _settings()
    waiting = iter(discover(settings, everything=True))
    merged = 0

    async def worker(client: RepositoryClient) -> None:
        nonlocal merged
        for project in waiting:
            try:
                answer = await client.lint(project)
            except SkippableError:
                continue
            merged += bool(answer.merged)

    async def all_of_them() -> float:
        async with RepositoryClient(settings, connections=concurrency) as client:
            began = time.perf_counter()
            await asyncio.gather(*(worker(client) for _ in range(concurrency)))
            return time.perf_counter() - began

    return {"seconds": asyncio.run(all_of_them()), "merged": merged}


def inventory(store: Path) -> dict[str, Any]:
    """Take an inventory of everything."""
    from logminer.gitlab import Budget, discover  # noqa: PLC0415 -- only this one's
    from logminer.snapshot import take_inventory  # noqa: PLC0415
    from logminer.store import Store  # noqa: PLC0415

    settings, budget = _settings(), Budget()
    began = time.perf_counter()
    projects = discover(settings, everything=True, sizes=True, budget=budget)
    tally = take_inventory(Store.create(store), settings, projects, budget=budget)
    return {"seconds": time.perf_counter() - began, **tally.as_dict()}


def differences(store: Path, projects: int, files: int) -> tuple[int, int, int]:
    """Return how many declarations were planted, how many are missing, and how many are false."""
    import pandas as pd  # noqa: PLC0415 -- after the measuring

    from logminer.simulator import Company  # noqa: PLC0415
    from logminer.store import open_store  # noqa: PLC0415

    company = Company.generate(
        seed=SEED, today=TODAY, days=DAYS, projects=projects, jobs=JOBS, files=files
    )
    frame = open_store(store).declared()
    frame = frame[~frame["resolution"].isin(["unread", "empty"])]
    cells = frame[["project_id", *TRUTH]].astype(object)
    found = Counter(map(tuple, cells.where(pd.notna(cells), None).to_numpy().tolist()))
    planted = Counter(
        (project.id, *(getattr(each, name) for name in TRUTH))
        for project in company.projects
        for each in company.declared(project.id)
    )
    return planted.total(), (planted - found).total(), (found - planted).total()


def _settings() -> Any:  # noqa: ANN401 -- imported where it is measured
    from logminer.gitlab import Settings  # noqa: PLC0415 -- not in the parent

    return Settings(url=os.environ["GITLAB_URL"], token=os.environ["GITLAB_TOKEN"])


def _child(options: argparse.Namespace) -> None:
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "serial": serial,
        "lint": lambda: lint(options.concurrency),
        "inventory": lambda: inventory(options.store),
    }
    result = work[options.only]()
    result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(result))


def _parent(options: argparse.Namespace) -> None:
    flags = {
        "--seed": SEED,
        "--today": TODAY,
        "--days": DAYS,
        "--jobs": JOBS,
        "--projects": options.projects,
        "--files": options.files,
        "--latency": options.latency,
    }
    with (
        tempfile.TemporaryDirectory() as directory,
        simulator(*(part for flag in flags.items() for part in flag)) as serving,
    ):
        store = Path(directory) / "store"
        rows = {
            name: _measure(only, serving, options, store)
            for name, only in (
                ("warm", "lint"),  # the simulator writes its files when they are first asked for
                ("serial", "serial"),
                ("lint", "lint"),
                ("inventory", "inventory"),
                ("again", "inventory"),
            )
        }
        planted, missing, false = differences(store, options.projects, options.files)
    print(
        f"{options.projects:,} projects, {options.files} files each,"
        f" {options.latency * 1000:g} ms latency"
    )
    print(f"{'':10}{'seconds':>10}{'requests':>10}{'MB':>8}")
    for name in ("serial", "lint", "inventory", "again"):
        row = rows[name]
        asked = row.get("requests")
        each = f"{asked / options.projects:.2f}" if asked is not None else ""
        print(f"{name:10}{row['seconds']:>10.1f}{each:>10}{row['mb']:>8.0f}")
    ratio = rows["serial"]["seconds"] / rows["lint"]["seconds"]
    print(f"lint part: {ratio:.1f} x the serial script, {rows['lint']['merged']:,} merged by each")
    print(f"planted {planted:,}, missing {missing}, false {false}")
    if rows["serial"]["merged"] != rows["lint"]["merged"] or missing or false:
        raise SystemExit(1)


def _measure(
    only: str, serving: Serving, options: argparse.Namespace, store: Path
) -> dict[str, Any]:
    return measured(
        __file__, "--only", only, "--store", store, "--concurrency", options.concurrency,
        serving=serving,
    )  # fmt: skip


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--projects", type=int, default=1_000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--only", choices=("serial", "lint", "inventory"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        _child(options)
    else:
        _parent(options)


if __name__ == "__main__":
    main()
