r"""From bytes to the one line that matters: stream prefix, carriage returns, the logger's colours.

A trace is never split into lines: a scanner says where something stands, and only there are the
bounds looked up.
What is looked up is a *drawing*: the bytes between two line ends, where CR counts as one too,
because a terminal draws over what stood before it.
`section_end:…\r␛[0Ksection_start:…\r␛[0K␛[0KTitle` is one physical line and three drawings.
Line numbers and offsets are those of the physical line (LF).

With timestamps on (runner 16.11 and later, the default from 18.7) each physical line begins with 32
bytes `YYYY-MM-DDTHH:MM:SS.uuuuuuZ ssO ` that name the stream: 00 is the runner itself, 01 the job's
work, 0f a service.
A `+` at their end says: this continues the line before it on the same stream.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, Protocol, final

from logminer.trace.rules import Dress

MAX_DRAWING: Final = 16 * 1024
"""Bytes of a drawing that are looked at; the rest is cut and counted.

The runner itself splits at 8 KiB (common/buildlogger/internal/timestamper), the longest message the
grammar knows is a kubelet error of 2 KiB, and a reference has 255 bytes before tag and digest.
"""

REACH: Final = 32 * 1024
"""How far before or after a continued line its other half is looked for, in bytes."""

MAX_BETWEEN: Final = 64
"""How many physical lines back or forth the other half of a continued line is looked for.

The halves of a write longer than 8 KiB follow at once; only what other streams print in that very
moment stands between them.
"""

STAMP: Final = re.compile(
    # The first digit may be lost by a careless copy; everything after it is fixed.
    rb"(\d{3,4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z ([0-9a-f]{2}[OE])([ +])"
)
"""The prefix of common/buildlogger/internal/timestamper: 1-7 time, 8 stream and kind, 9 more."""

_STAMP_SHAPE: Final = b"YYYY-MM-DDTHH:MM:SS.uuuuuuZ ssO+"
_SECONDS: Final = _STAMP_SHAPE.index(b".")
_MICROSECONDS: Final = _STAMP_SHAPE.index(b"Z")
_COMPLETE: Final = (b"\r\n", b"\r\x1b[0K\n")
"""How a line ends whose last drawing is complete."""

RUNNER_STREAM: Final = b"00"
SERVICE_STREAM: Final = b"0f"

_SPLIT_SIZE: Final = 8 * 1024
"""A shorter line without CR is never continued: the timestamper had no cause to break it."""

_RESET: Final = b"\x1b[0;m"
_DRESS: Final = re.compile(
    rb"(?:\x1b\[0;m)*(?P<cleared>(?:\x1b\[0K)*)(?:\x1b\[(?P<colour>32;1|0;33|31;1|36;1)m)?"
)
_PRINT: Final = Dress.PRINT
_NONE: Final = Dress.NONE
_COLOURS: Final = {
    b"32;1": Dress.INFO,
    b"0;33": Dress.WARNING,
    b"31;1": Dress.ERROR,
    b"36;1": Dress.TITLE,
}
_BARE: Final = re.compile(rb"[ \t]*(?:\[0;m)*(?:\[0K)*(?:\[(?:32;1|0;33|31;1|36;1)m)?[ \t]*")
_BARE_RESET: Final = b"[0;m"
_DURATION: Final = re.compile(rb" \d\d:\d\d$")
_WORN_FIRST: Final = b" \t["
_WORN_LAST: Final = b" \t\nm0123456789"
"""With what the traces of copying begin and end: a line without is as it was printed."""
_ANSI: Final = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

MAX_MARKERS: Final = 1024
"""Bytes of section markers that may stand before a sentence of the runner on its line."""
MARKERS: Final = re.compile(
    rb"(?:(?:\x1b?\[0;m|\x1b?\[0K)*"
    rb"section_(?P<edge>start|end):(?P<time>\d{1,10}):(?P<name>[A-Za-z0-9_.-]{1,64})"
    rb"(?:\[[^\]\r\n]{0,128}\])?\r)+"
)
"""Markers and nothing else from where a line begins; the groups are the last one's."""


@final
class Drawing:
    """Where one drawing stands, as positions in a buffer; `line` may lie in front of it."""

    __slots__ = ("begin", "continued", "end", "line", "stamp", "start", "stop", "stream")

    def __init__(  # noqa: PLR0913 -- a plain class: made for many hits, and faster so
        self,
        *,
        begin: int,
        start: int,
        end: int,
        stop: int,
        line: int,
        stream: bytes | None,
        stamp: re.Match[bytes] | None,
        continued: bool,
    ) -> None:
        """Take what was found."""
        self.begin = begin
        """First byte of the drawing, or of the stream prefix before it."""
        self.start = start
        """First byte of the drawing itself."""
        self.end = end
        """Behind its last byte, before CR or LF, cut at `MAX_DRAWING` bytes from `begin`."""
        self.stop = stop
        """The same without the cut."""
        self.line = line
        """First byte of the physical line."""
        self.stream = stream
        """Two hex digits and `O` or `E`; None without timestamps."""
        self.stamp = stamp
        """The prefix of the physical line."""
        self.continued = continued
        """Whether the prefix says that this continues the line before, and the drawing begins
        there."""


class Placed(Protocol):
    """Where a drawing stands on its line."""

    @property
    def begin(self) -> int:
        """First byte of the drawing, or of the stream prefix before it."""

    @property
    def line(self) -> int:
        """First byte of the physical line."""

    @property
    def stamp(self) -> re.Match[bytes] | None:
        """The prefix of the physical line."""


@final
class Resumed:
    """A physical line whose beginning is gone, because its first drawings are read already."""

    __slots__ = ("line", "stamp")

    def __init__(self, line: int, stamp: re.Match[bytes] | None) -> None:
        """Take what is known of it."""
        self.line = line
        """Position of its first byte; negative."""
        self.stamp = stamp


def undress(drawing: bytes) -> tuple[bytes, Dress]:
    """Take the runner's exact dress off: the text, and which of the logger's calls printed it."""
    match = _DRESS.match(drawing)
    begin, dress = 0, _NONE
    if match is not None:
        begin = match.end()
        if match["colour"] is not None:
            dress = _COLOURS[match["colour"]]
        elif match["cleared"]:
            dress = _PRINT
    # Compiled, a slice that ends before it begins is an error.
    return drawing[begin : max(begin, _before(_RESET, drawing))], dress


def strip(drawing: bytes) -> bytes:
    """Take every colour and the traces of copying off: what a person reads in the line.

    Pasted logs have lost their escape bytes (`[0K`, `[0;m`), gained spaces, or a duration at the
    end.
    """
    text = plain(drawing)
    if text and text[0] not in _WORN_FIRST and text[-1] not in _WORN_LAST:
        return text  # nearly every line
    bare = _BARE.match(text)
    text = text[bare.end() if bare else 0 :].rstrip(b" \t")
    duration = _DURATION.search(text, max(0, len(text) - 6))
    if duration is not None:
        text = text[: duration.start()].rstrip(b" \t")
    return text[: _before(_BARE_RESET, text)]


def begins_line(data: bytes, drawing: Placed) -> bool:
    """Whether nothing but section markers stands before the drawing on its physical line.

    The runner ends each of its sentences with LF. What a CR brings to the front of a line is
    somebody else's. Where the line's first byte is no longer held, it lies too far back.
    """
    if drawing.begin == drawing.line:
        return True
    if drawing.line < 0 or drawing.begin - drawing.line > MAX_MARKERS:
        return False
    start = drawing.line + (len(drawing.stamp[0]) if drawing.stamp else 0)
    return MARKERS.fullmatch(data, start, drawing.begin) is not None


def plain(drawing: bytes) -> bytes:
    """Take terminal codes off and nothing else."""
    return _ANSI.sub(b"", drawing) if b"\x1b" in drawing else drawing


def _before(ending: bytes, data: bytes) -> int:
    """Return where the repetitions of this at the end of the data begin."""
    end = len(data)
    while data.endswith(ending, 0, end):
        end -= len(ending)
    return end


def stamped_at(stamp: re.Match[bytes], *, whole_seconds: bool) -> dt.datetime | None:
    """Read a prefix's time, in UTC; None where it is no date.

    Runners from 16.11 to 18.3 pad the microseconds on the wrong side (eabd96f69): for them only the
    seconds are believed.
    """
    digits = _SECONDS if whole_seconds else _MICROSECONDS
    try:
        return dt.datetime.fromisoformat(stamp[0][:digits].decode() + "+00:00")
    except ValueError:
        return None


def end_of(data: bytes, position: int, end: int) -> int:
    """Find the CR or LF that ends the drawing at `position`; `end` if none comes before it."""
    line_end = data.find(b"\n", position, end)
    if line_end < 0:
        line_end = end
    bar = data.find(b"\r", position, line_end)
    return line_end if bar < 0 else bar


def drawing_at(  # noqa: PLR0913 -- a position, its buffer, and the two things a buffer cannot tell
    data: bytes,
    position: int,
    begin: int,
    end: int,
    *,
    stamped: bool,
    resumed: Resumed | None = None,
) -> Drawing:
    """Find the drawing that holds the byte before `position`, inside `data[begin:end]`.

    `begin` must be where a drawing begins, or the CR or LF before it; `resumed` says of which
    line, if not of a new one.
    """
    last = data.rfind(b"\n", begin, position)
    stop = data.find(b"\n", position, end)
    if stop < 0:
        stop = end
    bar = data.find(b"\r", position, stop)
    if bar >= 0:
        stop = bar
    stream, continued = None, False
    if last < 0 and resumed is not None:
        first = start = data.rfind(b"\r", begin, position) + 1 or begin
        line, stamp = resumed.line, resumed.stamp
    else:
        line = begin if last < 0 else last + 1
        first = start = data.rfind(b"\r", line, position) + 1 or line
        stamp = STAMP.match(data, line) if stamped else None
        if stamp is not None and start == line:
            start = stamp.end()
            continued = stamp[9] == b"+"
    if stamp is not None:
        stream = stamp[8]
    end = min(stop, first + MAX_DRAWING)
    return Drawing(
        begin=first,
        start=start,
        end=end,
        stop=stop,
        line=line,
        stream=stream,
        stamp=stamp,
        continued=continued,
    )


def starts_afresh(data: bytes, position: int, *, at_start: bool) -> bool:
    """Whether the line whose `+` ends before `position` plainly continues nothing.

    So it is behind each section marker: the line before, on the same stream, ends in CR. Where this
    is not plain, `head_of` looks closer. `at_start` says that `data` begins where the trace does.
    """
    line = position - len(_STAMP_SHAPE)
    if line < 1 or not data.endswith(_COMPLETE, 0, line):
        return False
    # No farther than what is always held, so that where chunks end decides nothing.
    last = data.rfind(b"\n", max(0, line - MAX_DRAWING), line - 1)
    if last < 0 and not (at_start and line <= MAX_DRAWING):
        return False
    return data.startswith(data[position - 4 : position - 1], last + len(_STAMP_SHAPE) - 3)


def head_of(data: bytes, drawing: Drawing, *, at_start: bool) -> Drawing | None:
    """Find the drawing that this one continues; None if it starts afresh.

    It is looked for within `REACH` and behind `MAX_BETWEEN` lines of others. A line that ended in
    CR, or in CR and the clearing code, was complete: what follows is a new drawing.
    `at_start` says that `data` begins where the trace does.
    """
    floor = max(0, drawing.line - REACH - 1)
    stop = drawing.line - 1
    for _ in range(MAX_BETWEEN):
        if stop <= floor:
            break
        last = data.rfind(b"\n", floor, stop)
        if last < 0 and not (floor == 0 and at_start):
            break
        line = last + 1
        stamp = STAMP.match(data, line, stop)
        if stamp is not None and stamp[8] == drawing.stream:
            start = max(data.rfind(b"\r", line, stop) + 1, stamp.end())
            if start >= stop or data[start:stop] == b"\x1b[0K":
                break
            whole = start == stamp.end()
            head = Drawing(
                begin=line if whole else start,
                start=start,
                end=stop,
                stop=stop,
                line=line,
                stream=stamp[8],
                stamp=stamp,
                continued=whole and stamp[9] == b"+",
            )
            # Where a copy turned CR into LF, a complete line stands before the `+`.
            return head if _may_go_on(data, head) else None
        stop = line - 1
    return None


def tail_of(
    data: bytes, drawing: Drawing, limit: int, *, final: bool
) -> tuple[Drawing | None, bool]:
    """Find the drawing that continues this one in `data[:limit]`, `MAX_BETWEEN` lines on at most.

    Returns it (None if there is none), and whether `data` reaches far enough to tell; it does when
    `final`. What is told never changes when more bytes come.
    """
    if data[drawing.stop : drawing.stop + 1] != b"\n" or not _may_go_on(data, drawing):
        return None, True
    complete = final or len(data) >= limit
    line = drawing.stop + 1
    for _ in range(MAX_BETWEEN):
        if line >= limit:
            break
        stamp = STAMP.match(data, line, limit)
        mine = stamp is not None and stamp[8] == drawing.stream
        if stamp is not None and mine and stamp[9] != b"+":
            break
        after = data.find(b"\n", line, limit)
        if after < 0:
            if not complete:
                return None, False
            after = min(len(data), limit)
        if stamp is not None and mine:
            stop = end_of(data, stamp.end(), after)
            return Drawing(
                begin=line,
                start=stamp.end(),
                end=stop,
                stop=stop,
                line=line,
                stream=stamp[8],
                stamp=stamp,
                continued=True,
            ), True
        line = after + 1
    return None, True


def _may_go_on(data: bytes, drawing: Drawing) -> bool:
    """Whether the timestamper may have broken the line here: only behind CR or behind 8 KiB."""
    if drawing.stop - drawing.line >= _SPLIT_SIZE:
        return True
    return data.rfind(b"\r", max(0, drawing.line), drawing.stop) >= 0
