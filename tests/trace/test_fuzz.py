"""A moment of the fuzz target, so that it never rusts."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

TARGET = Path(__file__).parents[1] / "fuzz_trace.py"


@pytest.fixture(scope="module")
def target() -> ModuleType:
    """Load the script as a module."""
    spec = importlib.util.spec_from_file_location("fuzz_trace", TARGET)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_breaks_the_invariant_for_a_while(target: ModuleType) -> None:
    """Three seconds of mutated golden traces."""
    assert target.search(seconds=3, seed=7) > 10


def test_what_libfuzzer_is_given_holds_without_it(target: ModuleType) -> None:
    """The seeds of the guided search, each as it is and damaged once, through the same target."""
    dice = random.Random(11)  # noqa: S311 -- inputs, not secrets
    seeds = list(target.inputs().values())
    for seed in seeds:
        target.one_input(seed)
        target.one_input(seed[:4] + target.mutate(dice, [seed[4:]]))
    for size in range(6):
        target.one_input(b"\xff\x00\x80\x01\n\r"[:size])

    assert len(seeds) > 150


def test_the_guided_target_sees_what_is_broken(
    target: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cuts are cuts: an extractor that forgets all but the first piece is caught."""
    extract = target.extract
    monkeypatch.setattr(
        target, "extract", lambda trace, cuts: extract(trace[: min(cuts, default=len(trace))], [])
    )

    with pytest.raises(AssertionError):
        target.one_input(b"\x80\x80\x80\x80" + target.SEEDS[0].read_bytes())


def test_the_target_sees_what_is_broken(
    target: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An extractor that forgets a chunk is caught, and the input is kept."""
    extract = target.extract
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(target, "extract", lambda trace, cuts: extract(trace[: 1 + len(cuts)], []))

    with pytest.raises(AssertionError):
        target.search(seconds=3, seed=1)
    assert (tmp_path / "fuzz-failure.log").exists()


def test_the_same_seed_makes_the_same_inputs(target: ModuleType) -> None:
    """A failure can be had again."""
    seeds = [b"one\ntwo\n", b"three\r\n"]
    first, second = (random.Random(3) for _ in range(2))  # noqa: S311 -- inputs, not secrets

    assert [target.mutate(first, seeds) for _ in range(50)] == [
        target.mutate(second, seeds) for _ in range(50)
    ]
    assert "fuzz_trace" not in sys.modules
