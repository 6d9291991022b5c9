"""Kill a harvest with SIGKILL at random moments, run it to the end, compare with a clean run.

    python tests/benchmarks/kills.py [--kills 200] [--seed 1]

Each harvest is a process of its own and is killed after a random time. After one kill or several
in a row the next run is left alone, and then the store must be what one clean harvest gives:
`images/` to the byte, `jobs/` but for `harvested_at`. Exit code 1 where it is not.
Lists come in pages of ten, so that a kill also falls between two pages of one project.
The processes are forked from one that has imported everything: starting Python anew for each of
them would take most of the time, and there is nothing in it to be killed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from serving import Serving, simulator

import logminer
from logminer.gitlab import Settings, discover
from logminer.harvest import Options, harvest
from logminer.store import Store

if TYPE_CHECKING:
    import pandas as pd


def digests(directory: Path) -> dict[str, str]:
    """Return every file below a directory, with a digest of its bytes."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def jobs_of(store: Path) -> pd.DataFrame:
    """Return the jobs, but for when they were harvested."""
    jobs = logminer.open(store).jobs().drop(columns="harvested_at")
    return jobs.sort_values("job_id").reset_index(drop=True)


def begin(store: Path, serving: Serving) -> int:
    """Begin a harvest in a child; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        settings = Settings(url=serving.url, token=serving.token)
        projects = discover(settings, everything=True)
        options = Options(concurrency=4)
        tally = harvest(Store.create(store), settings, projects, options=options)
        os._exit(tally.exit_code)
    finally:  # a child never returns into its parent's loop
        os._exit(99)


def end(child: int, *, after: float | None = None) -> bool:
    """Wait for a child, or kill it after so many seconds; returns whether it was killed.

    Raises RuntimeError where it ended in another way than with success.
    """
    limit = None if after is None else time.monotonic() + after
    while True:
        done, status = os.waitpid(child, os.WNOHANG if limit is not None else 0)
        if done:
            break
        if limit is not None and time.monotonic() >= limit:
            os.kill(child, signal.SIGKILL)
            limit = None
        time.sleep(0.0005)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status != 0:
        raise RuntimeError(f"a harvest ended with status {status}")
    return False


def main() -> None:
    """Kill, finish, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--in-a-row", type=int, default=5, help="most kills before a run may end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 -- moments, no secret
    company = ("--projects", 20, "--jobs", 300, "--days", 200, "--today", "2026-11-23")
    kills = rounds = survivors = lost = twice = different = 0
    slowly = ("--largest-page", 10, "--latency", 0.01)
    with simulator(*company, *slowly) as serving, tempfile.TemporaryDirectory() as name:
        clean, store = Path(name, "clean"), Path(name, "store")
        began = time.monotonic()
        end(begin(clean, serving))
        took = time.monotonic() - began
        images, jobs = digests(clean / "images"), jobs_of(clean)
        while kills < options.kills:
            shutil.rmtree(store, ignore_errors=True)
            in_a_row = chance.randint(1, options.in_a_row)
            for _ in range(min(in_a_row, options.kills - kills)):
                if not end(begin(store, serving), after=chance.uniform(0, 0.7 * took)):
                    survivors += 1
                    break
                kills += 1
            end(begin(store, serving))
            rounds += 1
            now = jobs_of(store)
            lost += len(set(jobs["job_id"]) - set(now["job_id"]))
            twice += int(now["job_id"].duplicated().sum())
            different += digests(store / "images") != images or not now.equals(jobs)
            print(f"\r{kills} kills", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'kills':>8}{'stores':>8}{'unharmed':>10}{'lost':>6}{'twice':>7}{'different':>11}")
    print(f"{kills:>8}{rounds:>8}{survivors:>10}{lost:>6}{twice:>7}{different:>11}")
    raise SystemExit(1 if lost or twice or different else 0)


if __name__ == "__main__":
    main()
