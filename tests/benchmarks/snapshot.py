"""How fast an inventory is, and what it finds, against the published script's serial loop.

    python tests/benchmarks/snapshot.py [--projects 1000] [--files 200] [--latency 0.03]

The simulator runs in a process of its own; so does each that asks it:
* `serial`: the published inventory script's way: python-gitlab, `ci_lint.get()` for each project,
  one after the other, the merged YAML loaded (by libyaml, which favours it: the script takes
  PyYAML's slow loader) and the images and services of its jobs collected; the list of projects is
  not timed;
* `lint`: the lint part of an inventory: the same answers through our client, as many at a time as
  an inventory asks for, each read to rows, resolved and classified;
* `inventory`: everything into a store: lint results, archives of all files, rows, Parquet;
* `again`: the same once more, with nothing changed.
Wall and processor time, requests for each project and peak memory of the client's process. Both
lint parts must find the same images, and every row of the store is held against what the simulator
planted.
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
    """Lint every project as the published script does; images are named with their project."""
    import gitlab  # noqa: PLC0415 -- only this rival's
    import yaml  # noqa: PLC0415

    server = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token=os.environ["GITLAB_TOKEN"])
    projects = server.projects.list(get_all=True, per_page=100)
    began = _clock()
    merged = 0
    found = set()
    for project in projects:
        try:
            text = project.ci_lint.get().merged_yaml
        except gitlab.GitlabGetError:
            continue
        if not text:
            continue
        merged += 1
        for name, job in yaml.load(text, Loader=yaml.CSafeLoader).items():
            if isinstance(job, dict) and not name.startswith("."):
                for each in (job.get("image"), *job.get("services", ())):
                    if each is not None:
                        image = each["name"] if isinstance(each, dict) else each
                        found.add((project.id, image))
    return _since(began) | {"merged": merged, "found": sorted(found)}


def lint(concurrency: int, scratch: Path) -> dict[str, Any]:
    """Lint every project as an inventory does."""
    from logminer.gitlab import RepositoryClient, discover  # noqa: PLC0415 -- only this one's
    from logminer.snapshot.reading import Reader  # noqa: PLC0415
    from logminer.snapshot.unpacking import Files  # noqa: PLC0415

    settings = _settings()
    waiting = iter(discover(settings, everything=True))
    merged = 0
    found: set[tuple[int, str]] = set()

    async def worker(reader: Reader) -> None:
        nonlocal merged
        for project in waiting:
            read = await reader.understood(project, await reader.lint(project), Files)
            merged += read.merged is True
            found.update((project.id, each.image) for each in read.declarations if each.image)

    async def all_of_them() -> dict[str, Any]:
        async with RepositoryClient(settings, connections=concurrency) as client:
            reader = Reader(client, settings, scratch=scratch, max_archive=0)
            began = _clock()
            await asyncio.gather(*(worker(reader) for _ in range(concurrency)))
            return _since(began)

    return asyncio.run(all_of_them()) | {"merged": merged, "found": sorted(found)}


def inventory(store: Path) -> dict[str, Any]:
    """Take an inventory of everything."""
    from logminer.gitlab import Budget, discover  # noqa: PLC0415 -- only this one's
    from logminer.snapshot import take_inventory  # noqa: PLC0415
    from logminer.store import Store  # noqa: PLC0415

    settings, budget = _settings(), Budget()
    began = _clock()
    projects = discover(settings, everything=True, sizes=True, budget=budget)
    tally = take_inventory(Store.create(store), settings, projects, budget=budget)
    return _since(began) | tally.as_dict()


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


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> dict[str, Any]:
    wall, cpu = _clock()
    return {"seconds": wall - began[0], "cpu": cpu - began[1]}


def _settings() -> Any:  # noqa: ANN401 -- imported where it is measured
    from logminer.gitlab import Settings  # noqa: PLC0415 -- not in the parent

    return Settings(url=os.environ["GITLAB_URL"], token=os.environ["GITLAB_TOKEN"])


def _child(options: argparse.Namespace) -> None:
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "serial": serial,
        "lint": lambda: lint(options.concurrency, options.store.parent),
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
    print(f"{'':10}{'seconds':>10}{'CPU':>8}{'requests':>10}{'MB':>8}")
    for name in ("serial", "lint", "inventory", "again"):
        row = rows[name]
        asked = row.get("requests")
        each = f"{asked / options.projects:.2f}" if asked is not None else ""
        print(f"{name:10}{row['seconds']:>10.1f}{row['cpu']:>8.1f}{each:>10}{row['mb']:>8.0f}")
    script, ours = rows["serial"], rows["lint"]
    print(
        f"lint part: {script['seconds'] / ours['seconds']:.1f} x the serial script;"
        f" {ours['merged']:,} configurations, {len(ours['found']):,} images of projects"
    )
    print(f"planted {planted:,}, missing {missing}, false {false}")
    same = all(script[each] == ours[each] for each in ("merged", "found"))
    if not same or missing or false:
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
