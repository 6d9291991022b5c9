"""Foreign input has no power: memory is bounded, and time grows with the bytes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from logminer.trace import Extraction, Extractor
from logminer.trace.scanner import scanner

Linear = Callable[[Callable[[], object], Callable[[], object]], bool]

STAMP = b"2026-01-21T09:47:05.094220Z "
HEADER = STAMP + b"00O \x1b[0KRunning with gitlab-runner 18.9.0 (a1b2c3d4)\x1b[0;m\n"
ID = b"sha256:" + b"1a" * 32
MIB = 1024 * 1024

ENDLESS = {
    "bar of CR": b"\rprogress 10% of the layer",
    "bar with hits": b"\rsection_start:1768988835:x",
    "one line": b"no end in sight ",
    "one line with hits": b"Trying to pull a:1...",
    "stamped bar": STAMP + b"01O+progress 10%\r\n",
    "continued lines": STAMP + b"01O+x\n",
    "broken lines": STAMP + b"01O a\rsection_start:1\n" + STAMP + b"00O other\n",
    "long halves": STAMP + b"01O " + b"y" * 8192 + b"\n" + STAMP + b"01O+" + b"z" * 8192 + b"\n",
    "many streams": b"".join(STAMP + b"%02xO+x\n" % number for number in range(256)),
    "empty lines": b"\n",
    "markers": b"section_start:1768988835:step_script\r",
    "short hits": b"STEP 1\n",
    "dots": b")...\n",
    "NUL": b"\x00",
}
"""What a line, or a log, may consist of without end."""
FAST = {"bar of CR", "one line", "one line with hits", "long halves", "dots", "NUL"}
"""Those without a hit in each few bytes: measuring memory makes the others slow."""


def _images(count: int) -> Iterator[bytes]:
    """Name another image in each line."""
    for number in range(count):
        yield b"Trying to pull registry.example.com/g/i%d:1...\n" % number


def _read(chunks: Iterator[bytes]) -> Extraction:
    extractor = Extractor()
    for chunk in chunks:
        extractor.feed(chunk)
    return extractor.finish()


def _filled(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece) + 1)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(piece, id=name, marks=[] if name in FAST else [pytest.mark.slow])
        for name, piece in ENDLESS.items()
    ],
)
@pytest.mark.parametrize("begun", [b"", HEADER + STAMP + b"01O a\rsection_start:1\n"])
def test_memory_does_not_grow_with_the_trace(piece: bytes, begun: bytes) -> None:
    """Three times the bytes, the same peak."""
    chunk = _filled(piece, 16 * 1024)
    peaks = []
    _read(iter([chunk]))
    for count in (14, 42):
        tracemalloc.start()
        _read(iter([begun, *repeat(chunk, count)]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 256 * 1024
    assert peaks[1] < 8 * MIB


@pytest.mark.parametrize("piece", ENDLESS.values(), ids=list(ENDLESS))
@pytest.mark.parametrize("size", [100, 1 << 30])
def test_time_grows_with_the_trace(piece: bytes, size: int, linear: Linear) -> None:
    """Eight times the bytes take about eight times as long, in small chunks and in one."""

    def reading(total: int) -> Callable[[], object]:
        trace = HEADER + _filled(piece, total)
        return lambda: _read(trace[at : at + size] for at in range(0, len(trace), size))

    assert linear(reading(8 * 1024), reading(64 * 1024))


@pytest.mark.parametrize(
    "piece", [b")...\n", b"Pulling ", b"Pulling x\n", b" (a)...\n", b"#1 \n", b"\x1b[0K\n"]
)
def test_what_nearly_is_a_line_of_a_tool_is_no_hit(piece: bytes) -> None:
    """What a script may print on every line must not leave the scanner: each hit costs a line."""
    chunk = _filled(piece, 64 * 1024)

    assert scanner().scan(chunk) == []
    assert _read(iter([chunk])).uses == ()


def test_rows_are_bounded() -> None:
    """More images than any job has: the first are kept, the rest only read."""
    extraction = _read(_images(12_000))

    assert len(extraction.uses) == 10_000
    assert extraction.uses[-1].image == "registry.example.com/g/i9999:1"
    assert extraction.summary.lines == 12_000


@pytest.mark.parametrize(
    "sentence",
    [
        b"\x1b[0KStarting service %d%s:1...\x1b[0;m\n",
        b"\x1b[0KUsing effective pull policy of [%d%s] for container a:1\x1b[0;m\n",
        b"\x1b[0KPulling docker image a:1 for platform %d%s ...\x1b[0;m\n",
        b'\x1b[0;33mWARNING: Failed to pull image "a:%d" with policy "%s": no\x1b[0;m\n',
    ],
)
def test_what_the_runner_says_is_bounded_too(sentence: bytes) -> None:
    """A trace from anywhere may wear the runner's dress."""
    header = b"\x1b[0KRunning with gitlab-runner 17.4.0 (a1b2c3d4)\x1b[0;m\n"
    tracemalloc.start()
    _read(chain([header], (sentence % (number, b"x" * 8000) for number in range(1500))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 * MIB


# Not `ru_maxrss`: a process begins with the peak of the one that started it.
_PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
"""
_CHILD = """
import sys
from logminer.trace import Extractor
extractor = Extractor()
piece, count = eval(sys.stdin.read())
extractor.feed(piece)
before = peak()
for number in range(count):
    extractor.feed(piece % number if b"%d" in piece else piece)
extractor.finish()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("piece", "count"),
    [
        (b"\rprogress 10% of the layer" * 2500, 3200),
        (b"no end in sight " * 4096, 3200),
        (STAMP + b"01O a\rb\n" + (STAMP + b"01O+x\n") * 2000, 100),
        (b"Trying to pull registry.example.com/g/i%d:1...\n", 100_000),
    ],
    ids=["200 MiB of bare CR", "one line of 200 MiB", "deep chains", "100 000 images"],
)
def test_a_process_stays_small(piece: bytes, count: int) -> None:
    """At most 64 MiB above a run that has read next to nothing."""
    child = subprocess.run(  # noqa: S603 -- our own interpreter and script
        [sys.executable, "-c", _PEAK + _CHILD],
        input=repr((piece, count)),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert int(child.stdout) < 64 * 1024


def test_the_measure_sees_what_is_taken() -> None:
    """The bound above is in KiB, and what a child takes shows, however large its parent is."""
    child = subprocess.run(  # noqa: S603 -- our own interpreter and script
        [
            sys.executable,
            "-c",
            _PEAK + "before = peak(); b'x' * 100 * 2**20; print(peak() - before)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert 90 * 1024 < int(child.stdout) < 110 * 1024
