"""Undo a body's content encoding in bounded pieces: bytes in, bytes out, no I/O.

The client decodes bodies itself, because the usual decoders hide what a harvester must know:
they end without a word when a compressed body is cut off, they drop every gzip member but the
first, and they let one small chunk unfold into megabytes.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from logminer.errors import ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE_BYTES = 65_536
"""The most one decoded piece holds; zlib unfolds up to 1,032 bytes for each byte it is given."""

_GZIP_WINDOW = zlib.MAX_WBITS | 16


class Identity:
    """A body that was not encoded."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Return the bytes as they came."""
        return (data,)

    def finish(self) -> None:
        """Accept the end: only the transport can know whether plain bytes are complete."""


class Gunzip:
    """A gzip body, of one member or several (RFC 1952, section 2.2)."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unfolds to, in pieces of at most `PIECE_BYTES`.

        Raises ConnectionFailedError where the bytes are not gzip.
        """
        self._begun = self._begun or bool(data)
        full = False
        while data or full:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise ConnectionFailedError(
                    "The body is damaged: it is not the gzip that its header says.",
                ) from error
            if piece:
                yield piece
            # A full piece may have left output behind although every byte of input is consumed.
            full = len(piece) == PIECE_BYTES and not self._member.eof
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def finish(self) -> None:
        """Raise ConnectionFailedError where the body ended inside a member."""
        if self._begun and not self._member.eof:
            raise ConnectionFailedError("The body broke off: its gzip stream has no end.")


def decoder(content_encoding: str | None) -> Identity | Gunzip:
    """Return the decoder for a `Content-Encoding` header.

    Raises ConnectionFailedError for an encoding that was never asked for.
    """
    match (content_encoding or "identity").strip().lower():
        case "identity" | "":
            return Identity()
        case "gzip" | "x-gzip":
            return Gunzip()
        case _:
            raise ConnectionFailedError("The body has an encoding that was not asked for.")
