"""`python -m logminer.simulator`: run the simulator in the foreground until it is interrupted."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import threading
from contextlib import suppress

from logminer.simulator.api import Behaviour
from logminer.simulator.company import Company
from logminer.simulator.server import DEFAULT_TOKEN, serve


def main() -> None:
    """Generate a company and serve it on 127.0.0.1; URL and token are the lines of stdout."""
    options = _options()
    company = Company.generate(
        seed=options.seed,
        today=options.today,
        days=options.days,
        projects=options.projects,
        jobs=options.jobs,
        median_trace_bytes=options.median_trace_bytes,
    )
    behaviour = Behaviour(
        latency=options.latency,
        requests_per_minute=options.requests_per_minute,
        jobs_lists_per_minute=options.jobs_lists_per_minute,
        gzip=options.gzip,
    )
    with (
        serve(company, token=options.token, behaviour=behaviour, port=options.port) as server,
        suppress(KeyboardInterrupt),
    ):
        sys.stdout.write(f"{server.url}\n{server.token}\n")
        sys.stdout.flush()
        if options.until_eof:
            sys.stdin.read()
        else:
            threading.Event().wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m logminer.simulator",
        description="A GitLab on loopback with a generated company in it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    today = dt.datetime.now(dt.UTC).date()
    add = parser.add_argument
    add("--seed", type=int, default=1, help="another seed is another company")
    add("--port", type=int, default=8080, help="0: any free port")
    add("--today", type=dt.date.fromisoformat, default=today, help="last day of its life")
    add("--days", type=int, default=365, help="how long it has lived")
    add("--projects", type=int, default=300, help="how many projects it has")
    add("--jobs", type=int, default=4000, help="how many jobs it ran")
    add("--median-trace-bytes", type=int, default=5000, help="median size of a log")
    add("--token", default=DEFAULT_TOKEN, help="the only token it accepts")
    add("--latency", type=float, default=0.0, help="seconds by which answers are late")
    add("--requests-per-minute", type=int, help="above: 429")
    add("--jobs-lists-per-minute", type=int, help="above: 429")
    add("--gzip", action="store_true", help="compress for clients that accept it")
    add(
        "--until-eof",
        action="store_true",
        help="end when standard input does, as it does with the process that started this one",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
