"""From bytes to the lines that matter: what a rule may read, each once, in the order of the bytes.

The scanner names places, framing finds the drawing around each, and what the runner's timestamper
broke apart is put together again. Whatever stands between is scanned and counted, never looked at.

A broken line is read when its last part has come; until then the reading waits, at most for `REACH`
bytes. What is decided depends on the trace alone, never on where its chunks end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from logminer.trace import framing
from logminer.trace.framing import RUNNER_STREAM, Drawing, Resumed
from logminer.trace.rules import RULES
from logminer.trace.scanner import CONTINUATION, SECTION, SHARING, scanner
from logminer.trace.sections import RUNNERS_NAME, Marker, Sections, marker_of
from logminer.trace.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE: Final = 256 * 1024
"""Bytes that are scanned at once, however large a chunk is: bounds the list of hits."""


class Line(NamedTuple):
    """A line that at least one rule may be able to read."""

    body: bytes
    """The drawing, without stream prefix, put together and cut at `MAX_DRAWING`."""
    drawing: Drawing
    """Where it stands, valid until the next line is asked for; of a broken line, the first part."""
    rules: tuple[int, ...]
    """Indexes of the rules that may read it, in their order."""
    number: int
    """The physical line, from 1."""
    offset: int
    """Where in the trace the physical line begins."""
    cut: bool
    """Whether more stood there than is looked at."""


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
        self.sections = Sections()
        self.passing = False
        """Whether section markers are passed over until `section` is asked for."""
        self.exact = False
        """Whether the runner begins its lines: not so in a log whose dress was lost in a copy."""
        self._passed: list[int] = []
        """Positions of the markers that were passed over."""
        self._end = 0
        """Where what is being read ends."""
        self._read_up_to: dict[bytes | None, int] = {}
        """For each stream, the offset of the last physical line that was read: what still
        continues it lies beyond the bounds and is left alone."""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Read on."""
        for begin in range(0, len(chunk), _PIECE):
            self.window.push(chunk[begin : begin + _PIECE])
            yield from self._read(final=False)

    def finish(self) -> Iterator[Line]:
        """Read the last line, though no LF ends it."""
        return self._read(final=True)

    def section(self) -> str | None:
        """Return the runner's section that is open here."""
        if self._passed:
            passed, self._passed = self._passed, []
            markers: Iterable[Marker | None] = map(self._marker, reversed(passed))
            if not self.sections.running:
                # Forward: each may cross the border, and be believed less strictly behind it.
                markers = reversed([self._follow(position) for position in passed])
            self.sections.take_back(marker for marker in markers if marker is not None)
        return self.sections.open

    def _follow(self, position: int) -> Marker | None:
        """Read a marker before the border, and cross it there."""
        marker = self._marker(position)
        self.sections.running |= marker is not None and marker.begins_run
        return marker

    def enter(self, marker: Marker) -> None:
        """Take in a marker that was read as a line, behind those that were passed over."""
        self.section()
        self.sections.take_back((marker,))

    def may_speak(self, drawing: Drawing) -> bool:
        """Whether the runner may have printed this before the job's script could.

        A pasted log may have lost its line ends; in a real one the runner begins the line. Once a
        script has run, its unended line may stand before the next section's marker.
        """
        exact = self.exact or self.stamped
        return not exact or framing.begins_line(self.window.data, drawing)

    def _read(self, *, final: bool) -> Iterator[Line]:
        """Read all whole drawings that are held."""
        window = self.window
        end = window.region(final=final)
        begin = window.begin
        if end <= begin:
            return
        self._end = end
        data = window.data
        hits = self._scanner.scan(memoryview(data)[begin:end])
        done, stop, wanted = begin, end, 0
        resumed = window.resumed
        at = 0
        while at < len(hits):
            position, index = begin + hits[at][0], hits[at][1]
            if index == SECTION and self.passing:
                self._passed.append(position)
                at += 1
                continue
            if index == CONTINUATION and framing.starts_afresh(
                data, position, at_start=window.base == 0
            ):
                at += 1
                continue
            drawing = self._drawing(position, done, end, resumed)
            done, resumed = drawing.stop, Resumed(drawing.line, drawing.stamp)
            rules = set()
            while at < len(hits) and begin + hits[at][0] <= drawing.stop:
                if begin + hits[at][0] <= drawing.end:
                    rules.add(hits[at][1])
                at += 1
            if drawing.stamp is None:
                body = data[drawing.start : drawing.end]
                line = self._line(body, drawing, rules, cut=drawing.end in window.cuts)
            else:
                line, wanted = self._stamped_line(drawing, rules, final=final)
                if wanted:
                    stop = drawing.begin
                    break
            if line is not None:
                yield line
        self.section()
        window.keep(stop, stamped=self.stamped or not self._decided, wanted=wanted)

    def _drawing(self, position: int, begin: int, end: int, resumed: Resumed | None) -> Drawing:
        """Find the drawing around a hit; the first one shows whether the log carries timestamps."""
        drawing = framing.drawing_at(
            self.window.data,
            position,
            begin,
            end,
            stamped=self.stamped or not self._decided,
            resumed=resumed,
        )
        if not self._decided:
            self._decided = True
            self.stamped = drawing.stamp is not None
        return drawing

    def _marker(self, position: int) -> Marker | None:
        """Read the section marker at a hit; None if none of the runner's stands there."""
        window = self.window
        if not RUNNERS_NAME.match(window.data, position):
            return None
        drawing = framing.drawing_at(
            window.data,
            position,
            window.begin,
            self._end,
            stamped=self.stamped,
            resumed=window.resumed,
        )
        stream = drawing.stream or b""
        if position > drawing.end or (self.stamped and not stream.startswith(RUNNER_STREAM)):
            return None
        if not self.sections.running and not self.may_speak(drawing):
            return None
        match = RULES[SECTION].read.match(framing.strip(window.data[drawing.start : drawing.end]))
        return marker_of(match, stamped=self.stamped) if match else None

    def _line(self, body: bytes, drawing: Drawing, rules: set[int], *, cut: bool) -> Line | None:
        """Put a line's facts together; None if no rule may read it."""
        rules.discard(CONTINUATION)
        if not rules:
            return None
        window = self.window
        number = window.line_number(drawing.line)
        may_read = SHARING[rules.pop()] if len(rules) == 1 else _all_sharing(rules)
        return Line(body, drawing, may_read, number, window.base + drawing.line, cut)

    def _stamped_line(
        self, drawing: Drawing, rules: set[int], *, final: bool
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
        while size <= framing.MAX_DRAWING:
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
            return self._line(data[drawing.start : drawing.end], drawing, rules, cut=cut), 0
        cut = cut or size > framing.MAX_DRAWING or last.stop == limit
        self.cut_chains += cut
        body = b"".join(data[part.start : part.end] for part in parts)[: framing.MAX_DRAWING]
        found = {index for _, index in self._scanner.scan(body)}
        return self._line(body, parts[0], found, cut=cut), 0


def _all_sharing(rules: set[int]) -> tuple[int, ...]:
    """Return every rule that is found by the expressions of these, in their order."""
    return tuple(sorted({index for rule in rules for index in SHARING[rule]}))
