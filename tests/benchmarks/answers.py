"""What answers cost on a large store, held against DuckDB and pandas asked by hand.

    python tests/benchmarks/answers.py [--rows 50_000_000] [--store DIR] [--repeats 3]

The store is generated once, under the system's temporary directory, and used again: two years,
with the cardinalities of a large company (2,400 projects, 3,000 repositories whose use falls off
as in life, 60 runners, a digest for each tag and week, a job's own address in every row).
It is written as logminer publishes: same columns, same compression, one file a day.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import answers_by_hand
import duckdb
import pandas as pd
from answers_by_hand import SINCE, UNTIL

import logminer
from logminer.store.dataset import Store, data_file
from logminer.store.publishing import _write
from logminer.store.schema import TABLES, file_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.period import Period

FIRST = dt.date(2024, 11, 1)
DAYS = 730
USES = 2.5
"""Image uses of a job, on average: one to four."""
SOURCE = "gitlab.example.com"

_DIMENSIONS = """
CREATE MACRO dice(a, b) AS (hash(a, b) % 1_000_000_007)::BIGINT;

CREATE TABLE project AS
SELECT i AS project_id,
       format('group-{}/team-{}/service-{}', i % 12, i % 170, i) AS project_path
FROM range(2400) t(i);

CREATE TABLE runner AS
SELECT i + 1 AS runner_id, format('build-{:02d}.example.com', i) AS runner_description,
       (['docker', 'docker+machine', 'kubernetes', 'docker'])[i % 4 + 1] AS executor
FROM range(60) t(i);

CREATE TABLE repository AS
SELECT i AS repository_id,
       CASE WHEN i % 10 < 5 THEN 'docker.io' WHEN i % 10 < 8 THEN 'registry.example.com'
            WHEN i % 10 = 8 THEN 'quay.io' ELSE 'gitlab.example.com:443' END AS registry,
       CASE WHEN i % 10 = 9
            THEN format('group-{}/dependency_proxy/containers/org-{}/image-{}', i % 12, i % 90, i)
            ELSE format('org-{}/image-{}', i % 90, i) END AS repository,
       CASE WHEN i % 10 = 9 THEN 'dependency_proxy' END AS via,
       CASE WHEN i % 10 = 9 THEN 'docker.io' END AS upstream_registry,
       CASE WHEN i % 10 = 9 THEN format('org-{}/image-{}', i % 90, i) END AS upstream_repository
FROM range(3000) t(i);
"""

_JOBS = """
CREATE OR REPLACE TEMP TABLE job AS
SELECT
    $source AS instance,
    project_id, project_path,
    2_000_000_000 + job_id // 6 AS pipeline_id,
    (['push', 'push', 'merge_request_event', 'schedule', 'web'])[dice(job_id // 6, 0) % 5 + 1]
        AS pipeline_source,
    job_id,
    (['build', 'test', 'lint', 'deploy', 'e2e'])[dice(job_id, 1) % 5 + 1]
        || ' ' || dice(job_id, 2) % 40 AS job_name,
    (['build', 'test', 'deploy'])[dice(job_id, 3) % 3 + 1] AS stage,
    CASE WHEN dice(job_id // 6, 4) % 3 = 0 THEN 'main'
         ELSE 'feature/' || dice(job_id // 6, 5) % 50000 END AS ref,
    false AS ref_is_tag,
    CASE WHEN dice(job_id, 6) % 9 = 0 THEN 'failed' ELSE 'success' END AS job_status,
    CASE WHEN dice(job_id, 6) % 9 = 0 THEN 'script_failure' END AS failure_reason,
    moment - INTERVAL 40 SECOND AS created_at,
    moment AS started_at,
    moment + to_seconds((dice(job_id, 7) % 900)) AS finished_at,
    runner_id, runner_description,
    format('https://{}/{}/-/jobs/{}', $source, project_path, job_id) AS job_url,
    (['17.5.0', '18.1.0', '18.9.0'])[runner_id % 3 + 1] AS runner_version,
    executor,
    (1 + dice(job_id, 8) % 4)::BIGINT AS uses,
    CASE WHEN dice(job_id, 9) % 40 = 0 THEN 'erased' ELSE 'ok' END AS trace_state
FROM (
    SELECT $first_job + i AS job_id,
           -- A day of work: most jobs around noon.
           $day::TIMESTAMPTZ + to_microseconds(
               (86_399e6 * (0.5 + 0.5 * sin(3.1 * (i / $jobs - 0.5))))::BIGINT
           ) AS moment
    FROM range($jobs) t(i)
)
JOIN project ON project_id = (2400 * pow((dice(job_id, 10) % 100000) / 100000, 2))::BIGINT % 2400
JOIN runner ON runner_id = dice(job_id, 11) % 60 + 1
"""

_IMAGES = """
SELECT
    job.* EXCLUDE (uses, trace_state, ordinal, luck, repository_id),
    ordinal,
    (['job', 'helper', 'service', 'build'])[ordinal] AS role,
    CASE WHEN ordinal = 4 THEN 'script' ELSE 'runner' END AS origin,
    CASE WHEN luck % 100 < 62 THEN 'pulled' WHEN luck % 100 < 90 THEN 'present'
         WHEN luck % 100 < 98 THEN 'used' ELSE 'failed' END AS outcome,
    CASE WHEN ordinal = 4 THEN luck % 2 = 0 END AS downloaded,
    'if-not-present' AS pull_policy,
    CASE WHEN luck % 100 < 62 THEN 1 WHEN luck % 100 >= 98 THEN 3 ELSE 0 END::BIGINT
        AS pull_attempts,
    NULL AS credentials, NULL AS platform,
    CASE WHEN luck % 100 >= 98
         THEN (['rate_limited', 'not_found', 'network', 'denied'])[luck % 4 + 1] END AS error_kind,
    CASE WHEN luck % 100 >= 98 THEN 'Error response from daemon: ' || repository END
        AS error_message,
    started_at + to_seconds(ordinal) AS seen_at,
    registry || '/' || repository || ':' || tag AS image,
    registry, repository, tag,
    'sha256:' || sha256(repository || tag || ($day::DATE - DATE '2024-01-01') // (7 + week % 5))
        AS digest,
    'sha256:' || sha256(repository || tag) AS image_id,
    registry || '/' || repository || ':' || tag AS reference,
    via, upstream_registry, upstream_repository,
    'docker.using' AS rule,
    CASE WHEN ordinal = 4 THEN 'step_script' ELSE 'prepare_executor' END AS section,
    (6 + 4 * ordinal)::BIGINT AS line, (300 + 210 * ordinal)::BIGINT AS "offset",
    '2' AS extractor_version
FROM (
    SELECT job.*, ordinal, dice(job_id, 20 + ordinal) AS luck,
           (3000 * pow((dice(job_id, 30 + ordinal) % 100000) / 100000, 3))::BIGINT % 3000
               AS repository_id
    FROM (SELECT *, unnest(range(1, uses + 1)) AS ordinal FROM job) AS job
) AS job
JOIN (SELECT *, repository_id AS week FROM repository) AS repository USING (repository_id)
CROSS JOIN LATERAL (
    SELECT CASE WHEN luck % 5 = 0 THEN 'latest' ELSE (1 + luck % (1 + week % 5)) || '.2' END AS tag
)
ORDER BY job_id, ordinal
"""

_ROWS = {
    "images": _IMAGES,
    "jobs": """
        SELECT * EXCLUDE (uses, trace_state), 9.0 AS queued_duration, 60.0 AS duration,
            ['docker'] AS tag_list, trace_state,
            CASE WHEN trace_state = 'ok' THEN 68000 END::BIGINT AS trace_bytes,
            CASE WHEN trace_state = 'ok' THEN 900 END::BIGINT AS trace_lines,
            CASE WHEN trace_state = 'ok' THEN false END AS truncated, 'full' AS depth,
            uses AS images, CASE WHEN trace_state = 'ok' THEN true END AS recognised,
            '2' AS extractor_version, finished_at AS harvested_at
        FROM job ORDER BY job_id
    """,
}


def generate(path: Path, rows: int) -> None:
    """Write the store, aside first: what was interrupted is not taken for whole."""
    aside = path.with_name(path.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    Store.create(aside)
    jobs = round(rows / DAYS / USES)
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
    connection.execute(_DIMENSIONS)
    for number in range(DAYS):
        day = FIRST + dt.timedelta(days=number)
        given = {"source": SOURCE, "first_job": 5_000_000_000 + number * jobs, "jobs": jobs}
        connection.execute(_JOBS, {**given, "day": day})
        for table in TABLES:
            names = ", ".join(f'"{name}"' for name in file_schema(table).names)
            sql = f"SELECT {names} FROM ({_ROWS[table]})"  # noqa: S608 -- constants
            values = {"day": day} if table == "images" else {}
            found = connection.sql(sql, params=values).to_arrow_table()
            target = aside / data_file(table, day, SOURCE)
            target.parent.mkdir(parents=True)
            _write(found.cast(file_schema(table)), target)
    aside.rename(path)


PERIOD = "2026-Q3"


def asked_by_the_report(path: Path) -> list[tuple[str, Callable[[], object]]]:
    """Return what a report asks, in order: how `answers_by_hand` calls it, and how to ask it again.

    A question that nobody has written by hand ends the benchmark: both must answer the same.
    """
    from logminer import analysis  # noqa: PLC0415 -- patched here, in this process only
    from logminer.report.build import build  # noqa: PLC0415

    asked: list[tuple[str, Callable[[], object]]] = []
    verbs = {
        name: each for name in analysis.__all__ if hasattr(each := getattr(analysis, name), "rows")
    }

    class Noted:
        """A verb that notes what it is asked."""

        def __init__(self, name: str) -> None:
            self.name = name

        def rows(self, *arguments: object, **options: object) -> object:
            """Note the question and answer it."""
            split = options.get("split")
            before = cast("Period", options["period"]).since.date() < SINCE
            again = partial(verbs[self.name].rows, *arguments, **options)
            asked.append((self.name + (f"/{split}" if split else "") + "-" * before, again))
            return again()

    for name in verbs:
        setattr(analysis, name, Noted(name))
    build(logminer.open(path), PERIOD)
    for name, verb in verbs.items():
        setattr(analysis, name, verb)
    return asked


_MEASURE = """
import os, sys, time
quiet = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
begin = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[quiet])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - begin, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small parent: the kernel counts what a parent holds as the peak of what it starts."""


def measured(command: list[str]) -> tuple[float, float]:
    """Return the seconds that a process took and its peak memory in MB."""
    parent = [sys.executable, "-c", _MEASURE, *command]
    end = subprocess.run(parent, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 -- our own
    if end.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {end.returncode}")
    seconds, peak = map(float, end.stdout.split())
    return seconds, peak


def show(what: str, ours: float, theirs: float, bar: float) -> None:
    """Print one comparison of seconds."""
    print(f"{what:<44}{ours:8.2f} s{theirs:8.2f} s{ours / theirs:7.2f} x   (at most {bar} x)")


def best(work: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def compare(path: Path, repeats: int) -> None:
    """Print every figure beside its rival and its bar."""
    print(f"{'':<44}{'logminer':>10}{'by hand':>10}")
    asked = asked_by_the_report(path)
    ours = [sys.executable, "-m", "logminer", "report", "-s", str(path), "-p", PERIOD]
    words = [word for word, _ in asked]
    theirs = [sys.executable, answers_by_hand.__file__, str(path), *words]
    runs = [(measured(ours), measured(theirs)) for _ in range(repeats)]
    show(
        f"report, {len(asked)} questions",
        min(run[0][0] for run in runs),
        min(run[1][0] for run in runs),
        1.3,
    )
    peaks = [max(run[side][1] for run in runs) for side in (0, 1)]
    print(f"{'  peak memory':<44}{peaks[0]:7.0f} MB{peaks[1]:7.0f} MB{'':>11}(at most 500 MB)")

    store = logminer.open(path)
    columns = ["registry", "repository", "outcome", "project_id", "started_at"]
    frame = best(lambda: store.images(columns=columns, period=PERIOD), repeats)
    filters = [("date", ">=", str(SINCE)), ("date", "<", str(UNTIL))]  # Arrow reads days as text
    plain = best(
        lambda: pd.read_parquet(path / "images", columns=columns, filters=filters), repeats
    )
    show("store.images(columns=…, period=…)", frame, plain, 1.2)

    for word, again in asked:
        if not word.endswith("-"):
            took = best(again, 1)
            hand = best(partial(answers_by_hand.ask, str(path), [word]), 1)
            print(f"{f'  {word}':<44}{took:8.2f} s{hand:8.2f} s{took / hand:7.2f} x")


def start_up(repeats: int) -> None:
    """Print what a person waits for before anything is read."""
    code = (
        "import time; begin = time.perf_counter(); import logminer;"
        " print(time.perf_counter() - begin)"
    )
    command = [sys.executable, "-c", code]
    took = min(
        float(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603
        for _ in range(repeats * 3)
    )
    print(f"{'import logminer':<44}{took * 1000:7.0f} ms{'':>21}(at most 60 ms)")
    with tempfile.TemporaryDirectory() as directory:
        store = str(Path(directory) / "demo")
        measured([sys.executable, "-m", "logminer", "demo", "--store", store])
        report = [sys.executable, "-m", "logminer", "report", "--store", store]
        wall = min(measured(report)[0] for _ in range(repeats))
        page = min(measured([*report, "--format", "html"])[0] for _ in range(repeats))
    print(f"{'logminer report on the demo store':<44}{wall:8.2f} s{'':>21}(at most 1.5 s)")
    print(f"{'  the same as a page':<44}{page:8.2f} s")


def main() -> None:
    """Generate what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=lambda text: int(text.replace("_", "")), default=50_000_000)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    path = asked.store or Path(tempfile.gettempdir()) / f"logminer-answers-{asked.rows}"
    if not path.exists():
        begin = time.perf_counter()
        generate(path, asked.rows)
        print(f"generated {path} in {time.perf_counter() - begin:.0f} s")
    compare(path, asked.repeats)
    start_up(asked.repeats)


if __name__ == "__main__":
    main()
