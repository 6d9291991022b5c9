"""One way to read a trace in every test: whole, byte by byte, and cut anywhere, always with one result."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from logminer.trace import Extraction, Extractor

type_of_read = Callable[[bytes], Extraction]


def _feed(trace: bytes, cuts: list[int]) -> Extraction:
    """Read a trace in the pieces that these cuts make."""
    extractor = Extractor()
    for start, end in zip([0, *cuts], [*cuts, len(trace)], strict=True):
        extractor.feed(trace[start:end])
    return extractor.finish()


@pytest.fixture(scope="session")
def feed() -> Callable[[bytes, list[int]], Extraction]:
    """Read a trace in given pieces."""
    return _feed


@pytest.fixture(scope="session")
def read() -> type_of_read:
    """Read a trace in every manner and insist that the manner does not show."""

    def read_in_every_manner(trace: bytes) -> Extraction:
        whole = _feed(trace, [])
        dice = random.Random(len(trace))  # noqa: S311 -- cuts, not secrets
        for count in (1, 2, 7, 40):
            cuts = sorted(dice.randrange(len(trace) + 1) for _ in range(count))
            assert _feed(trace, cuts) == whole, f"cuts at {cuts}"
        lines = [at + 1 for at, byte in enumerate(trace) if byte == ord("\n")]
        assert _feed(trace, lines) == whole, "cut behind every LF"
        if len(trace) <= 20_000:
            assert _feed(trace, list(range(1, len(trace)))) == whole, "byte by byte"
        return whole

    return read_in_every_manner
