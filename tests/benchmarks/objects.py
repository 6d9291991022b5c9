"""What a store on object storage costs: the same harvest into a directory and into a bucket.

    python tests/benchmarks/objects.py [--jobs 20000] [--days 14] [--rounds 3]

Both read the same simulator, which runs in a process of its own with its logs ready as bytes; the
bucket is moto's S3 server on loopback, in another. Each harvest is a process of its own, from an
empty store to its end, imports left out; the publishing alone is measured inside it. After each
pair the bytes of `images/` are compared. The bar is 1.3 times the directory's time; exit code 1
where it is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving import ENVIRONMENT, ROOT, Serving, measured, simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 1.3


def one(store: str) -> None:
    """Harvest everything into a store in this process, and print what it took."""
    import pyarrow.parquet  # noqa: F401, PLC0415 -- imports are not what is measured

    import logminer.harvest.run as run  # noqa: PLC0415, PLR0402 -- patched below
    from logminer.gitlab import discover, resolve  # noqa: PLC0415
    from logminer.store import Store, publish  # noqa: PLC0415

    if "://" in store:
        import logminer.store.carried  # noqa: F401, PLC0415 -- imports, as above
    took = []

    def timed(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- whatever it takes
        begun = time.perf_counter()
        result = publish(*arguments, **options)
        took.append(time.perf_counter() - begun)
        return result

    run.publish = timed  # type: ignore[attr-defined]  # a name of its own, replaced here
    settings = resolve()
    projects = discover(settings, everything=True)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    tally = run.harvest(Store.create(store), settings, projects)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    assert tally.exit_code == 0, tally.failures
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps(
            {
                "jobs": tally.jobs_done,
                "days": tally.days,
                "wall": wall,
                "cpu": cpu,
                "publish": sum(took),
                "peak": after.ru_maxrss * 1024,
            }
        )
    )


@contextmanager
def s3() -> Iterator[str]:
    """Run the S3 server of the tests, and point the environment to it."""
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own script
        [sys.executable, str(ROOT / "tests" / "s3.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        credentials = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "us-east-1",
        }
        ENVIRONMENT.update(credentials)  # what is measured has it, too
        os.environ.update(credentials)
        request = urllib.request.Request(f"{url}/bucket", data=b"", method="PUT")  # noqa: S310 -- our own
        urllib.request.urlopen(request).close()  # noqa: S310 -- our own
        yield "s3://bucket"
        process.terminate()


def same(directory: Path, url: str) -> bool:
    """Whether `images/` is the same to the byte in both."""
    import obstore  # noqa: PLC0415 -- only here
    from obstore.store import from_url  # noqa: PLC0415

    bucket = from_url(f"{url}/images", client_options={"allow_http": True})
    there = {
        each["path"]: bytes(obstore.get(bucket, each["path"]).bytes())
        for chunk in obstore.list(bucket)
        for each in chunk
    }
    root = directory / "images"
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.parquet")}
    return there == {name: path.read_bytes() for name, path in files.items()}


def compare(rounds: int, serving: Serving, bucket: str, scratch: Path) -> float:
    """Harvest in turn, print the table, and return the ratio."""
    results: dict[str, list[dict[str, Any]]] = {"directory": [], "bucket": []}
    for number in range(rounds):
        places = {"directory": str(scratch / str(number)), "bucket": f"{bucket}/{number}"}
        for name, place in places.items():
            results[name].append(measured(__file__, "--one", place, serving=serving))
        assert same(Path(places["directory"]), places["bucket"])
    middle = {
        name: {key: statistics.median(each[key] for each in of) for key in of[0]}
        for name, of in results.items()
    }
    print(f"{'':10}{'jobs':>8}{'days':>6}{'seconds':>9}{'publish':>9}{'CPU':>8}{'peak MB':>9}")
    for name, of in middle.items():
        print(
            f"{name:10}{of['jobs']:>8,.0f}{of['days']:>6,.0f}{of['wall']:>9.2f}{of['publish']:>9.2f}"
            f"{of['cpu']:>8.2f}{of['peak'] / 1e6:>9,.0f}"
        )
    for key in ("wall", "publish", "cpu"):
        print(f"{key}: {middle['bucket'][key] / middle['directory'][key]:.2f}x (bar {BAR})")
    return float(middle["bucket"]["wall"] / middle["directory"]["wall"])


def main() -> None:
    """Serve both, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--jobs", type=int, default=20_000)
    add("--projects", type=int, default=60)
    add("--days", type=int, default=14)
    add("--median-trace-bytes", type=int, default=10_000)
    add("--rounds", type=int, default=3)
    add("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    size = ["--jobs", options.jobs, "--projects", options.projects, "--days", options.days]
    size += ["--median-trace-bytes", options.median_trace_bytes, "--today", "2026-11-23"]
    with (
        s3() as bucket,
        simulator(*size, "--prerender") as serving,
        tempfile.TemporaryDirectory() as name,
    ):
        ratio = compare(options.rounds, serving, bucket, Path(name))
    raise SystemExit(1 if ratio > BAR else 0)


if __name__ == "__main__":
    main()
