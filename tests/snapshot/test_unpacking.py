"""Archives that somebody made to hurt give bounded files, or one of two errors, never more."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import UnexpectedAnswerError
from logminer.snapshot import unpacking
from logminer.snapshot.unpacking import TooMuchError, inner_path, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

FROM = b"FROM alpine:3.20\n"


def packed(*entries: tuple[str, bytes] | tarfile.TarInfo) -> io.BytesIO:
    """Return a tar.gz with these files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            archive.addfile(info, io.BytesIO(entry[1]))
    whole.seek(0)
    return whole


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    """Return a link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_only_wanted_regular_files_below_the_top_are_kept() -> None:
    """Names of more than a hundred characters, too; links and directories are none."""
    deep = "/".join(["level"] * 40) + "/Dockerfile"
    files = unpack(
        packed(
            ("top/Dockerfile", FROM),
            ("top/src/main.c", b"int main;"),
            (f"top/{deep}", FROM),
            link("top/a/Dockerfile", "/etc/passwd", tarfile.SYMTYPE),
            link("top/b/Dockerfile", "top/Dockerfile", tarfile.LNKTYPE),
            link("top/c/Dockerfile", "", tarfile.FIFOTYPE),
            ("Dockerfile", FROM),
        )
    )

    assert files.contents == {"Dockerfile": FROM, deep: FROM}
    assert files.left == {}


@pytest.mark.parametrize(
    "name",
    [
        "top/../../etc/Dockerfile",
        "/etc/Dockerfile/../Dockerfile",
        "top//Dockerfile",
        "top/./Dockerfile",
        "top/" + "d/" * 2_100 + "Dockerfile",
    ],
)
def test_a_path_that_leads_elsewhere_is_none(name: str) -> None:
    """Nothing is written anyway; and nothing of another place has a row."""
    assert unpack(packed((name, FROM))).contents == {}


def test_what_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a bound for one file and one for all."""
    monkeypatch.setattr(unpacking, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(unpacking, "MAX_KEPT", 150)
    files = unpack(
        packed(
            ("top/a/Dockerfile", b"#" * 101),
            ("top/b/Dockerfile", b"#" * 100),
            ("top/c/Dockerfile", b"#" * 51),
        )
    )

    assert list(files.contents) == ["b/Dockerfile"]
    assert list(files.left) == ["a/Dockerfile", "c/Dockerfile"]


@pytest.mark.parametrize("bound", ["MAX_UNFOLDED", "MAX_ENTRIES"])
def test_a_bomb_is_left_unread(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Whether it has one file without end or files without end."""
    monkeypatch.setattr(unpacking, bound, 20)

    with pytest.raises(TooMuchError):
        unpack(packed(*((f"top/{number}/Dockerfile", FROM) for number in range(30))))


def test_a_header_that_says_to_be_endless_is_not_read() -> None:
    """The library would read it into memory, however long it is."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, unpacking.MAX_HEADER + 1
    zipped = io.BytesIO(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 10_240))

    with pytest.raises(TooMuchError):
        unpack(zipped)


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _garbled(data: bytes) -> bytes:
    plain = bytearray(gzip.decompress(data))
    plain[1_536 + 148 : 1_536 + 156] = b"99999999"  # the checksum of the second header
    return gzip.compress(bytes(plain))


@pytest.mark.parametrize("damage", [_cut, _garbled, lambda _: b"", lambda _: b"<html>"])
def test_half_an_archive_is_not_taken_for_a_whole(damage: Callable[[bytes], bytes]) -> None:
    """The library takes some damage for the end."""
    whole = packed(*((f"top/{number}/Dockerfile", FROM * 40) for number in range(20))).getvalue()

    with pytest.raises(UnexpectedAnswerError, match="damaged or broke off"):
        unpack(io.BytesIO(damage(whole)))


@given(st.binary(max_size=2_000), st.booleans())
def test_no_bytes_raise_anything_else(data: bytes, zipped: bool) -> None:  # noqa: FBT001 -- drawn
    """Files, or one of the two errors."""
    try:
        files = unpack(io.BytesIO(gzip.compress(data) if zipped else data))
    except (TooMuchError, UnexpectedAnswerError):
        return
    assert files.size <= len(data)


@given(st.text(max_size=50))
def test_an_inner_path_stays_inside(path: str) -> None:
    """And is text that every table can hold."""
    inner = inner_path(path)
    if inner is not None:
        assert not inner.startswith("/")
        assert ".." not in inner.split("/")
        inner.encode()
