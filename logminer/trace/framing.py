"""From bytes to the one line that matters: stream prefix, carriage returns, the logger's colours.

A trace is never split into lines: a scanner says where something stands, and only there are the bounds
looked up. What is looked up is a *drawing*: the bytes between two line ends, where CR counts as one too,
because a terminal draws over what stood before it. `section_end:…\\r␛[0Ksection_start:…\\r␛[0K␛[0KTitle`
is one physical line and three drawings. Line numbers and offsets are those of the physical line (LF).

With timestamps on (runner 16.11 and later, the default from 18.7) each physical line begins with 32 bytes
`YYYY-MM-DDTHH:MM:SS.uuuuuuZ ssO ` that name the stream: 00 is the runner itself, 01 the job's work, 0f a
service. A `+` at their end says: this continues the line before it on the same stream.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple

from logminer.trace.rules import Dress

MAX_DRAWING = 16 * 1024
"""Bytes of a drawing that are looked at; the rest is cut and counted.

The runner itself splits at 8 KiB (common/buildlogger/internal/timestamper), the longest message the
grammar knows is a kubelet error of 2 KiB, and a reference has at most 255 bytes before tag and digest.
"""

REACH = 32 * 1024
"""How far before or after a continued line its other half is looked for, in bytes."""

STAMP = re.compile(
    # The first digit may be lost by a careless copy; everything after it is fixed.
    rb"(\d{3,4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z ([0-9a-f]{2}[OE])([ +])"
)
"""The prefix of common/buildlogger/internal/timestamper; groups 1-7 time, 8 stream and kind, 9 more."""

RUNNER_STREAM = b"00"
SERVICE_STREAM = b"0f"

_SPLIT_SIZE = 8 * 1024
"""A shorter line without CR is never continued: the timestamper had no cause to break it."""

_DRESS = re.compile(rb"(?:\x1b\[0;m)*((?:\x1b\[0K)*)(?:\x1b\[(32;1|0;33|31;1|36;1)m)?")
_BARE = re.compile(rb"[ \t]*(?:\[0;m)*(?:\[0K)*(?:\[(?:32;1|0;33|31;1|36;1)m)?[ \t]*")
_COLOURS = {
    b"32;1": Dress.INFO,
    b"0;33": Dress.WARNING,
    b"31;1": Dress.ERROR,
    b"36;1": Dress.TITLE,
}
_DURATION = re.compile(rb" \d\d:\d\d$")
_MARKERS = re.compile(
    rb"(?:(?:\x1b?\[0;m|\x1b?\[0K)*section_(?:start|end):\d{1,12}:[A-Za-z0-9_.-]{1,64}"
    rb"(?:\[[^\]]{0,128}\])?\r)+"
)
_MAX_MARKERS = 1024
_ANSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_RESET = b"\x1b[0;m"


class Drawing(NamedTuple):
    """Where one drawing stands, as positions in a buffer; `line` may lie in front of it."""

    begin: int
    """First byte of the drawing, or of the stream prefix before it."""
    start: int
    """First byte of the drawing itself."""
    end: int
    """Behind its last byte, before CR or LF, cut at `MAX_DRAWING` bytes from `begin`."""
    line: int
    """First byte of the physical line."""
    stream: bytes | None
    """Two hex digits and `O` or `E`; None without timestamps."""
    stamp: re.Match[bytes] | None
    """The prefix of the physical line."""
    continued: bool
    """Whether the prefix says that this continues the line before, and the drawing begins there."""


class Resumed(NamedTuple):
    """A physical line whose beginning is gone, because its first drawings are read already."""

    line: int
    """Position of its first byte; negative."""
    stamp: re.Match[bytes] | None


def undress(drawing: bytes) -> tuple[bytes, Dress]:
    """Take the runner's exact dress off: the text, and which of the logger's calls printed it."""
    match = _DRESS.match(drawing)
    if match is None:  # pragma: no cover -- every part of the expression is optional
        return drawing, Dress.NONE
    cleared, colour = match.groups()
    if colour is not None:
        dress = _COLOURS[colour]
    else:
        dress = Dress.PRINT if cleared else Dress.NONE
    text = drawing[match.end() :]
    while text.endswith(_RESET):
        text = text[: -len(_RESET)]
    return text, dress


def strip(drawing: bytes) -> bytes:
    """Take every colour and the traces of copying off: what a person reads in the line.

    Pasted logs have lost their escape bytes (`[0K`, `[0;m`), gained spaces, or a duration at the end.
    """
    text = plain(drawing)
    match = _BARE.match(text)
    text = (text[match.end() :] if match else text).rstrip(b" \t")
    if _DURATION.search(text, max(0, len(text) - 6)):
        text = text[:-6].rstrip(b" \t")
    while text.endswith(b"[0;m"):
        text = text[:-4]
    return text


def begins_line(data: bytes, drawing: Drawing) -> bool:
    """Whether nothing but section markers stands before the drawing on its physical line.

    The runner ends each of its sentences with LF. What a CR brings to the front of a line is somebody else's.
    """
    if drawing.begin == drawing.line:
        return True
    start = drawing.stamp.end() if drawing.stamp and drawing.line >= 0 else drawing.line
    before = data[max(0, start) : drawing.begin] if drawing.line >= 0 else b"?"
    return len(before) <= _MAX_MARKERS and _MARKERS.fullmatch(before) is not None


def plain(drawing: bytes) -> bytes:
    """Take terminal codes off and nothing else."""
    return _ANSI.sub(b"", drawing) if b"\x1b" in drawing else drawing


def stamped_at(stamp: re.Match[bytes], *, whole_seconds: bool) -> dt.datetime | None:
    """Read a prefix's time, in UTC; None where it is no date.

    Runners from 16.11 to 18.3 pad the microseconds on the wrong side (eabd96f69): for them only the
    seconds are believed.
    """
    year, month, day, hour, minute, second, micro = (int(stamp[group]) for group in range(1, 8))
    try:
        return dt.datetime(
            year, month, day, hour, minute, second, 0 if whole_seconds else micro, tzinfo=dt.UTC
        )
    except ValueError:
        return None


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

    `begin` must be where a drawing begins; `resumed` says of which line, if not of a new one.
    """
    line = data.rfind(b"\n", begin, position) + 1
    stop = data.find(b"\n", position, end)
    stop = end if stop < 0 else stop
    bar = data.find(b"\r", position, stop)
    stop = stop if bar < 0 else bar
    if line == 0 and resumed is not None:
        first = data.rfind(b"\r", begin, position) + 1 or begin
        line, stamp = resumed
        start, continued = first, False
    else:
        line = line or begin
        first = start = data.rfind(b"\r", line, position) + 1 or line
        stamp = STAMP.match(data, line) if stamped else None
        continued = False
        if stamp is not None and start == line:
            start = stamp.end()
            continued = stamp[9] == b"+"
    return Drawing(
        begin=first,
        start=start,
        end=min(stop, first + MAX_DRAWING),
        line=line,
        stream=stamp[8] if stamp else None,
        stamp=stamp,
        continued=continued,
    )


def head_of(data: bytes, drawing: Drawing, *, at_start: bool) -> Drawing | None:
    """Find the drawing that this one continues, within `REACH`; None if it starts afresh.

    A line that ended in CR, or in CR and the clearing code, was complete: what follows is a new drawing.
    `at_start` says that `data` begins where a line does.
    """
    floor = max(0, drawing.line - REACH)
    stop = drawing.line - 1
    while stop > floor:
        line = data.rfind(b"\n", floor, stop) + 1
        if line == 0 and not (floor == 0 and at_start):
            return None
        stamp = STAMP.match(data, line)
        if stamp is not None and stamp[8] == drawing.stream:
            start = max(data.rfind(b"\r", line, stop) + 1, stamp.end())
            if start >= stop or data[start:stop] == b"\x1b[0K":
                return None
            whole = start == stamp.end()
            head = Drawing(
                begin=line if whole else start,
                start=start,
                end=stop,
                line=line,
                stream=stamp[8],
                stamp=stamp,
                continued=whole and stamp[9] == b"+",
            )
            # Where a copy turned CR into LF, a complete line stands before the sign that it goes on.
            return head if _may_go_on(data, head) else None
        stop = line - 1
    return None


def tail_of(data: bytes, drawing: Drawing, end: int, *, final: bool) -> tuple[Drawing | None, bool]:
    """Find the drawing that continues this one, within `REACH`.

    Returns it (None if there is none), and whether `data[:end]` was enough to tell; it is when `final`.
    """
    stop = drawing.end
    if data[stop : stop + 1] != b"\n" or not _may_go_on(data, drawing):
        return None, True
    line = stop + 1
    while line < min(end, stop + REACH):
        after = data.find(b"\n", line, end)
        if after < 0:
            if not final:
                break
            after = end
        stamp = STAMP.match(data, line)
        if stamp is not None and stamp[8] == drawing.stream:
            if stamp[9] != b"+":
                return None, True
            bar = data.find(b"\r", stamp.end(), after)
            return Drawing(
                begin=line,
                start=stamp.end(),
                end=after if bar < 0 else bar,
                line=line,
                stream=stamp[8],
                stamp=stamp,
                continued=True,
            ), True
        line = after + 1
    return None, final or line >= stop + REACH


def _may_go_on(data: bytes, drawing: Drawing) -> bool:
    """Whether the timestamper may have broken the line here: only behind CR or behind 8 KiB."""
    if drawing.end - drawing.line >= _SPLIT_SIZE:
        return True
    return data.rfind(b"\r", max(0, drawing.line), drawing.end) >= 0
