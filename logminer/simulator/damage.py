"""What the faults do: other answers than the true one, and answers that break on the wire.

The first are well-formed, so they are answers themselves. The second are written onto the
connection by hand, because no HTTP library sends what no HTTP library should.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from logminer.simulator.answer import HTML, JSON, Answer, as_json, as_text
from logminer.simulator.dice import dice
from logminer.simulator.wire import compressed, pieces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter

    from logminer.simulator.faults import Fault, Faults, Hit

LOOP = "/-/simulator/loop"
"""A path that leads to itself."""

_MEGABYTE = 2**20
_FULL = 2**18
"""Bytes in the connection's buffer above which the server waits for the client to read."""
_BREATH = 0.002
"""Seconds between two looks at that buffer."""

_CHECKSUM_OF_ZEROS = 0x5B64C2B0
"""CRC-32 of 1 GiB of them; to compute it takes longer than to send the bomb."""
_LOGIN_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Sign in · GitLab</title></head>"
    '<body><form action="/users/sign_in" method="post">…</form></body></html>\n'
)


# -- other answers ------------------------------------------------------------------------------


def instead(hit: Hit, path: str) -> Answer | None:
    """Return the well-formed answer a fault gives in place of the true one; None: no such fault.

    `path` is what was asked for, with its query. What `throttled` says is the limits' matter.
    """
    make = _ANSWERS.get(hit.fault)
    return make(hit.by, path) if make else None


def _error(status: int) -> Callable[[Faults, str], Answer]:
    def make(faults: Faults, _path: str) -> Answer:
        phrase = HTTPStatus(status).phrase
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return as_json({"message": f"{status} {phrase}"}, status=status)
        page = f"<html><head><title>{status} {phrase}</title></head><body>GitLab</body></html>\n"
        headers = {}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(max(1, round(faults.seconds)))
        return Answer(status=status, kind=HTML, body=page.encode(), headers=headers)

    return make


def _redirect(location: Callable[[Faults, str], str]) -> Callable[[Faults, str], Answer]:
    def make(faults: Faults, path: str) -> Answer:
        headers = {"Location": location(faults, path)}
        return as_text("You are being redirected.\n", status=302, headers=headers)

    return make


_ANSWERS: dict[Fault, Callable[[Faults, str], Answer]] = {
    "error_500": _error(500),
    "error_502": _error(502),
    "error_503": _error(503),
    "login_page": lambda _faults, _path: Answer(kind=HTML, body=_LOGIN_PAGE.encode()),
    "nothing": lambda _faults, _path: Answer(status=204),
    "deep_json": lambda _faults, _path: Answer(kind=JSON, body=b"[" * 10**6),
    "redirect_same": _redirect(lambda _faults, path: path),
    "redirect_elsewhere": _redirect(lambda faults, path: f"{faults.elsewhere}{path}"),
    "redirect_private": _redirect(lambda faults, path: f"{faults.private}{path}"),
    "redirect_loop": _redirect(lambda _faults, _path: LOOP),
}


# -- broken connections -------------------------------------------------------------------------


async def send_broken(request: web.Request, answer: Answer, hit: Hit) -> web.StreamResponse:
    """Write what the client gets of the answer, and end the connection."""
    wire = _Wire(request)
    await _BREAKS[hit.fault](wire, answer, hit.by)
    wire.close()
    return _Said(status=answer.status)


class _Said(web.StreamResponse):
    """What aiohttp gets as the response when all has been said by hand."""

    async def prepare(self, _request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write no head."""
        self.force_close()
        return None

    async def write_eof(self, _data: bytes = b"") -> None:
        """Write no end."""


class _Wire:
    """The raw connection."""

    def __init__(self, request: web.Request) -> None:
        self._transport = request.transport

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def write(self, data: bytes) -> None:
        """Write, then wait until the client has read most of it or has hung up."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        # a transport has no event to wait for, but to its protocol, which is aiohttp's own
        while transport.get_write_buffer_size() > _FULL and not transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_BREATH)

    async def head(self, answer: Answer, **more: str | int) -> None:
        """Write the status line and the headers; keywords are headers, `_` for `-`."""
        headers = {**answer.headers, "Content-Type": answer.kind}
        headers |= {name.replace("_", "-"): str(value) for name, value in more.items()}
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        await self.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())

    def reset(self) -> None:
        """Break the connection: the client reads ECONNRESET, not an end."""
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close the connection in order, after what is written."""
        if self._transport is not None:
            self._transport.close()


async def _reset(wire: _Wire, _answer: Answer, _faults: Faults) -> None:
    wire.reset()


async def _reset_midbody(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(answer, Content_Length=len(answer.body))
    await _half(wire, answer)
    await asyncio.sleep(_BREATH)  # a reset drops what is not yet sent
    wire.reset()


async def _truncated(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(answer, Content_Length=max(1, len(answer.body)))
    await _half(wire, answer)


async def _torn(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(answer, Transfer_Encoding="chunked")
    for piece in pieces(answer.body[: len(answer.body) // 2]):
        await wire.write(b"%x\r\n%b\r\n" % (len(piece), piece))


async def _short(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(answer, Content_Length=len(answer.body) // 2)
    await _half(wire, answer)


async def _short_length(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(answer, Content_Length=len(answer.body) // 2)
    for piece in pieces(answer.body):
        await wire.write(piece)


async def _bad_gzip(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    noise = dice("bad gzip").randbytes(max(64, min(len(answer.body), _MEGABYTE)))
    await wire.head(answer, Content_Encoding="gzip", Content_Length=len(noise))
    await wire.write(noise)


async def _cut_gzip(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body[:_MEGABYTE])
    stream = b"".join(compressed(body))
    half = stream[: max(11, len(stream) // 2)]
    await wire.head(answer, Content_Encoding="gzip", Content_Length=len(half))
    await wire.write(half)


async def _gzip_bomb(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    bomb = _bomb()
    await wire.head(answer, Content_Encoding="gzip", Content_Length=len(bomb))
    await wire.write(bomb)


async def _stall(wire: _Wire, _answer: Answer, faults: Faults) -> None:
    await asyncio.sleep(faults.seconds)
    wire.reset()


async def _drip(wire: _Wire, answer: Answer, faults: Faults) -> None:
    await wire.head(answer, Content_Length=len(answer.body))
    for piece in pieces(answer.body):
        for position in range(len(piece)):
            if not wire.open:
                return
            await wire.write(piece[position : position + 1])
            await asyncio.sleep(faults.seconds)


async def _huge_headers(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    more = {f"X_Padding_{number}": "x" * 4000 for number in range(_MEGABYTE // 4000)}
    await wire.head(answer, Content_Length=len(answer.body), **more)
    for piece in pieces(answer.body):
        await wire.write(piece)


async def _endless_headers(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.write(f"HTTP/1.1 {answer.status} OK\r\n".encode())
    while wire.open:
        await wire.write(b"X-Padding: %b\r\n" % (b"x" * 60_000))
        await asyncio.sleep(0)


async def _huge_json(wire: _Wire, answer: Answer, _faults: Faults) -> None:
    await wire.head(replace(answer, kind=JSON), Transfer_Encoding="chunked")
    piece = b'{"id":1,"message":"more"},' * 2_000
    await wire.write(b"1\r\n[\r\n")
    while wire.open:
        await wire.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(0)


async def _half(wire: _Wire, answer: Answer) -> None:
    for piece in pieces(answer.body[: len(answer.body) // 2]):
        await wire.write(piece)


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """Return a gzip stream of 1 GiB of zeros: one flushed block, again and again."""
    count = 1024
    machine = zlib.compressobj(9, wbits=-15)
    block = machine.compress(bytes(_MEGABYTE)) + machine.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, wbits=-15).flush()
    end += struct.pack("<II", _CHECKSUM_OF_ZEROS, count * _MEGABYTE)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + block * count + end


_BREAKS: dict[Fault, Callable[[_Wire, Answer, Faults], Awaitable[None]]] = {
    "reset": _reset,
    "reset_midbody": _reset_midbody,
    "truncated": _truncated,
    "torn": _torn,
    "short": _short,
    "short_length": _short_length,
    "bad_gzip": _bad_gzip,
    "cut_gzip": _cut_gzip,
    "gzip_bomb": _gzip_bomb,
    "stall": _stall,
    "drip": _drip,
    "huge_headers": _huge_headers,
    "endless_headers": _endless_headers,
    "huge_json": _huge_json,
}
SILENT: frozenset[Fault] = frozenset({"reset", "stall"})
"""The faults whose client never sees a status."""
