"""`python -m logminer.simulator`: run the simulator in the foreground until it is interrupted."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import threading
from contextlib import suppress

from logminer.simulator.behaviour import VERSION, Behaviour
from logminer.simulator.company import Company
from logminer.simulator.faults import STORM, Faults
from logminer.simulator.server import DEFAULT_TOKEN, serve


def main() -> None:
    """Generate a company and serve it on 127.0.0.1; URL and token are the lines of stdout."""
    parser = _parser()
    options = parser.parse_args()
    try:
        behaviour = _behaviour(options)
    except ValueError as problem:
        parser.error(str(problem))
    company = Company.generate(
        seed=options.seed,
        today=options.today,
        days=options.days,
        projects=options.projects,
        jobs=options.jobs,
        median_trace_bytes=options.median_trace_bytes,
        untouched=options.untouched,
        prerender=options.prerender,
        files=options.files,
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


def _behaviour(options: argparse.Namespace) -> Behaviour:
    faults = Faults(
        rate=options.fault_rate,
        kinds=tuple(options.fault_kinds.split(",")),
        on=frozenset(filter(None, options.fault_on.split(","))),
        seed=options.fault_seed,
        in_a_row=options.in_a_row,
        seconds=options.fault_seconds,
    )
    return Behaviour(
        version=options.server_version,
        latency=options.latency,
        gzip=options.gzip,
        chunked=options.chunked,
        ranges=options.ranges,
        growing=options.growing,
        requests_per_minute=options.requests_per_minute,
        jobs_lists_per_minute=options.jobs_lists_per_minute,
        window=options.window,
        largest_page=options.largest_page,
        seconds_per_request=options.seconds_per_request,
        faults=(faults,) if options.fault_rate else (),
    )


def _parser() -> argparse.ArgumentParser:
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
    add("--untouched", type=int, default=0, help="manual jobs more that nobody ever plays")
    add("--files", type=int, default=16, help="how many files a repository has")
    add("--prerender", action="store_true", help="keep logs ready; many jobs share one")
    add("--token", default=DEFAULT_TOKEN, help="the only token it accepts")
    add("--server-version", default=VERSION, help="an older one knows less")
    add("--latency", type=float, default=0.0, help="seconds by which answers are late")
    add("--gzip", action="store_true", help="compress for clients that accept it")
    add("--chunked", action="store_true", help="send logs without their length")
    add("--ranges", action="store_true", help="honour Range on archived logs")
    add("--growing", action="store_true", help="let logs grow until they are archived")
    add("--requests-per-minute", type=int, help="above: 429")
    add("--jobs-lists-per-minute", type=int, help="above: 429")
    add("--window", type=float, default=60.0, help="seconds of a limit's minute")
    add("--largest-page", type=int, default=100, help="most rows of a page of jobs or pipelines")
    add("--seconds-per-request", type=float, default=0.0, help="it lives on with each request")
    add("--fault-rate", type=float, default=0.0, help="share of the requests that fail, 0 to 1")
    add("--fault-kinds", default=",".join(STORM), help="how they fail, names by comma")
    add("--fault-on", default="", help="which kinds of requests fail, names by comma; none: all")
    add("--fault-seed", type=int, default=0, help="another seed is another choice")
    add("--fault-seconds", type=float, default=1.0, help="length of stalls and of Retry-After")
    add("--in-a-row", type=int, help="how often one path may fail in a row")
    add(
        "--until-eof",
        action="store_true",
        help="end when standard input does, as it does with the process that started this one",
    )
    return parser


if __name__ == "__main__":
    main()
