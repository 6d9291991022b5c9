"""How fast configuration is read to rows, against PyYAML, which only parses it.

    python tests/benchmarks/inventory.py [--copies 20] [--rounds 5]

The files are those of the golden folders, as many times over, each copy a project.
The rival reads the same bytes in the same run: PyYAML's C loader makes nodes and values of every
YAML file (of Dockerfiles nothing); it resolves nothing and is not bounded.
Medians of all rounds, interleaved, in seconds of processor time; memory is the process's peak.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from logminer.inventory import Facts, read_tree

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[1] / "inventory" / "golden"
Tree = list[tuple[str, bytes]]


def trees() -> list[Tree]:
    """Read the golden folders."""
    return [
        [
            (path.relative_to(case / "files").as_posix(), path.read_bytes())
            for path in sorted((case / "files").rglob("*"))
            if path.is_file()
        ]
        for case in sorted(GOLDEN.iterdir())
    ]


def ours(tree: Tree) -> int:
    """Read a project; returns how many rows it has."""
    return len(read_tree(tree, Facts()))


def nodes(tree: Tree) -> int:
    """Compose every YAML file; returns how many were any."""
    return _each(tree, yaml.compose_all)


def values(tree: Tree) -> int:
    """Load every YAML file; returns how many were any."""
    return _each(tree, yaml.load_all)


def _each(tree: Tree, read: Callable[[bytes, type], object]) -> int:
    done = 0
    for path, data in tree:
        if path.endswith((".yml", ".yaml", ".json")):
            with contextlib.suppress(yaml.YAMLError, UnicodeDecodeError):
                done += len(list(read(data, yaml.CSafeLoader)))  # type: ignore[call-overload]
    return done


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--copies", type=int, default=20, help="of every golden folder")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    every = trees() * asked.copies
    files = sum(map(len, every))
    size = sum(len(data) for tree in every for _, data in tree)
    ways: dict[str, Callable[[Tree], int]] = {
        "logminer: to rows": ours,
        "PyYAML (C): to nodes": nodes,
        "PyYAML (C): to values": values,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    found = dict.fromkeys(ways, 0)
    for _ in range(asked.rounds):
        for name, way in ways.items():
            start = time.process_time()
            found[name] = sum(map(way, every))
            times[name].append(time.process_time() - start)
    base = statistics.median(times["logminer: to rows"])
    print(f"{len(every):,} projects, {files:,} files, {size / 1e6:.1f} MB, {asked.rounds} rounds")
    for name, spent in times.items():
        median = statistics.median(spent)
        print(
            f"{name:<24}{median:>8.2f} s{files / median:>9,.0f} files/s"
            f"{median / base:>7.2f} x{found[name]:>9,} found"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
