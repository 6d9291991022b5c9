"""One way to read a trace in every test: whole, byte by byte, and cut anywhere, with one result."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from logminer.trace import Extraction, Extractor

Read = Callable[[bytes], Extraction]


def _feed(trace: bytes, cuts: Sequence[int]) -> Extraction:
    """Read a trace in the pieces that these cuts make."""
    extractor = Extractor()
    for start, end in zip([0, *cuts], [*cuts, len(trace)], strict=True):
        extractor.feed(trace[start:end])
    return extractor.finish()


def _read(trace: bytes) -> Extraction:
    """Read a trace in every manner and insist that the manner does not show."""
    whole = _feed(trace, [])
    dice = random.Random(len(trace))  # noqa: S311 -- cuts, not secrets
    for count in (1, 2, 7, 40):
        cuts = sorted(dice.randrange(len(trace) + 1) for _ in range(count))
        assert _feed(trace, cuts) == whole, f"cuts at {cuts}"
    lines = [at + 1 for at, byte in enumerate(trace) if byte == ord("\n")]
    assert _feed(trace, lines) == whole, "cut behind every LF"
    if len(trace) <= 20_000:
        assert _feed(trace, range(1, len(trace))) == whole, "byte by byte"
    return whole


@pytest.fixture(scope="session")
def feed() -> Callable[[bytes, Sequence[int]], Extraction]:
    """Read a trace in given pieces."""
    return _feed


@pytest.fixture(scope="session")
def read() -> Read:
    """Read a trace in every manner and insist that the manner does not show."""
    return _read


@pytest.fixture(scope="session")
def stamped() -> Callable[..., bytes]:
    """Put the timestamper's prefix before each of some lines, given as (stream, text)."""

    def stamp(*lines: tuple[str, bytes]) -> bytes:
        prefixed = (
            b"2026-01-21T09:47:05.%06dZ %s" % (number, key.encode()) + text + b"\n"
            for number, (key, text) in enumerate(lines, start=1)
        )
        return b"".join(prefixed)

    return stamp


def _preamble(executor: str, version: str) -> bytes:
    return (
        f"\x1b[0KRunning with gitlab-runner {version} (a1b2c3d4)\x1b[0;m\n"
        f'\x1b[0K\x1b[36;1mPreparing the "{executor}" executor\x1b[0;m\x1b[0;m\n'
    ).encode()


def _dressed(line: str) -> bytes:
    """Print a line as the runner's logger does from 14.2 on, without timestamps."""
    if line.startswith("WARNING: "):
        colour = "\x1b[0;33m"
    elif line.startswith("ERROR: "):
        colour = "\x1b[31;1m"
    elif line.startswith("Attempt #"):
        colour = "\x1b[32;1m"
    elif line.startswith(("Normal ", "Warning ", "Running on ", "\t")):
        return line.encode() + b"\n"
    else:
        colour = "\x1b[0K"
    return f"{colour}{line}\x1b[0;m\n".encode()


@pytest.fixture(scope="session")
def of_runner() -> Callable[..., list[tuple[object, ...]]]:
    """Read sentences of the runner; returns the named columns of each row."""

    def rows(
        sentences: str, *columns: str, executor: str = "docker", version: str = "18.0.0"
    ) -> list[tuple[object, ...]]:
        lines = [line for line in sentences.split("\n") if line.strip(" ")]
        trace = _preamble(executor, version) + b"".join(map(_dressed, lines))
        return [tuple(getattr(use, name) for name in columns) for use in _read(trace).uses]

    return rows


@pytest.fixture(scope="session")
def of_script() -> Callable[..., list[tuple[object, ...]]]:
    """Read what a job's script printed; returns the named columns of each row."""

    def rows(output: str, *columns: str) -> list[tuple[object, ...]]:
        border = b"section_start:1768988835:step_script\r\x1b[0K"
        trace = _preamble("shell", "17.4.0") + border + output.encode()
        return [tuple(getattr(use, name) for name in columns) for use in _read(trace).uses]

    return rows


def _seconds(work: Callable[[], object]) -> float:
    """CPU time of this thread: waiting for a processor does not count."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


@pytest.fixture(scope="session")
def linear() -> Callable[[Callable[[], object], Callable[[], object]], bool]:
    """Whether the second, which has eight times as much to read, takes less than 30 times as long.

    Quadratic would be 64 times. A machine that is busy only adds time, so the shortest run of each
    counts, and a verdict against the code is not believed before the twentieth pair. Less than half
    a millisecond is no measure of anything.
    """

    def holds(short: Callable[[], object], long: Callable[[], object]) -> bool:
        shortest = longest = float("inf")
        for attempt in range(20):
            shortest = min(shortest, _seconds(short))
            longest = min(longest, _seconds(long))
            if attempt >= 2 and longest < max(30 * shortest, 5e-4):
                return True
        return False

    return holds
