"""How one trace is taken in: how much of it, and whether it came whole. Pure.

A server need not say that a body was cut short: a proxy that ends a chunked answer early ends it
well. What the job's `trace` artifact says of its size is therefore held against what came. More
than that is no fault (the row may be older than the log), and nothing at all is an answer of its
own: the log was erased since, or the server has lost its logs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from logminer.errors import ConnectionFailedError, UnexpectedAnswerError
from logminer.model import MAX_TRACE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FIRST_RANGE = 65_536
"""Bytes asked for where the beginning may do: the preparation of a job ends within 2 KiB."""
LONGEST_RANGE = 2**20
"""Bytes asked for at a time when the beginning did not do."""

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)


class Sink(Protocol):
    """What takes in a trace, piece by piece."""

    def feed(self, data: bytes, /) -> object:
        """Take in the next piece: never empty, well below a megabyte, cut anywhere."""


SinkT = TypeVar("SinkT", bound=Sink)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRead(Generic[SinkT]):
    """A trace that was read."""

    sink: SinkT
    """Has taken in all of it, or all up to the cut."""
    size: int
    """Decoded bytes that it took in; 0 where the server gave an empty log."""
    cut: bool
    """Whether there is more that was not read, because a bound or the caller said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a partial answer holds, by its `Content-Range` (RFC 9110, section 14.4)."""

    last: int
    """Position of its last byte in the whole."""
    total: int
    """Size of the whole."""

    @classmethod
    def read(cls, what: str, headers: Mapping[str, str], *, first: int, length: int) -> Span:
        """Read the header of an answer that was to begin at `first`, with `length` bytes.

        Raises UnexpectedAnswerError where it is another part, or does not say.
        """
        match = _RANGE.fullmatch(headers.get("content-range", "").strip())
        begin, last, total = map(int, match.groups()) if match else (-1, -1, -1)
        if (begin, last) != (first, min(first + length, total) - 1) or last < first:
            raise UnexpectedAnswerError(f"{what}: not the part that was asked for.")
        return cls(last=last, total=total)


class Intake(Generic[SinkT]):
    """Feeds a sink until it has enough."""

    def __init__(
        self,
        what: str,
        sink: SinkT,
        *,
        max_bytes: int | None,
        enough: Callable[[SinkT], bool] | None,
    ) -> None:
        """Feed at most `max_bytes`, and no more once `enough`, asked after each piece, says so."""
        self._what = what
        self._max_bytes = max_bytes
        self._enough = enough
        self.sink = sink
        self.size = 0
        self.stopped = False
        """Whether the sink took less than it was offered, or has had enough."""

    def take(self, piece: bytes) -> bool:
        """Feed a piece; return whether to stop.

        Raises UnexpectedAnswerError where the trace is longer than any.
        """
        if self._max_bytes is not None and self.size + len(piece) > self._max_bytes:
            piece = piece[: self._max_bytes - self.size]
            self.stopped = True
        if piece:
            self.sink.feed(piece)
            self.size += len(piece)
        if self.size > MAX_TRACE_BYTES:
            raise UnexpectedAnswerError(f"{self._what}: longer than any log GitLab keeps.")
        self.stopped = self.stopped or (self._enough is not None and self._enough(self.sink))
        return self.stopped

    def done(self, *, announced: int | None, total: int | None) -> TraceRead[SinkT]:
        """Return what was read.

        `announced` is the size that the job's artifact states, `total` the one that the answer
        does. Raises ConnectionFailedError where the body ended before the former.
        """
        if not self.stopped and 0 < self.size < (announced or 0):
            raise ConnectionFailedError(
                f"{self._what}: the body broke off after {self.size} of {announced} bytes."
            )
        # Stopped at the very end, nothing was cut off.
        whole = self.size in {total, announced}
        return TraceRead(sink=self.sink, size=self.size, cut=self.stopped and not whole)
