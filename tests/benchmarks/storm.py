"""Harvest through a storm in which every fifth request fails, and count what it costs.

    python tests/benchmarks/storm.py [--rate 0.2] [--jobs 1000]

The clean run and the stormy one read the same simulator, which answers a share of all requests with
a reset, a broken body, 500, 502, 503, 429 or silence. Then the stores must agree, to the byte of
`images/`, after as many runs as it takes; the requests of all of them are counted. Exit code 1
where something is lost, twice or different, or where it took more than 1.6 times the requests.
"""

from __future__ import annotations

import argparse
import json
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

from kills import digests, jobs_of
from serving import Serving, harvest, simulator

MOST = 1.6
"""Requests of the stormy run for each of the clean one."""


def requests(serving: Serving) -> int:
    """Return how many requests the simulator has had."""
    with urllib.request.urlopen(f"{serving.url}/-/simulator/requests") as answer:  # noqa: S310 -- our own
        return int(json.load(answer)["total"])


def main() -> None:
    """Harvest twice, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--jobs", type=int, default=1_000)
    options = parser.parse_args()
    size = ("--projects", 40, "--jobs", options.jobs, "--days", 60, "--today", "2026-11-23")
    faults = ("--fault-rate", options.rate, "--fault-seconds", 1, "--fault-seed", 1)
    with tempfile.TemporaryDirectory() as name:
        clean, store = Path(name, "clean"), Path(name, "stormy")
        # One port for both: it is a part of the instance's name, which stands in every row.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with simulator(*size, "--port", port) as serving:
            assert harvest(clean, serving).returncode == 0
            calm = requests(serving)
        began, runs = time.monotonic(), 0
        with simulator(*size, *faults, "--port", port) as serving:
            while True:
                runs += 1
                done = harvest(store, serving, "--max-duration", "20m")
                if done.returncode == 0 or runs == 10:
                    break
            stormy = requests(serving)
        took = time.monotonic() - began
        jobs, now = jobs_of(clean), jobs_of(store)
        lost = len(set(jobs["job_id"]) - set(now["job_id"]))
        twice = int(now["job_id"].duplicated().sum())
        same = digests(clean / "images") == digests(store / "images") and now.equals(jobs)
    print(f"{'':8}{'requests':>10}{'runs':>6}")
    print(f"{'calm':8}{calm:>10,}{1:>6}")
    print(f"{'storm':8}{stormy:>10,}{runs:>6}   {stormy / calm:.2f}x, {took:.0f} s")
    print(f"lost {lost}, twice {twice}, rows {'the same' if same else 'different'}")
    raise SystemExit(1 if lost or twice or not same or stormy > MOST * calm else 0)


if __name__ == "__main__":
    main()
