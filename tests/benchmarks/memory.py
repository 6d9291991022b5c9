"""How much memory a harvest takes at its peak: very many jobs, and one very long trace.

    python tests/benchmarks/memory.py [--jobs 100000] [--trace 1073741824]

The harvest runs in a process of its own; its peak is the kernel's figure (`ru_maxrss`). The bar is
250 MB for each. Exit code 1 where it is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path

from serving import Serving, measured, simulator

from logminer.simulator import Company, serve

BAR = 250e6
TODAY = dt.date(2026, 11, 23)


def main() -> None:
    """Measure both, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--trace", type=int, default=2**30, help="bytes of the long one")
    options = parser.parse_args()
    script = str(Path(__file__).with_name("harvest.py"))
    print(f"{'':24}{'jobs':>9}{'seconds':>10}{'peak MB':>9}   (bar {BAR / 1e6:.0f})")
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        size = ("--projects", 100, "--days", 60, "--today", TODAY, "--prerender")
        small = ("--jobs", options.jobs, "--median-trace-bytes", 3_000)
        with simulator(*size, *small) as serving:
            many = measured(script, "--one", "logminer", 32, Path(name, "many"), serving=serving)
        print(
            f"{'many jobs':24}{many['jobs']:>9,}{many['wall']:>10,.0f}{many['peak'] / 1e6:>9,.0f}"
        )
        sys.stdout.flush()
        company = Company.generate(seed=1, today=TODAY, days=30, projects=3, jobs=20)
        longest = next(job for job, each in company.truth().items() if each.trace_state == "ok")
        company.enlarge(longest, options.trace)
        with serve(company) as server:
            serving = Serving(server.url, server.token)
            one = measured(script, "--one", "logminer", 32, Path(name, "one"), serving=serving)
        what = f"a trace of {options.trace / 2**20:,.0f} MiB"
        print(f"{what:24}{one['jobs']:>9,}{one['wall']:>10,.0f}{one['peak'] / 1e6:>9,.0f}")
        peaks = [many["peak"], one["peak"]]
    raise SystemExit(1 if max(peaks) > BAR else 0)


if __name__ == "__main__":
    main()
