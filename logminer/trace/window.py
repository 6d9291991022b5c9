"""The part of a trace that is held: what is being read, and the little that may still be needed.

Only whole drawings are handed out. What waits for its end is bounded: behind `MAX_CARRY` bytes
without LF a CR must do (a progress bar of bare CR must not grow the carry), and a drawing that has
no end at all is cut. Small chunks are gathered until there is something to read, so that the work
grows with the bytes and not with the chunks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from logminer.trace.framing import (
    MAX_DRAWING,
    MAX_MARKERS,
    REACH,
    STAMP,
    Resumed,
    end_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LF: Final = np.array(0x0A, np.uint8)
_SHORT: Final = 4096
"""Bytes below which the call costs more than the counting."""
_BLOCK: Final = 128 * 1024
"""Bytes that are compared at once: what comes of it is still in the cache when it is counted."""

MAX_CARRY: Final = 4 * MAX_DRAWING
"""Bytes that are held back in the hope of a LF."""

_local = threading.local()


def count_lf(data: bytes, begin: int, end: int) -> int:
    """Count the LFs in `data[begin:end]`: NumPy compares at four times the speed of `bytes.count`.

    Into the same memory each time, which takes two thirds of the time that new memory takes.
    """
    if end - begin < _SHORT:
        return data.count(b"\n", begin, end)
    scratch = _scratch()
    whole = np.frombuffer(data, np.uint8, end - begin, begin)
    found = 0
    for at in range(0, end - begin, _BLOCK):
        block = whole[at : at + _BLOCK]
        equal = scratch[: len(block)]
        np.equal(block, _LF, equal)
        found += int(np.count_nonzero(equal))
    return found


def _scratch() -> NDArray[np.bool_]:
    """Return this thread's memory to compare into: NumPy lets other threads run meanwhile."""
    found: NDArray[np.bool_] | None = getattr(_local, "scratch", None)
    if found is None:
        found = _local.scratch = np.empty(_BLOCK, np.bool_)
    return found


class Window:
    """Bytes of one trace, from the oldest that a continued line may reach back to."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.data = b""
        self.base = 0
        """Offset in the trace of the first byte held."""
        self.begin = 0
        """Position of the first unread byte: a drawing begins there."""
        self.resumed: Resumed | None = None
        """The physical line that the unread part is the rest of, if it is not a new one."""
        self.cuts: list[int] = []
        """Ends of the drawings in the last region that were cut."""
        self.cut_lines = 0
        self.size = 0
        """How many bytes of the trace were seen."""
        self._parts: list[bytes] = []
        """What came and is not yet part of `data`."""
        self._readable = False
        """Whether a LF stands in the unread part."""
        self._wanted = 0
        """Bytes of the trace that must be seen before reading on makes sense."""
        self._lines = 0
        """LFs in front of `_counted`."""
        self._counted = 0
        self._ended = True
        """Whether a LF ends what was seen so far."""
        self._skipping = False
        """Whether the unread bytes are the rest of a drawing that was cut."""

    def push(self, chunk: bytes) -> None:
        """Append what came."""
        if not chunk:
            return
        self._parts.append(chunk)
        self.size += len(chunk)
        self._ended = chunk.endswith(b"\n")
        self._readable = self._readable or b"\n" in chunk

    def region(self, *, final: bool) -> int:
        """Return the end of the whole drawings from `begin`; `begin` where there are none."""
        carry = self.size - self.base - self.begin
        if not final and (self.size < self._wanted or not (self._readable or carry > MAX_CARRY)):
            return self.begin
        # A trace that comes in one piece is read where it lies.
        self._parts[:0] = (self.data,) if self.data else ()
        self.data = data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._skipping and not self._skip():
            return self.begin
        data, begin = self.data, self.begin
        end = len(data) if final else data.rfind(b"\n", begin) + 1
        if end <= begin and not final and len(data) - begin > MAX_CARRY:
            end = data.rfind(b"\r", begin) + 1
            if end <= begin:
                end = begin + MAX_DRAWING
                self.cuts = [end]
                self._skipping = True
                return end
        self.cuts = self._cut(begin, end) if end - begin > MAX_DRAWING else []
        return max(end, begin)

    def keep(self, stop: int, *, stamped: bool, wanted: int = 0) -> None:
        """Take everything before `stop` as read, and forget what nothing can reach any more.

        `stamped` says that a continued line may follow; `wanted`, that it takes so many bytes of
        the trace to read on.
        """
        data = self.data
        if self.cuts:
            self.cut_lines += sum(1 for cut in self.cuts if cut <= stop)
        line = data.rfind(b"\n", self.begin, stop) + 1
        if line == stop and stop > self.begin:
            self.resumed = None
        elif line or (stop > self.begin and self.resumed is None):
            line = line or self.begin
            self.resumed = Resumed(line, STAMP.match(data, line) if stamped else None)
        self._wanted = wanted
        self._readable = wanted > 0
        # One byte more than the reach: the LF that shows where the farthest line begins.
        floor = max(0, stop - (REACH + 1 if stamped else MAX_MARKERS))
        self._count(stop)
        self.data = data[floor:]
        self.base += floor
        self.begin = self._counted = stop - floor
        if self.resumed is not None:
            self.resumed = Resumed(self.resumed.line - floor, self.resumed.stamp)

    def place(self, position: int) -> tuple[int, int]:
        """Return the number of the physical line that begins here, from 1, and where it begins."""
        counted = self._counted
        if position > counted:
            self._lines += count_lf(self.data, counted, position)
            self._counted = position
        elif position < counted:
            after = self.data.count(b"\n", max(0, position), counted)
            return self._lines - after + 1, self.base + position
        return self._lines + 1, self.base + position

    def lines(self) -> int:
        """Return how many lines there are, the last one counted though no LF ends it."""
        self._count(len(self.data))
        return self._lines + (0 if self._ended else 1)

    def _count(self, position: int) -> None:
        """Count LFs up to this position."""
        if position > self._counted:
            self._lines += count_lf(self.data, self._counted, position)
            self._counted = position

    def _skip(self) -> bool:
        """Pass over the rest of a cut drawing; whether its end has come."""
        data, begin = self.data, self.begin
        ends = [at for at in (data.find(b"\n", begin), data.find(b"\r", begin)) if at >= 0]
        self._skipping = not ends
        self.cuts = []
        readable = self._readable
        self.keep(min(ends, default=len(data)), stamped=True)
        self._readable = readable
        return not self._skipping

    def _cut(self, begin: int, end: int) -> list[int]:
        """Find the drawings that are too long: leap from end to end, never look between."""
        cuts = []
        data = self.data
        while end - begin > MAX_DRAWING:
            reach = begin + MAX_DRAWING
            last = data.rfind(b"\n", begin, reach + 1)
            if last < 0:
                last = data.rfind(b"\r", begin, reach + 1)
            if last < 0:
                cuts.append(reach)
                last = end_of(data, reach, end)
            begin = last + 1
        return cuts
