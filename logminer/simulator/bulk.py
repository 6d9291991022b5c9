"""A body too large to be held: a beginning, a block that comes again and again, and an end.

It has what a client's reader needs of bytes: a length, slices, and pieces one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Bulk:
    """The bytes from `start` to `end` of `head`, then `block` for ever, then `tail` at the end."""

    head: bytes
    block: bytes
    tail: bytes
    size: int
    """Of the whole; the last block is cut to fit."""
    start: int = 0
    end: int = -1

    def __post_init__(self) -> None:
        """Let it end where the whole ends, unless it is a part."""
        if self.size < len(self.head) + len(self.tail) or not self.block:
            raise ValueError(f"{self.size} bytes are fewer than head and tail have")
        if self.end < 0:
            object.__setattr__(self, "end", self.size)

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.end - self.start

    def __getitem__(self, part: slice) -> Bulk:
        """Return a part, as of bytes."""
        start, stop, _ = part.indices(len(self))
        return replace(self, start=self.start + start, end=self.start + max(start, stop))

    def __iter__(self) -> Iterator[bytes]:
        """Return the bytes in pieces of at most a block."""
        position = self.start
        while position < self.end:
            piece = self._from(position)[: self.end - position]
            yield piece
            position += len(piece)

    def _from(self, position: int) -> bytes:
        """Return the piece that begins there."""
        if position < len(self.head):
            return self.head[position:]
        behind = self.size - len(self.tail)
        if position >= behind:
            return self.tail[position - behind :]
        offset = (position - len(self.head)) % len(self.block)
        return self.block[offset : offset + behind - position]


Body = bytes | Bulk
