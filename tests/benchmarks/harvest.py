"""How fast a harvest is, end to end into Parquet, against a serial loop and a bare client.

    python tests/benchmarks/harvest.py [--jobs 3000] [--latency 0.03] [--rounds 3]

Rivals read the same traces (median 68 KB) of the same simulator, which runs in a process of its own
with its logs ready as bytes; each runs in a process of its own, too:
* `serial`: the loop of the published inventory script: python-gitlab, `jobs.list` by keyset in
  pages of 100, `job.trace()`, one after the other, the text searched for the wordings that ours
  finds, as one expression; on a part of the jobs, since it is slow; those that never started cost
  it nothing, as they do us;
* `simple`: the same loop, content with three wordings of one executor: what it costs to fetch;
* `bare`: aiohttp and nothing else, as many connections as ours, the same lists and traces into the
  same extractor, the rows into one Parquet file for each table; no ledger, no retry, no pace.
Wall time and the CPU time of the client's process for each job, medians of the rounds; times of
imports are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import Serving, measured, simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.model import Harvested, Job

SIMPLE = r"Using docker image|Pulling docker image|Using Docker executor with image"
NEXT = re.compile(r'<[^>]*[?&]cursor=([^&>]+)[^>]*>; *rel="next"')


def serial(most: int, store: Path) -> int:
    """Read `most` jobs one after the other, for all wordings; returns how many there were."""
    del store
    from logminer.trace.rules import RULES  # noqa: PLC0415

    finds = dict.fromkeys(rule.find.decode() for rule in RULES)
    return _serial(most, re.compile("|".join(f"(?:{find})" for find in finds)))


def simple(most: int, store: Path) -> int:
    """Read `most` jobs one after the other, for three wordings; returns how many there were."""
    del store
    return _serial(most, re.compile(SIMPLE))


def _serial(most: int, wordings: re.Pattern[str]) -> int:
    """Read `most` jobs one after the other; returns how many there were."""
    import gitlab  # noqa: PLC0415 -- only this rival's

    server = gitlab.Gitlab(os.environ["GITLAB_URL"], private_token=os.environ["GITLAB_TOKEN"])
    jobs = found = 0
    for project in server.projects.list(iterator=True):
        if getattr(project, "builds_access_level", None) == "disabled":
            continue
        try:
            listed = project.jobs.list(
                iterator=True, per_page=100, pagination="keyset", order_by="id"
            )
            for job in listed:
                if job.status not in {"success", "failed", "canceled", "skipped"}:
                    continue
                jobs += 1
                if job.started_at is None:
                    continue
                try:
                    text = job.trace().decode("utf-8", "replace")
                except gitlab.GitlabGetError:
                    continue
                found += len(wordings.findall(text))
                if jobs >= most:
                    return jobs
        except gitlab.GitlabListError:
            continue
    return jobs


def bare(connections: int, store: Path) -> int:
    """Read everything with aiohttp alone; returns how many jobs there were."""
    import pyarrow.parquet as pq  # noqa: PLC0415 -- only this rival's

    from logminer.store.rows import rows_of  # noqa: PLC0415

    harvested = asyncio.run(_bare(connections))
    store.mkdir()
    for table, rows in rows_of(harvested).items():
        pq.write_table(rows, store / f"{table}.parquet", compression="zstd")
    return len(harvested)


async def _bare(connections: int) -> list[Harvested]:  # noqa: C901 -- one plain script
    """List and read with fixed workers."""
    import aiohttp  # noqa: PLC0415 -- only this rival's

    from logminer.gitlab import protocol  # noqa: PLC0415
    from logminer.harvest.rules import state_without_asking  # noqa: PLC0415

    api = f"{os.environ['GITLAB_URL']}/api/v4"
    queue: asyncio.Queue[Job | None] = asyncio.Queue()
    done: list[Harvested] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        headers={"PRIVATE-TOKEN": os.environ["GITLAB_TOKEN"]},
        auto_decompress=False,
    ) as session:
        projects = []
        async with session.get(f"{api}/projects?per_page=100&order_by=id&sort=asc") as answer:
            projects = [protocol.parse_project(item) for item in await answer.json()]
        waiting = iter(project for project in projects if project.ci_enabled)

        async def lister() -> None:
            for project in waiting:
                query, more = "pagination=keyset&order_by=id&sort=desc&per_page=100", ""
                while True:
                    url = f"{api}/projects/{project.id}/jobs?{query}{more}"
                    async with session.get(url) as answer:
                        if answer.status != 200:
                            break
                        jobs, _ = protocol.parse_jobs(url, await answer.json(), project)
                        link = NEXT.search(answer.headers.get("Link", ""))
                    for job in jobs:
                        if job.is_final:
                            queue.put_nowait(job)
                    if link is None:
                        break
                    more = f"&cursor={link[1]}"

        async def reader() -> None:
            while (job := await queue.get()) is not None:
                state = state_without_asking(job)
                extraction = None
                if state is None:
                    url = f"{api}/projects/{job.project_id}/jobs/{job.id}/trace"
                    extraction = await _read(session, url)
                done.append(_outcome(job, extraction))

        async def listers() -> None:
            await asyncio.gather(*(lister() for _ in range(8)))
            for _ in range(connections):
                queue.put_nowait(None)

        await asyncio.gather(listers(), *(reader() for _ in range(connections)))
    return done


async def _read(session: Any, url: str) -> Any:  # noqa: ANN401 -- a session, an extraction
    """Return what the extractor makes of a trace; None where there is none."""
    from logminer.trace import Extractor  # noqa: PLC0415 -- only this rival's

    async with session.get(url) as answer:
        if answer.status != 200:
            return None
        extractor = Extractor()
        async for chunk in answer.content.iter_any():
            extractor.feed(chunk)
        return extractor.finish()


def _outcome(job: Job, extraction: Any) -> Harvested:  # noqa: ANN401 -- an extraction or None
    import datetime as dt  # noqa: PLC0415 -- only this rival's

    from logminer.model import Depth, Harvested, TraceState  # noqa: PLC0415

    return Harvested(
        instance="bare",
        job=job,
        state=TraceState.OK if extraction else TraceState.MISSING,
        depth=Depth.FULL,
        summary=extraction.summary if extraction else None,
        uses=extraction.uses if extraction else (),
        extractor_version="bare",
        harvested_at=dt.datetime.now(dt.UTC),
    )


def ours(concurrency: int, store: Path) -> int:
    """Discover and harvest everything; returns how many jobs there were."""
    from logminer.gitlab import discover, resolve  # noqa: PLC0415 -- only this one's
    from logminer.harvest import Options, harvest  # noqa: PLC0415
    from logminer.store import Store  # noqa: PLC0415

    settings = resolve()
    projects = discover(settings, everything=True)
    options = Options(concurrency=concurrency)
    tally = harvest(Store.create(store), settings, projects, options=options)
    assert tally.exit_code == 0, tally.failures
    return tally.jobs_done


RIVALS: dict[str, Callable[[int, Path], int]] = {
    "serial": serial,
    "simple": simple,
    "bare": bare,
    "logminer": ours,
}


def one(name: str, number: int, store: Path) -> None:
    """Run one rival in this process and print what it took."""
    import gitlab.v4.objects  # noqa: F401, PLC0415 -- imports are not what is measured
    import pandas as pd  # noqa: F401, PLC0415 -- pyarrow imports it at its first array
    import pyarrow.parquet  # noqa: F401, PLC0415

    import logminer.gitlab.guard  # noqa: PLC0415
    import logminer.harvest  # noqa: F401, PLC0415

    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    jobs = RIVALS[name](number, store)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"jobs": jobs, "wall": wall, "cpu": cpu, "peak": after.ru_maxrss * 1024}))


def compare(options: argparse.Namespace, serving: Serving) -> None:
    """Run all rivals in turn and print the table."""
    numbers = {"serial": options.serial_jobs, "simple": options.serial_jobs}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in RIVALS}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.rounds):
            for name in RIVALS:
                store = Path(directory) / f"{name}-{number}"
                arguments = (name, numbers.get(name, options.concurrency), store)
                results[name].append(measured(__file__, "--one", *arguments, serving=serving))
    wall = {
        name: statistics.median(each["wall"] / each["jobs"] for each in of)
        for name, of in results.items()
    }
    cpu = {
        name: statistics.median(each["cpu"] / each["jobs"] for each in of)
        for name, of in results.items()
    }
    print(f"latency {options.latency * 1000:g} ms, concurrency {options.concurrency}")
    print(f"{'':10}{'jobs':>8}{'jobs/s':>10}{'CPU us/job':>12}{'wall':>10}{'CPU':>8}{'peak MB':>9}")
    for name, of in results.items():
        print(
            f"{name:10}{of[0]['jobs']:>8,}{1 / wall[name]:>10,.0f}{cpu[name] * 1e6:>12,.0f}"
            f"{wall['logminer'] / wall[name]:>9.2f}x{cpu['logminer'] / cpu[name]:>7.2f}x"
            f"{max(each['peak'] for each in of) / 1e6:>9,.0f}"
        )
    print(f"logminer is {wall['serial'] / wall['logminer']:.1f} times the serial loop (wall),")
    print(f"{wall['simple'] / wall['logminer']:.1f} times the one that knows three wordings,")
    print(
        f"and {wall['bare'] / wall['logminer']:.2f} (wall) or {cpu['bare'] / cpu['logminer']:.2f}"
        " (CPU) of the bare client"
    )


def main() -> None:
    """Serve, compare, for each latency."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--jobs", type=int, default=3_000)
    add("--projects", type=int, default=60, help="at most 100: the bare client lists one page")
    add("--serial-jobs", type=int, default=300, help="how many of them the serial loop reads")
    add("--median-trace-bytes", type=int, default=68_000)
    add("--latency", type=float, action="append", help="seconds; default 0 and 0.03")
    add("--concurrency", type=int, default=32)
    add("--rounds", type=int, default=3)
    add("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, number, store = options.one
        one(name, int(number), Path(store))
        return
    size = ["--jobs", options.jobs, "--projects", options.projects, "--days", 14, "--prerender"]
    size += ["--median-trace-bytes", options.median_trace_bytes, "--today", "2026-11-23"]
    for latency in options.latency or (0.0, 0.03):
        options.latency = latency
        with simulator(*size, "--latency", latency) as serving:
            measured(__file__, "--one", "serial", 20, "unused", serving=serving)  # warms it up
            compare(options, serving)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
