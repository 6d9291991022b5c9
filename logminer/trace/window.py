"""The part of a trace that is held: what is being read, and the little that may still be needed of it.

Only whole drawings are handed out. What waits for its end is bounded: behind `MAX_CARRY` bytes without LF a
CR must do (a progress bar of bare CR must not grow the carry), and a drawing that has no end at all is cut.
"""

from __future__ import annotations

from typing import Final

from logminer.trace.framing import MAX_DRAWING, REACH, STAMP, Resumed

MAX_CARRY: Final = 4 * MAX_DRAWING
"""Bytes that are held back in the hope of a LF."""


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
        self._lines = 0
        """LFs in front of `_counted`."""
        self._counted = 0
        self._ended = True
        """Whether a LF ends what was seen so far."""
        self._skipping = False
        """Whether the unread bytes are the rest of a drawing that was cut."""

    @property
    def size(self) -> int:
        """How many bytes of the trace were seen."""
        return self.base + len(self.data)

    def push(self, chunk: bytes) -> None:
        """Append what came."""
        self._ended = chunk.endswith(b"\n")
        self.data = self.data + chunk if self.data else chunk

    def region(self, *, final: bool) -> int:
        """Return the end of the whole drawings from `begin`; `begin` itself where there are none."""
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
        end = max(end, begin)
        self.cuts = self._cut(begin, end)
        return end

    def keep(self, stop: int, *, stamped: bool) -> None:
        """Take everything before `stop` as read, and forget what nothing can reach any more."""
        data = self.data
        self.cut_lines += sum(1 for cut in self.cuts if cut <= stop)
        line = data.rfind(b"\n", self.begin, stop) + 1
        if line == stop:
            self.resumed = None
        elif stop > self.begin and (line or self.resumed is None):
            line = line or self.begin
            self.resumed = Resumed(line, STAMP.match(data, line) if stamped else None)
        floor = stop
        if stamped:
            floor = data.rfind(b"\n", 0, max(0, stop - REACH)) + 1
            if stop - floor > 2 * REACH:
                floor = stop - REACH
        self._count(stop)
        self.data = data[floor:]
        self.base += floor
        self.begin = self._counted = stop - floor
        if self.resumed is not None:
            self.resumed = Resumed(self.resumed.line - floor, self.resumed.stamp)

    def line_number(self, position: int) -> int:
        """Return the number, from 1, of the physical line that this position is in."""
        if position < self._counted:
            return self._lines - self.data.count(b"\n", max(0, position), self._counted) + 1
        self._count(position)
        return self._lines + 1

    def lines(self) -> int:
        """Return how many lines there are, the last one counted though no LF ends it."""
        self._count(len(self.data))
        return self._lines + (0 if self._ended else 1)

    def _count(self, position: int) -> None:
        """Count LFs up to this position."""
        if position > self._counted:
            self._lines += self.data.count(b"\n", self._counted, position)
            self._counted = position

    def _skip(self) -> bool:
        """Pass over the rest of a cut drawing; whether its end has come."""
        data, begin = self.data, self.begin
        ends = [at for at in (data.find(b"\n", begin), data.find(b"\r", begin)) if at >= 0]
        self._skipping = not ends
        self.cuts = []
        self.keep(min(ends, default=len(data)), stamped=False)
        return not self._skipping

    def _cut(self, begin: int, end: int) -> list[int]:
        """Find the drawings that are too long: leap from end to end, never look at what lies between."""
        cuts = []
        data = self.data
        while end - begin > MAX_DRAWING:
            reach = begin + MAX_DRAWING
            last = max(data.rfind(b"\n", begin, reach + 1), data.rfind(b"\r", begin, reach + 1))
            if last < 0:
                cuts.append(reach)
                ends = (data.find(b"\n", reach, end), data.find(b"\r", reach, end))
                last = min((at for at in ends if at >= 0), default=end)
            begin = last + 1
        return cuts
