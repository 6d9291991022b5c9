"""What is kept of a trace gives the rows of the whole, wherever they stand."""

from __future__ import annotations

import random
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from logminer.trace import Extraction, Extractor, KeepingExtractor, read_again
from logminer.trace.kept import MAX_KEPT, Keeper

CASES = sorted((Path(__file__).parents[1] / "traces").glob("*.log"))
STAMPED = re.compile(rb"\d{3,4}-\d\d-\d\dT")
RUNNER = b"\x1b[0KRunning with gitlab-runner 17.9.2 (14c5775c)\x1b[0;m\n"


def whole(trace: bytes) -> Extraction:
    """Read a trace as a harvest does."""
    extractor = Extractor()
    extractor.feed(trace)
    return told(extractor.finish())


def told(extraction: Extraction) -> Extraction:
    """Leave out how many lines were cut: no row has it, and what is not kept cannot tell."""
    return replace(extraction, summary=changed(extraction.summary, cut_lines=0))


def part_of(trace: bytes, step: int = 1 << 20) -> bytes:
    """Return what is kept, as it is kept without being tried out."""
    keeper = Keeper()
    for begin in range(0, len(trace), step):
        keeper.feed(trace[begin : begin + step])
    part = keeper.finish(cut=False)
    assert part is not None
    return part


def noisy(trace: bytes) -> bytes:
    """Put lines that mean nothing behind lines of the script: up to a megabyte of them."""
    dice = random.Random(len(trace))  # noqa: S311 -- noise, not secrets
    stamp = b"2026-01-21T09:47:05.000001Z 01O " if STAMPED.match(trace) else b""
    lines = []
    for number, line in enumerate(trace.splitlines(keepends=True)):
        lines.append(line)
        if number > 12 and number % 7 == 0 and line.endswith(b"\n"):
            lines.append((stamp + b"nothing to see here\n") * dice.choice([1, 100, 2_000]))
    return b"".join(lines)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden_trace(case: Path) -> None:
    """Every golden trace, and the same in the midst of noise, gives the same rows from its part.

    Line numbers, offsets, sections and times included; and where chunks end does not show.
    """
    for trace in (case.read_bytes(), noisy(case.read_bytes())):
        part = part_of(trace)

        assert part_of(trace, 1_000) == part
        assert told(read_again(part)[0]) == whole(trace)


def test_little_is_kept() -> None:
    """A hundred megabytes of a script's output leave what the runner said, and the lines."""
    noise = b"compiling something that takes a while\n" * 50_000
    trace = CASES[0].read_bytes() + noise
    last = b"Status: Downloaded newer image for alpine:3.20\n"
    part = part_of(trace + last)

    assert len(part) < len(CASES[0].read_bytes()) + 2_000
    again, _ = read_again(part)
    assert again.summary.bytes == len(trace + last)
    assert again.summary.lines == (trace + last).count(b"\n")


def test_a_line_of_nothing_but_carriage_returns() -> None:
    """A progress bar of two megabytes without a line end is length, not text."""
    bar = b"\r" + b"\r".join(b"%5d of 99999" % number for number in range(99_999))
    trace = RUNNER + b"$ docker pull alpine:3.20" + bar + b"\nUnable to find image 'a:1' locally\n"
    part = part_of(trace)

    assert told(read_again(part)[0]) == whole(trace)
    assert len(part) < 3_000


def test_a_preparation_without_an_end() -> None:
    """A runner nobody knows: its beginning is kept, for the day when somebody does."""
    trace = b"Running with acme-runner 1.0\n" + b"Image: alpine:3.20 fetched\n" * 10_000
    part = part_of(trace)

    assert trace[:10_000] in part
    assert len(part) < 40_000


def test_too_much_is_nothing() -> None:
    """What would need more than the bound is not kept in part: it would tell less."""
    extractor = KeepingExtractor()
    line = b"Status: Downloaded newer image for alpine:3.20\n"
    extractor.feed(RUNNER + line * (2 * MAX_KEPT // len(line)))
    extractor.finish()

    assert extractor.kept(cut=False) is None


def test_what_was_cut_is_known_to_be() -> None:
    """A trace that was not read to its end says so when it is read again."""
    extractor = KeepingExtractor()
    extractor.feed(RUNNER)
    extractor.finish()
    part = extractor.kept(cut=True)

    assert part is not None
    assert read_again(part)[1] is True
    assert read_again(part_of(RUNNER))[1] is False


def test_what_would_not_tell_the_same_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The part is tried out before it is handed out."""
    border = b"section_start:1768988835:step_script\r\x1b[0K"
    trace = RUNNER + border + b"...\n" * 40_000 + b"Unable to find image 'alpine:3' locally\n"
    monkeypatch.setattr(Keeper, "_want", lambda *_: None)
    extractor = KeepingExtractor()
    extractor.feed(trace)

    assert extractor.finish().uses
    assert extractor.kept(cut=False) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["00O", "01O", "01E", "0fO"]),
            st.sampled_from([" ", "+"]),
            st.sampled_from(
                [
                    b"Status: Downloaded newer image for alpine:3.20",
                    b"Digest: sha256:" + b"ab" * 32,
                    b"latest: Pulling from library/alpine",
                    b"section_start:1768988835:step_script\r\x1b[0K",
                    b"\x1b[0KUsing Docker executor with image python:3.12 ...\x1b[0;m",
                    b"half a line\r",
                    b"x" * 9_000,
                    b"nothing",
                    b"",
                ]
            ),
            st.integers(0, 80),
        ),
        max_size=12,
    )
)
def test_streams_that_interrupt_each_other(
    parts: list[tuple[str, str, bytes, int]],
) -> None:
    """Whatever several streams print between the halves of a line, what is kept tells the same."""
    lines = [b"00O \x1b[0KRunning with gitlab-runner 18.9.0 (abc)\x1b[0;m\n"]
    for stream, more, text, others in parts:
        lines.append(f"{stream}{more}".encode() + text + b"\n")
        lines += [b"01E in between\n"] * others
    trace = b"".join(b"2026-01-21T09:47:05.000001Z " + line for line in lines)
    extractor = KeepingExtractor()
    extractor.feed(trace)
    extractor.finish()
    part = extractor.kept(cut=False)

    if part is not None:  # tried out: that it is there says that it is right
        assert told(read_again(part)[0]) == whole(trace)
    assert part is not None or len(trace) > MAX_KEPT


@pytest.mark.parametrize("size", [0, 1, 2, 10, 29, 31])
def test_a_part_that_was_cut_is_refused(size: int) -> None:
    """A damaged part is refused, and never taken for a trace that tells less."""
    part = part_of(RUNNER)[:size]
    if size == 2:  # a header and nothing more is what an empty trace gives
        assert read_again(part)[0].summary.bytes == 0
        return
    with pytest.raises(ValueError, match="damaged"):
        read_again(part)


@pytest.mark.parametrize("gap", [(2**60, 0, 0), (9, 9, 9), (9, 0, 10)])
def test_a_gap_that_cannot_be_is_refused(gap: tuple[int, int, int]) -> None:
    """Nobody fills an exabyte, nor nine bytes with ten lines."""
    with pytest.raises(ValueError, match="damaged"):
        read_again(b"\x01\x00" + struct.pack("<QQQI", *gap, 0))


def test_a_part_of_a_newer_form_is_refused() -> None:
    """What a later logminer kept is not guessed at."""
    with pytest.raises(ValueError, match="newer logminer"):
        read_again(b"\x02\x00")
