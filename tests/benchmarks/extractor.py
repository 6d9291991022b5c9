"""How fast the extractor reads, against ripgrep and against Python's own expressions.

    python tests/benchmarks/extractor.py [--megabytes 500] [--rounds 5]

Rivals read the same files in the same run, one process each:
* `rg -j1` with the rules' own `find` expressions, the lines it finds printed into a pipe;
* the same expressions as one alternation of Python's `re` over blocks of whole lines, each line
  that is found read with the rules' own `read`.
Ours is the full way to rows: open, read, feed, finish; as it is imported, compiled
(`HATCH_BUILD_HOOKS_ENABLE=1 pip install .`) or not. Medians of all rounds, interleaved, in
seconds of processor time (user and system, of a rival's process too): what other programs do at the
same time then matters less. The shortest rounds beside them show how much it did.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from corpus import write

from logminer.trace import Extractor, extract
from logminer.trace.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 * 1024
BLOCK = 1024 * 1024


def ours(files: list[Path], size: int | None) -> int:
    """Extract every file to rows, whole or in chunks; returns how many rows there are."""
    rows = 0
    for path in files:
        extractor = Extractor()
        with path.open("rb", buffering=0) as file:
            if size is None:
                extractor.feed(file.read())
            else:
                while chunk := file.read(size):
                    extractor.feed(chunk)
        rows += len(extractor.finish().uses)
    return rows


def ripgrep(files: list[Path]) -> int:
    """Find candidate lines with ripgrep; returns how many bytes it prints."""
    with tempfile.NamedTemporaryFile("wb", suffix=".patterns") as patterns:
        patterns.write(b"\n".join(dict.fromkeys(rule.find for rule in RULES)) + b"\n")
        patterns.flush()
        command = ["rg", "-j1", "--text", "--line-number", "--no-heading", "--no-ignore"]
        done = subprocess.run(  # noqa: S603 -- a fixed command on our own files
            [*command, "-f", patterns.name, str(files[0].parent)],
            stdout=subprocess.PIPE,
            check=True,
        )
    return len(done.stdout)


def expressions(files: list[Path]) -> int:
    """Find and read lines with Python's `re` over blocks; returns how many lines it reads."""
    finds = dict.fromkeys(rule.find for rule in RULES)
    find = re.compile(b"|".join(b"(?:%s)" % each for each in finds))
    reads = [rule.read for rule in RULES]
    found = 0
    for path in files:
        carry = b""
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                data = carry + block
                end = data.rfind(b"\n") + 1
                carry = data[end:]
                at = 0
                while match := find.search(data, at, end):
                    start = data.rfind(b"\n", 0, match.start()) + 1
                    at = data.find(b"\n", match.end()) + 1 or end
                    line = data[start:at]
                    found += any(read.search(line) for read in reads)
    return found


def measure(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Time every way once in each round; returns the seconds of processor time."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = sum(os.times()[:4])
            way()
            times[name].append(sum(os.times()[:4]) - began)
    return times


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--corpus", type=Path, default=Path(tempfile.gettempdir()) / "logminer-corpus"
    )
    options = parser.parse_args()
    files = write(options.corpus / str(options.megabytes), megabytes=options.megabytes)
    size = sum(path.stat().st_size for path in files)
    times = measure(
        {
            "logminer, whole files": lambda: ours(files, None),
            "logminer, 64 KiB chunks": lambda: ours(files, CHUNK),
            "rg -j1": lambda: ripgrep(files),
        },
        options.rounds,
    )
    times |= measure({"re, block-wise": lambda: expressions(files)}, 1)
    medians = {name: statistics.median(found) for name, found in times.items()}
    shortest = {name: min(found) for name, found in times.items()}
    rival, quickest = medians["rg -j1"], shortest["rg -j1"]
    compiled = "not compiled" if str(extract.__file__).endswith(".py") else "compiled"
    print(f"{len(files):,} logs, {size / 1e6:,.0f} MB, medians of {options.rounds} rounds")
    print(f"logminer.trace is {compiled}\n")
    print(f"{'':26}{'seconds':>9}{'MB/s':>8}{'x rg':>7}{'shortest':>11}{'x rg':>7}")
    for name, seconds in medians.items():
        print(
            f"{name:26}{seconds:9.2f}{size / seconds / 1e6:8.0f}{rival / seconds:7.2f}"
            f"{shortest[name]:11.2f}{quickest / shortest[name]:7.2f}"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
