"""What a full store costs a harvest: into one that holds ten million rows, against an empty one.

    python tests/benchmarks/full_store.py [--jobs 100000] [--rows 10000000] [--rounds 1]

The full store is the harvested one, a thousand times over: a first, small harvest gives the rows
and the ledger, which are repeated under other job ids on every day of two years, in the files that
publishing would write and in the ledger that would go with them, until `images` has so many rows.
Of the days of the harvest that is measured, most are among them, so their files are read and
written again. Each harvest is a process of its own; before each, the store is copied by hard links
(files are replaced, never changed), but for the ledger. The bar is 1.2 times the time of the empty
store; exit code 1 where it is missed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from serving import Serving, measured, simulator

from logminer.store import Store, publishing

if TYPE_CHECKING:
    from logminer.store.schema import Table

BAR = 1.2
TODAY = dt.date(2026, 11, 23)
YEARS = 730
"""Days over which the rows lie."""

FIRST = 10**12
"""The first job id of the rows that are made up: far above those of the simulator."""


def fill(sample: Path, target: Path, rows: int) -> int:
    """Make a store of so many rows of images out of a small one; return how many it has."""
    store = Store.create(target)
    (source,) = Store.create(sample).sources()
    shutil.copyfile(
        Store.create(sample).ledger_path(source), Store.create(target).ledger_path(source)
    )
    tables: dict[Table, pa.Table] = {
        "images": _all(sample, "images"),
        "jobs": _all(sample, "jobs"),
    }
    ids = np.unique(tables["jobs"]["job_id"].to_numpy())
    per_day = rows / YEARS / (tables["images"].num_rows / len(ids))
    jobs = max(round(per_day), 1)
    total = 0
    for number in range(YEARS):
        day = TODAY - dt.timedelta(days=YEARS - 1 - number)
        first = FIRST + number * jobs
        for table, every in tables.items():
            made = _day(every, ids, jobs, first, day)
            total += made.num_rows if table == "images" else 0
            path = target / table / f"date={day}" / f"{source}.parquet"
            path.parent.mkdir()
            publishing._write(made, path)
    with sqlite3.connect(store.ledger_path(source)) as ledger:
        (project,) = ledger.execute("SELECT min(id) FROM project").fetchone()
        ledger.execute(
            "WITH RECURSIVE n(id) AS (SELECT ? UNION ALL SELECT id + 1 FROM n WHERE id + 1 < ?)"
            " INSERT INTO job (id, project_id, state) SELECT id, ?, 'done' FROM n",
            (FIRST, FIRST + YEARS * jobs, project),
        )
        # As if those projects had never been asked about: everything is listed, as in the other.
        ledger.execute("DELETE FROM job WHERE id < ?", (FIRST,))
        ledger.execute(
            "UPDATE project SET watermark = NULL, ceiling = NULL, cursor = NULL, since = NULL,"
            " checked_at = NULL"
        )
    ledger.close()
    return total


def _all(sample: Path, table: Table) -> pa.Table:
    paths = sorted((sample / table).rglob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in paths])


def _day(every: pa.Table, ids: Any, jobs: int, first: int, day: dt.date) -> pa.Table:  # noqa: ANN401 -- an array
    """Return the rows of so many jobs: those of the sample, again and again, as of that day."""
    numbers = every["job_id"].to_numpy()
    ranks = np.searchsorted(ids, numbers)
    order = np.argsort(ranks, kind="stable")
    ranks = ranks[order]
    rounds = -(-jobs // len(ids))
    rank = np.concatenate([ranks + turn * len(ids) for turn in range(rounds)])
    rank = rank[rank < jobs]
    taken = every.take(np.resize(order, len(rank)))
    began = dt.datetime.combine(day, dt.time(8), dt.UTC)
    moments = pa.array([began] * len(rank), pa.timestamp("us", tz="UTC"))
    for name, values in (
        ("job_id", pa.array(first + rank, pa.int64())),
        ("created_at", moments),
        ("started_at", moments),
    ):
        index = taken.schema.get_field_index(name)
        taken = taken.set_column(index, taken.schema.field(index), values)
    return taken


def again(full: Path, target: Path) -> None:
    """Copy a store: files by hard links, the ledger by its bytes."""

    def copy(old: str, new: str) -> None:
        if Path(old).suffix == ".sqlite":
            shutil.copyfile(old, new)
        else:
            Path(new).hardlink_to(old)

    shutil.copytree(full, target, copy_function=copy)


def main() -> None:
    """Fill, harvest into both, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--jobs", type=int, default=100_000)
    add("--days", type=int, default=60)
    add("--rows", type=int, default=10_000_000)
    add("--rounds", type=int, default=1)
    options = parser.parse_args()
    script = str(Path(__file__).with_name("objects.py"))
    size = ["--projects", 100, "--days", options.days, "--today", TODAY, "--prerender"]
    size += ["--median-trace-bytes", 3_000, "--jobs", options.jobs]
    results: dict[str, list[dict[str, Any]]] = {"empty": [], "full": []}
    with tempfile.TemporaryDirectory() as name, simulator(*size) as serving:
        full = Path(name, "full")
        began = time.perf_counter()
        rows = fill(_sample(Path(name), serving), full, options.rows)
        bytes_ = sum(path.stat().st_size for path in full.rglob("*.parquet"))
        (ledger,) = (full / "state").glob("*.sqlite")
        print(
            f"{rows:,} rows of images in {bytes_ / 1e6:,.0f} MB, ledger"
            f" {ledger.stat().st_size / 1e6:,.0f} MB, made in {time.perf_counter() - began:,.0f} s"
        )
        sys.stdout.flush()
        for number in range(options.rounds):
            for which, of in results.items():
                store = Path(name, f"{which}-{number}")
                if which == "full":
                    again(full, store)
                of.append(measured(script, "--one", store, serving=serving))
                shutil.rmtree(store)
    print(f"{'store':8}{'jobs':>9}{'days':>6}{'seconds':>9}{'publish':>9}{'CPU':>8}{'peak MB':>9}")
    for which, of in results.items():
        middle = {key: statistics.median(each[key] for each in of) for key in of[0]}
        print(
            f"{which:8}{middle['jobs']:>9,.0f}{middle['days']:>6,.0f}{middle['wall']:>9.1f}"
            f"{middle['publish']:>9.1f}{middle['cpu']:>8.1f}{middle['peak'] / 1e6:>9,.0f}"
        )
    walls = {which: statistics.median(each["wall"] for each in of) for which, of in results.items()}
    ratio = walls["full"] / walls["empty"]
    print(f"{ratio:.2f}x (bar {BAR})")
    raise SystemExit(1 if ratio > BAR else 0)


def _sample(scratch: Path, serving: Serving) -> Path:
    """Harvest a part of the server, for rows to repeat."""
    from serving import harvest  # noqa: PLC0415 -- the name of what is done

    done = harvest(scratch / "sample", serving, "--max-requests", 3_000)
    assert done.returncode in {0, 75}, done.stderr
    return scratch / "sample"


if __name__ == "__main__":
    main()
