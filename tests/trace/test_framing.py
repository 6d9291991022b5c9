"""Framing: dress, stamps, drawings and the two halves of a broken line, byte by byte."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from logminer.trace import Extraction
from logminer.trace.framing import (
    MAX_BETWEEN,
    MAX_DRAWING,
    REACH,
    STAMP,
    Resumed,
    begins_line,
    drawing_at,
    head_of,
    stamped_at,
    strip,
    tail_of,
    undress,
)
from logminer.trace.rules import Dress

Read = Callable[[bytes], Extraction]
Stamp = Callable[..., bytes]

DIGEST = b"sha256:" + b"1a" * 32
LONG = b"y" * 8192


@pytest.mark.parametrize(
    ("drawing", "text", "dress"),
    [
        (b"text", b"text", Dress.NONE),
        (b"", b"", Dress.NONE),
        (b"\x1b[0Ktext\x1b[0;m", b"text", Dress.PRINT),
        (b"\x1b[0;m\x1b[0Ktext", b"text", Dress.PRINT),
        (b"\x1b[32;1mtext\x1b[0;m", b"text", Dress.INFO),
        (b"\x1b[0;33mWARNING: text\x1b[0;m", b"WARNING: text", Dress.WARNING),
        (b"\x1b[31;1mERROR: text\x1b[0;m", b"ERROR: text", Dress.ERROR),
        (b"\x1b[0K\x1b[0K\x1b[36;1mtext\x1b[0;m\x1b[0;m", b"text", Dress.TITLE),
        (b"\x1b[33mtext", b"\x1b[33mtext", Dress.NONE),
        (b"[0Ktext", b"[0Ktext", Dress.NONE),
        (b"\x1b[0;m", b"", Dress.NONE),
        (b"text\x1b[0K", b"text\x1b[0K", Dress.NONE),
        (b"\x1b[0K", b"", Dress.PRINT),
    ],
)
def test_undress_knows_the_loggers_calls(drawing: bytes, text: bytes, dress: Dress) -> None:
    """The exact colours of each call, before and after 14.2; any other is no dress."""
    assert undress(drawing) == (text, dress)


@pytest.mark.parametrize(
    ("drawing", "text"),
    [
        (b"\x1b[1;31m  text \x1b[0m", b"text"),
        (b"[0Ktext[0;m[0;m", b"text"),
        (b"[0;33mtext", b"text"),
        (b" \ttext  ", b"text"),
        (b"text 00:05", b"text"),
        (b"text  01:02 ", b"text"),
        (b"text 00:055", b"text 00:055"),
        (b"[0;m" * 9000, b""),
        (b"", b""),
    ],
)
def test_strip_leaves_what_a_person_reads(drawing: bytes, text: bytes) -> None:
    """Copies have lost their escape bytes, gained spaces, or a duration."""
    assert strip(drawing) == text


@pytest.mark.parametrize(
    ("prefix", "whole_seconds", "moment"),
    [
        (
            b"2026-01-21T09:47:05.094220Z 00O ",
            False,
            dt.datetime(2026, 1, 21, 9, 47, 5, 94220, tzinfo=dt.UTC),
        ),
        (
            b"2026-01-21T09:47:05.942200Z 00O+",
            True,
            dt.datetime(2026, 1, 21, 9, 47, 5, tzinfo=dt.UTC),
        ),
        (b"2026-13-21T09:47:05.094220Z 00O ", False, None),
        (b"0000-01-21T09:47:05.094220Z 00O ", False, None),
        (b"2026-01-21T09:47:60.094220Z 00O ", False, None),
    ],
)
def test_a_stamp_is_a_moment_in_utc_or_none(
    prefix: bytes,
    whole_seconds: bool,  # noqa: FBT001 -- a parameter of a case
    moment: dt.datetime | None,
) -> None:
    """Microseconds only where the runner wrote them rightly; no date is None, never an error."""
    stamp = STAMP.match(prefix)

    assert stamp is not None
    assert stamped_at(stamp, whole_seconds=whole_seconds) == moment


def test_a_drawing_lies_between_line_ends() -> None:
    """CR ends a drawing, LF a physical line."""
    data = b"first\rsecond\rthird\nfourth"
    second = drawing_at(data, 9, 0, len(data), stamped=False)
    fourth = drawing_at(data, 22, 13, len(data), stamped=False, resumed=Resumed(0, None))

    assert (data[second.start : second.end], second.line, second.stop) == (b"second", 0, 12)
    assert (data[fourth.start : fourth.end], fourth.line, fourth.stop) == (b"fourth", 19, 25)


def test_a_drawing_may_go_on_with_a_line_whose_head_is_gone() -> None:
    """The rest of a physical line has its stamp and its place."""
    stamp = STAMP.match(b"2026-01-21T09:47:05.094220Z 01O+")
    drawing = drawing_at(b"rest", 2, 0, 4, stamped=True, resumed=Resumed(-70_000, stamp))

    assert (drawing.line, drawing.stream, drawing.continued) == (-70_000, b"01O", False)


@pytest.mark.parametrize(
    ("before", "alone"),
    [
        (b"", True),
        (b"section_end:1768988828:prepare_executor\r", True),
        (b"section_end:1:a\r\x1b[0Ksection_start:2:b[collapsed=true]\r", True),
        (b"progress 10%\r", False),
        (b"section_end:1:a\rprogress\r", False),
        (b"section_end:1:a\r" * 100, False),
    ],
)
@pytest.mark.parametrize("prefix", [b"", b"2026-01-21T09:47:05.094220Z 00O "])
def test_the_runner_begins_its_lines(prefix: bytes, before: bytes, alone: bool) -> None:  # noqa: FBT001 -- a parameter of a case
    """Only its own section markers may stand before a sentence of the runner."""
    data = prefix + before + b"text"
    drawing = drawing_at(data, len(data), 0, len(data), stamped=bool(prefix))

    assert begins_line(data, drawing) is alone


def test_what_lies_too_far_back_is_somebody_elses() -> None:
    """A physical line whose beginning is no longer held did not begin with the runner's words."""
    drawing = drawing_at(b"\rtext", 3, 0, 5, stamped=False, resumed=Resumed(-9000, None))

    assert begins_line(b"\rtext", drawing) is False


def _second(data: bytes, *, at_start: bool = True) -> bytes | None:
    """Return what the last line of `data` continues."""
    drawing = drawing_at(data, len(data) - 1, 0, len(data), stamped=True)
    head = head_of(data, drawing, at_start=at_start)
    return None if head is None else data[head.start : head.end]


def test_a_continued_line_finds_its_head(stamped: Stamp) -> None:
    """The line before it on the same stream, if that may have been broken."""
    head = ("01O ", b"first\rhead")
    others = [("00O ", b"other")] * (MAX_BETWEEN - 1)

    assert _second(stamped(head, ("01O+", b"tail"))) == b"head"
    assert _second(stamped(("01O ", LONG), ("01O+", b"tail"))) == LONG
    assert _second(stamped(head, *others, ("01O+", b"tail"))) == b"head"
    assert _second(stamped(head, *others, ("00O ", b"one more"), ("01O+", b"tail"))) is None
    assert _second(stamped(("01O ", b"short"), ("01O+", b"tail"))) is None
    assert _second(stamped(("01O ", b"done\r"), ("01O+", b"tail"))) is None
    assert _second(stamped(("01O ", b"done\r\x1b[0K"), ("01O+", b"tail"))) is None
    assert _second(stamped(("01E ", b"first\rhead"), ("01O+", b"tail"))) is None
    assert _second(b"no stamp at all\n" + stamped(("01O+", b"tail"))) is None
    assert _second(stamped(head, ("00O ", b"x" * REACH), ("01O+", b"tail"))) is None
    assert _second(stamped(head, ("01O+", b"tail")), at_start=False) is None


def _first(data: bytes, limit: int = REACH, *, final: bool = True) -> tuple[bytes | None, bool]:
    """Return what continues the first line of `data`, and whether that is known."""
    drawing = drawing_at(data, data.index(b"\n"), 0, len(data), stamped=True)
    tail, known = tail_of(data, drawing, limit, final=final)
    return None if tail is None else data[tail.start : tail.end], known


def test_a_broken_line_finds_its_tail(stamped: Stamp) -> None:
    """The next line of the same stream, if it says that it continues."""
    head = ("01O ", b"first\rhead")
    others = [("00O ", b"other")] * (MAX_BETWEEN - 1)
    tail = ("01O+", b"tail")

    assert _first(stamped(head, tail)) == (b"tail", True)
    assert _first(stamped(head, ("01O+", b"tail\rnext"))) == (b"tail", True)
    assert _first(stamped(head, *others, tail)) == (b"tail", True)
    assert _first(stamped(head, *others, ("00O ", b"one more"), tail)) == (None, True)
    assert _first(stamped(head, ("01O ", b"another"), tail)) == (None, True)
    assert _first(stamped(("01O ", b"short"), tail)) == (None, True)
    assert _first(stamped(head, ("00O ", b"x" * REACH), tail)) == (None, True)
    assert _first(stamped(head)) == (None, True)


def test_what_has_not_come_is_not_decided(stamped: Stamp) -> None:
    """A tail is known when its line is whole, when another line shows, or at the limit."""
    whole = stamped(("01O ", b"first\rhead"), ("01O+", b"tail"))
    end = whole.index(b"\n") + 1
    another = stamped(("01O ", b"first\rhead"), ("01O ", b"tail"))

    assert [_first(whole[:size], final=False) for size in range(end, len(whole))] == [
        (None, False)
    ] * (len(whole) - end)
    assert _first(whole, final=False) == (b"tail", True)
    assert _first(another[: end + 32], final=False) == (None, True)
    assert _first(whole[:-1], limit=len(whole) - 1, final=False) == (b"tail", True)


def status(read: Read, trace: bytes) -> list[str]:
    """Return the images of a trace, read in every manner."""
    return [use.image for use in read(trace).uses]


def test_halves_of_a_line_are_read_once_and_together(read: Read, stamped: Stamp) -> None:
    """The hit may stand in the first half, in the second, or across."""
    whole = b"Status: Downloaded newer image for alpine:3"
    for cut in range(1, len(whole)):
        head, tail = b"\r" + whole[:cut], whole[cut:]
        trace = stamped(("01O ", b"bar" + head), ("0fO ", b"noise"), ("01O+", tail))

        assert status(read, trace) == ["alpine:3"], cut


def test_a_chain_is_read_once(read: Read, stamped: Stamp) -> None:
    """Each part of a long chain holds a hit, and all are one line."""
    part = b"Status: Downloaded newer image for a:1 "
    filler = b" " * (8192 - len(part))
    chain = [("01O+", part + filler), ("01O+", part)]
    trace = stamped(("01O ", filler + part), *chain, ("01O ", b"Digest: " + DIGEST))
    extraction = read(trace)

    assert [use.image for use in extraction.uses] == []
    assert extraction.summary.cut_lines == 1


def test_what_continues_a_cut_line_is_left_alone(read: Read, stamped: Stamp) -> None:
    """Beyond the bound nothing is read, however the line goes on: a line is not begun by a cut."""
    whole = b"Status: Downloaded newer image for evil:1"
    trace = stamped(
        ("01O ", LONG),
        ("01O+", LONG),
        ("01O+", LONG),
        ("01O+", whole),
        ("01O ", b"Status: Downloaded newer image for alpine:3"),
    )
    single = stamped(("01O ", b"Digest: " + b"x" * MAX_DRAWING), ("01O+", whole))

    assert status(read, trace) == ["alpine:3"]
    assert status(read, single) == []


def test_a_bound_that_nothing_crosses_cuts_nothing(read: Read, stamped: Stamp) -> None:
    """A tail that begins within reach and ends beyond it is cut there."""
    begun = ("01O ", b"x\rTrying to pull docker.io/library/alpine:3")
    others = [("00O ", b"o" * (REACH // 4 - 80))] * 4
    trace = stamped(begun, *others, ("01O+", b"." * 200))
    extraction = read(trace)

    assert [use.image for use in extraction.uses] == []
    assert extraction.summary.cut_lines == 1


def test_stamps_before_the_first_hit_are_remembered(read: Read, stamped: Stamp) -> None:
    """The first hit may stand in the second half of a line; the first may be gone by then."""
    trace = stamped(
        ("01O ", b"x" * 8192 + b"Status: Downloaded newer"), ("01O+", b" image for alpine:3")
    )

    assert status(read, trace) == []
    assert status(read, stamped(("01O ", b"y\rTrying "), ("01O+", b"to pull a:1..."))) == ["a:1"]


def test_a_progress_bar_keeps_its_lines_stamp(read: Read, stamped: Stamp) -> None:
    """However long a line of bare CR is, what it draws last is still the stream's that drew it."""
    bar = b"\rlayer 10%" * 8000
    evil = b"\rUsing Docker executor with image evil:1 ..."
    trace = stamped(("01O ", bar + evil), ("01O ", bar + b"\rTrying to pull a:1..."))

    assert status(read, trace) == ["a:1"]


def test_beyond_the_bound_of_a_drawing_nothing_is_read(read: Read) -> None:
    """What stands behind 16 KiB is cut off and counted; the next drawing is read again."""
    far = b"Trying " + b"x" * MAX_DRAWING + b"Trying to pull evil:1..."
    extraction = read(far + b"\rTrying to pull a:1...\n" + b"Trying to pull b:1...\n")

    assert [use.image for use in extraction.uses] == ["a:1", "b:1"]
    assert extraction.summary.cut_lines == 1
