"""How an answer goes onto the connection: whole, compressed, in chunks."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.simulator.answer import Answer
    from logminer.simulator.bulk import Body

_WORTH_COMPRESSING = 250
"""Bytes; Omnibus NGINX leaves smaller bodies alone."""
_LEVEL = 2
"""That of Omnibus NGINX."""
_GZIP = 31
"""What zlib calls its largest window within gzip's frame."""


async def send(request: web.Request, answer: Answer, *, gzip: bool) -> web.StreamResponse:
    """Send an answer as it is meant, compressed where `gzip` and the client say so."""
    headers = {**answer.headers, "Content-Type": answer.kind}
    body = answer.body
    if gzip and len(body) >= _WORTH_COMPRESSING and accepts_gzip(request):
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return await _stream(request, answer.status, headers, compressed(body), length=None)
    if isinstance(body, bytes) and not answer.chunked:
        return web.Response(status=answer.status, headers=headers, body=body)
    length = None if answer.chunked else len(body)
    return await _stream(request, answer.status, headers, pieces(body), length=length)


async def _stream(
    request: web.Request,
    status: int,
    headers: dict[str, str],
    body: Iterator[bytes],
    *,
    length: int | None,
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    for piece in body:
        await response.write(piece)
    await response.write_eof()
    return response


def accepts_gzip(request: web.Request) -> bool:
    """Return whether the client can read gzip."""
    return "gzip" in request.headers.get("Accept-Encoding", "")


def pieces(body: Body) -> Iterator[bytes]:
    """Return the body in pieces that are small enough to be held."""
    if isinstance(body, bytes):
        if body:
            yield body
    else:
        yield from body


def compressed(body: Body) -> Iterator[bytes]:
    """Return the body as a gzip stream."""
    machine = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for piece in pieces(body):
        data = machine.compress(piece)
        if data:
            yield data
    yield machine.flush()
