"""Each rule is needed: without it some golden trace gives another result."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from logminer.trace import Extraction, Extractor, reading
from logminer.trace.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = sorted((Path(__file__).parents[1] / "traces").glob("*.log"))
NEVER = re.compile(rb"(?!)")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Let no line be remembered as a broken rule read it."""
    yield
    reading.remembered.cache_clear()


def _read(trace: bytes) -> Extraction:
    extractor = Extractor()
    extractor.feed(trace)
    return extractor.finish()


def _agrees(case: Path) -> bool:
    """Whether a case gives what its JSON says, without regard to what that leaves open."""
    expected = json.loads(case.with_suffix(".json").read_text())
    found = _read(case.read_bytes())
    return len(found.uses) == len(expected["uses"]) and all(
        getattr(thing, key) == value
        for thing, wanted in [
            *zip(found.uses, expected["uses"], strict=True),
            (found.summary, expected["summary"]),
        ]
        for key, value in wanted.items()
    )


@pytest.mark.parametrize("index", range(len(RULES)), ids=[rule.name for rule in RULES])
def test_a_rule_that_reads_nothing_is_missed(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one golden trace pins the rule down."""
    broken = list(RULES)
    broken[index] = replace(RULES[index], read=NEVER)
    monkeypatch.setattr(reading, "RULES", tuple(broken))
    reading.remembered.cache_clear()
    literal = RULES[index].find

    assert [
        case.stem for case in CASES if re.search(literal, case.read_bytes()) and not _agrees(case)
    ] != []


def test_unbroken_rules_agree_with_every_case() -> None:
    """The yardstick itself is right."""
    assert [case.stem for case in CASES if not _agrees(case)] == []
