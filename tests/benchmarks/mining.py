"""How fast an archive is mined: one process, two, and ripgrep with one thread and with two.

    python tests/benchmarks/mining.py [--megabytes 1000] [--copies 4] [--rounds 3] [--days 7]

The archive is the extractor benchmark's corpus, linked into GitLab's tree under so many job ids
each: 50 projects, a week of days. Beginning two processes takes half a second, which an archive
that is worth them does not notice. Ours is the whole way into a new store each time: find the logs,
read them, record them, publish Parquet files. The rival looks through the same directory for the
rules' own `find` expressions and prints the lines that it finds into a pipe.
Wall-clock seconds, medians of all rounds, interleaved: run it on a machine that does nothing else.
The shortest rounds beside them show whether it did.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import write

from logminer.archive import Options, Phase, Silence, mine
from logminer.store import Store
from logminer.trace.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.archive import Tally

PROJECTS = 50


class Watch(Silence):
    """Notes when publishing begins."""

    began = 0.0

    def begin(self, phase: Phase, tally: Tally) -> None:  # noqa: ARG002 -- the protocol's
        """Note it."""
        if phase is Phase.PUBLISH:
            self.began = time.perf_counter()


def lay_out(files: list[Path], root: Path, days: int, copies: int = 1) -> None:
    """Link logs to where GitLab would archive them; what was linked before stays."""
    for number, (copy, path) in enumerate(itertools.product(range(copies), files)):
        project = hashlib.sha256(str(number % PROJECTS + 1).encode()).hexdigest()
        day = f"2026_11_{number % days + 1:02}"
        job_id = copy * 10**9 + int(path.stem)
        job = root / project[:2] / project[2:4] / project / day / str(job_id)
        place = job / str(job_id + 1) / "job.log"
        if not place.exists():
            place.parent.mkdir(parents=True)
            os.link(path, place)


def ours(root: Path, store: Path, workers: int) -> tuple[int, float]:
    """Mine into a new store; returns how many logs, and the seconds that publishing took."""
    shutil.rmtree(store, ignore_errors=True)
    watch = Watch()
    tally = mine(
        Store.create(store),
        [str(root)],
        instance="gitlab.example.com",
        options=Options(workers=workers),
        progress=watch,
    )
    return tally.jobs_done, time.perf_counter() - watch.began


def ripgrep(root: Path, patterns: Path, threads: int) -> None:
    """Find candidate lines with ripgrep, and read what it prints."""
    command = ["rg", f"-j{threads}", "--text", "--line-number", "--no-heading", "--no-ignore"]
    subprocess.run(  # noqa: S603 -- a fixed command on our own files
        [*command, "-f", str(patterns), str(root)], stdout=subprocess.PIPE, check=True
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--copies", type=int, default=4, help="jobs that have the same log")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=int, default=7, help="that the logs lie on, at most 28")
    parser.add_argument(
        "--corpus", type=Path, default=Path(tempfile.gettempdir()) / "logminer-corpus"
    )
    options = parser.parse_args()
    files = write(options.corpus / str(options.megabytes), megabytes=options.megabytes)
    size = sum(path.stat().st_size for path in files)
    root = options.corpus / f"archive-{options.megabytes}-{options.days}-{options.copies}"
    lay_out(files, root, options.days, options.copies)
    size *= options.copies
    jobs = len(files) * options.copies
    publishing: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        patterns = Path(name, "patterns")
        patterns.write_bytes(b"\n".join(dict.fromkeys(rule.find for rule in RULES)) + b"\n")

        def mining(way: str, workers: int) -> Callable[[], None]:
            def run() -> None:
                logs, seconds = ours(root, Path(name, "store"), workers)
                if logs != jobs:
                    raise ValueError(f"{logs} of {jobs} logs were mined")
                publishing.setdefault(way, []).append(seconds)

            return run

        ways: dict[str, Callable[[], None]] = {
            "mine, 1 process": mining("mine, 1 process", 1),
            "mine, 2 processes": mining("mine, 2 processes", 2),
            "rg -j1": lambda: ripgrep(root, patterns, 1),
            "rg -j2": lambda: ripgrep(root, patterns, 2),
        }
        for _ in range(options.rounds):
            for way, run in ways.items():
                began = time.perf_counter()
                run()
                times.setdefault(way, []).append(time.perf_counter() - began)
    medians = {way: statistics.median(found) for way, found in times.items()}
    shortest = {way: min(found) for way, found in times.items()}
    print(f"{jobs:,} logs, {size / 1e6:,.0f} MB, medians of {options.rounds} rounds\n")
    print(f"{'':20}{'seconds':>9}{'MB/s':>8}{'shortest':>10}{'publishing':>12}")
    for way, seconds in medians.items():
        last = f"{statistics.median(publishing[way]):12.2f}" if way in publishing else ""
        print(f"{way:20}{seconds:9.2f}{size / seconds / 1e6:8.0f}{shortest[way]:10.2f}{last}")
    print()
    for what, seconds_of in (("medians", medians), ("shortest", shortest)):
        one, two, _, rival = seconds_of.values()
        print(f"{what}: two processes {one / two:.2f} x one, {rival / two:.2f} x rg -j2")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
