"""The golden traces: what a log says, written down by hand from the grammar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.trace import Extraction

CASES = Path(__file__).parents[1] / "traces"


def _named(case: str) -> dict[str, Any]:
    """Load what a case expects."""
    expected: dict[str, Any] = json.loads((CASES / f"{case}.json").read_text())
    return expected


@pytest.mark.parametrize("case", sorted(path.stem for path in CASES.glob("*.log")))
def test_golden_trace(case: str, read: Callable[[bytes], Extraction]) -> None:
    """A golden trace gives exactly its rows, in order, however it is cut."""
    expected = _named(case)
    extraction = read((CASES / f"{case}.log").read_bytes())

    uses = [
        {key: getattr(use, key) for key in wanted}
        for use, wanted in zip(extraction.uses, expected["uses"], strict=False)
    ]
    assert [use.image for use in extraction.uses] == [use["image"] for use in expected["uses"]]
    assert uses == expected["uses"]
    assert [use.ordinal for use in extraction.uses] == list(range(1, len(uses) + 1))
    summary = {key: getattr(extraction.summary, key) for key in expected["summary"]}
    assert summary == expected["summary"]


def test_every_trace_has_its_expectation() -> None:
    """No log without rows, no rows without a log."""
    logs = {path.stem for path in CASES.glob("*.log")}

    assert {path.stem for path in CASES.glob("*.json")} == logs
