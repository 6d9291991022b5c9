"""Content encodings: bounded pieces, and no silent loss."""

from __future__ import annotations

import contextlib
import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import ConnectionFailedError
from logminer.gitlab.encoding import PIECE_BYTES, Gunzip, Identity, decoder


def unfold(body: bytes, cuts: list[int]) -> list[bytes]:
    """Feed a body in parts and return the pieces it unfolds to."""
    gunzip = Gunzip()
    edges = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    pieces = [
        piece for start, end in itertools.pairwise(edges) for piece in gunzip.feed(body[start:end])
    ]
    gunzip.finish()
    return pieces


@given(st.lists(st.binary(max_size=300), max_size=3), st.lists(st.integers(0, 500)))
def test_cuts_never_show(members: list[bytes], cuts: list[int]) -> None:
    """One member or several, cut anywhere, unfold to the same bytes."""
    body = b"".join(gzip.compress(member) for member in members)

    pieces = unfold(body, cuts)

    assert b"".join(pieces) == b"".join(members)


def test_pieces_are_bounded() -> None:
    """Eight kilobytes that unfold to eight megabytes come in small pieces, none empty."""
    plain = b"\0" * 8_000_000

    pieces = unfold(gzip.compress(plain), [])

    assert {len(piece) for piece in pieces} <= set(range(1, PIECE_BYTES + 1))
    assert b"".join(pieces) == plain


def test_broken_off() -> None:
    """A body without its end is an error at every length, not a shorter body."""
    body = gzip.compress(b"a trace that matters")
    for length in range(1, len(body)):
        with pytest.raises(ConnectionFailedError):
            unfold(body[:length], [])


def test_empty() -> None:
    """No body at all is an empty one."""
    assert unfold(b"", []) == []


@given(st.binary(max_size=100))
def test_anything(body: bytes) -> None:
    """Bytes that are not gzip unfold or raise the one error; no other gets out."""
    with contextlib.suppress(ConnectionFailedError):
        unfold(gzip.compress(b"")[:10] + body, [])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (None, Identity),
        ("", Identity),
        ("identity", Identity),
        ("GZIP", Gunzip),
        ("x-gzip", Gunzip),
    ],
)
def test_decoder(name: str | None, kind: type[object]) -> None:
    """The header picks the decoder."""
    assert type(decoder(name)) is kind


def test_unasked_encoding() -> None:
    """An encoding that was not asked for is not guessed at."""
    with pytest.raises(ConnectionFailedError):
        decoder("br")
