"""The window: whole drawings out, bounded bytes held, right line numbers, for any chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.trace.framing import MAX_DRAWING, REACH
from logminer.trace.window import MAX_CARRY, Window

if TYPE_CHECKING:
    from collections.abc import Iterator


def _regions(chunks: list[bytes], *, stamped: bool = False) -> Iterator[bytes]:
    """Take everything that the window hands out."""
    window = Window()
    for number, chunk in enumerate([*chunks, b""]):
        window.push(chunk)
        end = window.region(final=number == len(chunks))
        if end > window.begin:
            yield window.data[window.begin : end]
            window.keep(end, stamped=stamped)


@pytest.mark.parametrize(
    ("chunks", "regions"),
    [
        ([b"a\nb", b"\nc"], [b"a\n", b"b\n", b"c"]),
        ([b"a", b"b", b"c\n"], [b"abc\n"]),
        ([b"", b"\n"], [b"\n"]),
        ([b"a\rb\r"], [b"a\rb\r"]),
        ([], []),
    ],
)
def test_regions_are_whole_lines(chunks: list[bytes], regions: list[bytes]) -> None:
    """What has no end yet waits; the end of the trace ends everything."""
    assert list(_regions(chunks)) == regions


def test_a_progress_bar_does_not_grow_the_carry() -> None:
    """Behind the bound, CR is enough."""
    bar = b"\rprogress" * (MAX_CARRY // 9 + 1)
    regions = list(_regions([bar, b" done\n"]))

    assert regions == [bar[: bar.rindex(b"\r") + 1], b"progress done\n"]


def test_a_drawing_without_end_is_cut() -> None:
    """The rest is passed over up to the next line end, and counted once."""
    window = Window()
    window.push(b"x" * (MAX_CARRY + 1))
    end = window.region(final=False)
    window.keep(end, stamped=False)
    for _ in range(5):
        window.push(b"x" * MAX_CARRY)
        assert window.region(final=False) == window.begin
        assert len(window.data) <= 2 * MAX_CARRY
    window.push(b"x\rnext\n")
    last = window.region(final=False)
    rest = window.data[window.begin : last]

    assert end == MAX_DRAWING
    assert rest == b"\rnext\n"
    assert window.cut_lines == 1
    assert window.size == 6 * MAX_CARRY + 1 + 7


def test_history_is_kept_for_continued_lines_only() -> None:
    """With timestamps a line may reach back; without, a few markers."""
    for stamped, kept in ((True, REACH + 1), (False, 1024)):
        window = Window()
        window.push(b"x" * 99 + b"\n" + b"0123456789\n" * 20_000)
        window.keep(window.region(final=False), stamped=stamped)

        assert window.begin == kept
        assert window.base == 220_100 - kept


def test_waiting_for_more_ends_when_it_has_come() -> None:
    """Until then nothing is handed out, however many lines come."""
    window = Window()
    window.push(b"a\nb\n")
    window.region(final=False)
    window.keep(2, stamped=True, wanted=10)
    window.push(b"c\nd\n")
    waiting = window.region(final=False) - window.begin
    window.push(b"e\n")

    end = window.region(final=False)

    assert waiting == 0
    assert window.data[window.begin : end] == b"b\nc\nd\ne\n"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"x" * 40]), max_size=60),
)
def test_line_numbers_count_what_came_before(pieces: list[bytes]) -> None:
    """The number of a line is one more than the LFs before it, and the last line counts."""
    trace = b"".join(pieces)
    window = Window()
    for piece in pieces:
        window.push(piece)
        end = window.region(final=False)
        for position in range(window.begin, end):
            before = trace.count(b"\n", 0, window.base + position)
            assert window.place(position)[0] == before + 1
        if end > window.begin:
            window.keep(end, stamped=True)
            first = window.place(0)[0]
            assert first == trace.count(b"\n", 0, window.base) + 1

    window.region(final=True)
    assert window.lines() == len(trace.split(b"\n")) - (trace.endswith(b"\n") or not trace)
