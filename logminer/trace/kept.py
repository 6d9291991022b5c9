"""The part of a trace that is worth keeping, and reading it again without a server.

Kept are the runner's preparation, whole, and every line in which a rule's literal stands. Of all
that lies between only its length is kept, and how many lines it has. So the part is read again by
the same extractor as the trace, with filling in place of what is not there, and gives the same rows
under the same line numbers and offsets. Whether it does is tried before it is handed out: a part
that would not is none.

A rule to come finds its line here if the line stands in the preparation, or if a rule of today's
may have read it, too.

With timestamps a line may be the rest of the one before it on its stream, so the neighbours that
decide this are kept with it, of the one behind only the prefix.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from logminer.trace.extract import Extractor
from logminer.trace.framing import MAX_BETWEEN, MAX_DRAWING, MAX_MARKERS, REACH, STAMP
from logminer.trace.scanner import CONTINUATION, scanner
from logminer.trace.window import count_lf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.reference import Upstreams
    from logminer.trace.extract import Extraction

MAX_KEPT: Final = 64 * 1024
"""Bytes of one trace that are kept; an ordinary one has a thirtieth of it. Of what would need more,
nothing is."""

MAX_HEAD: Final = 32 * 1024
"""Bytes of the beginning that are kept where the preparation has no end: a runner nobody knows."""

_STEP: Final = 4_096
"""Bytes of the beginning between two looks at whether the preparation is over."""

_WHOLE: Final = 8 * 1024
"""Bytes of a line that is kept whole; of a longer one its beginning, its end and the drawing."""

_STAMP: Final = 32
"""Bytes of a timestamp."""

_LONGEST: Final = 2**33
"""Bytes of a gap: twice the longest trace that is read."""

_PIECE: Final = 128 * 1024
"""Bytes of filling that are made at a time."""

_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<BB")
"""Format, and whether more of the trace was there than was read."""
_ITEM: Final = struct.Struct("<QQQI")
"""A gap (its bytes, its line ends, its bytes behind the last of them), and bytes that follow it."""


class KeepingExtractor:
    """An extractor that also keeps what it would need to read the trace again."""

    def __init__(self, upstreams: Upstreams | None = None) -> None:
        """Prepare to read, and to see through these proxies."""
        self._upstreams = upstreams
        self._extractor = Extractor(upstreams)
        self._keeper = Keeper()
        self._extraction: Extraction | None = None

    @property
    def prepared(self) -> bool:
        """Whether the runner's preparation is over."""
        return self._extractor.prepared

    def feed(self, chunk: bytes) -> None:
        """Read on."""
        self._extractor.feed(chunk)
        self._keeper.feed(chunk)

    def finish(self) -> Extraction:
        """End the trace."""
        self._extraction = self._extractor.finish()
        return self._extraction

    def kept(self, *, cut: bool) -> bytes | None:
        """Return the part to keep, after `finish`; None if it would not tell the same again.

        `cut` says that the trace was not read to its end.
        """
        part = self._keeper.finish(cut=cut)
        if part is None or self._extraction is None:
            return None
        again, _ = read_again(part, self._upstreams)
        return part if _same(again, self._extraction) else None


class Keeper:
    """Takes in a trace and keeps a part of it; holds a bounded part of the rest."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._scanner = scanner()
        self._data = bytearray()
        """From the oldest byte that a line may need as a neighbour."""
        self._base = 0
        """Offset in the trace of the first byte held."""
        self._scanned = 0
        """Offset up to which hits are known."""
        self._hits: list[tuple[int, bool]] = []
        """Where hits end, and whether it is a continuation: those not yet looked at."""
        self._wanted: list[tuple[int, int]] = []
        """Spans to keep that are not yet written, in any order, overlapping."""
        self._head: Extractor | None = Extractor()
        """Reads the beginning until the preparation is over."""
        self._head_read = 0
        self._part = _Part()

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        if self._part.full:
            return
        for begin in range(0, len(chunk), _PIECE):
            self._data += chunk[begin : begin + _PIECE]
            self._work(final=False)

    def finish(self, *, cut: bool) -> bytes | None:
        """Return the part, of a trace that was `cut` or not; None if it is too large."""
        self._work(final=True)
        return None if self._part.full else self._part.encoded(cut=cut)

    def _work(self, *, final: bool) -> None:
        """Scan what came, decide what can be decided, write what nothing reaches any more."""
        self._read_head(final=final)
        end = self._base + len(self._data)
        self._scan(final=final)
        sure = end if final else self._scanned - REACH
        while self._hits and self._hits[0][0] <= sure:
            self._want(*self._hits.pop(0))
        done = end if final else min([sure, *(hit - REACH for hit, _ in self._hits[:1])]) - REACH
        if self._head is None and done > self._base:
            self._write(done)

    def _read_head(self, *, final: bool) -> None:
        """Look for the end of the preparation, in steps that do not depend on the chunks."""
        while self._head is not None:
            step = bytes(self._data[self._head_read : self._head_read + _STEP])
            if len(step) == _STEP or (final and step):
                self._head.feed(step)
                self._head_read += len(step)
            elif not final:
                return
            if self._head.prepared or final or self._head_read >= MAX_HEAD:
                # A line that is not whole here is kept if it has a hit, as any other.
                self._wanted.append((0, self._data.rfind(b"\n", 0, self._head_read) + 1))
                self._head = None

    def _scan(self, *, final: bool) -> None:
        """Find the hits in the whole lines that came."""
        begin = self._scanned - self._base
        end = len(self._data) if final else self._data.rfind(b"\n", begin) + 1
        if end <= begin and len(self._data) - begin > 4 * MAX_DRAWING:
            end = self._data.rfind(b"\r", begin) + 1 or len(self._data)
        if end > begin:
            hits = self._scanner.scan(bytes(self._data[begin:end]))
            at = self._scanned
            self._hits += [(at + stop, index == CONTINUATION) for stop, index in hits]
            self._scanned = self._base + end

    def _want(self, hit: int, continues: bool) -> None:  # noqa: FBT001 -- as the list has it
        """Keep the line of a hit, and the neighbours that decide whether it stands alone."""
        data, at = self._data, hit - self._base
        begin = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at) + 1 or len(data)
        self._keep(begin, end, at)
        stamp = STAMP.match(data, begin)
        if stamp is None:
            return
        if continues or stamp[9] == b"+":
            self._keep_before(begin, stamp[8])
        self._keep_behind(end, stamp[8])

    def _keep(self, begin: int, end: int, at: int) -> None:
        """Keep a line; of a long one its beginning, its end, and the drawing around a place."""
        spans = [(begin, end)]
        if end - begin > _WHOLE:
            first = max(begin, self._data.rfind(b"\r", begin, at) + 1)
            stop = self._data.find(b"\r", at, end) + 1 or end
            spans = [
                (begin, begin + _STAMP + MAX_MARKERS),
                (max(begin, first - 1), min(stop, first + _STAMP + MAX_DRAWING + 1)),
                (end - _STAMP, end),
            ]
        self._wanted += [(self._base + first, self._base + stop) for first, stop in spans]

    def _keep_before(self, begin: int, stream: bytes) -> None:
        """Keep the line before on this stream: it may be the first half."""
        data = self._data
        for _ in range(MAX_BETWEEN):
            if begin <= 0:
                return
            end, begin = begin, data.rfind(b"\n", 0, begin - 1) + 1
            stamp = STAMP.match(data, begin, end)
            if stamp is not None and stamp[8] == stream:
                self._keep(begin, end, end - 1)
                if stamp[9] != b"+":
                    return

    def _keep_behind(self, begin: int, stream: bytes) -> None:
        """Keep the prefix of the next line on this stream: it says whether this one goes on.

        One that does is a hit of its own, and kept whole.
        """
        data = self._data
        for _ in range(MAX_BETWEEN):
            stamp = STAMP.match(data, begin)
            if stamp is not None and stamp[8] == stream:
                self._wanted.append((self._base + begin, self._base + stamp.end()))
                return
            begin = data.find(b"\n", begin) + 1
            if not begin:
                return

    def _write(self, end: int) -> None:
        """Write what is held up to an offset, and forget it."""
        at = self._base
        for first, stop in sorted(self._wanted):
            first, stop = max(first, at), min(stop, end)  # noqa: PLW2901 -- the rest of a span
            if first < stop:
                self._part.gap(self._held(at, first))
                self._part.keep(self._held(first, stop))
                at = stop
        self._wanted = [(max(first, end), stop) for first, stop in self._wanted if stop > end]
        self._part.gap(self._held(at, end))
        del self._data[: end - self._base]
        self._base = end

    def _held(self, begin: int, end: int) -> bytes:
        return bytes(self._data[begin - self._base : end - self._base])


class _Part:
    """What is kept, as it is written."""

    def __init__(self) -> None:
        self.full = False
        """Whether there is more to keep than may be."""
        self._written = bytearray()
        self._gap = (0, 0, 0)
        self._bytes = bytearray()

    def gap(self, data: bytes) -> None:
        """Take in bytes that are not kept."""
        if not data:
            return
        if self._bytes:
            self._flush()
        size, lines, rest = self._gap
        found = count_lf(data, 0, len(data))
        behind = len(data) - data.rfind(b"\n") - 1 if found else rest + len(data)
        self._gap = size + len(data), lines + found, behind

    def keep(self, data: bytes) -> None:
        """Take in bytes that are."""
        self._bytes += data
        self.full = self.full or len(self._written) + len(self._bytes) > MAX_KEPT

    def encoded(self, *, cut: bool) -> bytes:
        """Return everything as bytes."""
        self._flush()
        return _HEADER.pack(_FORMAT, cut) + bytes(self._written)

    def _flush(self) -> None:
        self._written += _ITEM.pack(*self._gap, len(self._bytes)) + self._bytes
        self._gap = (0, 0, 0)
        self._bytes.clear()


def read_again(part: bytes, upstreams: Upstreams | None = None) -> tuple[Extraction, bool]:
    """Return what the trace tells by today's rules, and whether more of it was there than was read.

    Raises ValueError for bytes that are no such part.
    """
    extractor = Extractor(upstreams)
    try:
        version, cut = _HEADER.unpack_from(part)
        if version != _FORMAT:
            raise ValueError("a newer logminer kept it")
        at = _HEADER.size
        while at < len(part):
            size, lines, rest, length = _ITEM.unpack_from(part, at)
            at += _ITEM.size
            if size > _LONGEST or lines + rest > size or at + length > len(part):
                raise ValueError("it is damaged")
            for filling in _filling(size, lines, rest):
                extractor.feed(filling)
            extractor.feed(part[at : at + length])
            at += length
    except struct.error as error:
        raise ValueError("it is damaged") from error
    return extractor.finish(), bool(cut)


def _filling(size: int, lines: int, rest: int) -> Iterator[bytes]:
    """Yield a gap in which no rule finds anything, with its line ends where a line number counts.

    It is made of carriage returns, each of which ends a drawing, so that none is too long.
    """
    for byte, count in ((b"\r", size - lines - rest), (b"\n", lines), (b"\r", rest)):
        for begin in range(0, count, _PIECE):
            yield byte * min(_PIECE, count - begin)


def _same(one: Extraction, other: Extraction) -> bool:
    """Whether two readings tell the same; how many lines were cut is told of the trace alone."""
    return one.uses == other.uses and replace(one.summary, cut_lines=0) == replace(
        other.summary, cut_lines=0
    )
