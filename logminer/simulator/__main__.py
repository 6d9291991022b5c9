"""`python -m logminer.simulator`: run the simulator in the foreground until it is interrupted."""

from __future__ import annotations

import argparse
import datetime as dt
import sys

from aiohttp import web

from logminer.simulator.company import Company
from logminer.simulator.server import DEFAULT_TOKEN, Behaviour, create_app


def main() -> None:
    """Generate a company and serve it on 127.0.0.1; the URL and the token go to stdout."""
    parser = argparse.ArgumentParser(prog="python -m logminer.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--today", type=dt.date.fromisoformat, default=dt.datetime.now(dt.UTC).date()
    )
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--projects", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--median-trace-bytes", type=int, default=5000)
    parser.add_argument("--token", default=DEFAULT_TOKEN)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--requests-per-minute", type=int)
    options = parser.parse_args()
    company = Company.generate(
        seed=options.seed,
        today=options.today,
        days=options.days,
        projects=options.projects,
        jobs=options.jobs,
        median_trace_bytes=options.median_trace_bytes,
    )
    behaviour = Behaviour(latency=options.latency, requests_per_minute=options.requests_per_minute)
    app = create_app(company, token=options.token, behaviour=behaviour)
    sys.stdout.write(f"http://127.0.0.1:{options.port}\n{options.token}\n")
    sys.stdout.flush()
    web.run_app(app, host="127.0.0.1", port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
