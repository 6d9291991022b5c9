"""From bytes to the lines that matter: what a rule may read, each once, in the order of the bytes.

The scanner names places, framing finds the drawing around each, and what the runner's timestamper
broke apart is put together again. Whatever stands between is scanned and counted, never looked at.

A broken line is read when its last part has come; until then the reading waits, at most for `REACH`
bytes. What is decided depends on the trace alone, never on where its chunks end.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

from logminer.trace import framing
from logminer.trace.framing import (
    MARKERS,
    MAX_DRAWING,
    MAX_MARKERS,
    RUNNER_STREAM,
    STAMP,
    Drawing,
    Resumed,
)
from logminer.trace.rules import RULES
from logminer.trace.scanner import BITS, CONTINUATION, INDEX, SECTION, SHARING, scanner
from logminer.trace.sections import FOUND_RUNNING, Marker, Sections, marker_of
from logminer.trace.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE: Final = 1024 * 1024
"""Bytes that are scanned at once, however large a chunk is: bounds the list of hits. A chunk that
is no larger is read where it lies; mining gives most logs as one."""
_MARKER: Final = re.compile(rb"(?:\x1b\[0K)*" + RULES[SECTION].read.pattern)
"""A section marker as the runner prints it: what a copy did to others is taken off first."""
_REMEMBERED: Final = 1024
"""Sets of rules that were found on one line; a few dozen occur."""


@final
class Line:
    """A line that at least one rule may be able to read; valid while it is being taken."""

    __slots__ = ("begin", "body", "cut", "line", "rules", "stamp")

    def __init__(  # noqa: PLR0913 -- a plain class: one is made for each hit, and faster so
        self,
        *,
        body: bytes,
        rules: tuple[int, ...],
        begin: int,
        line: int,
        stamp: re.Match[bytes] | None,
        cut: bool,
    ) -> None:
        """Take what was found."""
        self.body = body
        """The drawing, without stream prefix, put together and cut at `MAX_DRAWING`."""
        self.rules = rules
        """Indexes of the rules that may read it, in their order."""
        self.begin = begin
        """Where it begins in what is held; a broken line, its first part."""
        self.line = line
        """Where its physical line begins; may lie in front of what is held."""
        self.stamp = stamp
        """Its timestamp; None in a log without."""
        self.cut = cut
        """Whether more stood there than is looked at."""

    @property
    def stream(self) -> bytes:
        """The stream that its timestamp names; empty where it has none."""
        return self.stamp[8] if self.stamp else b""


class Lines:
    """Reads one trace."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.window = Window()
        self.stamped = False
        """Whether the log carries timestamps: its first hit shows it."""
        self.cut_chains = 0
        """Broken lines that were longer than is looked at."""
        self._scanner = scanner()
        self._decided = False
        self.spent: frozenset[tuple[int, ...]] = frozenset()
        """Rules whose lines are passed over: they can say nothing new."""
        self.sections = Sections()
        self.passing = False
        """Whether section markers are passed over until `section` is asked for."""
        self.exact = False
        """Whether the runner begins its lines: not so in a log whose dress was lost in a copy."""
        self._data = b""
        self._begin = self._end = 0
        """What is being read, a stretch of whole drawings in a buffer; kept until more comes, for
        the markers that were passed over."""
        self._resumed: Resumed | None = None
        """The physical line that it begins in the middle of, if any."""
        self._passed: list[int] = []
        """Positions of these markers in it."""
        self._read_up_to: dict[bytes | None, int] = {}
        """For each stream, the offset of the last physical line that was read: what still
        continues it lies beyond the bounds and is left alone."""

    def feed(self, chunk: bytes, take: Callable[[Line], None]) -> None:
        """Read on, and let each line be taken where it is found.

        Called back rather than iterated over: compiled, a generator in a generator is slower.
        """
        if len(chunk) <= _PIECE:
            self._read(chunk, take)
        else:
            for begin in range(0, len(chunk), _PIECE):
                self._read(chunk[begin : begin + _PIECE], take)

    def finish(self, take: Callable[[Line], None]) -> None:
        """Read the last line, though no LF ends it."""
        self._read(b"", take, final=True)

    def place(self, line: Line) -> tuple[int, int]:
        """Return the number of the physical line, from 1, and where in the trace it begins."""
        return self.window.place(line.line)

    def section(self) -> str | None:
        """Return the runner's section that is open here."""
        if self._passed:
            self.sections.take_back(map(self._marker, reversed(self._passed)))
            self._passed.clear()
        return self.sections.open

    def enter(self, marker: Marker) -> None:
        """Take in a marker, behind those that were passed over."""
        self.section()
        self.sections.take_back((marker,))

    def may_speak(self, drawing: Line | Drawing) -> bool:
        """Whether the runner may have printed this before the job's script could.

        A pasted log may have lost its line ends; in a real one the runner begins the line. Once a
        script has run, its unended line may stand before the next section's marker.
        """
        exact = self.exact or self.stamped
        return not exact or framing.begins_line(self._data, drawing)

    def _read(self, piece: bytes, take: Callable[[Line], None], *, final: bool = False) -> None:
        """Read all whole drawings that are held, this piece the last of them."""
        window = self.window
        window.push(piece)
        end = window.region(final=final)
        begin = window.begin
        if end <= begin:
            return
        self.section()
        self._data, self._begin, self._end = window.data, begin, end
        self._resumed = window.resumed
        hits = self._scanner.packed(memoryview(window.data)[begin:end])
        if hits and not self._decided:
            self._decide(begin + (hits[0] >> BITS))
        stop, wanted = end, 0
        if self.stamped:
            stop, wanted = self._read_stamped(hits, take, final=final)
        else:
            self._read_plain(hits, take)
        window.keep(stop, stamped=self.stamped or not self._decided, wanted=wanted)

    def _decide(self, position: int) -> None:
        """Decide by the line of the first hit whether the log carries timestamps."""
        data, begin, resumed = self._data, self._begin, self._resumed
        line = data.rfind(b"\n", begin, position) + 1
        stamp = resumed.stamp if resumed and not line else STAMP.match(data, line or begin)
        self.stamped = stamp is not None
        self._decided = True

    def _read_plain(self, hits: list[int], take: Callable[[Line], None]) -> None:
        """Read a region of a log without timestamps."""
        data, begin, end, resumed = self._data, self._begin, self._end, self._resumed
        cuts = self.window.cuts
        done = begin
        at, count = 0, len(hits)
        while at < count:
            hit = hits[at]
            position, index = begin + (hit >> BITS), hit & INDEX
            at += 1
            if index == SECTION and self.passing:
                self._pass(position)
                continue
            rules = SHARING[index]
            stop = data.find(b"\n", position, end)
            if rules in self.spent and (at == count or 0 <= stop < begin + (hits[at] >> BITS)):
                continue
            line = data.rfind(b"\n", done, position) + 1
            if 0 < line < stop <= line + MAX_DRAWING:
                # Nearly every line: short, and ended by LF.
                first, last, resumed = line, stop, None
                body = data[line:stop]
                if b"\r" in body:
                    bar = data.find(b"\r", position, stop)
                    first = data.rfind(b"\r", line, position) + 1 or line
                    last = stop if bar < 0 else bar
                    body = data[first:last]
                    resumed = Resumed(line, None)
                done = last
            else:
                drawing = framing.drawing_at(
                    data, position, done, end, stamped=False, resumed=resumed
                )
                first, last, done, line = drawing.start, drawing.end, drawing.stop, drawing.line
                body = data[first:last]
                resumed = Resumed(line, None)
            if position > last:
                rules = ()
            if at < count and begin + (hits[at] >> BITS) <= done:
                at, rules = _gather(hits, at, rules, last - begin, done - begin)
            if rules and rules not in self.spent:
                take(
                    Line(
                        body=body,
                        rules=rules,
                        begin=first,
                        line=line,
                        stamp=None,
                        cut=last in cuts,
                    )
                )

    def _read_stamped(
        self, hits: list[int], take: Callable[[Line], None], *, final: bool
    ) -> tuple[int, int]:
        """Read a region of a log with timestamps.

        Returns up to where, and how many bytes must be seen before reading on makes sense.
        """
        data, begin, end, resumed = self._data, self._begin, self._end, self._resumed
        done = begin
        at, count = 0, len(hits)
        while at < count:
            hit = hits[at]
            position, index = begin + (hit >> BITS), hit & INDEX
            at += 1
            if index == SECTION and self.passing:
                self._pass(position)
                continue
            if index == CONTINUATION and framing.starts_afresh(
                data, position, at_start=self.window.base == 0
            ):
                continue
            drawing = framing.drawing_at(data, position, done, end, stamped=True, resumed=resumed)
            done, resumed = drawing.stop, Resumed(drawing.line, drawing.stamp)
            rules = SHARING[index] if position <= drawing.end else ()
            at, rules = _gather(hits, at, rules, drawing.end - begin, done - begin)
            line, wanted = self._stamped_line(drawing, rules, final=final)
            if wanted:
                return drawing.begin, wanted
            if line is not None and line.rules and line.rules not in self.spent:
                take(line)
        return end, 0

    def _pass(self, position: int) -> None:
        """Pass over a marker, but for one that may be the border to the script."""
        if self.sections.running or not self._data.endswith(FOUND_RUNNING, 0, position):
            self._passed.append(position)
        else:
            self._take_border(position)

    def _take_border(self, position: int) -> None:
        """Read the marker at a hit that may be the border to the script."""
        marker = self._marker(position)
        if marker is not None:
            self.enter(marker)
            self.sections.running = marker.begins_run

    def _marker(self, position: int) -> Marker | None:
        """Read the section marker at a hit; None if none of the runner's stands there."""
        data, begin, end = self._data, self._begin, self._end
        stamped = self.stamped
        if not stamped:
            # Nearly every one: beside nothing but other markers on its line.
            line = data.rfind(b"\n", begin, position) + 1
            bar = data.find(b"\r", position, end)
            if line and bar - line < MAX_MARKERS:
                match = MARKERS.fullmatch(data, line, bar + 1)
                if match is not None:
                    return marker_of(match, stamped=False)
        drawing = framing.drawing_at(
            data, position, begin, end, stamped=stamped, resumed=self._resumed
        )
        stream = drawing.stream or b""
        if position > drawing.end or (stamped and not stream.startswith(RUNNER_STREAM)):
            return None
        if not self.sections.running and not self.may_speak(drawing):
            return None
        match = _MARKER.match(data, drawing.start, drawing.end)
        if match is None:
            drawn = framing.strip(data[drawing.start : drawing.end])
            match = RULES[SECTION].read.match(drawn)
        return marker_of(match, stamped=stamped) if match else None

    def _stamped_line(
        self, drawing: Drawing, rules: tuple[int, ...], *, final: bool
    ) -> tuple[Line | None, int]:
        """Put a broken line together, at its first part that holds a hit.

        Returns the line, and how many bytes must be seen before it is whole: 0 if it is. Each `+`
        is a hit, so no part can be the first to hold one and stand behind more than one other.
        """
        window = self.window
        data, base, stream = window.data, window.base, drawing.stream
        parts = [drawing]
        if drawing.continued:
            known = self._read_up_to.get(stream, -1)
            if base + drawing.line <= known:
                return None, 0
            head = framing.head_of(data, drawing, at_start=base == 0)
            if head is not None:
                if base + head.line == known:
                    self._read_up_to[stream] = base + drawing.line
                    return None, 0
                parts.insert(0, head)
        size = sum(part.end - part.start for part in parts)
        limit = drawing.line + framing.REACH
        while size <= MAX_DRAWING:
            tail, whole = framing.tail_of(data, parts[-1], limit, final=final)
            if not whole:
                # Twice the reach: so that small chunks do not make the same bytes be read over.
                return None, base + limit + framing.REACH
            if tail is None:
                break
            parts.append(tail)
            size += tail.end - tail.start
        last = parts[-1]
        if data.startswith(b"\n", last.stop):
            self._read_up_to[stream] = base + last.line
        cut = drawing.end in window.cuts
        if len(parts) == 1:
            body = data[drawing.start : drawing.end]
        else:
            cut = cut or size > MAX_DRAWING or last.stop == limit
            self.cut_chains += cut
            body = b"".join(data[part.start : part.end] for part in parts)[:MAX_DRAWING]
            found = {rule for _, index in self._scanner.scan(body) for rule in SHARING[index]}
            rules = tuple(sorted(found))
        first = parts[0]
        line = Line(
            body=body,
            rules=rules,
            begin=first.begin,
            line=first.line,
            stamp=first.stamp,
            cut=cut,
        )
        return line, 0


def _gather(
    hits: list[int], at: int, rules: tuple[int, ...], last: int, stop: int
) -> tuple[int, tuple[int, ...]]:
    """Add the rules of the hits up to `last`; return which hit is the first behind `stop`."""
    while at < len(hits) and hits[at] >> BITS <= stop:
        if hits[at] >> BITS <= last:
            rules = _merged(rules, SHARING[hits[at] & INDEX])
        at += 1
    return at, rules


@lru_cache(_REMEMBERED)
def _merged(some: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    """Return all of these rules, in their order."""
    return tuple(sorted({*some, *others}))
